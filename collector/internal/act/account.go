package act

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// Account is what somebody sees of the own account.
type Account struct {
	Operator operator.Operator
	// Begun means that a second factor waits to be confirmed; Needed that the role needs one.
	Begun, Needed bool
	RecoveryLeft  int // codes that were not used
	Sessions      []operator.Session
}

// OwnAccount returns what the actor's own account is.
func (s *Acts) OwnAccount(ctx context.Context, a Actor) (Account, error) {
	q := s.db.Read()
	o, err := s.self(ctx, q, a)
	if err != nil {
		return Account{}, err
	}
	f, err := operator.FactorOf(ctx, q, o.ID)
	if err != nil {
		return Account{}, known(err)
	}
	p, err := organisation.FindPeople(ctx, q, o.OrganisationID)
	if err != nil {
		return Account{}, err
	}
	sessions, err := operator.Sessions(ctx, q, s.seals, o.ID, s.now())
	if err != nil {
		return Account{}, err
	}
	return Account{Operator: o, Begun: f.Sealed != "" && f.Since.IsZero(), Needed: p.NeedsFactor(string(o.Role)), RecoveryLeft: f.Left, Sessions: sessions}, nil
}

// MustSetFactor reports whether somebody must set up a second factor before anything else.
func (s *Acts) MustSetFactor(ctx context.Context, o operator.Operator) (bool, error) {
	err := factorSet(ctx, s.db.Read(), o)
	if errors.Is(err, ErrMustSetFactor) {
		return true, nil
	}
	return false, err
}

// SetOwnAddress says where the actor is told what happened; empty: nowhere.
func (s *Acts) SetOwnAddress(ctx context.Context, a Actor, address string) error {
	if address != "" {
		if err := notify.CheckAddress(address); err != nil {
			return &Invalid{Field: "address", Code: "malformed", Err: err}
		}
	}
	return s.ofSelf(ctx, a, func(ctx context.Context, d *deed, o operator.Operator) error {
		if o.Address == address {
			return nil
		}
		if err := operator.SetAddress(ctx, d.tx, o.ID, address); err != nil {
			return err
		}
		_, err := d.record(ctx, operator.ActAddress, o.ID, map[string]string{"set": strconv.FormatBool(address != ""), operator.AddressSHA256: operator.ShortAddress(o.ID, address)})
		return err
	})
}

// EndOwnSession ends one of the actor's sessions. One that ended already is no error.
func (s *Acts) EndOwnSession(ctx context.Context, a Actor, sessionID string) error {
	return s.endSome(ctx, a, false, func(x operator.Session) bool { return x.ID == sessionID })
}

// EndOtherSessions ends all of the actor's sessions but one, and all tokens for programs:
// whoever was signed in as this person may have made one.
func (s *Acts) EndOtherSessions(ctx context.Context, a Actor, keep string) error {
	return s.endSome(ctx, a, true, func(x operator.Session) bool { return x.ID != keep })
}

func (s *Acts) endSome(ctx context.Context, a Actor, tokens bool, end func(operator.Session) bool) error {
	return s.ofSelf(ctx, a, func(ctx context.Context, d *deed, o operator.Operator) error {
		n, err := operator.EndSome(ctx, d.tx, s.seals, o.ID, d.now, end)
		was := false
		if err == nil && tokens {
			was, err = operator.EndTokens(ctx, d.tx, o.ID, d.now)
		}
		if err != nil || n == 0 && !was {
			return err
		}
		_, err = d.record(ctx, operator.ActEndSessions, o.ID, map[string]string{"sessions": strconv.Itoa(n), operator.TokensEnded: strconv.FormatBool(tokens)})
		return err
	})
}

// Person is what those who manage people see of one.
type Person struct {
	Operator operator.Operator
	Sessions []operator.Session
	Grants   []operator.Grant // of a vendor, ended ones too
	// Reachable means that the actor may change this person.
	Reachable bool
}

// Person finds one person of the actor's organisation.
func (s *Acts) Person(ctx context.Context, a Actor, operatorID string) (Person, error) {
	return read(ctx, s, a, mayManagePeople, func(q sqldb.Queryer, a Actor) (Person, error) {
		o, err := operator.ByID(ctx, q, operatorID)
		if err == nil {
			err = a.own(o.OrganisationID)
		}
		if err != nil {
			return Person{}, err
		}
		p := Person{Operator: o, Reachable: mayGrant(a.Role, o.Role)}
		if p.Sessions, err = operator.Sessions(ctx, q, s.seals, o.ID, s.now()); err != nil {
			return Person{}, err
		}
		p.Grants, err = operator.Grants(ctx, q, o.ID)
		return p, err
	})
}

// EndSessionsOf ends all sessions of another person.
func (s *Acts) EndSessionsOf(ctx context.Context, a Actor, operatorID string) error {
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		o, err := d.reachable(ctx, operatorID)
		if err != nil {
			return err
		}
		if err := operator.EndSessions(ctx, d.tx, o.ID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActEndSessions, o.ID, map[string]string{"name": o.Name})
		return err
	})
}

// PeopleSettings returns what the actor's organisation asks of its people.
func (s *Acts) PeopleSettings(ctx context.Context, a Actor) (organisation.People, error) {
	return read(ctx, s, a, mayManagePeople, func(q sqldb.Queryer, a Actor) (organisation.People, error) {
		return organisation.FindPeople(ctx, q, a.OrganisationID)
	})
}

// SetPeopleSettings says what the actor's organisation asks of its people. Nobody below an
// owner changes what owners need.
func (s *Acts) SetPeopleSettings(ctx context.Context, a Actor, p organisation.People) error {
	for _, r := range p.FactorRoles {
		if !operator.Role(r).Valid() {
			return &Invalid{Field: "factor_roles", Code: "unknown", Err: fmt.Errorf("there is no role %.40q", r)}
		}
	}
	slices.Sort(p.FactorRoles)
	p.FactorRoles = slices.Compact(p.FactorRoles)
	if p.ConsoleURL != "" {
		u, err := url.Parse(p.ConsoleURL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" || len(p.ConsoleURL) > 300 {
			return &Invalid{Field: "console_url", Code: "malformed", Err: errors.New("want https://host:port")}
		}
		p.ConsoleURL = u.Scheme + "://" + u.Host
	}
	return s.write(ctx, a, mayManagePeople, func(ctx context.Context, d *deed) error {
		was, err := organisation.FindPeople(ctx, d.tx, d.actor.OrganisationID)
		if err != nil {
			return err
		}
		owner := string(operator.Owner)
		if was.NeedsFactor(owner) != p.NeedsFactor(owner) && d.actor.Role != operator.Owner {
			return fmt.Errorf("%w: only an owner says what owners need", ErrForbidden)
		}
		if err := organisation.SetPeople(ctx, d.tx, d.actor.OrganisationID, p); err != nil {
			return err
		}
		_, err = d.record(ctx, organisation.ActPeople, d.actor.OrganisationID, map[string]string{"factor_roles": strings.Join(p.FactorRoles, " "), "console_url": p.ConsoleURL})
		return err
	})
}
