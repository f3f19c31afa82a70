package act_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/operator"
	"hozen/internal/digest"
)

// over returns acts whose evidence lies in b.
func (o *office) over(b blob.Store) *act.Acts {
	o.t.Helper()
	a, err := act.New(act.Config{DB: o.db, CA: o.ca, Hub: o.hub, Blobs: b, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return o.clock }})
	ok(o.t, err)
	return a
}

// confirmed returns the fingerprint of disposing of the first exhibit.
func (o *office) confirmed() string {
	o.t.Helper()
	g, err := o.DisposalOf(o.t.Context(), o.owner, o.incident+"-E01")
	ok(o.t, err)
	return g.Fingerprint()
}

// stored counts the stored bytes of the office's first exhibit that are still there.
func (o *office) stored() (there, all int) {
	o.t.Helper()
	items, err := o.AcquisitionItems(o.t.Context(), o.owner, o.exhibit("E01").AcquisitionID)
	ok(o.t, err)
	for _, it := range items {
		d, err := digest.Parse(it.StoredSHA256)
		ok(o.t, err)
		if _, err := o.blobs.Stat(o.t.Context(), d); err == nil {
			there++
		}
	}
	return there, len(items)
}

// until waits until the ledger has so many entries of an act.
func (x *fixture) until(name string, n int) {
	for deadline := time.Now().Add(time.Minute); x.lines(name) < n; runtime.Gosched() {
		if time.Now().After(deadline) {
			x.t.Errorf("no %s after a minute", name)
			return
		}
	}
}

// TestHoldStopsADisposalThatIsNotFinished: ordered, broken off by the disk, then held.
func TestHoldStopsADisposalThatIsNotFinished(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o, other := newOffice(t, x), newOffice(t, x)
		o.keiri.send("flash", captured())
		for _, v := range []*office{o, other} {
			if v == other { // the same bytes come again while they are still there
				other.keiri.send("flash", captured())
			}
			ok(t, v.CloseIncident(ctx, o.owner, v.incident, "終息"))
			if _, err := o.over(&forgetful{x.blobs, 0}).DisposeExhibit(ctx, o.owner, v.incident+"-E01", "終了", v.confirmed()); !errors.Is(err, errPower) {
				t.Fatal(err)
			}
		}
		if c := o.custody(); len(c.Unfinished) != 1 || c.Unfinished[0] != o.incident+"-E01" {
			t.Errorf("%q", c.Unfinished)
		}
		ok(t, o.HoldIncident(ctx, o.owner, o.incident, "訴訟の予告"))
		ok(t, o.FinishDisposals(ctx)) // the next start
		if there, all := o.stored(); there != all || all == 0 || x.lines(evidence.ActDisposed) != 1 {
			t.Errorf("%d of %d files are there; %d disposals finished", there, all, x.lines(evidence.ActDisposed))
		}
		if c := o.custody(); !c.Held || len(c.Unfinished) != 1 || len(other.custody().Unfinished) != 0 {
			t.Errorf("held %v, %q; the other's %q", c.Held, c.Unfinished, other.custody().Unfinished)
		}
		if _, err := o.DisposalOf(ctx, o.owner, o.incident+"-E01"); !errors.Is(err, act.ErrHeld) {
			t.Errorf("%v", err)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("under hold: %q", codes)
		}
		ok(t, o.ReleaseHold(ctx, o.owner, o.incident, "和解"))
		ok(t, o.FinishDisposals(ctx))
		if there, _ := o.stored(); there != 0 || len(o.custody().Unfinished) != 0 || x.lines(evidence.ActDisposed) != 2 {
			t.Errorf("after the hold %d files are there", there)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("at the end: %q", codes)
		}
	})
}

// TestHoldDuringALongCheck: the disposal waits for the check, and the hold comes meanwhile.
func TestHoldDuringALongCheck(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "終息"))
		seen, disposed := o.confirmed(), make(chan error, 1)
		var once sync.Once
		_, err := o.Fsck(ctx, o.owner, nil, func(string, int, int) {
			once.Do(func() {
				go func() {
					_, err := o.DisposeExhibit(ctx, o.owner, o.incident+"-E01", "終了", seen)
					disposed <- err
				}()
				x.until(evidence.ActDispose, 1)
				if err := o.HoldIncident(ctx, o.owner, o.incident, "訴訟の予告"); err != nil {
					t.Error(err)
				}
			})
		})
		ok(t, err)
		if err := <-disposed; !errors.Is(err, act.ErrHeld) {
			t.Errorf("whoever disposes is told: %v", err)
		}
		if there, all := o.stored(); there != all || all == 0 {
			t.Errorf("%d of %d files are there", there, all)
		}
	})
}

// odd is a store that a test has a hand in before it opens a blob.
type odd struct {
	*fsblob.Store
	before func() error
}

func (o *odd) Open(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
	if err := o.before(); err != nil {
		return nil, err
	}
	return o.Store.Open(ctx, d)
}

// TestUnreadableIsNoMismatch: what could not be read says nothing of the bytes.
func TestUnreadableIsNoMismatch(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		number, errDisk := o.incident+"-E01", errors.New("input/output error")
		for good := range 3 { // the manifest's read, then the artifacts'
			n := 0
			b := &odd{x.blobs, func() error {
				if n++; n > good {
					return errDisk
				}
				return nil
			}}
			if v, err := o.over(b).VerifyExhibit(ctx, o.owner, number, ""); !errors.Is(err, errDisk) || len(v.Wrong) != 0 {
				t.Errorf("after %d: %v, wrong %q", good, err, v.Wrong)
			}
		}
		if got := types(o.exhibit("E01").Events); got != "collect receive" {
			t.Errorf("%q", got)
		}
		for n, fault := range []error{blob.ErrNotFound, blob.ErrCorrupt} {
			b := &odd{x.blobs, func() error { return fmt.Errorf("open: %w", fault) }}
			v, err := o.over(b).VerifyExhibit(ctx, o.owner, number, "")
			ok(t, err)
			if v.Event.Result != exhibit.ResultMismatch || len(v.Wrong) != v.Files+1 {
				t.Errorf("%d: %+v", n, v)
			}
		}
	})
}

// TestDisposalDuringAVerification waits for it, and nothing is said of bytes that are to go.
func TestDisposalDuringAVerification(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "終息"))
		number, seen, disposed := o.incident+"-E01", o.confirmed(), make(chan error, 1)
		var once sync.Once
		b := &odd{Store: x.blobs}
		acts := o.over(b)
		b.before = func() error {
			once.Do(func() {
				go func() {
					_, err := acts.DisposeExhibit(ctx, o.owner, number, "終了", seen)
					disposed <- err
				}()
				x.until(evidence.ActDispose, 1)
				for began := time.Now(); time.Since(began) < 200*time.Millisecond; runtime.Gosched() {
					if x.lines(evidence.ActDisposed) != 0 {
						t.Error("bytes went while they were read")
						return
					}
				}
			})
			return nil
		}
		if _, err := acts.VerifyExhibit(ctx, o.owner, number, ""); !errors.Is(err, act.ErrDisposed) {
			t.Errorf("%v", err)
		}
		ok(t, <-disposed)
		if got := types(o.exhibit("E01").Events); got != "collect receive dispose" {
			t.Errorf("%q", got)
		}
	})
}

// cutOff is a download that breaks off.
type cutOff struct{ left int }

func (b *cutOff) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// TestOnlyAPackageThatWasTakenIsAnEvent: of one that broke off or was refused nobody has a copy.
func TestOnlyAPackageThatWasTakenIsAnEvent(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		r := o.order(act.NewExport{})
		for _, left := range []int{0, 1000} {
			if _, err := o.WriteExport(ctx, o.owner, r.Number, &cutOff{left}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%v", err)
			}
		}
		errDisk := errors.New("input/output error")
		if _, err := o.over(&odd{x.blobs, func() error { return errDisk }}).WriteExport(ctx, o.owner, r.Number, io.Discard); !errors.Is(err, errDisk) {
			t.Errorf("%v", err)
		}
		if got := types(o.exhibit("E01").Events); got != "collect receive" || x.lines("export.open") != 3 {
			t.Errorf("%q, begun %d times", got, x.lines("export.open"))
		}
		o.write(r)
		if got := types(o.exhibit("E01").Events); got != "collect receive export" || x.lines("export.written") != 1 {
			t.Errorf("%q", got)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}
