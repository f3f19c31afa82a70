package manual

import (
	"strings"
	"testing"
	"testing/fstest"

	"hozen/internal/i18n"
)

// words has a text for every key but one.
func words(_ i18n.Language, key string) (string, bool) { return "<" + key + ">", key != "none" }

func TestLoad(t *testing.T) {
	m, err := Load(words)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range i18n.Languages() {
		for _, p := range m.Pages(l) {
			if p.Title == "" || p.Lead == "" || len(p.Sections) == 0 || strings.Contains(p.HTML, "<!--") {
				t.Errorf("%s/%s: title %q, lead %q, %d sections", l, p.Slug, p.Title, p.Lead, len(p.Sections))
			}
			for _, s := range p.Sections {
				if strings.TrimSpace(s.text) == "" {
					t.Errorf("%s/%s#%s is empty", l, p.Slug, s.ID)
				}
			}
		}
	}
}

func TestRender(t *testing.T) {
	p, err := render([]byte("# 題\n\n前置き{{a.b}}\n続き\n\n## 見出し {#one}\n\n- [行き先](other.md#x)と[ここ](#one)、[端末](/watch)\n\n```\nhozen <x>\n```\n"), "here", func(key string) (string, bool) { return words("", key) })
	if err != nil {
		t.Fatal(err)
	}
	if p.Title != "題" || p.Lead != "前置き<a.b>続き" || len(p.Sections) != 1 || p.Sections[0].ID != "one" || !strings.Contains(p.Sections[0].text, "hozen <x>") {
		t.Errorf("%+v", p)
	}
	for _, want := range []string{"前置き<b>&lt;a.b&gt;</b>", `<h2 id="one">見出し</h2>`, `href="/help/other#x"`, `href="#one"`, `href="/watch"`, "hozen &lt;x&gt;"} {
		if !strings.Contains(p.HTML, want) {
			t.Errorf("no %s in %s", want, p.HTML)
		}
	}
	if strings.Contains(p.HTML, "題") {
		t.Error("the title stands twice")
	}
	if strings.Join(p.links, " ") != "other#x here#one" || strings.Join(p.Consoles, " ") != "/watch" {
		t.Errorf("links %v, consoles %v", p.links, p.Consoles)
	}
}

func TestLoadRefuses(t *testing.T) {
	const good = "# t\n\np\n\n## h {#h}\n\np\n"
	for name, c := range map[string]struct{ ja, en, want string }{
		"HTML":              {good + "<b>x</b>\n", good, "HTML"},
		"block of HTML":     {good + "\n<div>\nx\n</div>\n", good, "HTML"},
		"picture":           {good + "![x](y.png)\n", good, "picture"},
		"bare address":      {good + "<https://example.com>\n", good, "bare address"},
		"link outside":      {good + "[x](https://example.com)\n", good, "leads to"},
		"link to a host":    {good + "[x](//example.com)\n", good, "leads to"},
		"script":            {good + "[x](javascript:x)\n", good, "leads to"},
		"no such page":      {good + "[x](none.md)\n", good, "not there"},
		"no such heading":   {good + "[x](#none)\n", good, "not there"},
		"no identifier":     {good + "\n## x\n\np\n", good, "identifier"},
		"second title":      {good + "\n# x {#x}\n", good, "level"},
		"no title":          {"p\n", good, "first level"},
		"no such word":      {good + "{{none}}\n", good, "no plain text"},
		"word with a hole":  {good + "{{a{b}}}\n", good, "no plain text"},
		"headings differ":   {good + "\n## x {#x}\n\np\n", good, "differ"},
		"levels differ":     {good, strings.Replace(good, "## h", "### h", 1), "differ"},
		"page in one alone": {good, "", "pages"},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"ja/10-a.md": {Data: []byte(c.ja)}}
			if c.en != "" {
				fsys["en/10-a.md"] = &fstest.MapFile{Data: []byte(c.en)}
			}
			if _, err := load(fsys, words); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want something of %q", err, c.want)
			}
		})
	}
	both := func(name string) fstest.MapFS {
		return fstest.MapFS{"ja/" + name: {Data: []byte(good)}, "en/" + name: {Data: []byte(good)}}
	}
	if _, err := load(both("a.md"), words); err == nil {
		t.Error("a page without a number was taken")
	}
	if m, err := load(both("10-a.md"), words); err != nil || !m.Has(i18n.English, "a#h") || m.Has(i18n.English, "a#x") || m.Has(i18n.English, "b") {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestFind(t *testing.T) {
	m, err := Load(words)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		l           i18n.Language
		query, want string // slug#id among the hits
		excerpt     string
	}{
		{i18n.Japanese, "解除コード　電話", "isolation#release-code", ""},
		{i18n.Japanese, "ＨＯＺＥＮ－ｖｅｒｉｆｙ", "outside#verify", "hozen-verify"},
		{i18n.English, "Recovery KEY", "collector-down#release", "recovery key"},
		{i18n.English, "no such thing anywhere", "", ""},
		{i18n.English, "  ", "", ""},
	} {
		hits := m.Find(c.l, c.query)
		if c.want == "" {
			if len(hits) > 0 {
				t.Errorf("%q finds %v", c.query, hits)
			}
			continue
		}
		found := false
		for _, h := range hits {
			if h.Slug+"#"+h.ID == c.want {
				found = true
				if !strings.Contains(strings.ToLower(h.Excerpt), c.excerpt) {
					t.Errorf("%q: excerpt %q", c.query, h.Excerpt)
				}
			}
		}
		if !found {
			t.Errorf("%q finds %v", c.query, hits)
		}
	}
	if len(m.Find(i18n.Japanese, "の")) > maxHits {
		t.Error("too many hits")
	}
}
