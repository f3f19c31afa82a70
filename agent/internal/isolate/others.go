package isolate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Bystander is a Firewall that can say what rules others have in force beside ours.
type Bystander interface {
	// OthersRules returns a line for each table that others have now, its name and its
	// SHA-256, such as "inet filter 9f86d0…", sorted: without what changes by itself,
	// counters, handles, elements that come and go. The error says why they cannot be told.
	OthersRules(ctx context.Context) ([]string, error)
}

// Beside are the rules of others at one moment.
type Beside struct {
	// At is the agent's wall clock when they were read; zero if they could not be.
	At time.Time `json:"at,omitzero"`
	// Tables are theirs, as OthersRules tells them, at most tablesMax.
	Tables []string `json:"tables,omitempty"`
	// Why says in English why they could not be read.
	Why string `json:"why,omitempty"`
}

// OthersVerdict says whether rules of others are as they were.
type OthersVerdict string

// The verdicts.
const (
	OthersSame    OthersVerdict = "same"
	OthersDiffer  OthersVerdict = "differs"
	OthersUnknown OthersVerdict = "unknown"
)

// Others says whether a release left the rules of others as they were before the cut.
// What differs is told and left alone: it may have been changed by who may.
type Others struct {
	Verdict OthersVerdict `json:"verdict"`
	// Before and After are what was read.
	Before Beside `json:"before,omitzero"`
	After  Beside `json:"after,omitzero"`
	// Differences say in which tables they differ, or in English why nothing is known.
	Differences []string `json:"differences,omitempty"`
}

const (
	// othersLimit is how long reading the rules of others may take.
	othersLimit = 2 * time.Second
	// tablesMax bounds the tables of others in a record; more are too many to be told apart.
	tablesMax = 128
	// differencesMax bounds what is told.
	differencesMax = 16
)

// lookBeside reads the rules of others.
func (m *Manager) lookBeside(ctx context.Context, limit time.Duration) Beside {
	b, ok := m.cfg.Firewall.(Bystander)
	if !ok {
		return Beside{Why: "this firewall does not tell them"}
	}
	out := make(chan []string, 1) // an abandoned call must write nowhere else
	err := m.beside.run(ctx, limit, func(ctx context.Context) error {
		lines, err := b.OthersRules(ctx)
		if len(lines) > tablesMax {
			err = fmt.Errorf("%d tables are too many", len(lines))
		}
		out <- lines
		return err
	})
	if err != nil {
		return Beside{Why: clip(err.Error(), 256)}
	}
	return Beside{At: m.instant().wall, Tables: <-out}
}

// owed returns what a record of a release has to keep of b until it is compared.
func (b Beside) owed(was State) Beside {
	if was == Isolated && !b.known() {
		b.Why = "an older agent made the cut, or its record was lost"
	}
	return b
}

func (b Beside) known() bool { return !b.At.IsZero() || b.Why != "" }

// compareBeside compares, once, what the record of a release has of before the cut with
// what there is now.
func (m *Manager) compareBeside(ctx context.Context) {
	m.mu.Lock()
	rec, opened := m.rec, m.opened
	m.mu.Unlock()
	if rec.Desired != Released || !rec.Beside.known() {
		return
	}
	after := Beside{Why: "the agent ended meanwhile"} // who knows what happened since
	if opened {
		after = m.lookBeside(ctx, othersLimit)
	}
	m.mu.Lock()
	m.intact, m.rec.Beside = rec.Beside.compare(after), Beside{}
	rec = m.rec
	m.mu.Unlock()
	if err := m.save(rec); err != nil { // Reconcile writes it again
		m.cfg.Log.WarnContext(ctx, "that others' rules were compared is not on disk", slog.Any("error", err))
	}
}

// compare says what became of the rules of others.
func (b Beside) compare(after Beside) *Others {
	o := &Others{Verdict: OthersUnknown, Before: b, After: after}
	switch {
	case b.At.IsZero():
		o.Differences = []string{"not read before the cut: " + b.Why}
		return o
	case after.At.IsZero():
		o.Differences = []string{"not read after the release: " + after.Why}
		return o
	case slices.Equal(b.Tables, after.Tables):
		o.Verdict = OthersSame
		return o
	}
	o.Verdict = OthersDiffer
	only := func(when string, some, others []string) {
		for _, t := range some {
			if !slices.Contains(others, t) && len(o.Differences) < differencesMax {
				o.Differences = append(o.Differences, when+t)
			}
		}
	}
	only("before: ", b.Tables, after.Tables)
	only("after: ", after.Tables, b.Tables)
	return o
}
