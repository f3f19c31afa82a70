package act_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// factor sets up the second factor of somebody.
func (x *fixture) factor(a act.Actor) (key string, recovery []string) {
	x.t.Helper()
	key, url, err := x.BeginFactor(x.t.Context(), a, x.passwords[a.ID])
	ok(x.t, err)
	if !strings.HasPrefix(url, "otpauth://totp/") || !strings.Contains(url, key) {
		x.t.Errorf("%q", url)
	}
	recovery, err = x.ConfirmFactor(x.t.Context(), a, x.code(key), "192.0.2.1", "")
	ok(x.t, err)
	return key, recovery
}

// proof is that of somebody's password as it is now.
func (x *fixture) proof(a act.Actor) string {
	x.t.Helper()
	proof, err := operator.ProofOf(x.t.Context(), x.db.Read(), a.ID)
	ok(x.t, err)
	return proof
}

func (x *fixture) code(key string) string {
	x.t.Helper()
	c, err := totp.GenerateCode(key, x.clock)
	ok(x.t, err)
	return c
}

func TestSecondFactorCodes(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, _, err := x.BeginFactor(ctx, x.owner, ownerPassword)
		ok(t, err)
		_, err = x.ConfirmFactor(ctx, x.owner, "000000", "192.0.2.1", "")
		wantInvalid(t, err, "code", "wrong")
		if _, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1"); err != nil {
			t.Errorf("a factor that was not confirmed is asked for: %v", err)
		}
		key, recovery := x.factor(x.owner)
		var stored string
		ok(t, x.db.Read().QueryRowContext(ctx, `SELECT factor_secret FROM operator_operator WHERE id = $1`, x.owner.ID).Scan(&stored))
		if strings.Contains(stored, key) {
			t.Error("the key lies in the database in the clear")
		}
		if _, _, err := x.BeginFactor(ctx, x.owner, ownerPassword); !errors.Is(err, act.ErrConflict) {
			t.Errorf("the factor in use was replaced without a code: %v", err)
		}
		o, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1")
		if !errors.Is(err, act.ErrNeedsCode) || !errors.Is(err, act.ErrForbidden) || o.ID != x.owner.ID {
			t.Fatalf("%+v, %v", o, err)
		}
		sign := func(code string) error {
			_, err := x.ConfirmSignIn(ctx, x.owner.ID, x.proof(x.owner), code, "192.0.2.9")
			return err
		}
		wantErr(t, sign(x.code(key)), act.ErrForbidden) // it was used to confirm
		x.clock = x.clock.Add(30 * time.Second)
		late := x.code(key)
		x.clock = x.clock.Add(30 * time.Second) // one step later: clocks differ
		ok(t, sign(" "+late[:3]+" "+late[3:]))
		wantErr(t, sign(late), act.ErrForbidden)
		ok(t, sign(strings.Map(func(r rune) rune { return r - '0' + '０' }, x.code(key))))
		x.clock = x.clock.Add(-30 * time.Second) // a clock that is set back brings no code back
		wantErr(t, sign(x.code(key)), act.ErrForbidden)
		x.clock = x.clock.Add(10 * time.Minute)
		old := x.code(key)
		x.clock = x.clock.Add(2 * time.Minute)
		wantErr(t, sign(old), act.ErrForbidden)

		ok(t, sign(strings.ToUpper(recovery[0])))
		wantErr(t, sign(recovery[0]), act.ErrForbidden)
		wantErr(t, sign("0-aaaa-aaaa-aaaa"), act.ErrForbidden)
		x.clock = x.clock.Add(time.Hour)
		fresh, err := x.NewRecoveryCodes(ctx, x.owner, x.code(key), "192.0.2.9")
		ok(t, err)
		wantErr(t, sign(recovery[1]), act.ErrForbidden)
		ok(t, sign(fresh[9]))
		ok(t, x.RemoveFactor(ctx, x.owner, fresh[8], "192.0.2.9"))
		if _, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1"); err != nil {
			t.Errorf("after it was removed: %v", err)
		}
		x.ledgerStands()
	})
}

// TestOneCodeLetsOneIn: of many requests with one code, one gets in.
func TestOneCodeLetsOneIn(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		key, recovery := x.factor(x.owner)
		x.clock = x.clock.Add(time.Minute)
		proof := x.proof(x.owner)
		for _, code := range []string{x.code(key), recovery[5]} {
			var in atomic.Int32
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := x.ConfirmSignIn(context.WithoutCancel(t.Context()), x.owner.ID, proof, code, "192.0.2.1"); err == nil {
						in.Add(1)
					}
				})
			}
			wg.Wait()
			if in.Load() != 1 {
				t.Errorf("%d got in with one code", in.Load())
			}
		}
	})
}

func TestGuessingCodesIsSlowedAndNeverForGood(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		key, _ := x.factor(x.owner)
		tried := 0
		for i := range 40 { // from many places
			_, err := x.ConfirmSignIn(ctx, x.owner.ID, x.proof(x.owner), "000000", "198.51.100."+string(rune('0'+i%10)))
			if !errors.Is(err, act.ErrLocked) {
				tried++
			}
		}
		if tried > 11 {
			t.Errorf("%d guesses at once", tried)
		}
		x.clock = x.clock.Add(10*time.Minute + time.Second)
		if _, err := x.ConfirmSignIn(ctx, x.owner.ID, x.proof(x.owner), x.code(key), "203.0.113.7"); err != nil {
			t.Errorf("the only owner is kept out: %v", err)
		}
	})
}

// TestRecoveryCodeGetsInWhileCodesAreBarred: who knows the password and guesses codes bars the
// app's codes of its owner, never the recovery codes, which nobody guesses.
func TestRecoveryCodeGetsInWhileCodesAreBarred(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, recovery := x.factor(x.owner)
		proof := x.proof(x.owner)
		var err error
		for i := range 40 {
			_, err = x.ConfirmSignIn(ctx, x.owner.ID, proof, "000000", "198.51.100."+string(rune('0'+i%10)))
		}
		wantErr(t, err, act.ErrLocked)
		if _, err := x.ConfirmSignIn(ctx, x.owner.ID, proof, recovery[0], "203.0.113.7"); err != nil {
			t.Errorf("the owner is kept out: %v", err)
		}
		// Guessing them is slowed down by address all the same.
		for range 8 {
			_, err = x.ConfirmSignIn(ctx, x.owner.ID, proof, "1-aaaa-aaaa-aaaa", "203.0.113.8")
		}
		wantErr(t, err, act.ErrLocked)
	})
}

// TestFactorTakesThePassword: who finds a console open does not make it theirs by a second factor.
func TestFactorTakesThePassword(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, _, err := x.BeginFactor(ctx, x.owner, "wrong")
		wantErr(t, err, act.ErrForbidden)
		if _, err := x.FactorBegun(ctx, x.owner); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("a key waits without the password: %v", err)
		}
		first, _, err := x.BeginFactor(ctx, x.owner, ownerPassword)
		ok(t, err)
		// Another key takes its place: a code of the first one confirms nothing.
		_, _, err = x.BeginFactor(ctx, x.owner, ownerPassword)
		ok(t, err)
		_, err = x.ConfirmFactor(ctx, x.owner, x.code(first), "192.0.2.1", "")
		wantInvalid(t, err, "code", "wrong")
		for range 10 {
			_, _, err = x.BeginFactor(ctx, x.owner, "wrong")
		}
		wantErr(t, err, act.ErrLocked)
	})
}

// TestKeyThatWasReplacedIsNotConfirmed: between the check of a code and the key's coming into
// use another key may have been stored.
func TestKeyThatWasReplacedIsNotConfirmed(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			if err := operator.BeginFactor(ctx, tx, x.owner.ID, "sealed 2"); err != nil {
				return err
			}
			if same, err := operator.ConfirmFactor(ctx, tx, x.owner.ID, "sealed 1", 1, x.clock); same || err != nil {
				t.Errorf("a key that was replaced is confirmed: %v", err)
			}
			if same, err := operator.ConfirmFactor(ctx, tx, x.owner.ID, "sealed 2", 1, x.clock); !same || err != nil {
				t.Errorf("the key that waits is not confirmed: %v", err)
			}
			if same, err := operator.ConfirmFactor(ctx, tx, x.owner.ID, "sealed 2", 1, x.clock); same || err != nil {
				t.Errorf("a key in use is confirmed again: %v", err)
			}
			return nil
		}))
	})
}

// TestWaitingSignInEndsWithThePassword: a sign-in that waits for the code is worth nothing after
// the password was reset, or the second factor was.
func TestWaitingSignInEndsWithThePassword(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		h := x.person("hanako", operator.Handler)
		key, _ := x.factor(h)
		x.clock = x.clock.Add(time.Minute)
		_, err := x.SignIn(ctx, "hanako", x.passwords[h.ID], "192.0.2.1")
		var waits *act.NeedsCode
		if !errors.As(err, &waits) || waits.Proof == "" {
			t.Fatalf("%v", err)
		}
		_, err = x.ResetPassword(ctx, x.owner, h.ID)
		ok(t, err)
		_, err = x.ConfirmSignIn(ctx, h.ID, waits.Proof, x.code(key), "192.0.2.1")
		wantErr(t, err, act.ErrSignInOver)
		_, err = x.ConfirmSignIn(ctx, h.ID, "", x.code(key), "192.0.2.1")
		wantErr(t, err, act.ErrSignInOver)
		if _, err = x.ConfirmSignIn(ctx, h.ID, x.proof(h), x.code(key), "192.0.2.1"); err != nil {
			t.Errorf("with the password of now: %v", err)
		}
		ok(t, x.ResetFactor(ctx, x.owner, h.ID, "lost"))
		_, err = x.ConfirmSignIn(ctx, h.ID, x.proof(h), x.code(key), "192.0.2.1")
		wantErr(t, err, act.ErrSignInOver)
	})
}

func TestResetFactor(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		x.factor(x.owner)
		resp := x.person("resp", operator.Responsible)
		h := x.person("hanako", operator.Handler)
		x.factor(h)
		wantErr(t, x.ResetFactor(ctx, resp, x.owner.ID, "lost"), act.ErrForbidden) // above the own role
		wantErr(t, x.ResetFactor(ctx, x.owner, x.owner.ID, "lost"), act.ErrForbidden)
		wantErr(t, x.ResetFactor(ctx, h, resp.ID, "lost"), act.ErrForbidden)
		wantInvalid(t, x.ResetFactor(ctx, resp, h.ID, ""), "reason", "required")
		ok(t, x.ResetFactor(ctx, resp, h.ID, "lost phone"))
		wantErr(t, x.ResetFactor(ctx, resp, h.ID, "again"), act.ErrConflict)
		// The only owner is helped at the collector's own machine.
		ok(t, x.ResetFactor(ctx, act.Actor{Kind: act.ByLocal, Name: "root", BreakGlass: "phone lost"}, x.owner.ID, "phone lost"))
		if _, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1"); err != nil {
			t.Error(err)
		}
		x.ledgerStands()
	})
}

func TestRoleThatNeedsAFactorOpensNothingElse(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		h, resp := x.person("hanako", operator.Handler), x.person("resp", operator.Responsible)
		wantErr(t, x.SetPeopleSettings(ctx, resp, organisation.People{FactorRoles: []string{"owner"}}), act.ErrForbidden)
		wantInvalid(t, x.SetPeopleSettings(ctx, resp, organisation.People{FactorRoles: []string{"king"}}), "factor_roles", "unknown")
		for _, bad := range []string{"javascript:alert(1)", "https://u:p@x", "https://x/path", "ftp://x", "https://"} {
			wantInvalid(t, x.SetPeopleSettings(ctx, resp, organisation.People{ConsoleURL: bad}), "console_url", "malformed")
		}
		ok(t, x.SetPeopleSettings(ctx, resp, organisation.People{FactorRoles: []string{"handler"}}))
		_, err := x.Incidents(ctx, h)
		wantErr(t, err, act.ErrMustSetFactor)
		wantErr(t, x.AddNote(ctx, h, "inc_none", "n"), act.ErrMustSetFactor)
		if _, err := x.Incidents(ctx, resp); err != nil {
			t.Errorf("another role: %v", err)
		}
		x.factor(h)
		if _, err := x.Incidents(ctx, h); err != nil {
			t.Error(err)
		}
	})
}

func TestOwnAccountIsOnesOwn(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for _, a := range []act.Actor{{}, {Kind: act.BySystem}, {Kind: act.ByLocal, BreakGlass: "why"}, {Kind: act.ByEndpoint, ID: "end_x"}, {Kind: act.ByOperator, ID: "opr_none"}} {
			if _, err := x.OwnAccount(ctx, a); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%+v has an account: %v", a, err)
			}
			if _, _, err := x.BeginFactor(ctx, a, ""); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%+v has a factor: %v", a, err)
			}
			wantErr(t, x.EndOtherSessions(ctx, a, ""), act.ErrForbidden)
			wantErr(t, x.SetOwnAddress(ctx, a, "a@example.jp"), act.ErrForbidden)
		}
		wantInvalid(t, x.SetOwnAddress(ctx, x.owner, "a@example.jp\r\nBcc: b@example.jp"), "address", "malformed")
		ok(t, x.SetOwnAddress(ctx, x.owner, "a@example.jp"))
		a, err := x.OwnAccount(ctx, x.owner)
		if err != nil || a.Operator.Address != "a@example.jp" {
			t.Errorf("%+v, %v", a, err)
		}
		o, _, err := x.AddOperator(ctx, x.owner, act.NewOperator{Name: "new", Role: operator.Handler})
		ok(t, err)
		_, _, err = x.BeginFactor(ctx, act.Actor{Kind: act.ByOperator, ID: o.ID}, "")
		wantErr(t, err, act.ErrMustChangePassword)
	})
}
