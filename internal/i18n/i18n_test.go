package i18n_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

func files(ja, en string) fstest.MapFS {
	return fstest.MapFS{"ja.json": {Data: []byte(ja)}, "en.json": {Data: []byte(en)}}
}

func load(t *testing.T, ja, en string) i18n.Catalogue {
	t.Helper()
	c, err := i18n.Load(files(ja, en))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestText(t *testing.T) {
	c := load(t, `{"hi":"{name}さん、{count}件です。{name}","plain":"はい"}`, `{"hi":"{name}: {count}, {name}","plain":"yes"}`)
	ja, en := c.Printer(i18n.Japanese), c.Printer(i18n.English)
	for _, tc := range []struct{ got, want string }{
		{ja.Text("hi", "name", "佐藤", "count", "3"), "佐藤さん、3件です。佐藤"},
		{en.TextWith("hi", map[string]string{"name": "Sato", "count": "3"}), "Sato: 3, Sato"},
		{ja.Text("plain"), "はい"},
		{en.Text("hi", "count", "3"), "{name}: 3, {name}"},
		{en.Text("hi", "name", "{count}", "count", "3"), "{count}: 3, {count}"}, // a value is never read as a text
		{en.Text("none"), "⟦none⟧"},
		{c.Printer("fr").Text("plain"), "はい"},
		{i18n.Printer{}.Text("plain"), "⟦plain⟧"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
	if !ja.Has("hi") || ja.Has("none") {
		t.Error("Has is wrong")
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, ja := range map[string]string{
		"not JSON":        `{"a":`,
		"no object":       `["a"]`,
		"no string":       `{"a":1}`,
		"nested":          `{"a":{"b":"c"}}`,
		"twice":           `{"a":"1","a":"2"}`,
		"open brace":      `{"a":"{name"}`,
		"close brace":     `{"a":"name}"}`,
		"empty name":      `{"a":"{}"}`,
		"odd name":        `{"a":"{Name}"}`,
		"nested braces":   `{"a":"{{name}}"}`,
		"trailing object": `{"a":"b"}{}`,
	} {
		if _, err := i18n.Load(files(ja, `{"a":"b"}`)); err == nil || !strings.Contains(err.Error(), "ja.json") {
			t.Errorf("%s: got %v, want an error that names ja.json", name, err)
		}
	}
	if _, err := i18n.Load(fstest.MapFS{"ja.json": {Data: []byte(`{}`)}}); err == nil {
		t.Error("a missing language was accepted")
	}
}

func TestParityFindsEveryDifference(t *testing.T) {
	c := load(t, `{"only_ja":"あ","empty":"い","holes":"{a}{b}","same":"{a}"}`, `{"only_en":"x","empty":" ","holes":"{a}{c}","same":"{a}"}`)
	got := strings.Join(i18ntest.Problems(c), "\n")
	for _, want := range []string{"en: only_ja is missing", "en: only_en is not in", "en: empty is empty", "en: holes has"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not reported in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "same") {
		t.Errorf("a good text is reported:\n%s", got)
	}
	if p := i18ntest.Problems(load(t, `{"a":"{x}"}`, `{"a":"{x} {x}"}`)); len(p) != 0 {
		t.Errorf("got %q for a catalogue in parity", p)
	}
}

func TestFromHeader(t *testing.T) {
	for accept, want := range map[string]i18n.Language{
		"":                                   i18n.Japanese,
		"*":                                  i18n.Japanese,
		"ja":                                 i18n.Japanese,
		"en-US,en;q=0.9,ja;q=0.8":            i18n.English,
		"en;q=0.3, ja-JP;q=0.9":              i18n.Japanese,
		"EN-gb":                              i18n.English,
		"de-DE,de;q=0.9":                     i18n.English,
		"ja;q=0,en":                          i18n.English,
		"en;q=nan":                           i18n.Japanese,
		"en;q=2":                             i18n.Japanese,
		"en;level=1":                         i18n.Japanese,
		"jaa,ja":                             i18n.Japanese,
		strings.Repeat("x,", 100_000) + "ja": i18n.English,
	} {
		if got := i18n.FromHeader(accept); got != want {
			t.Errorf("%.40q: got %s, want %s", accept, got, want)
		}
	}
}

func TestFromLocale(t *testing.T) {
	for _, tc := range []struct {
		values []string
		want   i18n.Language
	}{
		{nil, i18n.Japanese},
		{[]string{"", ""}, i18n.Japanese},
		{[]string{"", "en_US.UTF-8"}, i18n.English},
		{[]string{"ja_JP.eucJP", "en_US"}, i18n.Japanese},
		{[]string{"C.UTF-8"}, i18n.Japanese},
		{[]string{"POSIX"}, i18n.Japanese},
		{[]string{"sr_RS@latin"}, i18n.English},
		{[]string{"en@euro"}, i18n.English},
	} {
		if got := i18n.FromLocale(tc.values...); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.values, got, tc.want)
		}
	}
}

func TestPrintersDoNotShareState(t *testing.T) {
	c := load(t, `{"a":"日{n}"}`, `{"a":"en{n}"}`)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			l, want := i18n.Japanese, "日"
			if i%2 == 0 {
				l, want = i18n.English, "en"
			}
			n := fmt.Sprint(i)
			if got := c.Printer(l).Text("a", "n", n); got != want+n {
				t.Errorf("got %q, want %q", got, want+n)
			}
		})
	}
	wg.Wait()
}

func FuzzFromHeader(f *testing.F) {
	f.Add("en-US,en;q=0.9,ja;q=0.8")
	f.Add(";;q=,")
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := i18n.Parse(string(i18n.FromHeader(s))); !ok {
			t.Errorf("%q chose no language", s)
		}
		if _, ok := i18n.Parse(string(i18n.FromLocale(s))); !ok {
			t.Errorf("%q chose no language", s)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"a":"{name} b"}`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := i18n.Load(files(s, `{}`))
		if err != nil {
			return
		}
		for _, k := range c.Keys(i18n.Japanese) {
			c.Printer(i18n.Japanese).Text(k, "name", "x")
		}
	})
}
