package console

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hozen/internal/id"
)

// aLine is what [decidedLines] says of acts that write a line on the timeline of the incident that
// they are about, if they are about one.
const aLine = ""

// lines says of every act of the ledger whether it writes a line on a timeline, or why it
// does not. A new act fails the test until somebody decides.
func decidedLines() map[string]string {
	const (
		noCase   = "about the whole organisation or collector, not about an incident"
		person   = "about a person's account"
		upkeep   = "upkeep of the ledger and of older rows"
		whole    = "a step of a larger act, whose own line says it"
		noted    = "about the endpoint; its page shows it"
		enrolled = "an endpoint that is not enrolled yet is in no incident"
	)
	return map[string]string{
		"incident.open": aLine, "incident.close": aLine, "incident.reopen": aLine, "incident.merge": aLine, "incident.split": aLine, "incident.join": aLine, "incident.note": aLine,
		"incident.alert": aLine, "incident.expect_alert": whole, "incident.line": upkeep, "incident.seal": upkeep,
		"record.answer": aLine, "record.decide": aLine, "record.enquire": aLine, "record.upload": "custody.receive has it", "record.upload_begin": whole, "record.upload_drop": "nothing was received",
		"evidence.accept": aLine, "evidence.refuse": aLine, "evidence.search": aLine, "evidence.number": whole, "evidence.postpone": "it comes later", "evidence.view": "custody.view has it", "evidence.download": "custody.copy has it",
		"custody.add": whole, "custody.describe": aLine, "custody.collect": aLine, "custody.seal": aLine, "custody.receive": aLine, "custody.verify": aLine, "custody.view": aLine, "custody.copy": aLine,
		"custody.export": "export.written has it", "custody.hand_over": aLine, "custody.ship": aLine, "custody.return": aLine, "custody.store": aLine, "custody.dispose": aLine,
		"custody.disposed": "custody.dispose has it", "custody.hold": aLine, "custody.release_hold": aLine, "custody.note": aLine, "custody.retention": noCase, "custody.form": whole,
		"export.order": aLine, "export.frozen": whole, "export.open": "export.written has it; what breaks off nobody has", "export.written": aLine, "export.encrypted": "export.written has it", "export.form": aLine,
		"dispatch.acquire": aLine, "dispatch.isolate": aLine, "dispatch.release": aLine, "dispatch.preserve": aLine, "dispatch.finish": aLine, "dispatch.withdraw": aLine, "dispatch.expire": aLine,
		"dispatch.ask_release": aLine, "dispatch.refuse_release": aLine, "dispatch.accept": "how far an order is; its end has a line", "dispatch.count_on": upkeep, "dispatch.renumber": upkeep,
		"group.ask": aLine, "group.refuse": aLine, "group.give_up": aLine, "group.isolate": "the order to each member has a line", "group.release": "the order to each member has a line", "group.members": whole,
		"endpoint.isolation": aLine, "endpoint.isolation_event": aLine, "endpoint.severed": aLine, "endpoint.boot": aLine, "endpoint.release_code": aLine, "endpoint.revoke": aLine,
		"endpoint.clock": noted, "endpoint.crowded": noted, "endpoint.describe": noted, "endpoint.label": noted, "endpoint.place": noted, "endpoint.add": "the evidence of the kit has a line", "endpoint.ledger_conflict": "ledger.differs has it",
		"kit.build": noCase, "kit.import": "the evidence has a line", "kit.code": "the page of the exhibit shows it", "kit.refuse": "nothing was received",
		"playbook.mark": aLine, "deadline.answer": aLine, "deadline.set": aLine, "deadline.done": aLine, "deadline.withdraw": aLine, "deadline.remind": aLine,
		"report.issue": aLine, "report.send": aLine, "report.fill": aLine, "drill.real": aLine, "drill.result": aLine, "drill.simulate": aLine, "drill.told": aLine,
		"phone.link": aLine, "phone.revoke": aLine, "phone.report": aLine, "operator.grant": aLine, "operator.end_grant": aLine, "ledger.differs": aLine,
		"ledger.export": noCase, "ledger.timestamp": noCase, "ledger.fork": noCase, "ledger.sign": noCase,
		"enroll.ask_again": enrolled, "enroll.approve": enrolled, "enroll.mint_token": enrolled, "enroll.reject": enrolled, "enroll.renew": noted, "enroll.request": enrolled, "enroll.revoke_token": enrolled,
		"operator.add": person, "operator.address": person, "operator.change_password": person, "operator.disable": person, "operator.end_sessions": person, "operator.end_token": person, "operator.factor_begin": person,
		"operator.factor_off": person, "operator.factor_on": person, "operator.factor_reset": person, "operator.lock": person, "operator.make_token": person, "operator.recovery_new": person, "operator.recovery_used": person,
		"operator.reset_password": person, "operator.role": person, "operator.sign_in": person,
		"organisation.found": noCase, "organisation.isolation": noCase, "organisation.own_steps": noCase, "playbook.own_steps": noCase, "organisation.people": noCase, "organisation.recovery_key": noCase, "organisation.seal_older": upkeep, "organisation.triage": noCase,
		"contact.add": noCase, "contact.change": noCase, "contact.remove": noCase, "notify.channel": noCase, "notify.channel_remove": noCase, "notify.test": noCase, "notify.weekly": noCase,
		"collector.backup": noCase, "collector.fsck": "what it finds wrong with an exhibit is custody.verify", "collector.prove_backup": noCase, "storage.encrypt": noCase, "storage.key": noCase, "storage.lost": noCase, "storage.rotate": noCase,
	}
}

// TestEveryActIsDecidedForTheTimeline goes over the acts that the sources and the catalogues
// name, and holds what was decided against what an office has done.
func TestEveryActIsDecidedForTheTimeline(t *testing.T) {
	decided, named := decidedLines(), map[string]bool{}
	for file, what := range map[string]string{
		"translations/ja.json": `"ledger\.act\.([a-z_]+\.[a-z_]+)"`,
		"../*/*.go":            `(?m)(?:\bAct[A-Z]\w*\s*=\s*|^\s*act[A-Z]\w*\s*=\s*|\.record\(ctx, )"([a-z_]+\.[a-z_]+)"`,
	} {
		paths, err := filepath.Glob(file)
		must(t, err)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			b, err := os.ReadFile(path)
			must(t, err)
			for _, m := range regexp.MustCompile(what).FindAllStringSubmatch(string(b), -1) {
				named[m[1]] = true
			}
		}
	}
	if len(named) < 120 {
		t.Fatalf("only %d acts were found: the expressions are wrong", len(named))
	}
	for a := range named {
		if _, ok := decided[a]; !ok {
			t.Errorf("nobody decided whether %s writes a line on the timeline", a)
		}
	}
	for a := range decided {
		if !named[a] {
			t.Errorf("there is no act %s any more", a)
		}
	}
	x := newOffice(t, 5)
	// Each entry that names an incident is asked for its line, not one of each act.
	rows, err := x.db.Read().QueryContext(t.Context(), `SELECT idx, act, entry_json, EXISTS (SELECT 1 FROM incident_entry i WHERE i.organisation_id = l.organisation_id AND i.ledger_idx = l.idx) FROM ledger_entries l`)
	must(t, err)
	defer rows.Close()
	did, line := map[string]bool{}, map[string]bool{}
	elsewhere := saidElsewhere()
	for rows.Next() {
		var idx int64
		var a, text string
		var has bool
		must(t, rows.Scan(&idx, &a, &text, &has))
		did[a] = true
		line[a] = line[a] || has
		switch about := strings.Contains(text, `"`+string(id.Incident)+"_"); {
		case decided[a] != aLine && has:
			t.Errorf("entry %d, %s: writes a line, decided: %s", idx, a, decided[a])
		case decided[a] == aLine && about && !has && elsewhere[a] == "":
			t.Errorf("entry %d, %s, is about an incident and writes no line: %s", idx, a, text)
		}
	}
	must(t, rows.Err())
	// What this office does outside of its incidents; other tests do it in one.
	outside := map[string]string{"endpoint.boot": "TestHowABootEndedIsKeptAndTold", "endpoint.isolation": "TestWhatHappenedToAnIsolationIsKeptOnce", "group.ask": "TestAnOrderToAGroupThatWaitsIsOnTheTimeline"}
	var undone []string
	for a, why := range decided {
		switch {
		case why != aLine:
		case !did[a]:
			undone = append(undone, a)
		case !line[a] && outside[a] == "":
			t.Errorf("%s: decided to write a line, and wrote none", a)
		}
	}
	slices.Sort(undone)
	if want := linesNotShownHere(); !slices.Equal(undone, want) {
		t.Errorf("lines whose acts this office does not do:\n%q, want\n%q", undone, want)
	}
}

// saidElsewhere are acts of which an entry about an incident may be without a line, and why.
func saidElsewhere() map[string]string {
	return map[string]string{
		"custody.collect": "of what an endpoint acquired evidence.accept has it, of an upload custody.receive",
		"custody.receive": "of what an endpoint acquired evidence.accept has it",
	}
}

// linesNotShownHere are the acts with a line on the timeline that the office of the test does
// not do: the test says nothing of those, whoever decided. One that it comes to do is taken out.
func linesNotShownHere() []string {
	return []string{
		"custody.copy", "custody.dispose", "custody.release_hold", "custody.seal", "custody.store", "custody.view", "deadline.remind", "deadline.withdraw", "dispatch.expire",
		"dispatch.refuse_release", "dispatch.release", "dispatch.withdraw", "drill.real", "drill.told", "endpoint.release_code", "endpoint.revoke", "evidence.refuse",
		"evidence.search", "export.form", "export.order", "export.written", "group.give_up", "group.refuse", "incident.merge", "incident.reopen", "incident.split",
		"ledger.differs", "operator.end_grant", "phone.report", "phone.revoke", "report.fill", "report.issue", "report.send",
	}
}
