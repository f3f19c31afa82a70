package act_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/sqldb/sqldbtest"
	cp "hozen/internal/custody/checkpoint"
)

// lines counts the entries of an act in the ledger.
func (x *fixture) lines(name string) (n int) {
	x.t.Helper()
	for _, a := range x.acts("") {
		if a == name {
			n++
		}
	}
	return n
}

// TestWhatAWitnessHolds: an endpoint is shown what goes on from what it holds, and its
// word alone changes nothing.
func TestWhatAWitnessHolds(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	x.signing()
	p := x.enrolled("pc-1")
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t"})
	if err != nil {
		t.Fatal(err)
	}
	first := x.EndpointCheckpoint(t.Context(), p.id, nil)
	old, err := cp.Parse(first.Note)
	if err != nil || first.From != 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := x.AddNote(t.Context(), x.owner, inc.ID, "n"); err != nil {
		t.Fatal(err)
	}
	if again := x.EndpointCheckpoint(t.Context(), p.id, []byte(first.Note)); again.Note != first.Note {
		t.Error("signed twice within a second")
	}
	x.clock = x.clock.Add(2 * time.Second)
	next := x.EndpointCheckpoint(t.Context(), p.id, []byte(first.Note))
	c, err := cp.Parse(next.Note)
	if err != nil || next.From != old.Size || cp.CheckConsistency(old, c, next.Consistency) != nil {
		t.Fatalf("%+v, %v", next, err)
	}

	// Words that anybody could have written.
	for _, garbage := range []string{"", "x", strings.Replace(next.Note, "\n", "\r\n", 1)} {
		if err := x.LedgerConflict(t.Context(), p.id, act.ConflictCall{ID: strings.Repeat("a", 64), Kind: "rewritten", Seen: garbage, Shown: garbage, At: x.clock}); err != nil {
			t.Errorf("%q: %v", garbage, err)
		}
	}
	if n := x.lines(act.ActConflict); n != 1 {
		t.Errorf("what anybody could have written fills %d entries", n)
	}
	if d, err := x.LedgerDiffers(t.Context(), x.owner); err != nil || d != nil {
		t.Errorf("an endpoint's word alone makes a difference: %+v, %v", d, err)
	}
	if _, err := x.DeclareFork(t.Context(), x.owner, "why"); !errors.Is(err, act.ErrConflict) {
		t.Errorf("a fork without a difference: %v", err)
	}
	if proof := x.ReceiptProof(t.Context(), p.id, 0); proof.Note == "" || len(proof.Inclusion) == 0 {
		t.Errorf("%+v", proof)
	}
	x.ledgerStands()
}
