package act_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/pki"
)

// upgraded is a collector on the database that version 0.1.0 left, not started yet.
func upgraded(t *testing.T) *fixture {
	t.Helper()
	ctx := t.Context()
	packed, err := os.ReadFile("testdata/v0.1.0.db.gz")
	ok(t, err)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	ok(t, err)
	b, err := io.ReadAll(r)
	ok(t, err)
	path := filepath.Join(t.TempDir(), "hozen.db")
	ok(t, os.WriteFile(path, b, 0o600))
	db, err := sqldb.Open(ctx, sqldb.Config{URL: sqldbtest.SQLiteURL(path)})
	ok(t, err)
	t.Cleanup(func() { ok(t, db.Close()) })
	x := &fixture{t: t, db: db, hub: act.NewHub(), clock: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), passwords: map[string]string{}}
	x.ca, err = pki.NewCA("test", x.clock)
	ok(t, err)
	x.blobs, err = fsblob.Open(t.TempDir())
	ok(t, err)
	x.Acts, err = act.New(act.Config{DB: db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return x.clock }})
	ok(t, err)
	x.owner = act.Actor{Kind: act.ByOperator, ID: x.column(t, `SELECT id FROM operator_operator WHERE name = 'owner'`)[0]}
	return x
}

// start does with the database what a collector does when it starts.
func (x *fixture) start() {
	x.t.Helper()
	for _, step := range []func(context.Context) (int, error){x.SealOlderRows, x.SealTimelines} {
		_, err := step(x.t.Context())
		ok(x.t, err)
	}
	ok(x.t, x.RecordOwnSteps(x.t.Context()))
	_, err := x.AdoptExhibits(x.t.Context())
	ok(x.t, err)
}

// stands is ledgerStands with the audits of custody, record and reports.
func (x *fixture) stands() {
	x.t.Helper()
	x.ledgerStands()
	for _, by := range []string{"custody", "record", "report"} {
		if n, err := x.everyAudit(x.t.Context(), x.db.Read(), by); n != 0 || err != nil {
			x.t.Errorf("%s: %d, %v", by, n, err)
		}
	}
}

// After an upgrade nothing is found that nobody did, and who changes an older row from then on
// is found out.
func TestUpgradeFromTheFirstVersion(t *testing.T) {
	x := upgraded(t)
	ctx := t.Context()
	x.start()
	x.stands()
	if got := len(x.column(t, `SELECT idx FROM ledger_entries WHERE act = '`+organisation.ActSealOlder+`'`)); got != 1 {
		t.Errorf("%d entries say that older rows were sealed", got)
	}
	// What people do then is held with the older rows.
	x.clock = x.clock.Add(time.Minute)
	viewer := x.column(t, `SELECT id FROM operator_operator WHERE name = 'viewer'`)[0]
	_, err := x.ResetPassword(ctx, x.owner, viewer)
	ok(t, err)
	p := x.column(t, `SELECT id FROM endpoint_endpoint WHERE site = '本社'`)[0]
	ok(t, x.PlaceEndpoint(ctx, x.owner, p, act.Place{Site: "支社", Purpose: endpoint.PC, Tags: []string{"2F", "経理"}}))
	x.stands()
	x.named(t, map[string]wrong{
		"a boot that ended well":     {"endpoint", "edited", `UPDATE endpoint_boot SET verdict = 'clean_with_capture' WHERE verdict = 'power_loss'`},
		"a boot taken away":          {"endpoint", "missing", `DELETE FROM endpoint_boot WHERE verdict = 'power_loss'`},
		"a boot more":                {"endpoint", "surplus", anotherBoot},
		"a tag taken away":           {"endpoint", "edited", `DELETE FROM endpoint_tag WHERE tag = '営業'`},
		"another role":               {"operator", "edited", `UPDATE operator_operator SET role = 'owner' WHERE name = 'analyst'`},
		"another giver of a sign-in": {"operator", "edited", `UPDATE operator_operator SET password_by = 'op_x' WHERE name = 'viewer'`},
		"a request by another token": {"enroll", "edited", `UPDATE enroll_request SET token_id = 'tok_x' WHERE status = 'pending'`},
		"a token used less":          {"enroll", "edited", `UPDATE enroll_token SET uses = uses - 1 WHERE max_uses = 5`},
		"an alert that never came":   {"incident", "missing", `DELETE FROM incident_alert WHERE received_at = ''`},
		"an older line changed":      {"timeline", "edited", `UPDATE incident_entry SET text = 'x' WHERE kind = 'opened'`},
	})
}

const anotherBoot = `INSERT INTO endpoint_boot SELECT 'acq_x', organisation_id, endpoint_id, evidence_id, boot_id, previous_boot_id, verdict, reason, asked_by, asked_type,
	asked_who, ended_after, ended_before, last_evidence_at, gap_min_ns, gap_max_ns, clock_contradicts, added_delay_ns, basis, received_at FROM endpoint_boot LIMIT 1`

// No later start takes a row for an older one that somebody wrote by hand.
func TestOlderRowsAreSealedOnce(t *testing.T) {
	for name, x := range map[string]*fixture{"of an earlier version": upgraded(t), "of this version": newFixture(t, sqldbtest.Open(t))} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			x.start()
			var sql = anotherBoot
			if name == "of this version" {
				sql = `INSERT INTO incident_alert (alert_id, organisation_id, endpoint_id, incident_id, message, reporter, reported_at, received_at) SELECT 'alt_x', id, 'end_x', 'inc_x', '', '', '', '' FROM organisation_profile`
			}
			ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := tx.ExecContext(ctx, sql)
				return err
			}))
			if n, err := x.SealOlderRows(ctx); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			by := map[bool]string{true: "incident", false: "endpoint"}[name == "of this version"]
			if n, err := x.everyAudit(ctx, x.db.Read(), by); n != 1 || err != nil {
				t.Errorf("%s finds %d, %v", by, n, err)
			}
		})
	}
}

// Entries of the first version have no MAC, are signed as they are, and none goes on behind them
// without one.
func TestMACsAfterTheFirstVersion(t *testing.T) {
	x := upgraded(t)
	ctx := t.Context()
	k, err := secret.NewKey(make([]byte, 32))
	ok(t, err)
	ledger.NewKey(k).Bind(x.db)
	x.start()
	dir := t.TempDir()
	log, err := checkpoint.Open(ctx, checkpoint.Config{DB: x.db, KeyFile: filepath.Join(dir, "key.pem"), Dir: filepath.Join(dir, "log"), Name: "hozen.test/log"})
	ok(t, err)
	org := x.column(t, `SELECT organisation_id FROM ledger_heads`)[0]
	audit := func(want string) {
		t.Helper()
		_, _ = log.Sign(ctx, org, 1<<40) // the audit tells
		files, err := log.Files()
		ok(t, err)
		list, err := log.Audit(ctx, x.db.Read(), files, nil)
		ok(t, err)
		for _, f := range list {
			if f.Note {
				continue
			}
			if string(f.Code) != want {
				t.Errorf("%+v", f)
			}
			want = ""
		}
		if want != "" {
			t.Errorf("%s is not named", want)
		}
	}
	audit("")
	ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE ledger_entries SET mac = '' WHERE idx = (SELECT MAX(idx) FROM ledger_entries)`)
		return err
	}))
	audit("forged")
}
