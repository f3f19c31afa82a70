package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// Bounds of a token's life, and how many a person has in force at most.
const (
	MinTokenLife = time.Hour
	MaxTokenLife = 366 * 24 * time.Hour
	maxTokens    = 50
)

// ErrScope is the [ErrForbidden] of a token that is not for what was asked.
var ErrScope = fmt.Errorf("%w: outside the scopes of the token", ErrForbidden)

// ErrNoToken is the [ErrForbidden] of a secret that is no token in force.
var ErrNoToken = fmt.Errorf("%w: no token in force", ErrForbidden)

// NewAPIToken is what [Acts.MakeAPIToken] needs.
type NewAPIToken struct {
	Name   string // what it is for, at most 64 bytes
	Scopes []Scope
	Life   time.Duration // an hour to a year
}

// APIToken is a token as people see it.
type APIToken struct {
	operator.Token
	By operator.Operator // on whose behalf it acts
	// Stands means that it is in force: it has not ended, and its maker is who it was.
	Stands bool
	// Mine means that the reader may end it.
	Mine bool
}

// MakeAPIToken makes a token with which a program acts on the actor's behalf. Its secret is
// returned once; only its hash is kept.
func (s *Acts) MakeAPIToken(ctx context.Context, a Actor, n NewAPIToken) (t operator.Token, secret string, err error) {
	n.Name = sqldb.CleanText(strings.TrimSpace(n.Name))
	err = s.write(ctx, a, mayMakeTokens, func(ctx context.Context, d *deed) error {
		if d.actor.Kind != ByOperator {
			return fmt.Errorf("%w: a token acts on behalf of a person, who makes it", ErrForbidden)
		}
		if err := text("name", n.Name, operator.MaxTokenName, true); err != nil {
			return err
		}
		if n.Life < MinTokenLife || n.Life > MaxTokenLife {
			return &Invalid{Field: "life", Code: "range", Err: errors.New("it must be an hour to a year")}
		}
		if len(n.Scopes) == 0 {
			return &Invalid{Field: "scopes", Code: "required", Err: errors.New("there is none")}
		}
		t = operator.Token{ID: id.New(id.APIToken), OrganisationID: d.actor.OrganisationID, OperatorID: d.actor.ID, Name: n.Name, Role: d.actor.Role,
			CreatedAt: d.now, ExpiresAt: d.now.Add(n.Life)}
		for _, sc := range n.Scopes {
			if !sc.Valid() || !sc.Usable(d.actor) {
				return &Invalid{Field: "scopes", Code: "unknown", Err: fmt.Errorf("there is no scope %.40q for the role %s", sc, d.actor.Role)}
			}
			t.Scopes = append(t.Scopes, string(sc))
		}
		slices.Sort(t.Scopes)
		t.Scopes = slices.Compact(t.Scopes)
		all, err := operator.Tokens(ctx, d.tx, t.OrganisationID)
		if err != nil {
			return err
		}
		inForce := 0
		for _, other := range all {
			if other.OperatorID == t.OperatorID && other.Live(d.now) {
				inForce++
			}
		}
		if inForce >= maxTokens {
			return fmt.Errorf("%w: there are %d tokens already, end some", ErrConflict, inForce)
		}
		secret = operator.NewTokenSecret()
		if err := operator.InsertToken(ctx, d.tx, t, secret); err != nil {
			return err
		}
		_, err = d.record(ctx, operator.ActMakeToken, t.ID, map[string]string{"name": t.Name, "scopes": strings.Join(t.Scopes, " "), "expires_at": sqldb.FormatTime(t.ExpiresAt),
			"role": string(t.Role), operator.SecretSHA256: operator.ShortSecret(secret)})
		return err
	})
	if err != nil {
		return operator.Token{}, "", err
	}
	return t, secret, nil
}

// MakeAPITokenProved is [Acts.MakeAPIToken] for somebody at a console, who proves once more to
// be who signed in there: a token outlives a screen that was left open. A wrong password makes
// the field "password" [Invalid]; too many of them are [ErrLocked].
func (s *Acts) MakeAPITokenProved(ctx context.Context, a Actor, password string, n NewAPIToken) (t operator.Token, secret string, err error) {
	a, err = s.identify(ctx, s.db.Read(), a, mayMakeTokens)
	if err != nil {
		return operator.Token{}, "", err
	}
	if a.Kind != ByOperator || a.token != "" {
		return operator.Token{}, "", fmt.Errorf("%w: a token acts on behalf of a person, who makes it", ErrForbidden)
	}
	o, err := operator.ByID(ctx, s.db.Read(), a.ID)
	if err != nil {
		return operator.Token{}, "", known(err)
	}
	if err := s.ownPassword(ctx, o, password); errors.Is(err, ErrForbidden) {
		return operator.Token{}, "", &Invalid{Field: "password", Code: "password", Err: err}
	} else if err != nil {
		return operator.Token{}, "", err
	}
	return s.MakeAPIToken(ctx, a, n)
}

// APITokens lists the tokens of the actor's organisation, the newest first, ended ones too.
func (s *Acts) APITokens(ctx context.Context, a Actor) ([]APIToken, error) {
	return read(ctx, s, a, mayMakeTokens, func(q sqldb.Queryer, a Actor) ([]APIToken, error) {
		all, err := operator.Tokens(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		people, err := operator.List(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		list := make([]APIToken, 0, len(all))
		for _, t := range all {
			x := APIToken{Token: t}
			if n := slices.IndexFunc(people, func(o operator.Operator) bool { return o.ID == t.OperatorID }); n >= 0 {
				x.By = people[n]
			}
			x.Stands = t.Live(s.now()) && x.By.DisabledAt.IsZero() && x.By.Role == t.Role
			x.Mine = t.OperatorID == a.ID || mayGrant(a.Role, x.By.Role)
			list = append(list, x)
		}
		return list, nil
	})
}

// EndAPIToken ends a token at once. One that ended already is no error.
func (s *Acts) EndAPIToken(ctx context.Context, a Actor, tokenID string) error {
	return s.write(ctx, a, mayMakeTokens, func(ctx context.Context, d *deed) error {
		t, err := operator.TokenByID(ctx, d.tx, tokenID)
		if err == nil {
			err = d.actor.own(t.OrganisationID)
		}
		if err != nil {
			return err
		}
		if t.OperatorID != d.actor.ID {
			if _, err := d.reachable(ctx, t.OperatorID); err != nil {
				return err
			}
		}
		was, err := operator.EndToken(ctx, d.tx, t.ID, d.now)
		if err != nil || !was {
			return err
		}
		_, err = d.record(ctx, operator.ActEndToken, t.ID, map[string]string{"name": t.Name, "operator": t.OperatorID})
		return err
	})
}

// ActorOfToken finds on whose behalf a program acts that shows the secret of a token. The
// error is [ErrNoToken] for a secret that is none, that ended or expired, and for one whose
// maker is barred or has another role by now. When and from where it was used is kept.
func (s *Acts) ActorOfToken(ctx context.Context, secret, remoteAddr string) (Actor, operator.Token, error) {
	none := Actor{}
	if !strings.HasPrefix(secret, operator.TokenPrefix) || len(secret) > 100 {
		return none, operator.Token{}, ErrNoToken
	}
	t, err := operator.TokenBySecret(ctx, s.db.Read(), secret)
	if errors.Is(err, operator.ErrNotFound) {
		return none, operator.Token{}, ErrNoToken
	}
	if err != nil {
		return none, operator.Token{}, err
	}
	o, err := operator.ByID(ctx, s.db.Read(), t.OperatorID)
	if err != nil {
		return none, operator.Token{}, known(err)
	}
	if !o.DisabledAt.IsZero() {
		return none, operator.Token{}, ErrNoToken
	}
	a, err := s.byToken(ctx, s.db.Read(), actorOf(o), t.ID)
	if err != nil {
		return none, operator.Token{}, err
	}
	if now := s.now(); t.Stale(now, remoteAddr) {
		if err := s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return operator.TokenUsed(ctx, tx, t, now, remoteAddr) }); err != nil {
			return none, operator.Token{}, known(err)
		}
	}
	return a, t, nil
}

// byToken makes an operator's actor into one of a program that acts by a token; without one
// it stays what it is. The token is looked at anew for each act.
func (s *Acts) byToken(ctx context.Context, q sqldb.Queryer, a Actor, tokenID string) (Actor, error) {
	if tokenID == "" {
		return a, nil
	}
	t, err := operator.TokenByID(ctx, q, tokenID)
	if errors.Is(err, operator.ErrNotFound) {
		return Actor{}, ErrNoToken
	}
	if err != nil {
		return Actor{}, err
	}
	if !t.Live(s.now()) || t.OperatorID != a.ID || t.Role != a.Role {
		return Actor{}, ErrNoToken
	}
	a.token, a.scope = t.ID, scopes{}
	for _, sc := range t.Scopes {
		a.scope = append(a.scope, Scope(sc))
	}
	a.Name += " (API: " + t.Name + ")"
	return a, nil
}
