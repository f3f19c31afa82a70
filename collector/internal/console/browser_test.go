package console

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/capability"
	"hozen/internal/id"
)

// chromium returns the browser of this machine; without one the test is skipped.
func chromium(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("needs chromium (apt-get install chromium fonts-noto-cjk)")
	return ""
}

// tab is a page of a real browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu       sync.Mutex
	troubles []string // what the browser complained of: policy violations, exceptions
}

// autofocused is what a browser tells of where somebody typed before a page was ready.
const autofocused = "Autofocus processing was blocked"

func (x *site) tab(dark bool) *tab {
	t, ok := x.t.(*testing.T)
	if !ok {
		x.t.Fatal("a browser needs a test")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.UserDataDir(t.TempDir())}
	if dark {
		options = append(options, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: x.server.URL}
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	must(t, chromedp.Listen(ctx, func(ev any) {
		text, err := json.Marshal(ev)
		s := fmt.Sprintf("%T %s %v", ev, text, err)
		if strings.Contains(s, "EntryAdded") && !strings.Contains(s, "net::ERR") && !strings.Contains(s, "status of 404") && !strings.Contains(s, autofocused) || strings.Contains(s, "ExceptionThrown") {
			b.mu.Lock()
			b.troubles = append(b.troubles, s)
			b.mu.Unlock()
		}
	}))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.base + path)) }

// until waits until an expression is true in the page, whatever page is open by then.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	again := time.NewTicker(40 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if ok && err == nil {
			return
		}
		select {
		case <-again.C: // an error while one page gives way to the next is no answer either
		case <-ctx.Done():
			text, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
			b.t.Fatalf("waited in vain for %s: %v\n%.3000s", expression, err, text)
		}
	}
}

// follow clicks on what leads to another page and waits until that has an element. What
// is done to an element while its page gives way fails.
func (b *tab) follow(link, element string) {
	b.t.Helper()
	b.number(`window.left = 1`)
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	// On a page that is brought up to date meanwhile another link takes the place of this
	// one: DevTools says so by this code, has done nothing, and it is looked for again.
	err := chromedp.Do(ctx, chromedp.Click(link))
	for err != nil && strings.Contains(err.Error(), "(-32000)") && ctx.Err() == nil {
		err = chromedp.Do(ctx, chromedp.Click(link))
	}
	must(b.t, err)
	b.until(`!window.left && document.readyState === "complete" && document.querySelector("` + element + `")`)
}

func (b *tab) number(expression string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression))
	must(b.t, err)
	return n
}

func (b *tab) signIn(name string) {
	b.t.Helper()
	b.open("/sign-in")
	b.do(chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", password), chromedp.Click("button.primary"))
	b.until(`location.pathname === "/"`)
}

func (b *tab) calm() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.troubles {
		b.t.Errorf("the browser complained: %.500s", s)
	}
}

// TestBrowserIsolates clicks 「隔離して保全」 and watches it happen without a reload.
func TestBrowserIsolates(t *testing.T) {
	chromium(t)
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux", Arch: "amd64", Platform: "debian 12"})
	b := x.tab(false)
	b.signIn("owner")
	b.open("/endpoints/" + p.ID)
	b.follow(`a.danger`, "#reason")
	b.do(chromedp.SendKeys("#reason", "不審な画面\r")) // as good as the button
	b.until(`location.search.startsWith("?command=cmd_") && document.querySelectorAll(".steps .is-done").length === 1`)

	commands, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: p.ID})
	must(t, err)
	if len(commands) != 1 || commands[0].Reason != "不審な画面" {
		t.Fatalf("commands: %+v", commands)
	}
	c := commands[0]
	must(t, x.CommandAcked(t.Context(), p.ID, c.ID))
	b.until(`document.querySelectorAll(".steps .is-done").length === 2`)
	x.hub.Progress(p.ID, act.Progress{CommandID: c.ID, Kind: string(artifact.KindProcess), Done: 1, Total: 6, Records: 1234})
	b.until(`document.querySelector("[data-progress]").textContent.includes("1,234")`)
	acq := p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerIsolation, c.ID }, captured(30, x.now()))
	p.finish(c, endpoint.Isolated, acq)
	x.EvidenceChanged(t.Context(), p.ID, acq)
	b.until(`document.querySelectorAll(".steps .is-done").length === 7`)
	b.until(`document.querySelector(".state").classList.contains("iso-isolated")`)

	// Whoever hears no more of the collector is not told that the PC is isolated.
	const retry = `document.dispatchEvent(new Event("visibilitychange"))`
	b.do(chromedp.Evaluate[chromedp.Void](`{ window.really = [fetch, Date.now]; const [f, now] = window.really;
		window.fetch = () => Promise.reject(new Error("away")); Date.now = () => now() + 55_000; ` + retry + `; undefined }`))
	b.until(`document.getElementById("live-state").textContent !== ""`)
	if b.number(`document.querySelectorAll(".state.iso-isolated").length`) != 1 {
		t.Error("what was heard less than a minute ago is taken back")
	}
	b.do(chromedp.Evaluate[chromedp.Void](`{ const now = window.really[1]; Date.now = () => now() + 65_000; ` + retry + `; undefined }`))
	b.until(`document.querySelector(".state").classList.contains("iso-unknown")`)
	b.until(`document.querySelector("#h-isolation").innerText.includes(document.body.dataset.unknown)`)
	b.do(chromedp.Evaluate[chromedp.Void](`{ [window.fetch, Date.now] = window.really; ` + retry + `; undefined }`))
	b.until(`document.getElementById("live-state").textContent === "" && document.querySelector(".state").classList.contains("iso-isolated") && !document.querySelector("#h-isolation").innerText.includes(document.body.dataset.unknown)`)
	for _, path := range []string{"/", "/incidents/" + c.IncidentID} {
		b.open(path)
		b.until(`document.readyState === "complete" && document.querySelector(".iso-isolated")`)
		b.do(chromedp.Evaluate[chromedp.Void](`{ const now = Date.now; window.fetch = () => Promise.reject(new Error("away")); Date.now = () => now() + 65_000; ` + retry + `; undefined }`))
		b.until(`document.querySelector(".iso-unknown") && !document.querySelector(".iso-isolated, .iso-released, .st[data-aged].is-ok, .is-calm, .iso")`)
	}
	b.calm()
}

// TestBrowserPreserves goes through the gate and watches the order until the record of
// the next boot says that the PC went down.
func TestBrowserPreserves(t *testing.T) {
	chromium(t)
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux", Arch: "amd64", Platform: "debian 12", Capability: uint32(capability.Current)})
	b := x.tab(false)
	b.signIn("owner")
	b.open("/endpoints/" + p.ID)
	b.follow(`a[href$="/order/preserve"]`, "#then-reboot")
	b.do(chromedp.Click("#then-reboot"), chromedp.SendKeys("#reason", "専門業者の指示"), chromedp.Click("form.stack button.danger"))
	b.until(`location.search.startsWith("?command=cmd_") && document.querySelectorAll(".steps .is-done").length === 1`)
	commands, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: p.ID})
	must(t, err)
	c := commands[0]
	if c.Then != dispatch.ThenReboot || c.Reason != "専門業者の指示" {
		t.Fatalf("%+v", c)
	}
	acq := p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerPreserve, c.ID }, captured(30, x.now()))
	p.finish(c, endpoint.Released, acq)
	x.EvidenceChanged(t.Context(), p.ID, acq)
	b.until(`document.querySelectorAll(".steps .is-done").length === 4 && document.querySelector(".steps li:last-child").classList.contains("is-waiting")`)
	booted := p.send(func(m *artifact.Manifest) { m.Trigger = artifact.TriggerBoot }, map[artifact.Kind][]string{
		artifact.KindBoot: bootLine(record.Boot{Verdict: record.BootCleanWithCapture, Reason: record.BootReasonTwoSources,
			AskedBy: record.BootAsked{By: "preserve", Type: "reboot", Who: "uid 0"}, EndedAfter: x.now().UTC(), EndedBefore: x.now().UTC()})})
	x.EvidenceChanged(t.Context(), p.ID, booted)
	b.until(`document.querySelectorAll(".steps .is-done").length === 5 && document.querySelector("#boots .boot-good")`)
	b.calm()
}

// TestBrowserSearches types into the search of a large table and turns nothing off.
func TestBrowserSearches(t *testing.T) {
	chromium(t)
	x := newOffice(t, 1200)
	b := x.tab(false)
	b.signIn("sato")
	b.open("/evidence/" + x.processes)
	if n := b.number(`document.querySelectorAll("tbody tr").length`); n != rowsPerPage {
		t.Errorf("%d rows on the first page", n)
	}
	b.do(chromedp.SendKeys("#q", "kworker"))
	b.until(`document.querySelectorAll("tbody tr").length === 1 && location.search.includes("q=kworker")`)
	b.calm()
}

// TestBrowserFitsAPhone looks at every page on a narrow screen: nothing runs, nothing
// is refused by the policy, nothing is wider than the screen. With HOZEN_SHOTS naming
// a folder it keeps a picture of each page in both languages and widths, or of those alone
// whose path HOZEN_SHOTS_ONLY matches.
func TestBrowserFitsAPhone(t *testing.T) {
	chromium(t)
	x := newOffice(t, 300)
	x.away.down(dispatch.ThenPowerOff) // and waits
	stuck := x.sales.down(dispatch.ThenPowerOff)
	x.sales.finish(stuck, endpoint.Released, id.New(id.Acquisition))
	must(t, x.CommandFinished(t.Context(), x.sales.ID, dispatch.Result{CommandID: stuck.ID, Status: dispatch.Failed, Detail: "the PC does not go down: Interactive authentication required.", FinishedAt: x.now()}, nil))
	folder := os.Getenv("HOZEN_SHOTS")
	b := x.tab(os.Getenv("HOZEN_SHOTS_DARK") != "")
	b.open("/sign-in")
	names := map[string]string{"/": "dashboard", x.incidentID: "incident", x.processes: "processes", x.sockets: "connections", x.keiri.ID: "isolated", x.sales.ID: "released", x.away.ID: "away", x.odd.ID: "failed", x.evilPC.ID: "evil", x.measured.ID: "measured", x.groups[0]: "isolated", x.groups[1]: "drill"}
	only := regexp.MustCompile(os.Getenv("HOZEN_SHOTS_ONLY")) // of pictures: the paths that are wanted
	shoot := func(path string) {
		x.measuredAgain()
		if folder != "" && !only.MatchString(path) {
			return
		}
		for _, lang := range []string{"ja", "en"} {
			if folder == "" && lang == "en" {
				continue
			}
			for _, width := range []int64{1280, 375} {
				if folder == "" && width == 1280 {
					continue
				}
				b.do(chromedp.EmulateViewport(width, 800))
				b.setLanguage(lang)
				b.open(path)
				if wide := b.number(`Math.max(0, document.documentElement.scrollWidth - innerWidth)`); wide > 0 {
					t.Errorf("%s is %d px wider than a screen of %d px", path, wide, width)
				}
				if n := b.number(`document.querySelectorAll("h1").length`); n != 1 {
					t.Errorf("%s has %d main headings", path, n)
				}
				if folder == "" {
					continue
				}
				name := path
				for long, short := range names {
					if long != "/" {
						name = strings.ReplaceAll(name, long, short)
					}
				}
				name = strings.Trim(strings.NewReplacer("/", "_", "?", "_", "&", "_", "=", "").Replace(name), "_")
				if path == "/" {
					name = "dashboard"
				}
				png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s.%s.%d.png", name, lang, width)), png, 0o644))
			}
		}
	}
	shoot("/sign-in")
	b.signIn("owner")
	for _, path := range append(x.paths(), "/endpoints/"+x.sales.ID+"?command="+stuck.ID) {
		shoot(path)
	}
	// Pages that answer a form are looked at in place.
	for path, steps := range map[string][]chromedp.Action[chromedp.Void]{
		"/groups/new/isolate":                           {chromedp.Click("#all"), chromedp.SendKeys("#names", "ghost-pc"), chromedp.SendKeys("#reason", "ランサムウェア\r")},
		"/endpoints/" + x.measured.ID + "/release-code": {chromedp.SendKeys("#number", x.measured.newest(dispatch.Isolate).Isolation.Code.Number), chromedp.SendKeys("#reason", "回線障害\r")},
	} {
		shootHere(b, folder, path, steps)
	}
	m := `document.querySelector("form[action='/endpoints/add'] button.big").click()`
	b.open("/endpoints/add")
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](m))
	must(t, err)
	b.until(`location.search.startsWith("?token=")`)
	where, err := chromedp.Run(b.ctx, chromedp.Location())
	must(t, err)
	shoot(strings.TrimPrefix(where, b.base))
	b.calm()
}

// shootHere fills in a form and looks at its answer, narrow and wide.
func shootHere(b *tab, folder, path string, steps []chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, width := range []int64{375, 1280} {
		b.do(chromedp.EmulateViewport(width, 800))
		b.open(path)
		b.do(steps...)
		b.until(`document.readyState === "complete" && document.querySelector("input[name=confirmed], .code-groups, .problem")`)
		if wide := b.number(`Math.max(0, document.documentElement.scrollWidth - innerWidth)`); wide > 0 {
			b.t.Errorf("the answer of %s is %d px wider than a screen of %d px", path, wide, width)
		}
		if folder != "" {
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			must(b.t, err)
			must(b.t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("answer_%s.%d.png", filepath.Base(path), width)), png, 0o644))
		}
	}
}

// setLanguage presses the button that changes the language, if it is there.
func (b *tab) setLanguage(lang string) {
	b.t.Helper()
	if b.number(`document.documentElement.lang === "`+lang+`" ? 1 : 0`) == 1 {
		return
	}
	b.do(chromedp.Click(`button[name=language]`))
	b.until(`document.readyState === "complete" && document.documentElement.lang === "` + lang + `"`)
}
