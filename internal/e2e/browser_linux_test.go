package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/internal/e2e/rig"
)

// browser is a real browser with one page of a collector's console.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
}

// openBrowser opens the console in Japanese. Without a browser the test is skipped.
func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (apt-get install chromium fonts-noto-cjk)")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("accept-lang", "ja"), chromedp.Flag("lang", "ja"), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.UserDataDir(t.TempDir()))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank"))) // the browser lives as long as the context of its first step
	return &browser{t, ctx, base}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("in the browser: %v\n%s", err, b.text())
	}
}

// click presses the link or button that a person sees by its words. On a page that is
// brought up to date meanwhile another one takes its place, and is looked for again.
func (b *browser) click(words string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	press := chromedp.Click(fmt.Sprintf(`//*[self::a or self::button][contains(normalize-space(.), "%s")]`, words))
	err := chromedp.Do(ctx, press)
	for err != nil && strings.Contains(err.Error(), noNode) && ctx.Err() == nil {
		err = chromedp.Do(ctx, press)
	}
	if err != nil {
		b.t.Fatalf("click on %q: %v\n%s", words, err, b.text())
	}
}

// noNode is the code of what DevTools says of an element that is not there any more;
// nothing was done then.
const noNode = "(-32000)"

// there waits until a whole page with an element is open. What is done to a page that
// gives way to another fails.
func (b *browser) there(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	err := rig.Until(ctx, "the page", func() (bool, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.readyState === "complete" && document.querySelector(%q) !== null`, selector)))
	})
	if err != nil {
		b.t.Fatalf("%v: no %s in\n%.3000s", err, selector, b.text())
	}
}

// until waits until the part of the page at the CSS selector holds the words,
// whatever page is open by then. No reload is asked for.
func (b *browser) until(selector, words string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	err := rig.Until(ctx, "the page", func() (bool, error) {
		// Fails while one page gives way to another, which is no answer either.
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector)))
		return strings.Contains(text, words), err
	})
	if err != nil {
		b.t.Fatalf("%v: want %q at %s in\n%.3000s", err, words, selector, b.text())
	}
}

// text is what a person reads on the page.
func (b *browser) text() string {
	text, err := chromedp.Run(b.ctx, chromedp.Text("body"))
	if err != nil {
		return err.Error()
	}
	return text
}

// signIn comes with the one-time password and chooses another, as a new owner does.
func (b *browser) signIn(name, oneTime string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base), chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", oneTime), chromedp.Click("button.primary"))
	b.there("#current")
	b.do(chromedp.SendKeys("#current", oneTime), chromedp.SendKeys("#new", rig.Password), chromedp.SendKeys("#repeat", rig.Password), chromedp.Click("button.primary"))
	b.until("h1", "端末")
}
