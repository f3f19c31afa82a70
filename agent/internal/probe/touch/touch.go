// Package touch counts the files that an acquisition opens, for its footprint. It knows
// nothing of what is in them.
package touch

import (
	"context"
	"os"
	"sync/atomic"
)

// Counter counts. A nil one counts nothing.
type Counter struct{ n atomic.Int64 }

type key struct{}

// With returns a context whose work counts the files that it opens.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, new(Counter)) }

// Of returns the counter of ctx, nil when it has none.
func Of(ctx context.Context) *Counter {
	c, _ := ctx.Value(key{}).(*Counter)
	return c
}

// One counts a file or folder that was opened.
func (c *Counter) One() {
	if c != nil {
		c.n.Add(1)
	}
}

// Count is how many there were so far.
func (c *Counter) Count() int64 {
	if c == nil {
		return 0
	}
	return c.n.Load()
}

// Open is [os.Open], counted when it opens something.
func Open(ctx context.Context, name string) (*os.File, error) {
	f, err := os.Open(name)
	if err == nil {
		Of(ctx).One()
	}
	return f, err
}
