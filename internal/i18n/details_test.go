package i18n_test

import (
	"testing"
	"testing/fstest"

	"hozen/internal/i18n"
)

func TestDetails(t *testing.T) {
	fsys := fstest.MapFS{
		"d.json": {Data: []byte(`{"line %d: %v": "{1} 行目: {2}", "%s%s is missing": "{1}{2} がない", "it has %d, not %d": "{2} でなく {1}", "malformed note": "形が違う", "name %.60q": "名前 {1}", "is cut off": "切れている"}`)},
		"x.json": {Data: []byte(`{"a %d": "{2}"}`)},
	}
	d, err := i18n.LoadDetails(fsys, "d.json")
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{
		"line 7: is cut off":                "7 行目: 切れている",
		"line x: is cut off":                "line x: 切れている",
		"line 1: line 2: open x: no":        "1 行目: 2 行目: open x: no",
		"host.name is missing":              "host.name がない",
		"it has -1, not 2":                  "2 でなく -1",
		"malformed note: line 3: EOF":       "形が違う: 3 行目: EOF",
		"open x: malformed note":            "open x: 形が違う",
		`name "is cut off"`:                 `名前 "is cut off"`,
		`name "a\"b: c"`:                    `名前 "a\"b: c"`,
		"open /x: permission denied":        "open /x: permission denied",
		"":                                  "",
		"first\nsecond is missing":          "first\nsecond がない",
		"malformed note\x1b[31m":            "malformed note\x1b[31m",
		"not known: also not known: at all": "not known: also not known: at all",
	} {
		if got := d.Text(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	if got := (i18n.Details{}).Text("is cut off"); got != "is cut off" {
		t.Errorf("without details: %q", got)
	}
	if _, err := i18n.LoadDetails(fsys, "x.json"); err == nil {
		t.Error("a word for what no verb stands for was taken")
	}
	c, err := i18n.Load(fstest.MapFS{"ja.json": {Data: []byte(`{}`)}, "en.json": {Data: []byte(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithDetails(d)
	if ja, en := c.Printer(i18n.Japanese).Detail("is cut off"), c.Printer(i18n.English).Detail("is cut off"); ja != "切れている" || en != "is cut off" {
		t.Errorf("%q, %q", ja, en)
	}
}
