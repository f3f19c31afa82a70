package dataset_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"hozen/collector/internal/dataset"
)

type thing struct {
	Key  string       `toml:"key"`
	Name dataset.Text `toml:"name"`
}

func TestDecodeIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"whole":           {"key = \"a\"\nname = { ja = \"名\", en = \"name\" }\n", ""},
		"unknown key":     {"keys = \"a\"\n", "unknown key"},
		"deep down":       {"[name]\nfr = \"nom\"\n", "unknown key"},
		"another type":    {"key = 5\n", "t.toml"},
		"no TOML":         {"key = \n", "t.toml"},
		"far too much":    {strings.Repeat("#", 1<<20+1), "more than"},
		"key given twice": {"key = \"a\"\nkey = \"b\"\n", "t.toml"},
	} {
		var v thing
		err := dataset.Decode(fstest.MapFS{"t.toml": &fstest.MapFile{Data: []byte(c.text)}}, "t.toml", &v)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dataset.Decode(fstest.MapFS{}, "t.toml", &thing{}); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestCheckerSaysAllAtOnce(t *testing.T) {
	c := &dataset.Checker{}
	if c.Err() != nil {
		t.Error("nothing is wrong yet")
	}
	c.Text("a", dataset.Text{JA: " ", EN: "x"})
	c.Text("b", dataset.Text{JA: "い"})
	c.Text("c", dataset.Text{JA: "い", EN: "x"})
	c.Known("d", []string{"x", "y"}, "x", "z", "x")
	c.Once("key", []string{"k", "", "k"})
	err := c.Err()
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"a has no text in ja", "b has no text in en", `d names "z", which does not exist`, `d names "x" twice`, "a key has no key", `the key "k" stands twice`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in %v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d faults", n)
	}
}

func TestTextInALanguage(t *testing.T) {
	text := dataset.Text{JA: "い", EN: "e"}
	for language, want := range map[string]string{"ja": "い", "en": "e", "fr": "い", "": "い"} {
		if got := text.In(language); got != want {
			t.Errorf("%q: %q", language, got)
		}
	}
}
