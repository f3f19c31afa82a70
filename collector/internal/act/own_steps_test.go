package act_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/watch"
)

const ownSteps = `format = "hozen-playbook-own/1"
[[item]]
playbook = "malware"
id = "call_maker"
substep = "contain"
who = ["handler"]
text = { ja = "複合機の保守会社に電話する" }
`

// with makes acts on the same data that go by other own steps.
func (x *fixture) with(own string) *act.Acts {
	x.t.Helper()
	a, err := act.New(act.Config{DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, OwnSteps: []byte(own), OwnAddr: func(netip.Addr) bool { return false },
		PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Lookup: lookup, Backup: func(context.Context, string) error { return nil }})
	ok(x.t, err)
	ok(x.t, a.RecordOwnSteps(x.t.Context()))
	ok(x.t, a.RecordOwnSteps(x.t.Context())) // again is nothing new
	return a
}

func TestOwnStepsAreUsedAndEachVersionIsKept(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.with("")
		versions := func() []map[string]string {
			t.Helper()
			list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: x.organisation()})
			ok(t, err)
			var of []map[string]string
			for _, e := range list {
				if e.Act == "organisation.own_steps" {
					of = append(of, e.Details)
				}
			}
			return of
		}
		if len(versions()) != 0 {
			t.Error("no file is a version")
		}
		a := x.with(ownSteps)
		inc, err := a.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware})
		ok(t, err)
		const item = "malware.own.call_maker"
		ok(t, a.MarkItem(ctx, x.owner, inc.ID, item, act.ItemMark{State: playbook.Done}))
		plan, err := a.Workplan(ctx, x.owner, inc.ID)
		ok(t, err)
		if task, found := plan.Plan.Task(item); !found || task.State != playbook.Done || !task.Own {
			t.Errorf("%+v", task)
		}
		if v := versions(); len(v) != 1 || v[0]["items"] != "1" || v[0]["file"] != ownSteps || len(v[0]["sha256"]) != 64 {
			t.Errorf("%v", v)
		}
		// One that can't be used is no version, and stops nothing.
		broken := x.with(strings.Replace(ownSteps, "contain", "nowhere", 1))
		if plan, err = broken.Workplan(ctx, x.owner, inc.ID); err != nil || len(plan.Plan.Tasks()) == 0 || len(versions()) != 1 {
			t.Errorf("%d versions, %v", len(versions()), err)
		}
		// Whoever looks is told, with the line to mend.
		const says = `own-steps.toml:5: substep is "nowhere"`
		list, err := broken.Watch(ctx, x.owner)
		ok(t, err)
		told := slices.ContainsFunc(list, func(c watch.Concern) bool {
			return c.Code == watch.OwnSteps && c.Urgent && strings.Contains(c.Detail, says)
		})
		if !told || !strings.Contains(plan.OwnProblem, says) {
			t.Errorf("%+v, %q", list, plan.OwnProblem)
		}
		if list, err = a.Watch(ctx, x.owner); err != nil || slices.ContainsFunc(list, func(c watch.Concern) bool { return c.Code == watch.OwnSteps }) {
			t.Errorf("nothing is wrong, and it is told: %+v, %v", list, err)
		}
		x.with(strings.Replace(ownSteps, "複合機", "金庫", 1))
		x.with("")
		if v := versions(); len(v) != 3 || v[0]["sha256"] != "" || v[0]["items"] != "0" {
			t.Errorf("%v", v)
		}
		x.ledgerStands()
	})
}

// organisation is the identifier of the fixture's.
func (x *fixture) organisation() string {
	x.t.Helper()
	o, err := operator.ByID(x.t.Context(), x.db.Read(), x.owner.ID)
	ok(x.t, err)
	return o.OrganisationID
}
