package operator_test

import (
	"context"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// Whoever can write to the database can neither make a session nor turn one into another, and
// what was tried is named.
func TestSessionsCannotBeForged(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, o := t.Context(), withOperator(t, db)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		end := now.Add(time.Hour)
		gob.Register("")
		s := operator.NewSessionStore(db, seals(t), func() time.Time { return now })
		data := func(values map[string]any) []byte {
			b, err := scs.GobCodec{}.Encode(end, values)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		var local string
		for token, b := range map[string][]byte{"visitor": data(nil), "mine": data(map[string]any{operator.SessionKey: o.ID, "secret": "AGE-SECRET-KEY-1"})} {
			if err := s.Commit(token, b, end); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) (err error) {
			local, _, err = operator.NewLocalSession(ctx, tx, seals(t), o.ID, now)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		forged := func(q sqldb.Queryer) (list []string) {
			t.Helper()
			found, err := operator.AuditSessions(ctx, q, seals(t), now)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				list = append(list, f.Subject())
			}
			return list
		}
		if list := forged(db.Read()); len(list) > 0 {
			t.Fatalf("sessions of the collector's own: %q", list)
		}
		var stored string
		if err := db.Read().QueryRowContext(ctx, `SELECT MAX(data) FROM operator_session WHERE kind = 'console' AND operator_id <> ''`).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if b, _ := base64.StdEncoding.DecodeString(stored); strings.Contains(stored+string(b), "AGE-SECRET-KEY") {
			t.Error("what a session keeps can be read in the database")
		}

		hash := operator.TokenHash
		mine := base64.StdEncoding.EncodeToString(data(map[string]any{operator.SessionKey: o.ID}))
		thief, err := secret.NewKey([]byte(strings.Repeat("k", 32)))
		if err != nil {
			t.Fatal(err)
		}
		other, err := thief.For("sessions").Seal("session", data(map[string]any{operator.SessionKey: o.ID}))
		if err != nil {
			t.Fatal(err)
		}
		insert := func(token, kind, data string) string {
			return `INSERT INTO operator_session (token_sha256, organisation_id, operator_id, kind, data, expires_at, ended_at) VALUES ('` + strings.Join([]string{
				hash(token), o.OrganisationID, o.ID, kind, data, sqldb.FormatTime(end), ""}, "', '") + `')`
		}
		mineIs := `token_sha256 = '` + hash("mine") + `'`
		for name, c := range map[string]struct{ sql, token string }{
			"a session in the clear":           {insert("new", "console", mine), "new"},
			"a session of another key":         {insert("new", "console", other), "new"},
			"a session without data":           {insert("new", "console", ""), "new"},
			"a local session":                  {insert("new", "local", ""), "new"},
			"the seal of another token":        {insert("new", "console", stored), "new"},
			"the token of another exchanged":   {`UPDATE operator_session SET token_sha256 = '` + hash("new") + `' WHERE ` + mineIs, "new"},
			"a visitor made a person":          {`UPDATE operator_session SET operator_id = '` + o.ID + `', organisation_id = '` + o.OrganisationID + `', data = '` + mine + `' WHERE operator_id = ''`, "visitor"},
			"a visitor with a person's data":   {`UPDATE operator_session SET data = '` + stored + `' WHERE operator_id = ''`, "visitor"},
			"a visitor of a person, as it was": {`UPDATE operator_session SET operator_id = '` + o.ID + `' WHERE operator_id = ''`, "visitor"},
			"another organisation":             {`UPDATE operator_session SET organisation_id = 'org_y' WHERE ` + mineIs, "mine"},
			"a longer life":                    {`UPDATE operator_session SET expires_at = '2036-01-01T00:00:00.000000000Z' WHERE ` + mineIs, "mine"},
			"a session at the machine":         {`UPDATE operator_session SET kind = 'local' WHERE ` + mineIs, "mine"},
			"a local one at the console":       {`UPDATE operator_session SET kind = 'console' WHERE token_sha256 = '` + hash(local) + `'`, local},
			"a local one that lasts":           {`UPDATE operator_session SET expires_at = '2036-01-01T00:00:00.000000000Z' WHERE token_sha256 = '` + hash(local) + `'`, local},
		} {
			t.Run(name, func(t *testing.T) {
				before := map[string]string{}
				rows, err := db.Read().QueryContext(ctx, `SELECT token_sha256, organisation_id || '|' || operator_id || '|' || kind || '|' || data || '|' || expires_at FROM operator_session`)
				if err != nil {
					t.Fatal(err)
				}
				for rows.Next() {
					var k, v string
					if err := rows.Scan(&k, &v); err != nil {
						t.Fatal(err)
					}
					before[k] = v
				}
				if err := errors.Join(rows.Err(), rows.Close()); err != nil {
					t.Fatal(err)
				}
				if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					_, err := tx.ExecContext(ctx, c.sql)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if _, ok, err := s.Find(c.token); ok || err != nil {
					t.Errorf("signed in at the console: %v", err)
				}
				if _, err := operator.LocalSession(ctx, db.Read(), seals(t), c.token, now); !errors.Is(err, operator.ErrNotFound) {
					t.Errorf("signed in at the machine: %v", err)
				}
				if list := forged(db.Read()); len(list) != 1 || list[0] != o.ID && !strings.HasPrefix(list[0], "session ") {
					t.Errorf("named: %q", list)
				}
				if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { // as it was
					_, err := tx.ExecContext(ctx, `DELETE FROM operator_session`)
					for k, v := range before {
						f := append([]string{k}, strings.Split(v, "|")...)
						_, e := tx.ExecContext(ctx, `INSERT INTO operator_session (token_sha256, organisation_id, operator_id, kind, data, expires_at, ended_at) VALUES ('`+strings.Join(f, "', '")+`', '')`)
						err = errors.Join(err, e)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
		if _, ok, err := s.Find("mine"); !ok || err != nil {
			t.Errorf("the person's own session: %t, %v", ok, err)
		}
		if list := forged(db.Read()); len(list) > 0 {
			t.Errorf("at the end: %q", list)
		}
		now = now.Add(2 * time.Hour) // what has expired signs nobody in
		if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, insert("late", "console", mine))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if list := forged(db.Read()); len(list) > 0 {
			t.Errorf("what has expired: %q", list)
		}
	})
}
