package act_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// TestSharedBytesStayUntilTheLastGoes: evidence of two PCs that holds the same bytes.
func TestSharedBytesStayUntilTheLastGoes(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		own := captured()
		own[artifact.KindProcess] = own[artifact.KindProcess][:1]
		o.sales.send("flash", own)
		ok(t, o.CloseIncident(t.Context(), o.owner, o.incident, "終息"))
		dispose := func(short string) act.Disposal {
			t.Helper()
			g, err := o.DisposalOf(t.Context(), o.owner, o.incident+"-"+short)
			ok(t, err)
			_, err = o.DisposeExhibit(t.Context(), o.owner, o.incident+"-"+short, "終了", g.Fingerprint())
			ok(t, err)
			return g
		}
		if g := dispose("E01"); g.Files < 2 || g.Shared != g.Files-1 {
			t.Errorf("%d of %d shared", g.Shared, g.Files)
		}
		v, err := o.VerifyExhibit(t.Context(), o.owner, o.incident+"-E02", "")
		ok(t, err)
		if len(v.Wrong) != 0 {
			t.Errorf("the other one's bytes are gone: %q", v.Wrong)
		}
		if g := dispose("E02"); g.Shared != 0 {
			t.Errorf("%d shared with what is disposed of", g.Shared)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		n := 0
		for _, err := range x.blobs.List(t.Context()) {
			ok(t, err)
			n++
		}
		if n != 2 {
			t.Errorf("%d blobs besides the two manifests", n-2)
		}
	})
}

// forgetful is a store whose power goes after some removals.
type forgetful struct {
	*fsblob.Store
	left int
}

var errPower = errors.New("the power is gone")

func (f *forgetful) Remove(ctx context.Context, d digest.Digest) error {
	if f.left == 0 {
		return errPower
	}
	f.left--
	return f.Store.Remove(ctx, d)
}

func TestDisposalThatIsInterruptedIsFinished(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		for left := range 5 {
			o := newOffice(t, x)
			lines := captured()
			for k := range lines { // bytes of their own in each round
				lines[k] = append(lines[k][:1:1], fmt.Sprintf(`{"round":%d,"kind":%q}`, left, k))
			}
			o.keiri.send("flash", lines)
			number := o.incident + "-E01"
			ok(t, o.CloseIncident(t.Context(), o.owner, o.incident, "終息"))
			g, err := o.DisposalOf(t.Context(), o.owner, number)
			ok(t, err)
			acts := func(b blob.Store) *act.Acts {
				a, err := act.New(act.Config{DB: x.db, CA: x.ca, Hub: x.hub, Blobs: b, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return x.clock }})
				ok(t, err)
				return a
			}
			if _, err := acts(&forgetful{x.blobs, left}).DisposeExhibit(t.Context(), o.owner, number, "終了", g.Fingerprint()); !errors.Is(err, errPower) {
				t.Fatalf("after %d: %v", left, err)
			}
			if n := x.lines(evidence.ActDisposed); n != left {
				t.Errorf("after %d: %d confirmed, and not all is gone", left, n)
			}
			if codes := o.fsckCodes(); len(codes) != 0 {
				t.Errorf("in the middle: %q", codes)
			}
			// Asking again finishes it as the next start does, and neither is said twice.
			if left%2 == 0 {
				ok(t, acts(x.blobs).FinishDisposals(t.Context()))
			} else {
				g, err := o.DisposalOf(t.Context(), o.owner, number)
				ok(t, err)
				if !g.Unfinished {
					t.Error("it is not said to be unfinished")
				}
				_, err = o.DisposeExhibit(t.Context(), o.owner, number, "終了", g.Fingerprint())
				ok(t, err)
			}
			ok(t, o.FinishDisposals(t.Context()))
			if a, b := x.lines(evidence.ActDispose), x.lines(evidence.ActDisposed); a != left+1 || b != left+1 {
				t.Errorf("after %d: %d ordered, %d confirmed", left, a, b)
			}
			if v := o.exhibit("E01"); v.Acquisition.DisposedAt.IsZero() {
				t.Error("not disposed of")
			}
			if codes := o.fsckCodes(); len(codes) != 0 {
				t.Errorf("at the end: %q", codes)
			}
		}
	})
}

func TestRetentionHoldsUntilItsDay(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ctx, number := t.Context(), o.incident+"-E01"
		for _, days := range []int{-1, 40000} {
			if err := o.SetRetention(ctx, o.owner, days); !errors.Is(err, act.ErrInvalid) {
				t.Errorf("%d days: %v", days, err)
			}
		}
		for _, days := range []int{-1, 0, 10} { // no period ever, none any more, one
			if days >= 0 {
				ok(t, o.SetRetention(ctx, o.owner, days))
			}
			if _, err := o.DisposalOf(ctx, o.owner, number); !errors.Is(err, act.ErrRetained) {
				t.Errorf("of an open incident, %d days: %v", days, err)
			}
		}
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "終息"))
		closed := x.clock
		for hours, want := range map[int]error{24*10 - 1: act.ErrRetained, 24 * 10: nil} {
			x.clock = closed.Add(time.Duration(hours) * time.Hour)
			if _, err := o.DisposalOf(ctx, o.owner, number); !errors.Is(err, want) {
				t.Errorf("after %d hours: %v", hours, err)
			}
		}
		if c := o.custody(); !c.Due.Equal(closed.AddDate(0, 0, 10)) || c.Days != 10 {
			t.Errorf("due %v", c.Due)
		}
		ok(t, o.SetRetention(ctx, o.owner, 0))
		if c := o.custody(); !c.Due.IsZero() || c.Days != 0 {
			t.Errorf("due %v", c.Due)
		}
		// Whoever sets another period just before is seen to have done so.
		x.clock = closed.Add(time.Hour)
		ok(t, o.SetRetention(ctx, o.owner, 10))
		g, err := o.DisposalOf(ctx, o.owner, number)
		if !errors.Is(err, act.ErrRetained) {
			t.Errorf("%v", err)
		}
		x.clock = x.clock.Add(time.Minute)
		ok(t, o.SetRetention(ctx, o.owner, 0))
		if _, err := o.DisposeExhibit(ctx, o.owner, number, "終了", g.Fingerprint()); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("the period has changed since it was confirmed: %v", err)
		}
		g, err = o.DisposalOf(ctx, o.owner, number)
		ok(t, err)
		_, err = o.DisposeExhibit(ctx, o.owner, number, "終了", g.Fingerprint())
		ok(t, err)
		entries, err := o.LedgerEntries(ctx, o.owner, act.LedgerFilter{Subject: g.Exhibit.ID, Limit: 100})
		ok(t, err)
		if d := entries[1].Details; entries[1].Act != evidence.ActDispose || d[exhibit.RetentionDays] != "0" || d[exhibit.RetentionSetAt] != sqldb.FormatTime(x.clock) || d[exhibit.ClosedAt] != sqldb.FormatTime(closed) {
			t.Errorf("%+v", entries[1])
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}
