package evidence

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hozen/collector/internal/sqldb"
)

// refusalLimit bounds how many refusals of one endpoint are recorded.
type refusalLimit struct {
	perMinute int
	mu        *sync.Mutex
	endpoints map[string]*refusalCount
}

type refusalCount struct {
	limiter    *rate.Limiter
	suppressed int     // since the last recorded one
	last       Refused // of those
}

func newRefusalLimit(perMinute int) refusalLimit {
	return refusalLimit{perMinute: perMinute, mu: &sync.Mutex{}, endpoints: map[string]*refusalCount{}}
}

// take reports whether one more may be recorded, and how many were not before it.
func (l refusalLimit) take(r Refused) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.endpoints[r.EndpointID]
	if c == nil {
		c = &refusalCount{limiter: rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)}
		l.endpoints[r.EndpointID] = c
	}
	if !c.limiter.AllowN(r.At, 1) {
		c.suppressed++
		c.last = r
		return 0, false
	}
	suppressed, c.suppressed = c.suppressed, 0
	return suppressed, true
}

// rest takes, of each endpoint of which one more may be recorded, or of all, the last refusal
// that was not, with the number of those before it. An endpoint of which no more is to be
// known than of a new one is forgotten.
func (l refusalLimit) rest(now time.Time, all bool) (rest []Refused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for endpointID, c := range l.endpoints {
		switch {
		case c.suppressed == 0:
			if c.limiter.TokensAt(now) >= float64(l.perMinute) {
				delete(l.endpoints, endpointID)
			}
		case c.limiter.AllowN(now, 1) || all:
			r := c.last
			r.At, r.Suppressed = now, c.suppressed-1
			c.suppressed, c.last = 0, Refused{}
			rest = append(rest, r)
		}
	}
	return rest
}

// back gives back what was taken and could not be recorded, n in all; r is the last of them.
func (l refusalLimit) back(r Refused, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.endpoints[r.EndpointID]; c != nil && n > 0 {
		if c.suppressed == 0 {
			c.last = r
		}
		c.suppressed += n
	}
}

// record records err if it is a refusal, and returns err. That a refusal can't be
// recorded does not make it an acceptance: it is logged, and the answer stays.
func (i *Intake) record(ctx context.Context, endpointID, acquisitionID string, err error) error {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return err
	}
	refused := Refused{endpointID, acquisitionID, i.cfg.Now(), *r, 0}
	if refused.Suppressed, ok = i.refusals.take(refused); ok {
		i.cfg.Log.WarnContext(ctx, "acquisition refused", refused.attrs()...)
		i.put(ctx, refused)
	}
	return r
}

// RecordRest records what of the refusals of each endpoint was too much to record, as soon as
// one more may be, or at once: the number otherwise comes with the next refusal only, and the
// last of a flood has none. Its entry is that of the last refusal, at the time of the record.
// A collector calls it from time to time, and at once before it ends.
func (i *Intake) RecordRest(ctx context.Context, atOnce bool) {
	for _, r := range i.refusals.rest(i.cfg.Now(), atOnce) {
		i.put(ctx, r)
	}
}

func (r Refused) attrs() []any {
	return []any{slog.String("endpoint", r.EndpointID), slog.String("acquisition", r.AcquisitionID), slog.String("code", string(r.Refusal.Code))}
}

// put records a refusal. One that cannot be recorded counts among those of the next entry.
func (i *Intake) put(ctx context.Context, r Refused) {
	if i.cfg.OnRefused == nil {
		return
	}
	// The caller may be gone already; the record is ours.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := i.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return i.cfg.OnRefused(ctx, tx, r) })
	if err != nil {
		i.refusals.back(r, r.Suppressed+1)
		i.cfg.Log.ErrorContext(ctx, "refusal not recorded", append(r.attrs(), slog.Any("error", err))...)
	}
}
