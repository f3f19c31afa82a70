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
	suppressed int
}

func newRefusalLimit(perMinute int) refusalLimit {
	return refusalLimit{perMinute: perMinute, mu: &sync.Mutex{}, endpoints: map[string]*refusalCount{}}
}

// take reports whether one more may be recorded, and how many were not before it.
func (l refusalLimit) take(endpointID string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.endpoints[endpointID]
	if c == nil {
		c = &refusalCount{limiter: rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)}
		l.endpoints[endpointID] = c
	}
	if !c.limiter.AllowN(now, 1) {
		c.suppressed++
		return 0, false
	}
	suppressed, c.suppressed = c.suppressed, 0
	return suppressed, true
}

// record records err if it is a refusal, and returns err. That a refusal can't be
// recorded does not make it an acceptance: it is logged, and the answer stays.
func (i *Intake) record(ctx context.Context, endpointID, acquisitionID string, err error) error {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		return err
	}
	now := i.cfg.Now()
	attrs := []any{slog.String("endpoint", endpointID), slog.String("acquisition", acquisitionID), slog.String("code", string(r.Code))}
	suppressed, ok := i.refusals.take(endpointID, now)
	if !ok {
		return r
	}
	i.cfg.Log.WarnContext(ctx, "acquisition refused", attrs...)
	if i.cfg.OnRefused == nil {
		return r
	}
	// The caller may be gone already; the record is ours.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	terr := i.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return i.cfg.OnRefused(ctx, tx, Refused{endpointID, acquisitionID, now, *r, suppressed})
	})
	if terr != nil {
		i.cfg.Log.ErrorContext(ctx, "refusal not recorded", append(attrs, slog.Any("error", terr))...)
	}
	return r
}
