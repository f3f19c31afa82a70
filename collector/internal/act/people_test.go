package act_test

import (
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

func TestOneTimePasswordOpensNothingButItsChange(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o, once, err := x.AddOperator(ctx, x.owner, act.NewOperator{Name: "tanaka", DisplayName: "田中", Role: operator.Handler})
		if err != nil {
			t.Fatal(err)
		}
		a := act.Actor{Kind: act.ByOperator, ID: o.ID, Role: operator.Owner} // a claimed role counts for nothing
		in, err := x.SignIn(ctx, "tanaka", once, "192.0.2.1:5")
		if err != nil || !in.MustChangePassword {
			t.Fatalf("%+v, %v", in, err)
		}
		_, err = x.Endpoints(ctx, a)
		wantErr(t, err, act.ErrMustChangePassword)
		_, err = x.MintToken(ctx, a, act.NewToken{})
		wantErr(t, err, act.ErrMustChangePassword)

		wantInvalid(t, x.ChangePassword(ctx, a, once, "short"), "new", "too_short")
		wantInvalid(t, x.ChangePassword(ctx, a, once, "aaaaaaaaaaaaaaa"), "new", "weak")
		wantInvalid(t, x.ChangePassword(ctx, a, once, "tanaka-tanaka-1"), "new", "weak")
		wantInvalid(t, x.ChangePassword(ctx, a, once, once), "new", "in_use")
		wantErr(t, x.ChangePassword(ctx, a, "wrong", "a good new password"), act.ErrForbidden)
		if err := x.ChangePassword(ctx, a, once, "a good new password"); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Endpoints(ctx, a); err != nil {
			t.Error(err)
		}
		_, err = x.Operators(ctx, act.Actor{Kind: act.ByOperator, ID: "opr_nobody"})
		wantErr(t, err, act.ErrForbidden)
		_, _, err = x.AddOperator(ctx, a, act.NewOperator{Name: "eve", Role: operator.Viewer})
		wantErr(t, err, act.ErrForbidden)
		_, err = x.SignIn(ctx, "tanaka", once, "192.0.2.1")
		wantErr(t, err, act.ErrForbidden)
		if _, err := x.SignIn(ctx, "tanaka", "a good new password", "192.0.2.1"); err != nil {
			t.Error(err)
		}
		if got := x.acts(o.ID); len(got) != 4 || got[0] != "operator.add" || got[1] != "operator.sign_in" || got[2] != "operator.change_password" {
			t.Errorf("ledger: %q", got)
		}
		x.ledgerStands()
	})
}

func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		locked := 0
		for range 8 {
			_, err := x.SignIn(ctx, "owner", "wrong", "203.0.113.9")
			wantErr(t, err, act.ErrForbidden)
			if err == act.ErrLocked {
				locked++
			}
		}
		if locked == 0 {
			t.Fatal("eight wrong passwords in a row were all looked at")
		}
		_, err := x.SignIn(ctx, "owner", ownerPassword, "203.0.113.9")
		wantErr(t, err, act.ErrLocked)
		if _, err := x.SignIn(ctx, "owner", ownerPassword, "192.0.2.1"); err != nil {
			t.Errorf("a stranger's guesses kept the owner out elsewhere: %v", err)
		}
		x.clock = x.clock.Add(time.Minute)
		if _, err := x.SignIn(ctx, "owner", ownerPassword, "203.0.113.9"); err != nil {
			t.Errorf("after waiting: %v", err)
		}
		n := 0
		for _, name := range x.acts("") {
			if name == "operator.lock" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d entries about guessing, want one per series", n)
		}
	})
}

func TestDisabledOperatorIsOutAtOnce(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		a := x.person("suzuki", operator.Responsible)
		token, _, err := x.BeginLocalSession(ctx, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := x.LocalSession(ctx, token); err != nil || o.ID != a.ID {
			t.Fatalf("%+v, %v", o, err)
		}
		if err := x.DisableOperator(ctx, x.owner, a.ID); err != nil {
			t.Fatal(err)
		}
		_, err = x.LocalSession(ctx, token)
		wantErr(t, err, act.ErrForbidden)
		_, err = x.Endpoints(ctx, a)
		wantErr(t, err, act.ErrForbidden)
		_, err = x.OperatorByID(ctx, a.ID)
		wantErr(t, err, act.ErrForbidden)
		_, err = x.SignIn(ctx, "suzuki", "a long password of sxyz", "192.0.2.1")
		wantErr(t, err, act.ErrForbidden)
		_, err = x.ResetPassword(ctx, x.owner, a.ID)
		wantErr(t, err, act.ErrConflict)
		wantErr(t, x.DisableOperator(ctx, x.owner, x.owner.ID), act.ErrConflict) // the last owner
	})
}

func TestNobodyReachesAboveTheirOwnRole(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		a := x.person("sato", operator.Responsible)
		_, _, err := x.AddOperator(ctx, a, act.NewOperator{Name: "boss", Role: operator.Owner})
		wantErr(t, err, act.ErrForbidden)
		_, err = x.ResetPassword(ctx, a, x.owner.ID)
		wantErr(t, err, act.ErrForbidden)
		wantErr(t, x.DisableOperator(ctx, a, x.owner.ID), act.ErrForbidden)
		if _, _, err := x.AddOperator(ctx, a, act.NewOperator{Name: "helper", Role: operator.Handler}); err != nil {
			t.Error(err)
		}
		_, _, err = x.AddOperator(ctx, a, act.NewOperator{Name: "helper", Role: operator.Handler})
		wantInvalid(t, err, "name", "in_use")
		_, _, err = x.AddOperator(ctx, a, act.NewOperator{Name: "Bad Name", Role: operator.Handler})
		wantInvalid(t, err, "name", "malformed")
		_, _, err = x.AddOperator(ctx, a, act.NewOperator{Name: "x", Role: "root"})
		wantInvalid(t, err, "role", "unknown")
	})
}

func TestBreakGlassNeedsAReasonAndLeavesIt(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		_, err := x.MintToken(ctx, act.Actor{Kind: act.ByLocal}, act.NewToken{})
		wantErr(t, err, act.ErrForbidden)
		_, err = x.MintToken(ctx, act.Actor{Kind: act.ByEndpoint, ID: "end_x"}, act.NewToken{})
		wantErr(t, err, act.ErrForbidden)
		m, err := x.MintToken(ctx, act.Actor{Kind: act.ByLocal, Name: "uid 0", BreakGlass: "console is down"}, act.NewToken{})
		if err != nil {
			t.Fatal(err)
		}
		list, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{Subject: m.Token.ID})
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if e := list[0]; e.ActorKind != "local" || e.Details["break_glass"] != "console is down" {
			t.Errorf("%+v", e)
		}
	})
}

func TestFoundOnlyOnce(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		_, _, err := x.Found(t.Context(), "another", act.NewOperator{Name: "other"})
		wantErr(t, err, act.ErrConflict)
	})
}

// TestMistakesOfOthersLockNobodysPassword: colleagues who mistype their old passwords,
// or guess, keep nobody else from changing theirs.
func TestMistakesOfOthersLockNobodysPassword(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6"} {
			a := x.person(name, operator.Viewer)
			for range 5 {
				wantErr(t, x.ChangePassword(ctx, a, "wrong", "a good new password"), act.ErrForbidden)
			}
		}
		o, once, err := x.AddOperator(ctx, x.owner, act.NewOperator{Name: "suzuki", Role: operator.Viewer})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.ChangePassword(ctx, act.Actor{Kind: act.ByOperator, ID: o.ID}, once, "a good new password"); err != nil {
			t.Error(err)
		}
	})
}
