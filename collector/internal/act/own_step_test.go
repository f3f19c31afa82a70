package act_test

import (
	"errors"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
)

func step(book, ja string) playbook.OwnItem {
	return playbook.OwnItem{Playbook: book, Substep: "contain", Mode: playbook.Remind, Who: []string{playbook.ByHandler}, Text: playbook.Text{JA: ja}}
}

// Steps that the responsible person adds stand in the playbooks of that organisation at once,
// in their order, marked as its own; one that is retired is in none, and what was ticked stays.
func TestStepsAreAddedAtTheConsole(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", Classification: incident.Malware})
		ok(t, err)
		own := func() (texts string, ids []string) {
			t.Helper()
			plan, err := x.Workplan(ctx, x.owner, inc.ID)
			ok(t, err)
			if plan.OwnProblem != "" {
				t.Error(plan.OwnProblem)
			}
			for _, task := range plan.Plan.Tasks() {
				if task.Own {
					texts, ids = texts+" "+task.Text.JA, append(ids, task.ID)
				}
			}
			return strings.TrimSpace(texts), ids
		}
		for _, r := range []operator.Role{operator.Handler, operator.Viewer, operator.Auditor, operator.Vendor} {
			wantErr(t, x.SaveOwnStep(ctx, x.person(string(r), r), step("malware", "だめ")), act.ErrForbidden)
		}
		lead := x.person("lead", operator.Responsible)
		ok(t, x.SaveOwnStep(ctx, lead, step("malware", "保守会社に電話する")))
		ok(t, x.SaveOwnStep(ctx, lead, step("malware", "複合機を止める")))
		ok(t, x.SaveOwnStep(ctx, lead, step("leak", "別の手順")))
		if got, _ := own(); got != "保守会社に電話する 複合機を止める" {
			t.Errorf("added: %s", got)
		}
		list, err := x.OwnSteps(ctx, x.person("viewer2", operator.Viewer))
		if err != nil || len(list) != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
		first, second := list[0], list[1]
		ok(t, x.RaiseOwnStep(ctx, lead, second.ID))
		ok(t, x.RaiseOwnStep(ctx, lead, second.ID)) // it is the first already
		first.Text = playbook.Text{JA: "保守会社（03-0000-0000）に電話する", EN: "Call the maintainer"}
		ok(t, x.SaveOwnStep(ctx, lead, first))
		got, ids := own()
		if got != "複合機を止める 保守会社（03-0000-0000）に電話する" {
			t.Errorf("ordered and worded anew: %s", got)
		}
		ok(t, x.MarkItem(ctx, x.owner, inc.ID, ids[0], act.ItemMark{State: playbook.Done}))
		for range 2 {
			ok(t, x.RetireOwnStep(ctx, lead, second.ID, true))
		}
		if got, _ := own(); strings.Contains(got, "複合機") {
			t.Errorf("retired: %s", got)
		}
		wantErr(t, x.MarkItem(ctx, x.owner, inc.ID, ids[0], act.ItemMark{State: playbook.Open}), act.ErrNotFound)
		ok(t, x.RetireOwnStep(ctx, lead, second.ID, false))
		plan, err := x.Workplan(ctx, x.owner, inc.ID)
		ok(t, err)
		if task, found := plan.Plan.Task(ids[0]); !found || task.State != playbook.Done {
			t.Errorf("what was ticked before is lost: %+v", task)
		}
		if got := strings.Join(x.acts(x.organisation()), " "); strings.Count(got, playbook.ActOwn) != 7 {
			t.Errorf("each version is an entry, and what says the same is none: %s", got)
		}
		for field, change := range map[string]func(*playbook.OwnItem){
			"playbook": func(i *playbook.OwnItem) { i.Playbook = "nothing" },
			"substep":  func(i *playbook.OwnItem) { i.Substep = "nowhere" },
			"mode":     func(i *playbook.OwnItem) { i.Mode = playbook.Auto },
			"who":      func(i *playbook.OwnItem) { i.Who = nil },
			"text_ja":  func(i *playbook.OwnItem) { i.Text = playbook.Text{EN: "English alone"} },
			"when_ja":  func(i *playbook.OwnItem) { i.When = playbook.Text{EN: "when"} },
		} {
			i := step("malware", "x")
			change(&i)
			var bad *act.Invalid
			if err := x.SaveOwnStep(ctx, lead, i); !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		wantErr(t, x.RetireOwnStep(ctx, lead, "none", true), act.ErrNotFound)
		first.Playbook = "leak"
		wantErr(t, x.SaveOwnStep(ctx, lead, first), act.ErrInvalid)
		x.ledgerStands()
	})
}
