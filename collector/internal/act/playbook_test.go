package act_test

import (
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
)

func TestPlaybookOfAnIncident(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for class, want := range map[incident.Classification]string{incident.NotYet: playbook.Common, incident.Ransomware: "ransomware", incident.Malware: "malware"} {
			inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: class})
			ok(t, err)
			p, err := x.Workplan(ctx, x.owner, inc.Number)
			ok(t, err)
			if p.Plan.Playbook.Key != want || p.Plan.Next == nil || p.Plan.Done != boolInt(class == incident.Ransomware) {
				t.Errorf("%s: %s, %d done", class, p.Plan.Playbook.Key, p.Plan.Done)
			}
			if p.Measured[playbook.EvidenceSealed] != playbook.Unknown || p.Measured[playbook.IsolationMeasured] != playbook.Unknown {
				t.Errorf("%s: without an endpoint something is measured: %v", class, p.Measured)
			}
		}
		_, err := x.Workplan(ctx, x.owner, "inc_none")
		wantErr(t, err, act.ErrNotFound)
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestMarksArePeoplesWordsAndStay(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware})
		ok(t, err)
		handler := x.person("handler", operator.Handler)
		mark := func(item string, s playbook.State, note string) error {
			x.clock = x.clock.Add(time.Minute)
			return x.MarkItem(ctx, handler, inc.ID, item, act.ItemMark{State: s, Note: note})
		}
		const first = "malware.detect.1"
		ok(t, mark(first, playbook.Done, " 鈴木に電話 "))
		before := len(x.acts(""))
		ok(t, mark(first, playbook.Done, "鈴木に電話")) // a button that was pressed twice
		if n := len(x.acts("")); n != before {
			t.Errorf("%d entries for nothing new", n-before)
		}
		ok(t, mark(first, playbook.Open, ""))
		wantInvalid(t, mark(first, playbook.NotApplicable, ""), "note", "required")
		ok(t, mark(first, playbook.NotApplicable, "本人が責任者"))
		p, err := x.Workplan(ctx, x.owner, inc.ID)
		ok(t, err)
		task, _ := p.Plan.Task(first)
		if task.State != playbook.NotApplicable || len(task.Before) != 2 || task.Before[0].Note != "鈴木に電話" || task.By.ActorName != "handler" || !task.By.At.Equal(x.clock) {
			t.Errorf("%+v", task)
		}
		wantInvalid(t, mark("malware.organize.1", playbook.Done, ""), "note", "required") // a decision
		wantInvalid(t, mark(first, "maybe", ""), "state", "unknown")
		wantInvalid(t, mark(first, playbook.Done, strings.Repeat("x", playbook.MaxText+1)), "note", "too_long")
		wantErr(t, mark("leak.detect.2", playbook.Done, ""), act.ErrNotFound)
		wantErr(t, mark("nothing", playbook.Done, ""), act.ErrNotFound)
		for _, r := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
			wantErr(t, x.MarkItem(ctx, x.person("p-"+string(r), r), inc.ID, first, act.ItemMark{State: playbook.Done}), act.ErrForbidden)
		}
		entries, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		last := entries[len(entries)-1]
		if last.Kind != incident.EntryPlaybook || last.Params["event"] != "not_applicable" || last.Text != "本人が責任者" || last.Params["name_ja"] == "" || last.Params["name_en"] == "" {
			t.Errorf("%+v", last)
		}
		x.ledgerStands()
	})
}

func TestGatesGoByWhatIsSo(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware, EndpointIDs: []string{o.keiri.endpoint.ID, o.sales.endpoint.ID}})
		ok(t, err)
		const clean = "malware.recover.1"
		closed := func() string {
			t.Helper()
			p, err := x.Workplan(ctx, x.owner, inc.ID)
			ok(t, err)
			task, _ := p.Plan.Task(clean)
			return strings.Join(task.Closed, " ")
		}
		if got := closed(); got != "evidence_sealed isolation_measured" {
			t.Fatalf("closed are %q", got)
		}
		wantInvalid(t, x.MarkItem(ctx, x.owner, inc.ID, clean, act.ItemMark{State: playbook.Done}), "gate_reason", "required")

		isolate := func(s *sender, state endpoint.State, drill bool) {
			i := measured(state, x.clock)
			i.More.Drill = drill
			ok(t, x.EndpointIsolation(ctx, s.endpoint.ID, i))
		}
		isolate(o.keiri, endpoint.Isolated, false)
		isolate(o.sales, endpoint.Released, false)
		o.keiri.send("flash", captured())
		p, err := x.Workplan(ctx, x.owner, inc.ID)
		ok(t, err)
		if p.Measured[playbook.EvidenceSealed] != playbook.No || len(p.NoEvidence) != 1 || p.NoEvidence[0].ID != o.sales.endpoint.ID ||
			p.Measured[playbook.IsolationMeasured] != playbook.No || len(p.NotIsolated) != 1 || p.NotIsolated[0].ID != o.sales.endpoint.ID {
			t.Errorf("one of two: %v, without evidence %d, not isolated %d", p.Measured, len(p.NoEvidence), len(p.NotIsolated))
		}
		o.sales.send("flash", captured())
		if got := closed(); got != "isolation_measured" {
			t.Errorf("closed are %q", got)
		}
		isolate(o.sales, endpoint.Isolated, true) // for a minute
		if got := closed(); got != "isolation_measured" {
			t.Errorf("a drill counts: closed are %q", got)
		}
		isolate(o.sales, endpoint.Isolated, false)
		if got := closed(); got != "" {
			t.Errorf("closed are %q", got)
		}
		// What was measured long ago is not known now.
		x.clock = x.clock.Add(time.Hour)
		if got := closed(); got != "isolation_measured" {
			t.Errorf("an hour later: closed are %q", got)
		}
		before := len(x.acts(""))
		err = x.MarkItem(ctx, x.owner, inc.ID, clean, act.ItemMark{State: playbook.Done, GateReason: "回線を抜いて確認した"})
		ok(t, err)
		if got := x.acts(""); len(got) != before+1 || got[before] != "playbook.mark" {
			t.Errorf("%v", got[before:])
		}
		p, err = x.Workplan(ctx, x.owner, inc.ID)
		ok(t, err)
		task, _ := p.Plan.Task(clean)
		if task.State != playbook.Done || strings.Join(task.By.Gates, " ") != "isolation_measured" || task.By.GateReason != "回線を抜いて確認した" {
			t.Errorf("%+v", task.By)
		}
		if d := x.details(task.By.ID); d["gates"] != "isolation_measured" || d["gate_reason"] != "回線を抜いて確認した" || d["item"] != clean {
			t.Errorf("the ledger says %v", d)
		}
		entries, err := x.Timeline(ctx, x.owner, inc.ID)
		ok(t, err)
		if e := entries[len(entries)-1]; e.Params["gate_reason"] == "" || !strings.Contains(e.Params["closed_ja"], "隔離") || !strings.Contains(e.Params["closed_en"], "isolated") {
			t.Errorf("%+v", e.Params)
		}
		// The product's own item needs nobody.
		if auto, _ := p.Plan.Task("malware.detect.2"); auto.State != playbook.Done || !auto.Itself {
			t.Errorf("%+v", auto)
		}
		if len(p.Plan.Tasks()) == 0 || p.Measured[playbook.TimelineKept] != playbook.Yes {
			t.Error(p.Measured)
		}
		x.ledgerStands()
	})
}
