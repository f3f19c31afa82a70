package acquire

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// maxDetail bounds what a probe can say of its trouble, in bytes.
const maxDetail = 1 << 10

// tellEvery is the time between two words on how far a long probe has come.
const tellEvery = time.Second

var (
	errCutOff = errors.New("did not stop when its time was up and was left behind")
	errPanic  = errors.New("probe panicked")
)

// far is how far a probe has come that runs for longer than [tellEvery].
type far struct{ records, bytes, expected, rate int64 }

// summaryTime is how long a [probe.Summary] may take once its acquisition is broken off.
const summaryTime = 50 * time.Millisecond

// runProbe runs one probe within the time it is allowed. What it wrote still has to be
// placed; there is no writer when it was not started. tell hears from time to time how
// far one that takes long has come.
func (r *Runner) runProbe(ctx context.Context, acq *opening, enc *zstd.Encoder, p probe.Probe, a allowed, tell func(far)) (artifact.ProbeOutcome, *writer) {
	if s, ok := p.(probe.Summary); ok && s.Begun() && (ctx.Err() != nil || a.none) {
		ctx, a = context.WithoutCancel(ctx), allowed{budget: summaryTime, grace: summaryTime / 2}
	}
	out := artifact.ProbeOutcome{Kind: p.Kind(), BudgetNS: int64(a.budget), StartedAt: r.cfg.Clock(), Outcome: artifact.NotStarted}
	switch {
	case errors.Is(context.Cause(ctx), errPreempted):
		out.Detail = "the acquisition was broken off before: " + errPreempted.Error()
		return out, nil
	case ctx.Err() != nil:
		out.Detail = "the acquisition was broken off before"
		return out, nil
	case a.none:
		out.BudgetNS, out.Detail = 0, "no time was left before the deadline"
		return out, nil
	}
	if a.busy {
		out.Detail = "another acquisition reads memory just now; order it again when that is over"
		return out, nil
	}
	w := newWriter(acq, enc, artifactName(p.Kind()))
	begun := time.Now()
	err := r.call(ctx, p, w, a, tell)
	out.DurationNS = int64(time.Since(begun))
	records, werr := w.end()
	out.Records = records
	out.Outcome, out.Detail, out.Skipped = judge(ctx, err, werr, out.Records)
	if a.shrunk && out.Outcome == artifact.TimedOut {
		out.Detail += "; the deadline allowed no more"
	}
	return out, w
}

// call runs the probe. It returns at the latest when budget and grace are over; a
// probe that still runs then can write no more.
func (r *Runner) call(parent context.Context, p probe.Probe, w *writer, a allowed, tell func(far)) error {
	ctx, cancel := context.WithTimeout(parent, a.budget)
	defer cancel()
	begun := time.Now()
	done := make(chan error, 1)
	go func() {
		defer background.Enter(ctx)()
		defer func() {
			if v := recover(); v != nil {
				r.cfg.Log.ErrorContext(parent, "probe panicked", slog.String("kind", string(p.Kind())), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
				done <- fmt.Errorf("%w: %v", errPanic, v)
			}
		}()
		done <- p.Acquire(ctx, w)
	}()
	defer w.cutOff()
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			tell(w.far(time.Since(begun)))
		case <-ctx.Done():
			running = false
		}
	}
	grace := time.NewTimer(a.grace)
	defer grace.Stop()
	for brokenOff := parent.Done(); ; {
		select {
		case err := <-done:
			if err == nil { // it finished at the last moment
				return nil
			}
			return errors.Join(ctx.Err(), err)
		case <-brokenOff:
			brokenOff = nil
			if errors.Is(context.Cause(parent), errPreempted) {
				grace.Reset(min(a.grace, preemptGrace))
			}
		case <-grace.C:
			r.cfg.Log.WarnContext(parent, "probe left behind", slog.String("kind", string(p.Kind())), slog.Duration("budget", a.budget))
			return errors.Join(ctx.Err(), errCutOff)
		}
	}
}

// judge turns the error of a probe, and that of the writer under it, into an outcome.
func judge(parent context.Context, err, werr error, records int64) (artifact.Outcome, string, int64) {
	var skipped int64
	if m := probe.AsMissing(err); m != nil {
		skipped = m.Skipped
	}
	detail := func() string { return clip(errors.Join(err, werr)) }
	switch {
	case werr != nil:
		return artifact.Failed, detail(), skipped
	case err == nil && records == 0:
		return artifact.Empty, "", 0
	case err == nil:
		return artifact.Complete, "", 0
	case errors.Is(err, errPanic):
		return artifact.Failed, detail(), skipped
	case parent.Err() != nil:
		return artifact.Interrupted, detail(), skipped
	case errors.Is(err, context.DeadlineExceeded):
		return artifact.TimedOut, detail(), skipped
	case records > 0:
		return artifact.Partial, detail(), skipped
	case errors.Is(err, errors.ErrUnsupported):
		return artifact.Unsupported, detail(), skipped
	case errors.Is(err, fs.ErrPermission):
		return artifact.Denied, detail(), skipped
	}
	return artifact.Failed, detail(), skipped
}

// clip makes an error text fit for a manifest: one line, UTF-8, bounded.
func clip(err error) string {
	s := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\n", "; "), "\ufffd")
	if len(s) <= maxDetail {
		return s
	}
	s = s[:maxDetail]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
