package act

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// factorSet refuses somebody whose role needs a second factor and who has none.
func factorSet(ctx context.Context, q sqldb.Queryer, o operator.Operator) error {
	if !o.FactorSince.IsZero() {
		return nil
	}
	p, err := organisation.FindPeople(ctx, q, o.OrganisationID)
	if err != nil {
		return err
	}
	if p.NeedsFactor(string(o.Role)) {
		return ErrMustSetFactor
	}
	return nil
}

// self finds the operator of an act on one's own account, which is open before a second
// factor is set up, but not before the one-time password was changed.
func (s *Acts) self(ctx context.Context, q sqldb.Queryer, a Actor) (operator.Operator, error) {
	if a.Kind != ByOperator {
		return operator.Operator{}, fmt.Errorf("%w: only operators have an account", ErrForbidden)
	}
	if a.token != "" {
		return operator.Operator{}, fmt.Errorf("%w: no token reaches an account", ErrScope)
	}
	o, err := operator.ByID(ctx, q, a.ID)
	if errors.Is(err, operator.ErrNotFound) {
		return o, fmt.Errorf("%w: unknown operator", ErrForbidden)
	}
	if err != nil {
		return o, err
	}
	if !o.DisabledAt.IsZero() {
		return o, fmt.Errorf("%w: the operator is disabled", ErrForbidden)
	}
	if o.MustChangePassword {
		return o, ErrMustChangePassword
	}
	return o, nil
}

// ofSelf runs fn in a transaction on one's own account.
func (s *Acts) ofSelf(ctx context.Context, a Actor, fn func(ctx context.Context, d *deed, o operator.Operator) error) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		o, err := s.self(ctx, d.tx, a)
		if err != nil {
			return err
		}
		d.actor = actorOf(o)
		return fn(ctx, d, o)
	})
}

func factorThing(operatorID string) string { return "factor " + operatorID }

// BeginFactor makes a key for an authenticator app. It is not in use before
// [Acts.ConfirmFactor]; beginning anew throws an unconfirmed one away. The password is asked
// for: who found a console open must not make it theirs. The error is [ErrForbidden] for a
// wrong one, and [ErrConflict] for somebody who has a second factor: that is removed first.
func (s *Acts) BeginFactor(ctx context.Context, a Actor, password string) (key, url string, err error) {
	o, err := s.self(ctx, s.db.Read(), a)
	if err != nil {
		return "", "", err
	}
	if !o.FactorSince.IsZero() {
		return "", "", fmt.Errorf("%w: there is a second factor", ErrConflict)
	}
	if err := s.ownPassword(ctx, o, password); err != nil {
		return "", "", err
	}
	err = s.ofSelf(ctx, a, func(ctx context.Context, d *deed, o operator.Operator) error {
		if !o.FactorSince.IsZero() {
			return fmt.Errorf("%w: there is a second factor", ErrConflict)
		}
		if key, url, err = operator.NewFactor("Hozen", o.Name); err != nil {
			return err
		}
		sealed, err := s.secrets.Seal(factorThing(o.ID), []byte(key))
		if err != nil {
			return err
		}
		if err := operator.BeginFactor(ctx, d.tx, o.ID, sealed); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActFactorBegin, o.ID, map[string]string{operator.FactorSHA256: operator.ShortFactor(sealed)})
		return err
	})
	if err != nil {
		return "", "", err
	}
	return key, url, nil
}

// FactorBegun returns the key that waits to be confirmed, to be shown again. The error is
// [ErrNotFound] if none does.
func (s *Acts) FactorBegun(ctx context.Context, a Actor) (key string, err error) {
	o, err := s.self(ctx, s.db.Read(), a)
	if err != nil {
		return "", err
	}
	key, _, err = s.factorBegun(ctx, o)
	return key, err
}

func (s *Acts) factorBegun(ctx context.Context, o operator.Operator) (key, sealed string, err error) {
	f, err := operator.FactorOf(ctx, s.db.Read(), o.ID)
	if err != nil {
		return "", "", known(err)
	}
	if f.Sealed == "" || !f.Since.IsZero() {
		return "", "", ErrNotFound
	}
	b, err := s.secrets.Open(factorThing(o.ID), f.Sealed)
	if err != nil {
		return "", "", fmt.Errorf("%w: the key can't be read: %w", ErrNotFound, err)
	}
	return string(b), f.Sealed, nil
}

// ConfirmFactor takes the key into use when code is of it, and returns the recovery codes,
// which are shown once. All other sessions and all tokens of the person end.
func (s *Acts) ConfirmFactor(ctx context.Context, a Actor, code, remoteAddr, keep string) (recovery []string, err error) {
	o, err := s.self(ctx, s.db.Read(), a)
	if err != nil {
		return nil, err
	}
	key, sealed, err := s.factorBegun(ctx, o)
	if err != nil {
		return nil, err
	}
	if ok, _ := s.limiter.BeginCode(o.ID, remoteAddr); !ok {
		return nil, ErrLocked
	}
	step, err := operator.FactorStep(key, code, 0, s.now())
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, &Invalid{Field: "code", Code: "wrong", Err: errors.New("the code is wrong")}
	}
	s.limiter.RightCode(o.ID, remoteAddr)
	recovery, hashes, err := s.recoveryCodes(ctx)
	if err != nil {
		return nil, err
	}
	err = s.ofSelf(ctx, a, func(ctx context.Context, d *deed, o operator.Operator) error {
		if !o.FactorSince.IsZero() {
			return fmt.Errorf("%w: there is a second factor", ErrConflict)
		}
		same, err := operator.ConfirmFactor(ctx, d.tx, o.ID, sealed, step, d.now)
		if err == nil && !same {
			err = fmt.Errorf("%w: another key was made meanwhile", ErrConflict) // whose code was not checked
		}
		if err == nil {
			err = operator.SetRecovery(ctx, d.tx, o, hashes)
		}
		if err != nil {
			return err
		}
		if _, err := operator.EndSome(ctx, d.tx, s.seals, o.ID, d.now, func(x operator.Session) bool { return x.ID != keep }); err != nil {
			return err
		}
		if _, err := operator.EndTokens(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActFactorOn, o.ID, map[string]string{operator.CodesSHA256: operator.ShortCodes(hashes)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return recovery, nil
}

// recoveryCodes makes recovery codes and their hashes.
func (s *Acts) recoveryCodes(ctx context.Context) (codes, hashes []string, err error) {
	for no := range operator.RecoveryCodes {
		code := operator.RecoveryCode(no)
		_, plain, _ := operator.ParseRecoveryCode(code)
		hash, err := s.hasher.Hash(ctx, plain)
		if err != nil {
			return nil, nil, err
		}
		codes, hashes = append(codes, code), append(hashes, hash)
	}
	return codes, hashes, nil
}

// ConfirmSignIn ends a sign-in that [Acts.SignIn] answered with [ErrNeedsCode], by a code of
// the authenticator app or by a recovery code. Each works once. The caller has kept for a
// short while that the password was right, and proof, see [NeedsCode]; the error is
// [ErrSignInOver] if that password is not the one of now.
func (s *Acts) ConfirmSignIn(ctx context.Context, operatorID, proof, code, remoteAddr string) (operator.Operator, error) {
	o, err := s.OperatorByID(ctx, operatorID)
	if err != nil {
		return operator.Operator{}, err
	}
	unchanged := func(q sqldb.Queryer) error {
		now, err := operator.ProofOf(ctx, q, o.ID)
		if err == nil && now != proof {
			err = ErrSignInOver
		}
		return err
	}
	if err := unchanged(s.db.Read()); err != nil {
		return operator.Operator{}, err
	}
	if o.FactorSince.IsZero() {
		return operator.Operator{}, ErrSignInOver // it was reset
	}
	var used string
	err = s.checkCode(ctx, o, code, remoteAddr, func(ctx context.Context, d *deed, how string) error {
		now, err := operator.ByID(ctx, d.tx, o.ID)
		if err != nil {
			return err
		}
		if !now.DisabledAt.IsZero() {
			return fmt.Errorf("%w: the operator is disabled", ErrForbidden)
		}
		if err := unchanged(d.tx); err != nil {
			return err
		}
		o, used = now, how
		if err := operator.SignedIn(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		o.LastSignInAt = d.now
		_, err = d.record(ctx, "operator.sign_in", o.ID, map[string]string{"remote_addr": remoteAddr, "factor": used})
		return err
	})
	if err != nil {
		return operator.Operator{}, err
	}
	return o, nil
}

// checkCode uses a code up and runs fn in the same transaction.
func (s *Acts) checkCode(ctx context.Context, o operator.Operator, code, remoteAddr string, fn func(ctx context.Context, d *deed, how string) error) error {
	if len(code) > 64 {
		code = code[:64]
	}
	no, plain, recovery := operator.ParseRecoveryCode(code)
	begin, right := s.limiter.BeginCode, s.limiter.RightCode
	if recovery {
		begin, right = s.limiter.BeginRecovery, s.limiter.RightRecovery
	}
	ok, first := begin(o.ID, remoteAddr)
	if !ok {
		return ErrLocked
	}
	f, err := operator.FactorOf(ctx, s.db.Read(), o.ID)
	if err != nil {
		return known(err)
	}
	if f.Since.IsZero() {
		return fmt.Errorf("%w: there is no second factor", ErrConflict)
	}
	wrong := func() error {
		err := fmt.Errorf("%w: wrong code", ErrForbidden)
		if !first {
			return err
		}
		return errors.Join(err, s.transact(ctx, func(ctx context.Context, d *deed) error {
			d.actor = Actor{Kind: BySystem, OrganisationID: o.OrganisationID}
			_, err := d.record(ctx, "operator.lock", o.ID, map[string]string{"name": o.Name, "remote_addr": remoteAddr, "what": "code"})
			return err
		}))
	}
	use := func(use func(ctx context.Context, d *deed) (bool, error), how string) error {
		err := s.useCode(ctx, o, use, func(ctx context.Context, d *deed) error { return fn(ctx, d, how) })
		if err == nil {
			right(o.ID, remoteAddr)
		}
		return err
	}
	if recovery {
		hash, err := operator.RecoveryHash(ctx, s.db.Read(), o.ID, no)
		if err != nil {
			return err
		}
		same, err := s.hasher.Verify(ctx, plain, hash)
		if err != nil {
			return err
		}
		if !same {
			return wrong()
		}
		return use(func(ctx context.Context, d *deed) (bool, error) {
			fresh, err := operator.UseRecovery(ctx, d.tx, o.ID, no, d.now)
			if err != nil || !fresh {
				return false, err
			}
			_, err = d.record(ctx, operator.ActCodeUsed, o.ID, map[string]string{"code": strconv.Itoa(no), "left": strconv.Itoa(f.Left - 1), "remote_addr": remoteAddr})
			return true, err
		}, "recovery")
	}
	key, err := s.secrets.Open(factorThing(o.ID), f.Sealed)
	if err != nil {
		return fmt.Errorf("%w: the second factor can't be read, somebody must reset it: %w", ErrConflict, err)
	}
	step, err := operator.FactorStep(string(key), code, f.Step, s.now())
	if err != nil {
		return err
	}
	if step == 0 {
		return wrong()
	}
	return use(func(ctx context.Context, d *deed) (bool, error) { return operator.UseStep(ctx, d.tx, o.ID, step) }, "code")
}

// useCode marks a code as used; one that another request used meanwhile is wrong.
func (s *Acts) useCode(ctx context.Context, o operator.Operator, use func(ctx context.Context, d *deed) (bool, error), fn func(ctx context.Context, d *deed) error) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = actorOf(o)
		fresh, err := use(ctx, d)
		if err == nil && !fresh {
			err = fmt.Errorf("%w: wrong code", ErrForbidden)
		}
		if err != nil {
			return err
		}
		return fn(ctx, d)
	})
}

// RemoveFactor takes one's own second factor away, by a code of it, and ends one's tokens. Where the role needs
// one, another must be set up before anything else.
func (s *Acts) RemoveFactor(ctx context.Context, a Actor, code, remoteAddr string) error {
	o, err := s.self(ctx, s.db.Read(), a)
	if err != nil {
		return err
	}
	return s.checkCode(ctx, o, code, remoteAddr, func(ctx context.Context, d *deed, _ string) error {
		if err := operator.RemoveFactor(ctx, d.tx, o.ID); err != nil {
			return err
		}
		if _, err := operator.EndTokens(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		_, err := d.record(ctx, operator.ActFactorOff, o.ID, nil)
		return err
	})
}

// NewRecoveryCodes replaces one's recovery codes, by a code of the second factor. The new
// ones are shown once.
func (s *Acts) NewRecoveryCodes(ctx context.Context, a Actor, code, remoteAddr string) ([]string, error) {
	o, err := s.self(ctx, s.db.Read(), a)
	if err != nil {
		return nil, err
	}
	codes, hashes, err := s.recoveryCodes(ctx)
	if err != nil {
		return nil, err
	}
	err = s.checkCode(ctx, o, code, remoteAddr, func(ctx context.Context, d *deed, _ string) error {
		if err := operator.SetRecovery(ctx, d.tx, o, hashes); err != nil {
			return err
		}
		_, err := d.record(ctx, operator.ActCodesNew, o.ID, map[string]string{operator.CodesSHA256: operator.ShortCodes(hashes)})
		return err
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// ResetFactor takes another person's second factor away, who lost it, and ends all
// sessions. Nobody resets the own one: that takes a code, or another person.
func (s *Acts) ResetFactor(ctx context.Context, a Actor, operatorID, reason string) error {
	if err := text("reason", reason, maxReason, true); err != nil {
		return err
	}
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, err := d.reachable(ctx, operatorID)
		if err != nil {
			return err
		}
		if d.actor.Kind == ByOperator && o.ID == d.actor.ID {
			return fmt.Errorf("%w: nobody resets the own second factor", ErrForbidden)
		}
		f, err := operator.FactorOf(ctx, d.tx, o.ID)
		if err != nil {
			return err
		}
		if f.Sealed == "" {
			return fmt.Errorf("%w: there is no second factor", ErrConflict)
		}
		if err := errors.Join(operator.RemoveFactor(ctx, d.tx, o.ID), operator.EndSessions(ctx, d.tx, o.ID, d.now),
			operator.FactorTaken(ctx, d.tx, o.ID, d.byOperator(), d.now)); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActFactorReset, o.ID, map[string]string{"name": o.Name, "reason": reason})
		return err
	})
}

// maxReason is how long a reason is at most, in bytes.
const maxReason = 1 << 10
