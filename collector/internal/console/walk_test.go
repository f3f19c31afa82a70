package console

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/internal/i18n"
)

// walker goes through the pages as a person does: by what stands on them in words. What leads
// nowhere, is not to be seen or is not translated stops the walk.
type walker struct {
	*tab
	i18n.Printer
	x    *site
	name string // of the pictures
	n    int
}

// shots is where pictures of the walks are kept; empty: nowhere.
func shots() string {
	if folder := os.Getenv("HOZEN_WALK_SHOTS"); folder != "" {
		return folder
	}
	return os.Getenv("HOZEN_SHOTS")
}

// walk begins a walk in a tab that others use before and after.
func (x *site) walk(t *testing.T, b *tab, l i18n.Language, name string) *walker {
	t.Helper()
	texts, err := Texts()
	must(t, err)
	return &walker{tab: &tab{t: t, ctx: b.ctx, base: b.base}, Printer: texts.Printer(l), x: x, name: fmt.Sprintf("walk_%s.%s", name, l)}
}

// found is an expression for what a person sees with these words: first whatever says exactly
// that, then what begins so, then what has it in it. within are words of what it stands in, such
// as the legend of a group; empty: anywhere.
func found(selector, words, within string) string {
	arg := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	return `((selector, words, within) => {
		const flat = s => s.replace(/\s+/g, " ").trim(), want = flat(words);
		const seen = e => e.checkVisibility({visibilityProperty: true}) && !e.closest("[hidden]") && !e.classList.contains("sr");
		const said = e => flat(e.innerText || e.textContent || "");
		let all = [...document.querySelectorAll(selector)].filter(seen);
		if (within) all = all.filter(e => { const f = e.closest("fieldset, section, li, tr, .card"); return f && said(f).includes(flat(within)); });
		return all.find(e => said(e) === want) || all.find(e => said(e).startsWith(want)) || all.find(e => said(e).includes(want));
	})(` + arg(selector) + `, ` + arg(words) + `, ` + arg(within) + `)`
}

const pressed = "a, button, summary"

// mark waits for something and gives it an attribute by which the browser's own mouse finds it.
func (w *walker) mark(selector, words, within, then string) {
	w.t.Helper()
	w.until(`(e => { if (!e) return false; ` + then + `; document.querySelectorAll("[data-walk]").forEach(o => o.removeAttribute("data-walk")); e.setAttribute("data-walk", ""); return true; })(` + found(selector, words, within) + `)`)
}

// press clicks on a link or a button and waits for the page to which it leads.
func (w *walker) press(words string) {
	w.t.Helper()
	w.pressIn(words, "")
	w.until(`document.querySelector("h1")`)
	w.healthy()
}

// pressIn is press of one of several with the same words.
func (w *walker) pressIn(words, within string) {
	w.t.Helper()
	w.click(pressed, words, within, `window.left = 1`)
	w.until(`!window.left && document.readyState === "complete"`)
}

// click marks something and clicks on it. On a page that is brought up to date meanwhile another
// takes its place: then it is looked for again.
func (w *walker) click(selector, words, within, then string) {
	w.t.Helper()
	for range 6 {
		w.mark(selector, words, within, then)
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		err := chromedp.Do(ctx, chromedp.Click(`[data-walk]`))
		cancel()
		if then == "" && err == nil || then != "" && w.gone() {
			return
		}
	}
	w.t.Fatalf("nobody can click on %q", words)
}

// gone reports whether the page gave way to another one after a click. What was clicked on may
// have been replaced at that very moment: then nothing came of it.
func (w *walker) gone() bool {
	late := time.After(10 * time.Second)
	again := time.NewTicker(40 * time.Millisecond)
	defer again.Stop()
	for {
		if gone, err := chromedp.Run(w.ctx, chromedp.Evaluate[bool](`!window.left`)); gone && err == nil {
			return true
		}
		select {
		case <-again.C:
		case <-late:
			return false
		}
	}
}

// tick clicks on what leads nowhere: a box, a choice, something folded.
func (w *walker) tick(words, within string) {
	w.t.Helper()
	w.click("label, summary", words, within, "")
}

// unfold opens what is folded, unless it is open.
func (w *walker) unfold(words, within string) {
	w.t.Helper()
	w.mark("summary", words, within, "")
	if w.number(`document.querySelector("[data-walk]").parentNode.open ? 1 : 0`) == 0 {
		w.do(chromedp.Click(`[data-walk]`))
	}
}

// write fills in the field that a label names. A moment or a choice is set, text is typed.
func (w *walker) write(label, within, value string) {
	w.t.Helper()
	v, _ := json.Marshal(value)
	w.mark("label", label, within, `e = document.getElementById(e.htmlFor)`)
	switch w.number(`(e => { const v = ` + string(v) + `;
		if (e.tagName === "SELECT") { const o = [...e.options].find(o => o.text.includes(v)); if (!o) return -1; e.value = o.value; }
		else if (e.type === "datetime-local") e.value = v; else { e.value = ""; return 1; }
		e.dispatchEvent(new Event("change", {bubbles: true})); return 0; })(document.querySelector("[data-walk]"))`) {
	case 1:
		w.do(chromedp.SendKeys(`[data-walk]`, value))
	case -1:
		w.t.Fatalf("%q offers no %q", label, value)
	}
}

// see waits until the page says all of it, and keeps a picture.
func (w *walker) see(words ...string) {
	w.t.Helper()
	for _, s := range words {
		b, _ := json.Marshal(s)
		w.until(`document.body.innerText.replace(/\s+/g, " ").includes(` + string(b) + `)`)
	}
	w.shoot()
}

// healthy looks at what every page must have.
func (w *walker) healthy() {
	w.t.Helper()
	said, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`[document.documentElement.lang, document.querySelectorAll("main a[href], main button, main summary").length ? "" : "dead end",
		document.body.innerText.includes("⟦") ? "no text" : "",
		document.documentElement.lang === "en" ? [...document.querySelectorAll("button, summary, label, legend, th, a.button")].map(e => e.innerText).filter(s => /[\u3040-\u30ff\u4e00-\u9fff]/.test(s) && !/日本語/.test(s)).join("; ") : ""].join("|")`))
	must(w.t, err)
	if want := string(w.Language()) + "|||"; said != want {
		where, _ := chromedp.Run(w.ctx, chromedp.Location())
		w.t.Errorf("%s: %s", where, said)
	}
}

func (w *walker) shoot() {
	w.t.Helper()
	w.n++
	if shots() == "" {
		return
	}
	must(w.t, os.MkdirAll(shots(), 0o755))
	png, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
	must(w.t, err)
	must(w.t, os.WriteFile(filepath.Join(shots(), fmt.Sprintf("%s.%02d.png", w.name, w.n)), png, 0o644))
}

// signInAs comes to the first page, in the language of the walk.
func (w *walker) signInAs(name string) {
	w.t.Helper()
	w.open("/")
	if w.number(`document.querySelectorAll("details.me").length`) > 0 {
		w.signOut() // an earlier walk ended on its way
	}
	w.setLanguage(string(w.Language()))
	w.write(w.Text("sign_in.name"), "", name)
	w.write(w.Text("sign_in.password"), "", password)
	w.press(w.Text("sign_in.do"))
}

func (w *walker) signOut() {
	w.t.Helper()
	w.do(chromedp.Click(`details.me summary`))
	w.press(w.Text("menu.sign_out"))
}

// fetched returns the words of the PDF behind a link on the page.
func (w *walker) fetched(link string) string {
	w.t.Helper()
	w.mark("a", link, "", "")
	text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`fetch(document.querySelector("[data-walk]").href).then(r => { if (!r.ok) throw new Error("status " + r.status); return r.arrayBuffer(); })
		.then(b => { let s = ""; for (const c of new Uint8Array(b)) s += String.fromCharCode(c); return btoa(s); })`, chromedp.EvalAwaitPromise))
	must(w.t, err)
	b, err := base64.StdEncoding.DecodeString(text)
	must(w.t, err)
	return pdfWords(w.t, b)
}

// printed returns the words of the page as it comes out of a printer.
func (w *walker) printed() string {
	w.t.Helper()
	b, err := chromedp.Run(w.ctx, chromedp.PrintToPDF())
	must(w.t, err)
	return pdfWords(w.t, b)
}

// pdfWords reads a PDF; a form feed ends each page.
func pdfWords(t *testing.T, b []byte) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "pdftotext", "-layout", "-enc", "UTF-8", "-", "-")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read PDF: %v", err)
	}
	return string(out)
}

// has wants words on paper, whatever lines they were broken into.
func (w *walker) has(paper string, words ...string) {
	w.t.Helper()
	flat := strings.NewReplacer(" ", "", "\n", "", "\f", "", "\u00a0", "")
	for _, s := range words {
		if !strings.Contains(flat.Replace(paper), flat.Replace(s)) {
			w.t.Errorf("the paper does not say %q:\n%.3000s", s, paper)
		}
	}
}

// issue writes a document and returns what its PDF says. It begins on the list of documents.
func (w *walker) issue(link string) string {
	w.t.Helper()
	w.press(link)
	w.press(w.Text("report.issue"))
	w.shoot()
	return w.fetched("PDF")
}
