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

	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
)

// maxDetail bounds what a probe can say of its trouble, in bytes.
const maxDetail = 1 << 10

var (
	errCutOff = errors.New("did not stop when its time was up and was left behind")
	errPanic  = errors.New("probe panicked")
)

// runProbe runs one probe within its budget and closes what it wrote. It returns no
// entry when nothing was written.
func (r *Runner) runProbe(ctx context.Context, acq *spool.Acquisition, enc *zstd.Encoder, p probe.Probe, budget time.Duration) (artifact.ProbeOutcome, *artifact.Entry) {
	out := artifact.ProbeOutcome{Kind: p.Kind(), BudgetNS: int64(budget), StartedAt: r.cfg.Clock()}
	if err := ctx.Err(); err != nil {
		out.Outcome, out.Detail = artifact.NotStarted, "the acquisition was broken off before"
		return out, nil
	}
	w := newWriter(acq, enc, artifactName(p.Kind()))
	begun := time.Now()
	err := r.call(ctx, p, w, budget)
	out.DurationNS = int64(time.Since(begun))
	entry, werr := w.finish(p.Kind(), p.Schema())
	if entry != nil {
		out.Records = entry.Records
	}
	out.Outcome, out.Detail, out.Skipped = judge(ctx, err, werr, out.Records)
	return out, entry
}

// call runs the probe. It returns at the latest when budget and grace are over; a
// probe that still runs then can write no more.
func (r *Runner) call(parent context.Context, p probe.Probe, w *writer, budget time.Duration) error {
	ctx, cancel := context.WithTimeout(parent, budget)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				r.cfg.Log.ErrorContext(parent, "probe panicked", slog.String("kind", string(p.Kind())), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
				done <- fmt.Errorf("%w: %v", errPanic, v)
			}
		}()
		done <- p.Acquire(ctx, w)
	}()
	defer w.cutOff()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(r.cfg.Grace)
	defer grace.Stop()
	select {
	case err := <-done:
		if err == nil { // it finished at the last moment
			return nil
		}
		return errors.Join(ctx.Err(), err)
	case <-grace.C:
		r.cfg.Log.WarnContext(parent, "probe left behind", slog.String("kind", string(p.Kind())), slog.Duration("budget", budget))
		return errors.Join(ctx.Err(), errCutOff)
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
