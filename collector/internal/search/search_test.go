package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for typed, want := range map[string]string{
		"":                       "",
		"  ":                     "",
		"PC":                     "pc",
		"ＰＣ　経理":                  "pc|経理",
		"ｶﾞｽ":                    "ガス",
		"か\u3099":                "が",
		"①":                      "1",
		"a\x00b\x1b[2J":          "a|b|[2j",
		"100%_\\":                "100%_\\",
		"a A ａ Ａ":                "a",
		"1 2 3 4 5 6 7":          "1|2|3|4|5",
		"\xff\xfe":               "",
		strings.Repeat("あ", 500): strings.Repeat("あ", MaxText),
		"'; DROP TABLE x; --":    "';|drop|table|x;|--",
		"<script>alert</script>": "<script>alert</script>",
	} {
		var words []string
		for _, w := range Parse(typed).Words {
			words = append(words, w[0])
		}
		if got := strings.Join(words, "|"); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestSpellings(t *testing.T) {
	for _, c := range []struct{ typed, stands string }{
		{"pc-01", "経理ＰＣ－０１"}, {"ＰＣ", "keiri-pc01"}, {"ガス", "ｶﾞｽ会社"}, {"見積", "お見積書"}, {"É", "é"},
		{"keiri-pc", "KEIRI-PC01"}, {"9F86", "9f86d081"}, {"ランサム", "ﾗﾝｻﾑｳｪｱ"},
	} {
		if q := Parse(c.typed); !q.Fits(c.stands) || len(q.In(c.stands)) != 1 && c.typed != "É" {
			t.Errorf("%q is not found in %q: %q", c.typed, c.stands, q.Words)
		}
	}
	if Parse("あ い").Fits("あ") {
		t.Error("one of two words is enough")
	}
}

func TestPatternsMeanThemselves(t *testing.T) {
	if got := pattern(`100%_\x`); got != `%100\%\_\\x%` {
		t.Error(got)
	}
}

// FuzzQuery: whatever is typed and whatever it stands in, places lie in the text, in order,
// on borders of characters where both are text.
func FuzzQuery(f *testing.F) {
	f.Add("ＰＣ ガ", "経理ｶﾞＰＣ pc")
	f.Add("a\xff", "\xffaA")
	f.Add("%_\\", "100%_\\")
	f.Fuzz(func(t *testing.T, typed, text string) {
		q := Parse(typed)
		if len(q.Words) > MaxWords || !utf8.ValidString(q.Text) || utf8.RuneCountInString(q.Text) > MaxText {
			t.Fatalf("%q: %q", typed, q.Text)
		}
		at := 0
		for _, s := range q.In(text) {
			if s.From < at || s.To <= s.From || s.To > len(text) {
				t.Fatalf("%q in %q: %v", typed, text, s)
			}
			at = s.To
			if utf8.ValidString(text) && !utf8.ValidString(text[s.From:s.To]) {
				t.Fatalf("%q in %q: half a character", typed, text)
			}
		}
		if !q.Empty() && q.Fits(text) && at == 0 {
			t.Fatalf("%q fits %q and stands nowhere", typed, text)
		}
		for _, w := range q.Words {
			if slices.Contains(w, "") {
				t.Fatalf("%q has an empty spelling", typed)
			}
		}
	})
}
