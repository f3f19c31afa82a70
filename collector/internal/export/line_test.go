package export

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// valid is what parseLine must say: as encoding/json sees it.
func valid(line []byte) bool {
	return bytes.HasPrefix(line, []byte("{")) && bytes.HasSuffix(line, []byte("\n")) && utf8.Valid(line) && json.Valid(line)
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"{}\n", "{ }\n", "{\t\n", "{\"a\":1}\n", "{\"a\":\"x\\\"y\",\"b\":[1,{\"c\":null}],\"a\":-0.5e+7}\n", "{\"a\":01}\n", "{\"a\":\"\\ud800\"}\n", "{\"a\":\"日本語 and more than eight\"}\n",
		"{\"a\":\"tab\there and more\"}\n", "{\"a\":tru}\n", "{\"a\":[}\n", "{\"a\":1,}\n", "{,\"a\":1}\n", "{\"a\":1}x\n", " {}\n", "{\"a\":-}\n", "{\"a\":1.}\n", "{\"a\":\"\\u12G4\"}\n", "{\"a\":{\"b\":[[[]]]} , \"c\" : true }\n",
		"{\"a\":" + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + "}\n", "{\"a\":" + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		members, ok := parseLine(b, nil)
		if ok != valid(b) {
			t.Fatalf("%q: %t, encoding/json says %t", b, ok, valid(b))
		}
		if !ok {
			return
		}
		var want, got map[string]any
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		got = map[string]any{}
		for i := range members {
			name := member{value: append(append([]byte{'"'}, members[i].name...), '"')}
			n, ok := name.text()
			var v any
			if s, isText := members[i].text(); isText {
				v = s
			} else if err := json.Unmarshal(members[i].value, &v); err != nil {
				t.Fatal(err)
			}
			if !ok {
				t.Fatalf("name %q", members[i].name)
			}
			got[n] = v
		}
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, encoding/json says %v", b, got, want)
		}
	})
}

func TestInto(t *testing.T) {
	line := []byte(`{"s":"a\"b","n":-5,"u":65535,"l":["x","ｙ\n"],"t":"2026-01-01T00:00:00Z","z":null,"s2":"1","s":"last"}` + "\n")
	members, ok := parseLine(line, nil)
	if !ok {
		t.Fatal("not read")
	}
	var s, z string
	var n int
	var u uint16
	var l []string
	read := func(more map[string]any) bool {
		return into(members, func(name []byte) any {
			if p, ok := more[string(name)]; ok {
				return p
			}
			return nil
		})
	}
	if !read(map[string]any{"s": &s, "n": &n, "u": &u, "l": &l, "z": &z}) || s != "last" || n != -5 || u != 65535 || !reflect.DeepEqual(l, []string{"x", "ｙ\n"}) || z != "" {
		t.Errorf("%q %d %d %q %q", s, n, u, l, z)
	}
	for name, p := range map[string]any{"s": &n, "n": &u, "u": &l, "l": &s, "s2": &n} {
		if read(map[string]any{name: p}) {
			t.Errorf("%s was read as %T", name, p)
		}
	}
}

// Columns that are found late are empty in the rows before, in both ways to make a table.
func TestLateColumns(t *testing.T) {
	text := "{}\n{\"a\":\"=1\"}\n{\"b\":[\"x\",1],\"a\":null}\n{\"c\":\"\\u3042\\\"\",\"a\":\"'\"}\n{\"a\":\"first\",\"a\":true}\n"
	want := "\xef\xbb\xbf\"a\",\"b\",\"c\"\r\n,,\r\n\"'=1\",,\r\n,\"[\"\"x\"\",1]\",\r\n\"''\",,\"あ\"\"\"\r\n\"true\",,\r\n"
	for _, rows := range []bool{true, false} {
		var b bytes.Buffer
		tab := &table{}
		tab.begin(rows)
		look := func() {
			if err := linesOf([]byte(text), func(line []byte) error {
				m, ok := parseLine(line, nil)
				if !ok {
					t.Errorf("%q", line)
				}
				tab.line(m, len(line))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		look()
		if !rows {
			tab.rows = true
			look()
		}
		if tab.fits() != nil || tab.head(&b) != nil || tab.flush(&b) != nil || b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}
