package console

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
)

// scripts lets pages run JavaScript, or not.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, t.Call(ctx, "Emulation.setScriptExecutionDisabled", map[string]bool{"value": !on}, nil)
	})
	must(b.t, err)
}

// TestBrowserPlain does the main act of each page without JavaScript, and then signs in and comes
// to an order with the keyboard alone.
func TestBrowserPlain(t *testing.T) {
	chromium(t)
	x := newSite(t)
	p := x.modern("keiri-pc01", "192.0.2.61")
	b := x.tab(false)
	b.do(chromedp.EmulateViewport(1280, 900))
	t.Run("without JavaScript", func(t *testing.T) {
		w := x.walk(t, b, i18n.Japanese, "plain")
		w.scripts(false)
		defer w.scripts(true)
		w.signInAs("owner")
		plainly(w, p)
		byPhone(w)
		w.signOut()
	})
	t.Run("by keyboard", func(t *testing.T) {
		w := x.walk(t, b, i18n.Japanese, "keys")
		w.open("/sign-in")
		w.setLanguage(string(w.Language()))
		w.open("/sign-in")
		w.keyTo(w.Text("skip"))
		w.do(chromedp.KeyEvent("\r"))
		w.until(`document.activeElement.id === "main"`)
		w.do(chromedp.Focus("#name"), chromedp.KeyEvent("owner\t"+password+"\r"))
		w.until(`location.pathname === "/"`)
		w.keyTo("keiri-pc01")
		w.enter()
		w.keyTo(w.Text("order.isolate.button"))
		w.enter()
		w.until(`document.activeElement.id === "reason" || document.querySelector("#reason")`)
		w.keyTo("#reason")
		w.do(chromedp.KeyEvent("キー操作だけで"))
		w.keyTo(w.Text("order.isolate.do"))
		w.enter()
		w.until(`location.search.startsWith("?command=")`)
		if c := p.newest(dispatch.Isolate); c.Reason != "キー操作だけで" {
			t.Errorf("the order says %q", c.Reason)
		}
		// What opens by a key closes by one.
		w.keyTo("details.me summary")
		w.do(chromedp.KeyEvent("\r"))
		w.until(`document.querySelector("details.me").open`)
		w.do(chromedp.KeyEvent("\x1b"))
		w.until(`!document.querySelector("details.me").open`)
	})
	b.calm()
}

// plainly goes through the main acts of an incident.
func plainly(w *walker, p *pc) {
	w.press(w.Text("menu.incidents"))
	w.press(w.Text("incident.new"))
	w.write(w.Text("incident.title"), "", "見たことのない画面")
	w.tick("keiri-pc01", "")
	w.press(w.Text("incident.new.do"))
	i := w.newest()

	w.press(w.Text("order.isolate.button"))
	w.write(w.Text("command.reason"), "", "不審な画面")
	w.press(w.Text("order.isolate.do"))
	c := p.newest(dispatch.Isolate)
	p.finish(c, endpoint.Isolated, p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerIsolation, c.ID }, captured(5, w.x.now())))
	w.open("/incidents/" + i.ID)
	w.see(w.Text("isolation.state.isolated"))
	w.press(w.Text("order.acquire.button"))
	w.write(w.Text("command.reason"), "", "もう一度")
	w.press(w.Text("order.acquire.do"))
	a := p.newest(dispatch.Acquire)
	p.finish(a, endpoint.Isolated, p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerCommand, a.ID }, captured(5, w.x.now())))
	w.open("/incidents/" + i.ID)
	w.press(w.Text("order.release.button"))
	w.write(w.Text("command.reason"), "", "駆除を確認")
	w.press(w.Text("order.release.do"))
	p.finish(p.newest(dispatch.Release), endpoint.Released, "")
	w.open("/incidents/" + i.ID)
	w.see(w.Text("isolation.state.released"))

	w.write(w.Text("note.label"), "", "利用者に電話した")
	w.press(w.Text("note.add"))
	w.see("利用者に電話した")
	w.press(w.Text("playbook.all"))
	w.pressIn(w.Text("playbook.tick"), "")
	w.see(w.Text("playbook.state.done"))
	w.open("/incidents/" + i.ID + "/record/symptoms")
	w.tick(w.Text("record.state.unknown"), "")
	w.press(w.Text("record.save"))
	w.open("/incidents/" + i.ID + "/upload")
	photo := filepath.Join(w.t.TempDir(), "screen.jpg")
	must(w.t, os.WriteFile(photo, []byte("\xff\xd8\xff\xe0 a picture"), 0o600))
	w.write(w.Text("upload.source"), "", w.Text("upload.source.photo"))
	w.write(w.Text("upload.person"), "", "佐藤")
	w.do(chromedp.SetUploadFiles("#file", []string{photo}))
	w.press(w.Text("upload.do"))
	w.see("screen.jpg")
	w.open("/incidents/" + i.ID + "/reports")
	w.press(w.Text("report.owner.do"))
	w.press(w.Text("report.issue"))
	w.see("PDF")
}

// byPhone makes the QR codes for reports and for photographs, and sends both from a narrow screen.
func byPhone(w *walker) {
	page := func(at, note string) {
		w.open(at)
		w.write(note, "", "受付")
		w.press(w.Text("link.do"))
		html, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.body.innerHTML`))
		must(w.t, err)
		m := phoneURL.FindStringSubmatch(html)
		if m == nil {
			w.t.Fatalf("no address of a link on the page made at %s", at)
		}
		w.do(chromedp.EmulateViewport(375, 800))
		w.open(m[2])
	}
	defer w.do(chromedp.EmulateViewport(1280, 900))
	page("/links", w.Text("link.note.report"))
	w.write(w.Text("phone.what"), "", "警告が消えない")
	w.write(w.Text("phone.contact"), "", "総務 鈴木 内線8")
	w.press(w.Text("phone.report.do"))
	w.see(w.Text("phone.report.done"))
	i := w.newest()
	if i.Reporter != "総務 鈴木 内線8" {
		w.t.Errorf("the newest incident was reported by %q", i.Reporter)
	}
	page("/incidents/"+i.ID+"/links", w.Text("link.note.photo"))
	photo := filepath.Join(w.t.TempDir(), "IMG_1.jpg")
	must(w.t, os.WriteFile(photo, []byte("\xff\xd8\xff\xe0 another picture"), 0o600))
	w.write(w.Text("phone.person"), "", "鈴木")
	w.do(chromedp.SetUploadFiles("#file", []string{photo}))
	w.press(w.Text("phone.photo.do"))
	w.see(w.Text("phone.photo.sent", "n", "1"))
}

// keyTo presses the tab key until something with these words, or what a selector names, has the
// focus. Whatever has it on the way must be seen to have it.
func (w *walker) keyTo(what string) {
	w.t.Helper()
	for range 120 {
		w.do(chromedp.KeyEvent("\t"))
		at, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`(e => { if (e === document.body) return "";
			const s = getComputedStyle(e), r = e.getBoundingClientRect();
			if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2 || r.width < 1 || r.right < 0 || r.bottom < 0 || r.top > innerHeight) return "unseen: " + e.outerHTML.slice(0, 200);
			let named = false; try { named = e.matches(`+quoted(what)+`); } catch {}
			return named || e.innerText && e.innerText.replace(/\s+/g, " ").trim().includes(`+quoted(what)+`) ? "here" : ""; })(document.activeElement)`))
		must(w.t, err)
		if at == "here" {
			return
		}
		if at != "" {
			w.t.Errorf("on the way to %q the focus is %s", what, at)
		}
	}
	w.t.Fatalf("no key leads to %q", what)
}

// enter follows what has the focus.
func (w *walker) enter() {
	w.t.Helper()
	w.number(`window.left = 1`)
	w.do(chromedp.KeyEvent("\r"))
	w.until(`!window.left && document.readyState === "complete" && document.querySelector("h1")`)
	w.healthy()
}

// quoted is a text as JavaScript writes it.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
