package checkpoint

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// Signed states are thinned out as they get old: of each hour, and later of each day, the
// newest stays, and of each line the first. The newest pins all before it, and packages, time
// stamps, cosignatures and forks keep the text of theirs, so that only the span in which fsck
// finds a change gets wider.
const (
	thinAll    = 24 * time.Hour      // everything is kept so long
	thinHourly = 30 * 24 * time.Hour // of each hour one is kept so long; after that, of each day
	thinEvery  = time.Hour
	thinPage   = 2000 // rows looked at, and taken away at most, at once
)

// runThinning thins signed states out until ctx ends.
func (l *Log) runThinning(ctx context.Context) {
	tick := time.NewTicker(thinEvery)
	defer tick.Stop()
	for {
		if n, err := l.Thin(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.ErrorContext(ctx, "old checkpoints are not thinned out", slog.Any("error", err))
		} else if n > 0 {
			l.cfg.Log.DebugContext(ctx, "old checkpoints thinned out", slog.Int("removed", n))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// oldNote is where a signed state stands.
type oldNote struct {
	organisationID string
	line, size     int64
	signedAt       time.Time
}

func (n oldNote) sameLine(o oldNote) bool {
	return n.organisationID == o.organisationID && n.line == o.line
}

// Thin takes old signed states away and says how many. Breaking it off at any moment
// leaves a few more, which the next time takes.
func (l *Log) Thin(ctx context.Context) (removed int, err error) {
	now := l.cfg.Now().UTC()
	hourly, daily := now.Add(-thinAll).Truncate(time.Hour), now.Add(-thinHourly).Truncate(24*time.Hour)
	bucket := func(n oldNote) string {
		switch {
		case n.signedAt.Before(daily):
			return n.signedAt.UTC().Format("2006-01-02")
		case n.signedAt.Before(hourly):
			return n.signedAt.UTC().Format("2006-01-02T15")
		}
		return ""
	}
	var before oldNote
	first := true // before is the first of its line, which stays
	for {
		page, err := oldNotes(ctx, l.cfg.DB.Read(), before, thinPage)
		if err != nil {
			return removed, fmt.Errorf("thin checkpoints out: %w", err)
		}
		var surplus []oldNote
		for _, n := range page {
			switch {
			case !n.sameLine(before):
				first = true
			case !first && bucket(n) != "" && bucket(n) == bucket(before):
				surplus = append(surplus, before)
				fallthrough
			default:
				first = false
			}
			before = n
		}
		if err := l.takeAway(ctx, surplus); err != nil {
			return removed, fmt.Errorf("thin checkpoints out: %w", err)
		}
		removed += len(surplus)
		if len(page) < thinPage {
			return removed, nil
		}
	}
}

// oldNotes returns where signed states stand, behind one, in order.
func oldNotes(ctx context.Context, q sqldb.Queryer, after oldNote, limit int) ([]oldNote, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id, line, size, signed_at FROM checkpoint_notes
		WHERE organisation_id > $1 OR organisation_id = $1 AND (line > $2 OR line = $2 AND size > $3)
		ORDER BY organisation_id, line, size LIMIT $4`, after.organisationID, after.line, after.size, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []oldNote
	for rows.Next() {
		var n oldNote
		if err := rows.Scan(&n.organisationID, &n.line, &n.size, sqldb.ScanTime(&n.signedAt)); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

func (l *Log) takeAway(ctx context.Context, list []oldNote) error {
	const most = 200 // at once, so that nobody else waits long to write
	for len(list) > 0 {
		part := list[:min(most, len(list))]
		list = list[len(part):]
		if err := l.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			for len(part) > 0 {
				n := 1 // of the same line
				for n < len(part) && part[n].sameLine(part[0]) {
					n++
				}
				args := []any{part[0].organisationID, part[0].line}
				var in strings.Builder
				for i, o := range part[:n] {
					if i > 0 {
						in.WriteString(", ")
					}
					args = append(args, o.size)
					fmt.Fprintf(&in, "$%d", len(args))
				}
				if _, err := tx.ExecContext(ctx, `DELETE FROM checkpoint_notes WHERE organisation_id = $1 AND line = $2 AND size IN (`+in.String()+`)`, args...); err != nil {
					return err
				}
				part = part[n:]
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
