package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"hozen/internal/custody"
	"hozen/internal/verify"
)

func FuzzManifest(f *testing.F) {
	for _, seed := range []*folder{newFolder(f), newEnrolledFolder(f)} {
		f.Add(seed.read("manifest.json"))
	}
	f.Add([]byte(`{"format":"hozen-manifest/1","format":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if verify.CheckManifest(b) != nil {
			return
		}
		// What is accepted means the same to everybody who reads JSON.
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	seed := newEnrolledFolder(f)
	f.Add(seed.read("receipt.json"))
	s, err := custody.DecodeFile(seed.read("receipt.json"))
	must(f, err)
	f.Add(s.Payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		if payload, err := verify.SignedPayload(b); err == nil {
			// The other reader of the same format sees the same bytes.
			if s, err := custody.DecodeFile(b); err != nil || !bytes.Equal(s.Payload, payload) {
				t.Fatalf("two readers disagree: %v", err)
			}
		}
		verify.CheckReceipt(b)
	})
}

func FuzzArtifact(f *testing.F) {
	f.Add(compress(f, []byte(processText)), true)
	f.Add([]byte(processText), false)
	f.Add(compress(f, bytes.Repeat([]byte("{}\n"), 1<<20)), true)
	f.Fuzz(func(t *testing.T, b []byte, zstd bool) {
		const limit = 1 << 16
		if n, err := verify.ReadArtifact(t.Context(), b, zstd, limit); n > limit {
			t.Fatalf("read %d bytes, at most %d were allowed (%v)", n, limit, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := verify.ParseJSON(b)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v is not %v: %v", got, want, err)
		}
	})
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{
		"{}", "{ }\n", "{\"a\":1,\"b\":\"x\\\"y and more than eight bytes\",\"c\":[{\"d\":null},-0.5e+7]}\n", "{\"a\":01}", "{\"a\":1,}", "{\"a\" : true , \"a\":false}\r\n", "{\"a\":\"\\u00g0\"}",
		"{\"a\":\"日本語の長い文字列\"}", "{\"a\":\"a\tb\"}", "{\"a\":[1 2]}", "{}{}", "{\"a\":" + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + "}", "{\"a\":" + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		names, values, ok := verify.ReadObject(b)
		if want := bytes.HasPrefix(b, []byte("{")) && utf8.Valid(b) && json.Valid(b); ok != want {
			t.Fatalf("%q: %t, encoding/json says %t", b, ok, want)
		}
		if !ok {
			return
		}
		again := "{"
		for i := range names {
			if i > 0 {
				again += ","
			}
			again += `"` + names[i] + `":` + values[i]
		}
		var got, want any
		if json.Unmarshal([]byte(again+"}"), &got) != nil || json.Unmarshal(b, &want) != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}

// A time stamp that is taken holds the digest of the checkpoint.
func FuzzStamp(f *testing.F) {
	const checkpoint = "a checkpoint"
	sum := sha256.Sum256([]byte(checkpoint))
	good := stampOf(f, checkpoint)
	f.Add(good)
	f.Add(stampOf(f, "another"))
	f.Add(good[:len(good)/2])
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if _, err := verify.ReadStamp(der, checkpoint); err == nil && !bytes.Contains(der, sum[:]) {
			t.Fatalf("%x is taken for a stamp of it", der)
		}
	})
}

// A line of the index that is taken says the same to everybody who reads JSON, and its name
// leads nowhere else than to the files of a PC.
func FuzzIndexed(f *testing.F) {
	raw, _ := vector(f)
	x := open(f, raw)
	for line := range strings.Lines(x.files[x.one("fs/index.jsonl")]) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"left_out":3}`))
	f.Add([]byte(`{"left_out":-3,"name":"x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		name, size, file, more, err := verify.ReadIndexed(line)
		if err != nil {
			return
		}
		var want struct {
			Name       string
			Size, File int64
			LeftOut    int64 `json:"left_out"`
		}
		if err := json.Unmarshal(line, &want); err != nil || name != want.Name || size != want.Size || file != want.File || more != want.LeftOut {
			t.Fatalf("%q: %q %d %d %d, others read %+v (%v)", line, name, size, file, more, want, err)
		}
		if more < 0 || size < 0 || file < 0 || name == "" && want.LeftOut == 0 && !bytes.Contains(line, []byte("left_out")) {
			t.Fatalf("%q is taken", line)
		}
		if name != "" && !strings.HasPrefix(name, "fs/$rootfs$/") && !strings.HasPrefix(name, "fs/$other$/") {
			t.Fatalf("%q is taken", name)
		}
	})
}

// Large artifacts are read line by line wherever the pieces of a reading end.
func TestLinesInPieces(t *testing.T) {
	long := "{\"a\":\"" + strings.Repeat("x", 600<<10) + "\"}\n"
	for text, want := range map[string]int64{"": 0, "{}\n": 1, "{}\n{}\n" + long + "{}\n": 4, long + long: 2} {
		for _, piece := range []int{1000, 262144, 262145, 1 << 20} {
			if n, err := verify.StreamLines([]byte(text), piece); n != want || err != nil {
				t.Errorf("%d bytes in pieces of %d: %d lines, %v", len(text), piece, n, err)
			}
		}
	}
	for text, want := range map[string]string{"{}\nx\n{}\n": "line 2 is not one JSON object", "{}\n{}": "line 2 is cut off", "\n": "line 1 is not one JSON object"} {
		if _, err := verify.StreamLines([]byte(text), 2); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
