package playbook

import (
	"slices"
	"time"
)

// State is what was said of an item.
type State string

// The states. Open is also what an item is of which nobody has said anything.
const (
	Open          State = "open"
	Done          State = "done"
	NotApplicable State = "not_applicable"
)

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return slices.Contains([]State{Open, Done, NotApplicable}, s) }

// Mark is one word of a person about an item: a tick, its being taken back, or that it
// does not apply. Marks are only ever added to.
type Mark struct {
	ID             string
	OrganisationID string
	IncidentID     string
	Seq            int64 // counts from 1 within the incident
	Item           string
	State          State
	Note           string
	// Gates are those that were closed at that moment, GateReason why it was ticked all
	// the same.
	Gates      []string
	GateReason string
	At         time.Time
	ActorKind  string
	ActorID    string
	ActorName  string
	LedgerIdx  int64
}

// Task is an item in an incident.
type Task struct {
	Item
	// Inherited means that it stands on the common page.
	Inherited bool
	State     State
	// By is the mark that made the state; nil when nobody has said anything.
	By *Mark
	// Before are the marks before that one, older first.
	Before []Mark
	// Elsewhere is the mark of an item of another playbook that covers the same, under
	// which the incident was handled before; nil when the item has a mark of its own.
	Elsewhere *Mark
	// Measured is what the product knows of the item's fact.
	Measured Truth
	// Itself means that it is done because the product did it, not because somebody ticked it.
	Itself bool
	// Closed are the gates that are closed now.
	Closed []string
}

// Settled reports whether nothing remains to be done.
func (t Task) Settled() bool { return t.State != Open }

// Substep is a heading within a step, with its tasks.
type Substep struct {
	Key   string
	Name  Text
	Tasks []Task
}

// PlanStep is a step with its substeps; those without tasks are left out.
type PlanStep struct {
	Name     Text
	Substeps []Substep
}

// Plan is what is to be done in one incident, in the order of the edition in use.
type Plan struct {
	Playbook Playbook // without its items
	Edition  Edition
	Steps    []PlanStep
	// Next is the one obvious next action: the first open task that somebody has to do and
	// that is not for some cases only; nil when none is left.
	Next *Task
	// Done of Total tasks are settled; those for some cases only count once they are.
	Done, Total int
}

// Tasks returns all tasks in order.
func (p Plan) Tasks() []Task {
	var all []Task
	for _, s := range p.Steps {
		for _, ss := range s.Substeps {
			all = append(all, ss.Tasks...)
		}
	}
	return all
}

// Task finds a task by its item.
func (p Plan) Task(id string) (Task, bool) {
	all := p.Tasks()
	if n := slices.IndexFunc(all, func(t Task) bool { return t.ID == id }); n >= 0 {
		return all[n], true
	}
	return Task{}, false
}

// planned are the items of a playbook: its own, and those of the common page that none
// of its own covers.
func (b *Book) planned(p Playbook) []Item {
	items := slices.Clone(p.Items)
	if p.Key == Common {
		return items
	}
	common, _ := b.Find(Common)
	for _, i := range common.Items {
		if slices.Contains(p.Without, i.ID) || slices.ContainsFunc(p.Items, func(own Item) bool { return overlap(own.Covers, i.Covers) }) {
			continue
		}
		items = append(items, i)
	}
	return items
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// Plan makes the plan for an incident. key is its primary classification; one that has no
// playbook gets the common page. marks are those of the incident in the order in which
// they were made.
func (b *Book) Plan(key string, marks []Mark, m Measured) Plan {
	p, ok := b.Find(key)
	if !ok {
		p, _ = b.Find(Common)
	}
	items := b.planned(p)
	tasks := make(map[string][]Task)
	states := make(map[string]State, len(items))
	for _, i := range items {
		t := b.task(i, p, marks, m)
		states[i.ID] = t.State
		tasks[i.Substep] = append(tasks[i.Substep], t)
	}
	plan := Plan{Playbook: p, Edition: b.edition}
	plan.Playbook.Items = nil
	for _, s := range b.edition.Steps {
		step := PlanStep{Name: s.Name}
		for _, key := range s.Substeps {
			if len(tasks[key]) == 0 {
				continue
			}
			for n := range tasks[key] {
				t := &tasks[key][n]
				t.Closed = closed(t.Item, states, m)
				if !t.Conditional() || t.Settled() {
					plan.Total++
				}
				if t.Settled() {
					plan.Done++
				}
			}
			step.Substeps = append(step.Substeps, Substep{Key: key, Name: b.Substep(key), Tasks: tasks[key]})
		}
		if len(step.Substeps) > 0 {
			plan.Steps = append(plan.Steps, step)
		}
	}
	for _, t := range plan.Tasks() {
		if !t.Settled() && !t.Conditional() && t.Mode != Auto {
			plan.Next = &t
			break
		}
	}
	return plan
}

// task is what is known of one item.
func (b *Book) task(i Item, p Playbook, marks []Mark, m Measured) Task {
	t := Task{Item: i, Inherited: p.Key != Common && !slices.ContainsFunc(p.Items, func(own Item) bool { return own.ID == i.ID }), State: Open}
	if i.Fact != "" {
		t.Measured = m[i.Fact]
	}
	own := ofItem(marks, i.ID)
	if n := len(own); n > 0 {
		t.By, t.Before, t.State = &own[n-1], own[:n-1], own[n-1].State
	} else if e := b.elsewhere(i, marks); e != nil {
		t.Elsewhere, t.State = e, e.State
	}
	if t.State == Open && t.By == nil && i.Mode == Auto && t.Measured == Yes {
		t.State, t.Itself = Done, true
	}
	return t
}

func ofItem(marks []Mark, item string) []Mark {
	var some []Mark
	for _, k := range marks {
		if k.Item == item {
			some = append(some, k)
		}
	}
	return some
}

// elsewhere finds an item of another playbook that is settled and covers all that i does:
// what was done while the type of the incident was not known need not be done again.
func (b *Book) elsewhere(i Item, marks []Mark) *Mark {
	if len(i.Covers) == 0 {
		return nil
	}
	newest := map[string]Mark{}
	var order []string
	for _, k := range marks {
		if _, ok := newest[k.Item]; !ok {
			order = append(order, k.Item)
		}
		newest[k.Item] = k
	}
	left := slices.Clone(i.Covers)
	var last *Mark
	for _, id := range order {
		k := newest[id]
		other, ok := b.Item(id)
		if !ok || k.State != Done || !overlap(other.Covers, left) {
			continue
		}
		left = slices.DeleteFunc(left, func(s string) bool { return slices.Contains(other.Covers, s) })
		last = &k
	}
	if len(left) > 0 {
		return nil
	}
	return last
}

// closed are the gates of an item that are not open.
func closed(i Item, states map[string]State, m Measured) []string {
	var list []string
	for _, g := range i.Gates {
		state, isItem := states[g]
		switch {
		case isItem && state == Open, !isItem && m[Fact(g)] != Yes:
			list = append(list, g)
		}
	}
	return list
}
