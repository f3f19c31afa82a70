package localapi

import (
	"context"
	"time"

	"hozen/collector/internal/act"
)

// APIToken is a token with which a program acts; Secret only when it was just made.
type APIToken struct {
	ID        string    `json:"id"`
	Secret    string    `json:"secret,omitempty"`
	Name      string    `json:"name"`
	By        string    `json:"by"` // sign-in name of the person on whose behalf it acts
	Scopes    []string  `json:"scopes"`
	InForce   bool      `json:"in_force"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
	UsedFrom  string    `json:"used_from,omitempty"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

func viewAPIToken(t act.APIToken) APIToken {
	return APIToken{ID: t.ID, Name: t.Name, By: t.By.Name, Scopes: t.Scopes, InForce: t.Stands, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		UsedAt: t.UsedAt, UsedFrom: t.UsedFrom, EndedAt: t.EndedAt}
}

// APITokenCreate is the request of api_token.create.
type APITokenCreate struct {
	Name        string   `json:"name"`
	Scopes      []string `json:"scopes"`
	LifeSeconds int64    `json:"life_seconds"`
}

func apiTokenCreate(ctx context.Context, c *call, in APITokenCreate) (any, error) {
	if in.LifeSeconds < 0 || in.LifeSeconds > int64(act.MaxTokenLife/time.Second) {
		return nil, invalid("life", "range", "want %s to %s", act.MinTokenLife, act.MaxTokenLife)
	}
	n := act.NewAPIToken{Name: in.Name, Life: time.Duration(in.LifeSeconds) * time.Second}
	for _, s := range in.Scopes {
		n.Scopes = append(n.Scopes, act.Scope(s))
	}
	t, secret, err := c.acts.MakeAPIToken(ctx, c.actor, n)
	if err != nil {
		return nil, err
	}
	return APIToken{ID: t.ID, Secret: secret, Name: t.Name, Scopes: t.Scopes, InForce: true, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt}, nil
}

func apiTokenList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.APITokens(ctx, c.actor)
	return views(list, viewAPIToken), err
}

func apiTokenEnd(ctx context.Context, c *call, in Ref) (any, error) {
	return None{}, c.acts.EndAPIToken(ctx, c.actor, in.Ref)
}
