package evidence

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/durable"
)

// An endpoint is in the hands of whoever took it over, and its evidence is kept for
// ever. So that it cannot fill the disk on which that of all others has its place, what
// arrives of it is counted by the hour, whether it is ever sealed or not.

const (
	allowanceHours = 24
	// allowanceFloor is what an endpoint may send a day however full the disk is; what
	// was alive before a shutdown is far smaller. MinFree holds nevertheless.
	allowanceFloor = 64 << 20
	// tellAgain is the time between two records of the same endpoint's excess.
	tellAgain = 6 * time.Hour
)

// Exhausted is an allowance that is used up, for the record.
type Exhausted struct {
	EndpointID string
	At         time.Time
	Arrived    int64 // bytes in the last 24 hours
	Limit      int64 // bytes that are taken in
}

// allowance returns how many bytes a day are taken in of an endpoint that sent used,
// while that many are free.
func (c Config) allowance(free uint64, used int64) int64 {
	share := (float64(free) + float64(used)) * float64(c.DailyShare) / 100
	return min(c.DailyBytes, max(allowanceFloor, int64(min(share, 1<<62))))
}

// arrivals are the bytes that came of one endpoint.
type arrivals struct {
	hours [allowanceHours]int64
	last  int64 // number of the newest hour, since 1970
	told  time.Time
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// add books bytes that arrived at a moment; what is older than the newest hours is
// passed over, as is a clock that goes back.
func (a *arrivals) add(at time.Time, n int64) {
	h := hourOf(at)
	a.turn(h)
	if a.last-h < allowanceHours {
		a.hours[h%allowanceHours] += n
	}
}

// turn clears the hours that have passed.
func (a *arrivals) turn(h int64) {
	if h-a.last >= allowanceHours {
		clear(a.hours[:])
	} else {
		for n := a.last + 1; n <= h; n++ {
			a.hours[n%allowanceHours] = 0
		}
	}
	a.last = max(a.last, h)
}

func (a *arrivals) sum(now time.Time) (n int64) {
	a.turn(hourOf(now))
	for _, b := range a.hours {
		n += b
	}
	return n
}

// arrived books n bytes of an endpoint.
func (i *Intake) arrived(endpointID string, n int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.arrivals[endpointID]; a != nil {
		a.add(i.cfg.Now(), n)
	}
}

// allow reports with [ErrAllowance] that an endpoint has to wait.
func (i *Intake) allow(ctx context.Context, endpointID string) error {
	if err := i.recall(ctx, endpointID); err != nil {
		return err
	}
	free, err := durable.Free(i.cfg.Incoming)
	if err != nil {
		return err
	}
	now := i.cfg.Now()
	i.mu.Lock()
	a := i.arrivals[endpointID]
	used := a.sum(now)
	limit := i.cfg.allowance(free, used)
	over := used >= limit
	tell := over && now.Sub(a.told).Abs() >= tellAgain
	if tell {
		a.told = now
	}
	i.mu.Unlock()
	if !over {
		return nil
	}
	if tell {
		i.tellExhausted(ctx, Exhausted{EndpointID: endpointID, At: now, Arrived: used, Limit: limit})
	}
	return fmt.Errorf("%w: %d bytes arrived in %d hours, %d are the limit", ErrAllowance, used, allowanceHours, limit)
}

// recall counts what was accepted of an endpoint before this process began.
func (i *Intake) recall(ctx context.Context, endpointID string) error {
	i.mu.Lock()
	known := i.arrivals[endpointID] != nil
	i.mu.Unlock()
	if known {
		return nil
	}
	now := i.cfg.Now()
	rows, err := i.cfg.DB.Read().QueryContext(ctx, `SELECT received_at, stored_bytes FROM evidence_acquisitions WHERE endpoint_id = $1 AND received_at > $2`,
		endpointID, sqldb.FormatTime(now.Add(-allowanceHours*time.Hour)))
	if err != nil {
		return spaceError(fmt.Errorf("count what an endpoint sent: %w", err))
	}
	defer rows.Close()
	a := &arrivals{last: hourOf(now)}
	for rows.Next() {
		var at time.Time
		var n int64
		if err := rows.Scan(sqldb.ScanTime(&at), &n); err != nil {
			return fmt.Errorf("count what an endpoint sent: %w", err)
		}
		a.add(at, n)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count what an endpoint sent: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.arrivals[endpointID] == nil {
		i.arrivals[endpointID] = a
	}
	return nil
}

// tellExhausted puts it on record. That this fails changes nothing.
func (i *Intake) tellExhausted(ctx context.Context, e Exhausted) {
	attrs := []any{slog.String("endpoint", e.EndpointID), slog.Int64("arrived", e.Arrived), slog.Int64("limit", e.Limit)}
	i.cfg.Log.WarnContext(ctx, "endpoint sends too much; its evidence has to wait", attrs...)
	if i.cfg.OnExhausted == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := i.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return i.cfg.OnExhausted(ctx, tx, e) })
	if err != nil {
		i.cfg.Log.ErrorContext(ctx, "used-up allowance not recorded", append(attrs, slog.Any("error", err))...)
	}
}
