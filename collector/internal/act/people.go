package act

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// SignIn checks a name and a password. A wrong one and a name that does not exist
// take the same time and give the same [ErrForbidden]; too many give [ErrLocked]. For
// somebody with a second factor the error is a [NeedsCode] and the operator is returned
// all the same: whoever asks keeps that the password was right, and goes on with
// [Acts.ConfirmSignIn].
// remoteAddr is "host", "host:port" or a word such as "local".
func (s *Acts) SignIn(ctx context.Context, name, password, remoteAddr string) (operator.Operator, error) {
	if len(name) > operator.MaxName {
		name = name[:operator.MaxName] // can't exist; keeps the limiter's memory bounded
	}
	ok, first := s.limiter.Begin(name, remoteAddr)
	if !ok {
		return operator.Operator{}, ErrLocked
	}
	o, hash, err := operator.ByName(ctx, s.db.Read(), name)
	if err != nil && !errors.Is(err, operator.ErrNotFound) {
		return operator.Operator{}, err
	}
	right, err := s.hasher.Verify(ctx, password, hash)
	if err != nil {
		return operator.Operator{}, err
	}
	if !right || !o.DisabledAt.IsZero() {
		if first && o.ID != "" {
			// Once per series of guesses: strangers must not be able to fill the ledger.
			err = s.transact(ctx, func(ctx context.Context, d *deed) error {
				d.actor = Actor{Kind: BySystem, OrganisationID: o.OrganisationID}
				_, err := d.record(ctx, "operator.lock", o.ID, map[string]string{"name": o.Name, "remote_addr": remoteAddr})
				return err
			})
		}
		return operator.Operator{}, errors.Join(fmt.Errorf("%w: wrong name or password", ErrForbidden), err)
	}
	s.limiter.Right(name, remoteAddr)
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		// Again: the operator may have been disabled while the password was checked.
		now, again, err := operator.ByName(ctx, d.tx, name)
		if err != nil {
			return err
		}
		if !now.DisabledAt.IsZero() || again != hash {
			return fmt.Errorf("%w: wrong name or password", ErrForbidden)
		}
		o = now
		if !o.FactorSince.IsZero() {
			return nil
		}
		d.actor = actorOf(o)
		o.LastSignInAt = d.now
		if err := operator.SignedIn(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, "operator.sign_in", o.ID, map[string]string{"remote_addr": remoteAddr})
		return err
	})
	if err != nil {
		return operator.Operator{}, err
	}
	if !o.FactorSince.IsZero() {
		return o, &NeedsCode{Proof: operator.PasswordProof(hash)}
	}
	return o, nil
}

// ChangePassword replaces the actor's own password and ends the actor's sessions:
// the caller begins a new one.
func (s *Acts) ChangePassword(ctx context.Context, a Actor, old, new string) error {
	if a.Kind != ByOperator {
		return fmt.Errorf("%w: only operators have passwords", ErrForbidden)
	}
	if a.token != "" {
		return fmt.Errorf("%w: no token changes a password", ErrScope)
	}
	o, err := operator.ByID(ctx, s.db.Read(), a.ID)
	if err != nil {
		return known(err)
	}
	if !o.DisabledAt.IsZero() {
		return fmt.Errorf("%w: the operator is disabled", ErrForbidden)
	}
	if err := operator.CheckPassword(new, o.Name); err != nil {
		code := "weak"
		if len(new) > operator.MaxPassword {
			code = "too_long"
		} else if errors.Is(err, operator.ErrTooShort) {
			code = "too_short"
		}
		return &Invalid{Field: "new", Code: code, Err: err}
	}
	if new == old {
		return &Invalid{Field: "new", Code: "in_use", Err: errors.New("it is the old one")}
	}
	if err := s.ownPassword(ctx, o, old); err != nil {
		return err
	}
	fresh, err := s.hasher.Hash(ctx, new)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = actorOf(o)
		if err := operator.SetPassword(ctx, d.tx, o.ID, fresh, false, d.now); err != nil {
			return err
		}
		_, err := d.record(ctx, operator.ActPassword, o.ID, map[string]string{operator.PasswordSHA256: operator.ShortPassword(fresh)})
		return err
	})
}

// ownPassword asks for the password of somebody who is signed in. A wrong one is [ErrForbidden].
func (s *Acts) ownPassword(ctx context.Context, o operator.Operator, password string) error {
	where := "own password " + o.ID // nobody's mistakes keep another from changing theirs
	if ok, _ := s.limiter.Begin(o.Name, where); !ok {
		return ErrLocked
	}
	_, hash, err := operator.ByName(ctx, s.db.Read(), o.Name)
	if err != nil {
		return known(err)
	}
	right, err := s.hasher.Verify(ctx, password, hash)
	if err != nil {
		return err
	}
	if !right {
		return fmt.Errorf("%w: the password is wrong", ErrForbidden)
	}
	s.limiter.Right(o.Name, where)
	return nil
}

// OperatorByID finds the operator of a session. A disabled one is [ErrForbidden].
func (s *Acts) OperatorByID(ctx context.Context, operatorID string) (operator.Operator, error) {
	o, err := operator.ByID(ctx, s.db.Read(), operatorID)
	if err != nil {
		return operator.Operator{}, known(err)
	}
	if !o.DisabledAt.IsZero() {
		return operator.Operator{}, fmt.Errorf("%w: the operator is disabled", ErrForbidden)
	}
	return o, nil
}

// AddOperator adds a person, who signs in once with the password that is returned
// and has to choose another.
func (s *Acts) AddOperator(ctx context.Context, a Actor, n NewOperator) (op operator.Operator, oneTimePassword string, err error) {
	if err := operator.CheckName(n.Name); err != nil {
		return operator.Operator{}, "", &Invalid{Field: "name", Code: "malformed", Err: err}
	}
	if err := text("display_name", n.DisplayName, operator.MaxDisplayName, false); err != nil {
		return operator.Operator{}, "", err
	}
	if !n.Role.Valid() {
		return operator.Operator{}, "", &Invalid{Field: "role", Code: "unknown", Err: fmt.Errorf("there is no role %.40q", n.Role)}
	}
	if n.DisplayName == "" {
		n.DisplayName = n.Name
	}
	oneTimePassword = operator.OneTimePassword()
	hash, err := s.hasher.Hash(ctx, oneTimePassword)
	if err != nil {
		return operator.Operator{}, "", err
	}
	err = s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		if !mayGrant(d.actor.Role, n.Role) {
			return fmt.Errorf("%w: the role %s may not make one of role %s", ErrForbidden, d.actor.Role, n.Role)
		}
		op = operator.Operator{ID: id.New(id.Operator), OrganisationID: d.actor.OrganisationID, Name: n.Name, DisplayName: n.DisplayName,
			Role: n.Role, MustChangePassword: true, CreatedAt: d.now}
		err := operator.Insert(ctx, d.tx, op, hash)
		if errors.Is(err, operator.ErrNameUsed) {
			return &Invalid{Field: "name", Code: "in_use", Err: err}
		}
		if err != nil {
			return err
		}
		if err := operator.Handed(ctx, d.tx, op.ID, d.byOperator(), d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActAdd, op.ID, map[string]string{"name": op.Name, "display_name": op.DisplayName, "role": string(op.Role), operator.PasswordSHA256: operator.ShortPassword(hash)})
		return err
	})
	if err != nil {
		return operator.Operator{}, "", err
	}
	return op, oneTimePassword, nil
}

// ResetPassword gives another person a new one-time password and ends all sessions. Nobody
// resets the own one: that takes the old one, or another person.
func (s *Acts) ResetPassword(ctx context.Context, a Actor, operatorID string) (oneTimePassword string, err error) {
	oneTimePassword = operator.OneTimePassword()
	hash, err := s.hasher.Hash(ctx, oneTimePassword)
	if err != nil {
		return "", err
	}
	err = s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, err := d.reachable(ctx, operatorID)
		if err != nil {
			return err
		}
		if d.actor.Kind == ByOperator && o.ID == d.actor.ID {
			return fmt.Errorf("%w: nobody resets the own password", ErrForbidden)
		}
		if !o.DisabledAt.IsZero() {
			return fmt.Errorf("%w: the operator is disabled", ErrConflict)
		}
		if err := operator.SetPassword(ctx, d.tx, o.ID, hash, true, d.now); err != nil {
			return err
		}
		if err := operator.Handed(ctx, d.tx, o.ID, d.byOperator(), d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActReset, o.ID, map[string]string{"name": o.Name, operator.PasswordSHA256: operator.ShortPassword(hash)})
		return err
	})
	if err != nil {
		return "", err
	}
	return oneTimePassword, nil
}

// DisableOperator bars a person at once, sessions included. It can't be undone; the
// last owner can't be disabled.
func (s *Acts) DisableOperator(ctx context.Context, a Actor, operatorID string) error {
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, err := d.reachable(ctx, operatorID)
		if err != nil {
			return err
		}
		if !o.DisabledAt.IsZero() {
			return nil
		}
		if err := d.notLastOwner(ctx, o); err != nil {
			return err
		}
		if err := operator.Disable(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActDisable, o.ID, map[string]string{"name": o.Name})
		return err
	})
}

// byOperator is who acts at the console; empty for anything else.
func (d *deed) byOperator() string {
	if d.actor.Kind == ByOperator {
		return d.actor.ID
	}
	return ""
}

// reachable finds an operator whom the actor may change.
func (d *deed) reachable(ctx context.Context, operatorID string) (operator.Operator, error) {
	o, err := operator.ByID(ctx, d.tx, operatorID)
	if err != nil {
		return operator.Operator{}, err
	}
	if err := d.actor.own(o.OrganisationID); err != nil {
		return operator.Operator{}, err
	}
	if !mayGrant(d.actor.Role, o.Role) {
		return operator.Operator{}, fmt.Errorf("%w: the role %s may not change one of role %s", ErrForbidden, d.actor.Role, o.Role)
	}
	return o, nil
}

// Operators lists the people of the actor's organisation, disabled ones too.
func (s *Acts) Operators(ctx context.Context, a Actor) ([]operator.Operator, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]operator.Operator, error) {
		return operator.List(ctx, q, a.OrganisationID)
	})
}

// SessionStore keeps the sessions of the console.
func (s *Acts) SessionStore() *operator.SessionStore {
	return operator.NewSessionStore(s.db, s.seals, s.now)
}

// BeginLocalSession gives somebody who has just signed in a token for the local socket.
func (s *Acts) BeginLocalSession(ctx context.Context, operatorID string) (token string, expiresAt time.Time, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		token, expiresAt, err = operator.NewLocalSession(ctx, tx, s.seals, operatorID, s.now())
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expiresAt, nil
}

// LocalSession returns the operator of a token from [Acts.BeginLocalSession], or
// [ErrForbidden] when it has expired or was ended.
func (s *Acts) LocalSession(ctx context.Context, token string) (operator.Operator, error) {
	o, err := operator.LocalSession(ctx, s.db.Read(), s.seals, token, s.now())
	if errors.Is(err, operator.ErrNotFound) {
		return operator.Operator{}, fmt.Errorf("%w: the sign-in has expired", ErrForbidden)
	}
	return o, err
}

// EndLocalSession signs out at the local socket.
func (s *Acts) EndLocalSession(ctx context.Context, token string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return operator.EndLocalSession(ctx, tx, token, s.now())
	})
}
