package localapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/operator"
)

func status(ctx context.Context, c *call, _ None) (any, error) {
	s := c.s.cfg.Collector
	list, err := c.s.cfg.Acts.LedgerDifferences(ctx)
	if err != nil {
		return s, err
	}
	s.Ledger = views(list, viewDifference)
	outside, err := c.s.cfg.Acts.OutsideStatus(ctx)
	s.Outside = viewOutside(outside)
	return s, err
}

// SignIn is the request of session.begin.
type SignIn struct {
	Name        string `json:"name"`
	Password    string `json:"password"`
	NewPassword string `json:"new_password,omitempty"` // needed after a one-time password
	Code        string `json:"code,omitempty"`         // of the second factor, or a recovery code
}

// Session is the answer of session.begin.
type Session struct {
	Token     string    `json:"token"`
	Operator  Operator  `json:"operator"`
	ExpiresAt time.Time `json:"expires_at"`
}

func signIn(ctx context.Context, c *call, in SignIn) (any, error) {
	o, err := c.acts.SignIn(ctx, in.Name, in.Password, c.peer.String())
	if waits, ok := errors.AsType[*act.NeedsCode](err); ok && in.Code != "" {
		o, err = c.acts.ConfirmSignIn(ctx, o.ID, waits.Proof, in.Code, c.peer.String())
	}
	if err != nil {
		return nil, err
	}
	if in.NewPassword != "" {
		if err := c.acts.ChangePassword(ctx, act.Actor{Kind: act.ByOperator, ID: o.ID}, in.Password, in.NewPassword); err != nil {
			return nil, err
		}
		o.MustChangePassword = false
	}
	if o.MustChangePassword {
		return nil, act.ErrMustChangePassword
	}
	token, expires, err := c.acts.BeginLocalSession(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	return Session{Token: token, Operator: viewOperator(o), ExpiresAt: expires}, nil
}

func signOut(ctx context.Context, c *call, _ None) (any, error) {
	return None{}, c.acts.EndLocalSession(ctx, c.token)
}

// WhoAmI is the answer of session.whoami.
type WhoAmI struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Role string `json:"role,omitempty"`
}

func whoAmI(_ context.Context, c *call, _ None) (any, error) {
	return WhoAmI{string(c.actor.Kind), c.actor.Name, string(c.actor.Role)}, nil
}

func operatorList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.Operators(ctx, c.actor)
	return views(list, viewOperator), err
}

// OperatorAdd is the request of operator.add.
type OperatorAdd struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
	Role        string `json:"role"`
}

// OneTime is the answer of operator.add and operator.reset_password.
type OneTime struct {
	Operator Operator `json:"operator"`
	Password string   `json:"one_time_password"`
}

func operatorAdd(ctx context.Context, c *call, in OperatorAdd) (any, error) {
	o, once, err := c.acts.AddOperator(ctx, c.actor, act.NewOperator{Name: in.Name, DisplayName: in.DisplayName, Role: operator.Role(in.Role)})
	return OneTime{viewOperator(o), once}, err
}

// Ref names one thing by whatever name people have for it.
type Ref struct {
	Ref    string `json:"ref"`
	Reason string `json:"reason,omitempty"`
}

// operator finds a person by identifier or sign-in name.
func (c *call) operator(ctx context.Context, ref string) (operator.Operator, error) {
	list, err := c.acts.Operators(ctx, c.actor)
	if err != nil {
		return operator.Operator{}, err
	}
	for _, o := range list {
		if o.ID == ref || o.Name == ref {
			return o, nil
		}
	}
	return operator.Operator{}, fmt.Errorf("%w: no operator %.80q", act.ErrNotFound, ref)
}

func operatorReset(ctx context.Context, c *call, in Ref) (any, error) {
	o, err := c.operator(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	once, err := c.acts.ResetPassword(ctx, c.actor, o.ID)
	return OneTime{viewOperator(o), once}, err
}

// operatorResetFactor takes a person's second factor away, who lost it.
func operatorResetFactor(ctx context.Context, c *call, in Ref) (any, error) {
	o, err := c.operator(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.ResetFactor(ctx, c.actor, o.ID, in.Reason)
}

func operatorDisable(ctx context.Context, c *call, in Ref) (any, error) {
	o, err := c.operator(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.DisableOperator(ctx, c.actor, o.ID)
}

func tokenList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.Tokens(ctx, c.actor)
	return views(list, func(t enroll.Token) Token { return viewToken(t, "") }), err
}

// TokenCreate is the request of token.create.
type TokenCreate struct {
	Auto       bool   `json:"auto,omitempty"`
	TTLSeconds int64  `json:"ttl_seconds,omitempty"`
	MaxUses    int    `json:"max_uses,omitempty"`
	Note       string `json:"note,omitempty"`
}

func tokenCreate(ctx context.Context, c *call, in TokenCreate) (any, error) {
	if in.TTLSeconds < 0 || in.TTLSeconds > int64(enroll.MaxTTL/time.Second) {
		return nil, invalid("ttl", "range", "want %s to %s", enroll.MinTTL, enroll.MaxTTL)
	}
	m, err := c.acts.MintToken(ctx, c.actor, act.NewToken{Auto: in.Auto, TTL: time.Duration(in.TTLSeconds) * time.Second, MaxUses: in.MaxUses, Note: in.Note})
	if err != nil {
		return nil, err
	}
	return viewToken(m.Token, m.Text), nil
}

func tokenRevoke(ctx context.Context, c *call, in Ref) (any, error) {
	err := c.acts.RevokeToken(ctx, c.actor, in.Ref)
	if errors.Is(err, act.ErrNotFound) {
		err = fmt.Errorf("%w: no token %.80q", act.ErrNotFound, in.Ref)
	}
	return None{}, err
}
