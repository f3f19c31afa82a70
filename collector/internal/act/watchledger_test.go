package act_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	cp "hozen/internal/custody/checkpoint"
)

// TestDifferenceWhileItRuns: a ledger that is rewritten under the running collector is
// recorded, in the ledger and on the timelines, without anybody asking or a restart.
func TestDifferenceWhileItRuns(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	signer := x.signing()
	p := x.enrolled("pc-1")
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	first := x.EndpointCheckpoint(t.Context(), p.id, nil)
	old, err := cp.Parse(first.Note)
	ok(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); x.WatchLedger(ctx) }()
	defer func() { stop(); <-done }()

	// All entries again, with other salts: each row fits, and the root is another one.
	ok(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for _, s := range []string{`DELETE FROM ledger_entries`, `DELETE FROM ledger_hashes`, `DELETE FROM ledger_heads`} {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		for range old.Size + 1 {
			if _, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: inc.OrganisationID, At: x.clock, ActorKind: "system", Act: "incident.note", Subject: inc.ID}); err != nil {
				return err
			}
		}
		return nil
	}))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); x.lines(act.ActDiffers) == 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it is recorded nowhere")
		}
	}
	told := 0
	timeline, err := x.Timeline(t.Context(), x.owner, inc.ID)
	ok(t, err)
	for _, e := range timeline {
		if e.Kind == incident.EntryLedgerDiffers {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d lines of the timeline tell of it", told)
	}

	// A person declares it; what an endpoint then tells of the line before is kept, once.
	_, err = x.DeclareFork(t.Context(), x.owner, "found out")
	ok(t, err)
	for range 2 {
		ok(t, x.LedgerConflict(t.Context(), p.id, act.ConflictCall{ID: strings.Repeat("a", 64), Kind: "other_origin", Seen: first.Note, Shown: first.Note, At: x.clock}))
	}
	if n := x.lines(act.ActConflict); n != 1 {
		t.Errorf("what the endpoint saw fills %d entries", n)
	}
	list, err := checkpoint.Conflicts(t.Context(), x.db.Read(), inc.OrganisationID)
	ok(t, err)
	if len(list) != 2 || list[1].Kind != checkpoint.DeclaredKind+"other_origin" || list[1].KnownNote != first.Note {
		t.Errorf("%+v", list)
	}
	if n := x.lines(act.ActDiffers); n != 1 {
		t.Errorf("the difference fills %d entries", n)
	}
	if d, err := signer.Differences(t.Context()); err != nil || len(d) != 0 {
		t.Errorf("%v, %v", d, err)
	}
}
