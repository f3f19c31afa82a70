package timestamp

import (
	"context"
	"net/http"
)

// Trust lets an authority trust what a client does.
func Trust(a *Authority, c *http.Client) { a.http.Transport = c.Transport }

// Round looks once whether a time stamp is due.
func Round(ctx context.Context, s *Stamper) error { return s.round(ctx) }

// Ask asks an authority.
func Ask(ctx context.Context, a *Authority, data []byte) ([]byte, Facts, error) {
	return a.ask(ctx, data)
}
