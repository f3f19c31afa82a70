package isolate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Bystander is a Firewall that can say what rules others have in force beside ours.
type Bystander interface {
	// OthersRules returns the digests of what others have in force now, sorted by name,
	// without what changes by itself: counters, handles, elements that come and go. The
	// error says why they cannot be told.
	OthersRules(ctx context.Context) ([]Sum, error)
}

// Sum is the digest of one table of somebody else.
type Sum struct {
	// Table names it, such as "inet filter"; SHA256 is in hexadecimal.
	Table  string `json:"table"`
	SHA256 string `json:"sha256"`
}

// Beside are the rules of others as they were before the cut.
type Beside struct {
	// At is the agent's wall clock when they were read; zero if they could not be.
	At time.Time `json:"at,omitzero"`
	// Tables are theirs, at most tablesMax.
	Tables []Sum `json:"tables,omitempty"`
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
	// Before and After are the SHA-256 over all their tables, in hexadecimal; empty where
	// they could not be read.
	Before   string    `json:"before,omitempty"`
	After    string    `json:"after,omitempty"`
	BeforeAt time.Time `json:"before_at,omitzero"`
	AfterAt  time.Time `json:"after_at,omitzero"`
	// Differences say in English which tables differ, or why nothing is known.
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
	out := make(chan []Sum, 1) // an abandoned call must write nowhere else
	err := m.beside.run(ctx, limit, func(ctx context.Context) error {
		sums, err := b.OthersRules(ctx)
		out <- sums
		return err
	})
	switch {
	case err != nil:
		return Beside{Why: clip(err.Error(), 256)}
	case len(out) > 0:
		if sums := <-out; len(sums) <= tablesMax {
			return Beside{At: m.instant().wall, Tables: sums}
		}
	}
	return Beside{Why: fmt.Sprintf("more than %d tables", tablesMax)}
}

// digest is the one of all tables, empty if they were not read.
func (b Beside) digest() string {
	if b.At.IsZero() {
		return ""
	}
	h := sha256.New()
	for _, t := range b.Tables {
		fmt.Fprintf(h, "%q %s\n", t.Table, t.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// compare says what became of the rules of others.
func (b Beside) compare(after Beside) *Others {
	o := &Others{Verdict: OthersSame, Before: b.digest(), After: after.digest(), BeforeAt: b.At, AfterAt: after.At}
	for _, look := range []struct {
		b    Beside
		when string
	}{{b, "before the cut"}, {after, "after the release"}} {
		if look.b.At.IsZero() {
			o.Verdict = OthersUnknown
			o.Differences = append(o.Differences, fmt.Sprintf("not read %s: %s", look.when, cmp.Or(look.b.Why, "nobody looked")))
		}
	}
	if o.Verdict == OthersUnknown || o.Before == o.After {
		return o
	}
	o.Verdict = OthersDiffer
	find := func(ts []Sum, name string) int {
		return slices.IndexFunc(ts, func(t Sum) bool { return t.Table == name })
	}
	for _, t := range b.Tables {
		switch i := find(after.Tables, t.Table); {
		case i < 0:
			o.Differences = append(o.Differences, fmt.Sprintf("table %s is gone", t.Table))
		case after.Tables[i].SHA256 != t.SHA256:
			o.Differences = append(o.Differences, fmt.Sprintf("table %s was changed", t.Table))
		}
	}
	for _, t := range after.Tables {
		if find(b.Tables, t.Table) < 0 {
			o.Differences = append(o.Differences, fmt.Sprintf("table %s is new", t.Table))
		}
	}
	if n := len(o.Differences); n > differencesMax {
		o.Differences = append(o.Differences[:differencesMax-1], fmt.Sprintf("and %d more", n-differencesMax+1))
	}
	return o
}
