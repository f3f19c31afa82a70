package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeSum is the SHA-256 of the script of axe-core 4.14.1 that `make test` puts into the cache.
const axeSum = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"

func axeScript(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	b, err := os.ReadFile(filepath.Join(cache, "hozen", "axe-core-4.14.1", "axe.min.js"))
	if err != nil {
		t.Skip("needs axe-core in the cache (make test ONLY=prerequisites, where npm has it)")
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != axeSum {
		t.Fatalf("axe-core in the cache is not the expected one: SHA-256 %x", sum)
	}
	return string(b)
}

// axeTrouble is one rule that a page breaks.
type axeTrouble struct {
	ID, Impact, Help string
	Nodes            []string
}

// look runs axe-core, which the page brought, by all rules or by some.
func (b *tab) look(rules ...string) []axeTrouble {
	b.t.Helper()
	only := ""
	if len(rules) > 0 {
		only = `, runOnly: {type: "rule", values: ["` + strings.Join(rules, `", "`) + `"]}`
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]axeTrouble](`axe.run(document, {preload: false, resultTypes: ["violations"]`+only+`}).then(r => r.violations.map(v => ({
		ID: v.id, Impact: v.impact || "", Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + (n.any[0] ? n.any[0].message : ""))})))`, chromedp.EvalAwaitPromise))
	must(b.t, err)
	return found
}

// bring has every page that is opened from now on bring a script with it.
func (b *tab) bring(script string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, t.Call(ctx, "Page.addScriptToEvaluateOnNewDocument", map[string]string{"source": script}, nil)
	})
	must(b.t, err)
}

// scheme makes the page ask for light or dark colours.
func (b *tab) scheme(name string) {
	b.t.Helper()
	type feature struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		params := map[string][]feature{"features": {{"prefers-color-scheme", name}}}
		return chromedp.Void{}, t.Call(ctx, "Emulation.setEmulatedMedia", params, nil)
	})
	must(b.t, err)
}

// TestBrowserShutsNobodyOut looks at a page of every template with axe-core: in Japanese and
// light by all its rules, in English and dark by those that words and colours can break. What
// else it knows is the same in both. With HOZEN_AXE=all it looks at every kind of address.
func TestBrowserShutsNobodyOut(t *testing.T) {
	chromium(t)
	script := axeScript(t)
	x := newOffice(t, 45)
	b := x.tab(false)
	b.do(chromedp.EmulateViewport(1280, 900))
	look := func(lang, path string, rules ...string) {
		b.open(path)
		for _, v := range b.look(rules...) {
			if v.Impact == "serious" || v.Impact == "critical" {
				t.Errorf("%s %s: %s: %s (%s)\n%s", lang, path, v.Impact, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
			}
		}
	}
	all, over := os.Getenv("HOZEN_AXE") == "all", x.as("owner", "ja")
	template := regexp.MustCompile(`<body class="page-([a-z_]+)"`)
	paths, kinds := []string{}, map[string]bool{}
	for _, path := range x.paths() {
		kind := kindOf(path)
		if m := template.FindStringSubmatch(over.get(path).body); !all && m != nil {
			kind = m[1]
		}
		if !kinds[kind] {
			kinds[kind] = true
			paths = append(paths, path)
		}
	}
	b.bring(script)
	b.scheme("light")
	b.open("/sign-in")
	b.setLanguage("ja")
	look("ja", "/sign-in")
	b.signIn("owner")
	for _, path := range paths {
		look("ja", path)
	}
	b.scheme("dark")
	b.open("/about")
	b.setLanguage("en")
	for _, path := range paths {
		look("en", path, "color-contrast", "html-has-lang", "html-lang-valid", "document-title", "label", "button-name", "link-name", "image-alt", "select-name", "summary-name", "svg-img-alt", "valid-lang")
	}
	t.Logf("%d pages", len(paths))
}
