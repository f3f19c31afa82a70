package act_test

import (
	"context"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// A sign-in that somebody wrote into the database opens nothing and is named; those of before
// seals are ended by the migration.
func TestForgedSessionIsNamed(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, x := t.Context(), newFixture(t, db)
		token, end, err := x.BeginLocalSession(ctx, x.owner.ID)
		ok(t, err)
		looked := func() (codes []fsck.Code) {
			t.Helper()
			r, err := x.Fsck(ctx, act.Actor{Kind: act.BySystem}, nil, nil)
			ok(t, err)
			for _, p := range r.Problems {
				if p.Subject != x.owner.ID {
					t.Errorf("%+v", p)
				}
				codes = append(codes, p.Code)
			}
			return codes
		}
		if codes := looked(); len(codes) > 0 {
			t.Fatalf("a sign-in of the collector's own: %v", codes)
		}
		ok(t, db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO operator_session (token_sha256, organisation_id, operator_id, kind, data, expires_at)
				SELECT $1, organisation_id, operator_id, kind, data, $2 FROM operator_session`, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", sqldb.FormatTime(end))
			return err
		}))
		if codes := looked(); len(codes) != 1 || codes[0] != fsck.SessionForged {
			t.Errorf("%v", codes)
		}
		_, err = x.LocalSession(ctx, "test") // whose SHA-256 that is
		wantErr(t, err, act.ErrForbidden)
		_, err = x.LocalSession(ctx, token)
		ok(t, err)
		p, err := x.Person(ctx, x.owner, x.owner.ID)
		ok(t, err)
		counts, err := x.SessionCounts(ctx, x.owner)
		ok(t, err)
		if len(p.Sessions) != 1 || counts[x.owner.ID] != 1 {
			t.Errorf("%d sessions, %d counted", len(p.Sessions), counts[x.owner.ID])
		}
	})
}
