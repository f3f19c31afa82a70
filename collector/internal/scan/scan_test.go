package scan

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"hozen/collector/internal/search"
)

func limits() Limits { return Limits{Plain: 1 << 20, Line: 1 << 16, Hits: 10} }

func lines(t testing.TB, text, q string, l Limits) (string, Result) {
	t.Helper()
	var out []string
	res, err := Lines(t.Context(), "x.jsonl", strings.NewReader(text), search.Parse(q), l, func(h Hit) {
		s := fmt.Sprint(h.Line)
		for _, v := range h.Values {
			s += fmt.Sprintf(" %s=%s", v.Field, v.Text)
		}
		out = append(out, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "|"), res
}

func TestLines(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte("rm -rf /home\n\xff"))
	for _, c := range []struct{ text, q, want string }{
		{`{"a":"x","b":{"c":["y","z"]}}` + "\n\n" + `{"a":"Z"}`, "z", "1 c=z|2 a=Z"},
		{`{"\u0061":"\u0058\"\\q"}`, `x"\q`, `1 a=X"\q`},
		{`{"key":"value"}`, "key", ""},
		{`{"n":4444,"t":true}`, "444", "1 n=4444"},
		{`{"n":4444,"t":true}`, "true", ""},
		{`{"a":"one","b":"two"}`, "two one", "1 a=one b=two"},
		{`{"data_b64":"` + b64 + `"}`, "rm -rf", "1 data_b64=rm -rf /home\n\ufffd"},
		{`{"data_b64":"` + b64 + `"}`, b64[:8], ""},
		{`{"broken":"evil`, "evil", `1 =` + `{"broken":"evil`},
		{`["a",["b"]]`, "b", "1 =b"},
		{`{"a":{"b":1},"c":"d"}`, "d", "1 c=d"},
	} {
		if got, _ := lines(t, c.text, c.q, limits()); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.q, c.text, got, c.want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	l := limits()
	l.Hits = 2
	if got, r := lines(t, strings.Repeat(`{"a":"x"}`+"\n", 3), "x", l); got != "1 a=x|2 a=x" || !r.Cut {
		t.Errorf("%s, %+v", got, r)
	}
	if _, r := lines(t, strings.Repeat(`{"a":"x"}`+"\n", 2), "x", l); r.Cut {
		t.Errorf("nothing more, and cut: %+v", r)
	}
	l = limits()
	l.Line = 100
	if got, r := lines(t, `{"a":"x`+strings.Repeat("y", 200_000)+`"}`+"\n"+`{"a":"x"}`, "x", l); got != "2 a=x" || r.Long != 1 {
		t.Errorf("%s, %+v", got, r)
	}
	l = limits()
	l.Plain = 15
	if got, r := lines(t, `{"a":"x"}`+"\n"+`{"a":"x"}`+"\n", "x", l); got != "1 a=x" || !r.Cut || r.Bytes != 15 {
		t.Errorf("%s, %+v", got, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Lines(ctx, "x.jsonl", strings.NewReader("{}"), search.Parse("x"), limits(), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Lines(t.Context(), "x.lime.zst", strings.NewReader("{}"), search.Parse("x"), limits(), nil); !errors.Is(err, ErrPacking) {
		t.Error(err)
	}
	if _, err := Lines(t.Context(), "x.jsonl.zst", strings.NewReader("no zstd"), search.Parse("x"), limits(), nil); err == nil {
		t.Error("garbage was read")
	}
}

func FuzzLines(f *testing.F) {
	f.Add(`{"a":"\u0058","b":[1,{"data_b64":"eA=="}]}`, "x")
	f.Add("}{\n[[[", "ｶ")
	f.Fuzz(func(t *testing.T, text, q string) {
		n := 0
		_, err := Lines(t.Context(), "x.jsonl", strings.NewReader(text), search.Parse(q), limits(), func(h Hit) {
			n++
			for _, v := range h.Values {
				if !utf8.ValidString(v.Text) || utf8.RuneCountInString(v.Text) > shown+around+2 || len(search.Parse(q).Words) == 0 {
					t.Errorf("%q in %q: %q", q, text, v.Text)
				}
			}
		})
		if err != nil || n > limits().Hits {
			t.Errorf("%d, %v", n, err)
		}
	})
}
