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
)

// factor sets up the second factor of somebody.
func (x *fixture) factor(a act.Actor) (key string, recovery []string) {
	x.t.Helper()
	key, url, err := x.BeginFactor(x.t.Context(), a)
	ok(x.t, err)
	if !strings.HasPrefix(url, "otpauth://totp/") || !strings.Contains(url, key) {
		x.t.Errorf("%q", url)
	}
	recovery, err = x.ConfirmFactor(x.t.Context(), a, x.code(key), "192.0.2.1", "")
	ok(x.t, err)
	return key, recovery
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
		_, _, err := x.BeginFactor(ctx, x.owner)
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
		if _, _, err := x.BeginFactor(ctx, x.owner); !errors.Is(err, act.ErrConflict) {
			t.Errorf("the factor in use was replaced without a code: %v", err)
		}
		o, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1")
		if !errors.Is(err, act.ErrNeedsCode) || !errors.Is(err, act.ErrForbidden) || o.ID != x.owner.ID {
			t.Fatalf("%+v, %v", o, err)
		}
		sign := func(code string) error { _, err := x.ConfirmSignIn(ctx, x.owner.ID, code, "192.0.2.9"); return err }
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
		for _, code := range []string{x.code(key), recovery[5]} {
			var in atomic.Int32
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := x.ConfirmSignIn(context.WithoutCancel(t.Context()), x.owner.ID, code, "192.0.2.1"); err == nil {
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
			_, err := x.ConfirmSignIn(ctx, x.owner.ID, "000000", "198.51.100."+string(rune('0'+i%10)))
			if !errors.Is(err, act.ErrLocked) {
				tried++
			}
		}
		if tried > 11 {
			t.Errorf("%d guesses at once", tried)
		}
		x.clock = x.clock.Add(10*time.Minute + time.Second)
		if _, err := x.ConfirmSignIn(ctx, x.owner.ID, x.code(key), "203.0.113.7"); err != nil {
			t.Errorf("the only owner is kept out: %v", err)
		}
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
			if _, _, err := x.BeginFactor(ctx, a); !errors.Is(err, act.ErrForbidden) {
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
		_, _, err = x.BeginFactor(ctx, act.Actor{Kind: act.ByOperator, ID: o.ID})
		wantErr(t, err, act.ErrMustChangePassword)
	})
}
