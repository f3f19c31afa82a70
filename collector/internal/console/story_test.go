package console

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
)

// TestBrowserStories walks what people of a small company go through, from signing in to the
// printed document, in both languages: one browser and one collector for all of it. With
// HOZEN_WALK_SHOTS or HOZEN_SHOTS naming a folder it keeps pictures on the way.
func TestBrowserStories(t *testing.T) {
	chromium(t)
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("needs pdftotext (apt-get install poppler-utils)")
	}
	x := newSite(t)
	x.person("sato", "Sato Hanako", operator.Responsible)
	x.person("tanaka", "Tanaka Jiro", operator.Owner)
	ctx, stop := contextWith(t)
	done := make(chan struct{})
	go func() { defer close(done); x.RunGroups(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	b := x.tab(false)
	b.do(chromedp.EmulateViewport(1280, 900))
	for n, l := range []i18n.Language{i18n.Japanese, i18n.English} {
		for _, story := range []struct {
			name string
			tell func(w *walker, host string)
		}{
			{"us1", suspicious}, {"us3", ransomware}, {"us7", owner}, {"us9", released}, {"us10", deadlines10}, {"drill", drilled},
		} {
			t.Run(string(l)+"/"+story.name, func(t *testing.T) {
				w := x.walk(t, b, l, story.name)
				w.signInAs("sato")
				story.tell(w, fmt.Sprintf("pc-%s-%d", story.name, n))
				w.signOut()
			})
		}
	}
	// From here on a release takes two persons, which nobody switches off at once.
	for n, l := range []i18n.Language{i18n.Japanese, i18n.English} {
		t.Run(string(l)+"/two", func(t *testing.T) {
			w := x.walk(t, b, l, "two")
			w.signInAs("sato")
			twoPersons(w, fmt.Sprintf("pc-two-%d", n))
			w.signOut()
		})
	}
	b.calm()
}

// twoPersons is what one person cannot do alone: the PC at which the operator sits is cut for
// a reason in writing, and given back by two.
func twoPersons(w *walker, host string) {
	p := w.x.modern(host, "127.0.0.1") // where the browser is
	pcs := []*pc{p, w.x.modern(host+"b", "192.0.2.91")}
	must(w.t, w.x.SetIsolationSettings(w.t.Context(), w.x.owner, organisation.Isolation{TwoPersons: true}))
	title := w.either("自分のPCの不審な通信", "Odd traffic of one's own PC")
	i, err := w.x.OpenIncident(w.t.Context(), w.x.owner, act.NewIncident{Title: title, Classification: incident.Malware, EndpointIDs: []string{p.ID, pcs[1].ID}})
	must(w.t, err)
	w.press(w.Text("menu.incidents"))
	w.press(i.Number)
	w.press(w.Text("group.isolate.incident"))
	w.write(w.Text("command.reason"), "", w.either("不審な通信", "Odd traffic"))
	w.press(w.Text("group.check"))
	w.see(w.Text("rail.short.operator_here"), w.Text("group.break_glass"))
	glass := w.either("ほかにPCがない", "There is no other PC")
	w.write(w.Text("group.break_glass"), "", glass)
	w.press(w.Text("group.isolate.do", "n", "2"))
	w.see(glass)
	for _, p := range pcs {
		c := p.newest(dispatch.Acquire)
		p.finish(c, endpoint.Released, p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerCommand, c.ID }, captured(5, w.x.now())))
	}
	w.until(`document.querySelectorAll(".mem-sent").length === 2`)
	for _, p := range pcs {
		p.carryOut()
	}

	w.press(w.Text("menu.endpoints"))
	w.press(host)
	w.see(w.Text("isolation.state.isolated"))
	w.press(w.Text("order.release.button"))
	w.see(w.Text("release.two"))
	cleaned := w.either("駆除を確認", "Cleaned")
	w.write(w.Text("command.reason"), "", cleaned)
	w.press(w.Text("release.ask"))
	w.see(w.Text("release.waiting"), w.Text("release.mine"), w.Text("isolation.state.isolated"))
	w.signOut()

	w.signInAs("tanaka")
	w.press(host)
	w.see(w.Text("release.waiting"), "Sato Hanako", cleaned)
	w.press(w.Text("release.agree"))
	w.write(w.Text("command.reason"), "", cleaned)
	w.press(w.Text("release.agree"))
	p.finish(p.newest(dispatch.Release), endpoint.Released, "")
	w.see(w.Text("isolation.state.released"))
	w.press(w.Text("menu.incidents"))
	w.press(i.Number)
	w.see("Sato Hanako", "Tanaka Jiro")
}

// either is a text of people in the language of the walk.
func (w *walker) either(ja, en string) string {
	if w.Language() == i18n.English {
		return en
	}
	return ja
}

// suspicious is US1: a clerk reports a strange window, and it was nothing.
func suspicious(w *walker, host string) {
	p := w.x.modern(host, "192.0.2.31")
	words := w.either("見たことのない画面が出ました", "A window that I have never seen")
	inc := p.alert(words, "keiri")
	p.send(func(m *artifact.Manifest) { m.Trigger = artifact.TriggerAlert }, captured(20, w.x.now()))
	i := w.incident(inc)

	w.press(w.Text("menu.endpoints"))
	w.press(words) // the first page shows it
	w.see(i.Number, words, w.Text("kind.process"))
	again := w.either("まだ出ています", "It is still there")
	if second := p.alert(again, "keiri"); second != inc {
		w.t.Errorf("a second report within 30 minutes opened %s", second)
	}
	w.see(again) // without a reload
	w.press(w.Text("finding.heading"))
	w.press(i.Number)
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.owner.do"))
	w.has(paper, i.Number, words, w.either("不明", "unknown"))
	w.press(i.Number)
	w.press(w.Text("incident.close"))
	w.tick(w.Text("incident.close_code.false_alarm"), "")
	w.write(w.Text("incident.close.reason"), "", w.either("広告の画面だった", "It was an advertisement"))
	w.press(w.Text("incident.close.do"))
	w.see(w.Text("timeline.closed.false_alarm"))
	w.press(w.Text("menu.incidents"))
	w.press(i.Number)
	w.see(w.Text("incident.state.closed"), words)
}

func (w *walker) incident(id string) incident.Incident {
	w.t.Helper()
	i, err := w.x.Incident(w.t.Context(), w.x.owner, id)
	must(w.t, err)
	return i
}

// ransomware is US3: all PCs of the incident are cut together, and it is written down why.
func ransomware(w *walker, host string) {
	pcs := []*pc{w.x.modern(host+"a", "192.0.2.41"), w.x.modern(host+"b", "192.0.2.42")}
	title := w.either("身代金の画面", "A ransom note")
	w.press(w.Text("menu.incidents"))
	w.press(w.Text("incident.new"))
	w.write(w.Text("incident.title"), "", title)
	w.write(w.Text("incident.classification"), "", w.Text("classification.ransomware"))
	for _, p := range pcs {
		w.tick(p.host.Hostname, "")
	}
	w.press(w.Text("incident.new.do"))
	w.see(title, w.Text("playbook.next"))
	w.press(w.Text("group.isolate.incident"))
	w.write(w.Text("command.reason"), "", w.either("画面に脅迫文", "A note on the screen"))
	w.press(w.Text("group.check"))
	if w.number(`document.querySelector("#break_glass") ? 1 : 0`) == 1 {
		w.write(w.Text("group.break_glass"), "", w.either("広がっているため", "It is spreading"))
	}
	w.press(w.Text("group.isolate.do", "n", "2"))
	for _, p := range pcs {
		c := p.newest(dispatch.Acquire)
		acq := p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerCommand, c.ID }, captured(5, w.x.now()))
		p.finish(c, endpoint.Released, acq)
	}
	w.until(`document.querySelectorAll(".mem-sent").length === 2`)
	for _, p := range pcs {
		p.carryOut()
	}
	w.until(`document.querySelectorAll(".mem-done").length === 2`)
	number := w.newest().Number
	w.press(w.Text("group.of", "number", number))
	w.see(w.Text("isolation.state.isolated"))

	w.press(w.Text("title.incident_decisions"))
	w.write(w.Text("decision.kind"), "", w.Text("decision.kind.pay"))
	for key, words := range map[string]string{"options": w.either("支払う / 支払わない", "Pay / do not pay"), "options_facts": "", "facts": w.either("バックアップあり", "There is a backup"),
		"decision": w.either("支払わない", "Do not pay"), "reason": w.either("復元できるため", "It can be restored"), "decider": w.either("社長", "The president")} {
		if words != "" {
			w.write(w.Text("decision."+key), "", words)
		}
	}
	w.press(w.Text("decision.do"))
	w.see(w.either("復元できるため", "It can be restored"))
	w.press(number)
	w.press(w.Text("title.incident_upload"))
	photo := filepath.Join(w.t.TempDir(), "screen.jpg")
	must(w.t, os.WriteFile(photo, []byte("\xff\xd8\xff\xe0 a picture"), 0o600))
	w.write(w.Text("upload.source"), "", w.Text("upload.source.photo"))
	w.write(w.Text("upload.person"), "", w.either("佐藤", "Sato"))
	w.do(chromedp.SetUploadFiles("#file", []string{photo}))
	w.press(w.Text("upload.do"))
	w.see("screen.jpg")
	w.press(number)
	w.press(w.Text("title.contact_list"))
	w.see(w.either("警察", "olice"))
	w.press(w.Text("menu.incidents"))
	w.press(number)
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.kind.calls"))
	w.has(paper, number, w.either("警察", "Police"))
}

// newest is the incident that was opened last.
func (w *walker) newest() incident.Incident {
	w.t.Helper()
	all, err := w.x.Incidents(w.t.Context(), w.x.owner)
	must(w.t, err)
	return all[0]
}

// owner is US7: one page for the owner, a second version, and who received it.
func owner(w *walker, host string) {
	p := w.x.modern(host, "192.0.2.51")
	title := w.either("取引先を装ったメール", "A mail that claims to be a partner's")
	i, err := w.x.OpenIncident(w.t.Context(), w.x.owner, act.NewIncident{Title: title, Classification: incident.Malware, EndpointIDs: []string{p.ID}})
	must(w.t, err)
	w.press(w.Text("menu.endpoints"))
	w.press(title)
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.owner.do"))
	w.has(paper, i.Number, w.either("不明", "unknown"))
	if n := strings.Count(paper, "\f"); n != 1 {
		w.t.Errorf("the owner's page has %d pages", n)
	}
	w.press(w.Text("report.next_version"))
	w.unfold(w.Text("report.add"), "")
	added := w.either("取引先には電話で伝えました", "The partner was called")
	w.do(chromedp.SendKeys(`details[open] textarea`, added))
	w.press(w.Text("report.preview"))
	w.press(w.Text("report.issue"))
	w.see(w.Text("report.changes", "n", "1"), added)
	w.has(w.fetched("PDF"), i.Number+"-R01 v2", added)
	w.unfold(w.Text("report.sent.add"), "")
	w.write(w.Text("report.recipient"), "", w.either("社長", "The president"))
	w.press(w.Text("report.sent.do"))
	w.see(w.either("社長", "The president"))
}

// released is US9: a PC that was isolated goes back to work.
func released(w *walker, host string) {
	p := w.x.modern(host, "192.0.2.61")
	c, err := w.x.Isolate(w.t.Context(), w.x.owner, p.ID, act.Order{Reason: w.either("不審な通信", "Odd traffic")})
	must(w.t, err)
	acq := p.send(func(m *artifact.Manifest) { m.Trigger, m.CommandID = artifact.TriggerIsolation, c.ID }, captured(5, w.x.now()))
	p.finish(c, endpoint.Isolated, acq)
	i := w.incident(c.IncidentID)

	w.press(w.Text("menu.endpoints"))
	w.press(host)
	w.see(w.Text("isolation.state.isolated"))
	w.press(w.Text("order.release.button"))
	w.write(w.Text("command.reason"), "", w.either("駆除を確認", "Cleaned"))
	w.press(w.Text("order.release.do"))
	p.finish(p.newest(dispatch.Release), endpoint.Released, "")
	w.see(w.Text("isolation.state.released")) // without a reload
	w.press(w.Text("menu.incidents"))
	w.press(i.Number)
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.kind.full"))
	w.has(paper, i.Number, host, i.Number+"-E01", w.either("駆除を確認", "Cleaned"))
	w.press(i.Number)
	w.press(w.Text("incident.close"))
	w.write(w.Text("incident.close.reason"), "", w.either("復旧した", "Back to work"))
	w.press(w.Text("incident.close.do"))
	w.see(w.Text("incident.state.closed"))
}

// deadlines10 is US10: whether it must be reported, until when, and that it was.
func deadlines10(w *walker, host string) {
	title := w.either("名簿の入ったPC", "A PC with a list of customers")
	p := w.x.modern(host, "192.0.2.71")
	found := w.x.now().Add(-30 * time.Hour)
	i, err := w.x.OpenIncident(w.t.Context(), w.x.owner, act.NewIncident{Title: title, Classification: incident.Leak, EndpointIDs: []string{p.ID}, DiscoveredAt: found})
	must(w.t, err)
	w.press(w.Text("menu.incidents"))
	w.press(i.Number)
	w.press(w.Text("deadline.all"))
	answers := map[string]string{"personal_data": "yes", "my_number": "no", "happened": "possible", "improper_purpose": "yes"}
	for _, q := range w.x.Guides().Deadlines.Questions() {
		if a := answers[q.Key]; a != "" {
			w.tick(w.Text("deadline.answer."+a), q.Text.In(string(w.Language())))
		}
	}
	w.press(w.Text("deadline.answer.do"))
	// The day of knowing is day 1, for which the day of discovery stands until somebody says more.
	day := func(at time.Time, n int) string { return at.In(jst()).AddDate(0, 0, n-1).Format(time.DateOnly) }
	w.see(day(found, 3), day(found, 5), day(found, 60))
	w.press(i.Number)
	w.press(w.Text("title.incident_record"))
	w.pressIn(w.Text("record.answer"), w.Text("record.item.known_at"))
	w.until(`document.querySelector("#at")`)
	known := w.x.now().Add(-26 * time.Hour)
	w.tick(w.Text("record.state.known"), "")
	w.write(w.Text("record.at"), "", known.In(jst()).Format(localInput))
	w.press(w.Text("record.save"))
	w.press(i.Number)
	w.press(w.Text("deadline.all"))
	w.see(day(known, 60), w.Text("deadline.version", "n", "1"), w.Text("deadline.basis"))
	clock, _ := w.x.Guides().Deadlines.Clock("ppc.preliminary")
	name := clock.Name.In(string(w.Language()))
	w.unfold(w.Text("deadline.record"), name)
	w.write(w.Text("deadline.receipt_no"), name, "R-0042")
	w.pressIn(w.Text("deadline.record.do"), name)
	w.see("R-0042")
	w.press(i.Number)
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.kind.ppc"))
	w.has(paper, i.Number, w.either("不明", "unknown"))
}

// drilled practises: nothing is cut, everything is marked, and the times are kept.
func drilled(w *walker, host string) {
	p := w.x.modern(host, "192.0.2.81")
	title := w.either("秋の対応訓練", "Autumn drill")
	w.press(w.Text("menu.incidents"))
	w.press(w.Text("title.drill_new"))
	w.tick(w.Text("classification.ransomware"), w.Text("drill.scenario"))
	w.write(w.Text("incident.title"), "", title)
	w.tick(host, "")
	w.press(w.Text("drill.new.do"))
	d := w.newest()
	w.see(w.Text("drill.bar"), d.Number, title)
	w.press(w.Text("order.isolate.button"))
	w.see(w.Text("drill.how.simulate.isolate"))
	w.write(w.Text("command.reason"), "", w.either("手順どおり", "As the playbook says"))
	w.press(w.Text("drill.order.do.isolate"))
	w.see(w.Text("drill.step.done"), w.Text("drill.next.evidence"))
	w.press(w.Text("drill.simulate.acquire"))
	w.write(w.Text("drill.told.note"), "", w.either("社長に電話", "Called the president"))
	w.press(w.Text("drill.told.do"))
	w.see(w.Text("drill.next.document"))
	w.press(w.Text("title.report_list"))
	paper := w.issue(w.Text("report.owner.do"))
	w.has(paper, d.Number, w.either("訓練", "DRILL"), title)
	w.press(w.Text("drill.progress"))
	w.press(w.Text("drill.close"))
	w.write(w.Text("incident.close.reason"), "", w.either("電話帳が古い", "The list of numbers is old"))
	w.press(w.Text("incident.close.do"))
	w.see(w.Text("title.drill_show"), w.Text("drill.first_evidence.no"))
	w.has(w.printed(), w.Text("title.drill_show"), d.Number, w.Text("drill.bar"), w.Text("drill.state.in_time"), w.either("社長に電話", "Called the president"))
	if list, err := w.x.Commands(w.t.Context(), w.x.owner, act.CommandFilter{EndpointID: p.ID}); err != nil || len(list) != 0 {
		w.t.Errorf("%d commands in a drill, %v", len(list), err)
	}
	w.press(w.Text("menu.endpoints"))
	if w.number(`document.querySelector("#h-open") && document.querySelector("#h-open").closest("section").innerText.includes("`+d.Number+`") ? 1 : 0`) != 0 {
		w.t.Error("the drill stands among what is on fire")
	}
}
