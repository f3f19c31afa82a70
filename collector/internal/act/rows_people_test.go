package act_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

// tampering is a change of rows by somebody who has the database, which the named audit finds
// and no other does.
type tampering struct{ of, how, sql string }

// caught makes each change for itself and takes it back.
func (x *fixture) caught(t *testing.T, changes map[string]tampering) {
	t.Helper()
	ctx, undo := t.Context(), errors.New("undo")
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				r, err := tx.ExecContext(ctx, c.sql)
				if err != nil {
					return err // and no Fatal: it would leave the transaction open
				}
				if n, err := r.RowsAffected(); err != nil || n == 0 {
					return fmt.Errorf("changes nothing: %w", err)
				}
				for of, audit := range rowAudits() {
					found, err := audit(ctx, tx)
					if err != nil {
						return err
					}
					list := slices.Concat(slices.Collect(maps.Values(found))...)
					if of != c.of && len(list) > 0 || of == c.of && !slices.ContainsFunc(list, func(f ledger.Difference) bool { return string(f.Code) == c.how && f.Subject != "" }) {
						t.Errorf("%s: %+v", of, list)
					}
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Error(err)
			}
		})
	}
	x.ledgerStands()
}

// Who has the database and changes who may do what is found out by the ledger.
func TestPeopleAgainstTheLedger(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	tick := func() { x.clock = x.clock.Add(time.Minute) }
	handler, vendor, left := x.person("handler", operator.Handler), x.person("vendor", operator.Vendor), x.person("left", operator.Auditor)
	tick()
	ok(t, x.SetRole(ctx, x.owner, handler.ID, operator.Responsible))
	_, err = x.ResetPassword(ctx, x.owner, left.ID)
	ok(t, err)
	tick()
	ok(t, x.DisableOperator(ctx, x.owner, left.ID))
	ok(t, x.SetOwnAddress(ctx, handler, "handler@example.jp"))
	key, recovery := x.factor(handler)
	_, err = x.ConfirmSignIn(ctx, handler.ID, x.proof(handler), recovery[3], "192.0.2.1")
	ok(t, err)
	x.factor(vendor)
	tick()
	ok(t, x.ResetFactor(ctx, x.owner, vendor.ID, "lost"))
	x.factor(vendor)
	tick()
	_, err = x.NewRecoveryCodes(ctx, handler, x.code(key), "192.0.2.1")
	ok(t, err)
	ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock.Add(time.Hour)))
	tick()
	ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock.Add(2*time.Hour)))
	other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, other.ID, x.clock.Add(time.Hour)))
	ok(t, x.EndGrant(ctx, x.owner, vendor.ID, other.ID))
	_, kept, _ := x.token(x.owner, act.ScopeRead)
	_, ended, _ := x.token(x.owner, act.ScopeRead)
	tick()
	ok(t, x.EndAPIToken(ctx, x.owner, ended.ID))
	_, gone, _ := x.token(handler, act.ScopeRead)
	tick()
	ok(t, x.EndOwnSession(ctx, handler, "none"))
	ok(t, x.EndOtherSessions(ctx, handler, ""))
	x.ledgerStands()

	of := func(sql string, ids ...string) string {
		for _, id := range ids {
			sql = strings.Replace(sql, "$", "'"+id+"'", 1)
		}
		return sql
	}
	person := func(set string, id string) tampering {
		return tampering{"operator", "edited", of(`UPDATE operator_operator SET `+set+` WHERE id = $`, id)}
	}
	token := func(set string, id string) tampering {
		return tampering{"token", "edited", of(`UPDATE operator_token SET `+set+` WHERE id = $`, id)}
	}
	x.caught(t, map[string]tampering{
		"a handler made an owner":              person(`role = 'owner'`, handler.ID),
		"one who left is back":                 person(`disabled_at = ''`, left.ID),
		"another password":                     person(`password_hash = 'argon2id'`, x.owner.ID),
		"the password of somebody else":        person(of(`password_hash = (SELECT password_hash FROM operator_operator WHERE id = $)`, handler.ID), x.owner.ID),
		"a one-time password that need not go": person(`must_change_password = 0`, left.ID),
		"another name":                         person(`display_name = '社長'`, handler.ID),
		"another name to sign in":              person(`name = 'x'`, handler.ID),
		"a person of longer standing":          person(`created_at = '2020-01-01T00:00:00.000000000Z'`, handler.ID),
		"notices to another address":           person(`address = 'x@example.net'`, handler.ID),
		"notices of somebody who wanted none":  person(`address = 'x@example.net'`, vendor.ID),
		"no second factor":                     person(`factor_since = '', factor_secret = ''`, handler.ID),
		"the second factor of somebody else":   person(of(`factor_secret = (SELECT factor_secret FROM operator_operator WHERE id = $)`, vendor.ID), handler.ID),
		"a second factor from before":          person(`factor_since = '2020-01-01T00:00:00.000000000Z'`, handler.ID),
		"who gave the password forgotten":      person(`password_by = ''`, left.ID),
		"a password given long ago":            person(`password_at = '2020-01-01T00:00:00.000000000Z'`, left.ID),
		"who took the second factor forgotten": person(`factor_by = ''`, vendor.ID),
		"a factor that was taken long ago":     person(`factor_at = '2020-01-01T00:00:00.000000000Z'`, vendor.ID),
		"the former role forgotten":            person(`roles_before = ''`, handler.ID),
		"the former role of long ago":          person(`role_at = '2020-01-01T00:00:00.000000000Z'`, handler.ID),
		"a person taken away":                  {"operator", "missing", of(`DELETE FROM operator_operator WHERE id = $`, left.ID)},
		"a person whom nobody added": {"operator", "surplus", of(`INSERT INTO operator_operator (id, organisation_id, name, display_name, role, password_hash, must_change_password, disabled_at, created_at, last_sign_in_at)
			SELECT 'opr_x', organisation_id, 'x', 'x', 'owner', password_hash, 0, '', created_at, '' FROM operator_operator WHERE id = $`, x.owner.ID)},
		"a person of another organisation": {"operator", "missing", of(`UPDATE operator_operator SET organisation_id = 'org_x' WHERE id = $`, handler.ID)},
		"a recovery code good again":       {"operator", "edited", of(`UPDATE operator_recovery SET used_at = '' , hash = (SELECT r.hash FROM operator_recovery r WHERE r.operator_id = $ AND r.code_no = 2) WHERE operator_id = $ AND code_no = 3`, vendor.ID, vendor.ID)},
		"a recovery code used":             {"operator", "edited", of(`UPDATE operator_recovery SET used_at = '2026-01-01T00:00:00.000000000Z' WHERE operator_id = $ AND code_no = 1`, handler.ID)},
		"recovery codes taken away":        {"operator", "edited", of(`DELETE FROM operator_recovery WHERE operator_id = $`, handler.ID)},
		"one recovery code more":           {"operator", "edited", of(`INSERT INTO operator_recovery (operator_id, code_no, organisation_id, hash, used_at) SELECT operator_id, 10, organisation_id, hash, '' FROM operator_recovery WHERE operator_id = $ AND code_no = 1`, handler.ID)},
		"recovery codes for nobody":        {"operator", "surplus", of(`INSERT INTO operator_recovery (operator_id, code_no, organisation_id, hash, used_at) SELECT 'opr_x', 1, organisation_id, hash, '' FROM operator_recovery WHERE operator_id = $ AND code_no = 1`, handler.ID)},
		"a grant that lasts longer":        {"grant", "edited", `UPDATE operator_grant SET until = '2030-01-01T00:00:00.000000000Z'`},
		"a grant by somebody else":         {"grant", "edited", `UPDATE operator_grant SET granted_by = 'x'`},
		"a grant of another time":          {"grant", "edited", `UPDATE operator_grant SET granted_at = '2020-01-01T00:00:00.000000000Z'`},
		"a grant taken away":               {"grant", "missing", `DELETE FROM operator_grant`},
		"a grant of another incident":      {"grant", "surplus", of(`UPDATE operator_grant SET incident_id = $`, other.ID)},
		"a grant to somebody else":         {"grant", "surplus", of(`UPDATE operator_grant SET operator_id = $`, left.ID)},
		"a grant that ended is back":       {"grant", "surplus", of(`INSERT INTO operator_grant SELECT operator_id, $, organisation_id, until, granted_by, granted_at FROM operator_grant`, other.ID)},
		"a token for more":                 token(`scopes = 'read release'`, kept.ID),
		"a token of another role":          token(`role = 'viewer'`, kept.ID),
		"a token of somebody else":         token(of(`operator_id = $`, handler.ID), kept.ID),
		"another secret":                   token(`secret_sha256 = 'x'`, kept.ID),
		"a token that lives longer":        token(`expires_at = '2030-01-01T00:00:00.000000000Z'`, kept.ID),
		"a token of another name":          token(`name = 'x'`, kept.ID),
		"a token of another time":          token(`created_at = '2020-01-01T00:00:00.000000000Z'`, kept.ID),
		"a token that was ended is back":   token(`ended_at = ''`, ended.ID),
		"a token that ended with the rest": token(`ended_at = ''`, gone.ID),
		"a token ended in silence":         token(`ended_at = created_at`, kept.ID),
		"a token taken away":               {"token", "missing", of(`DELETE FROM operator_token WHERE id = $`, kept.ID)},
		"a token that nobody made": {"token", "surplus", of(`INSERT INTO operator_token (id, organisation_id, operator_id, name, role, scopes, secret_sha256, created_at, expires_at, used_at, used_from, ended_at)
			SELECT 'tok_x', organisation_id, operator_id, name, role, scopes, 'y', created_at, expires_at, '', '', '' FROM operator_token WHERE id = $`, kept.ID)},
	})
}

// channel stores a channel past the acts, with its entry.
func (x *fixture) channel(ctx context.Context, tx *sqldb.Tx, c notify.Channel) error {
	c.CreatedAt, c.ChangedAt = x.clock, x.clock
	facts, err := c.Details()
	if err == nil {
		err = notify.SaveChannel(ctx, tx, c)
	}
	if err == nil {
		_, err = ledger.Append(ctx, tx, ledger.Entry{OrganisationID: c.OrganisationID, At: x.clock, ActorKind: "system", Act: notify.ActChannel, Subject: c.ID, Details: facts})
	}
	return err
}
