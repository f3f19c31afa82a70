package isolate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// Tampering is told with what was seen, at once and then once a minute however often it
// happens; a restart of the endpoint, which empties the kernel, is no tampering.
func TestDriftIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 200 { // an attacker in a loop, for 100 s
			r.fw.Damage()
			reconcile(t, r, isolate.Isolated)
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		n, got := 0, told()
		for i, h := range got {
			n += h.Count
			if h.Kind != isolate.HappenedDrift || !slices.Equal(h.Differences, []string{"a rule is missing"}) || h.Status.Observed != isolate.Isolated || h.CommandID != "cmd_1" {
				t.Errorf("told %+v", h)
			}
			if i == 0 && (h.Count != 1 || !h.At.Equal(begin)) {
				t.Errorf("the first one: %+v", h)
			}
		}
		if len(got) != 3 || n != 200 {
			t.Errorf("told %d times of %d", len(got), n)
		}
		r.fw.Reboot() // the agent died, and somebody flushed the rules
		r.restart(t)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told(), isolate.HappenedDrift)
		r.reboot(t)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told())
		time.Sleep(time.Hour)
		r.fw.Reboot()
		r.restart(t) // in the same boot
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told(), isolate.HappenedDrift)
		r.fw.Damage()
		r.fault("apply", isolatetest.FailBefore)
		if _, err := r.Reconcile(t.Context()); err == nil {
			t.Error("no error")
		}
		r.fw.Next = nil
		time.Sleep(time.Hour)
		r.fault("observe", isolatetest.FailBefore) // blames nobody
		if _, err := r.Reconcile(t.Context()); err == nil {
			t.Error("no error")
		}
		r.fw.Next = nil
		reconcile(t, r, isolate.Isolated)
		if got := told(); len(got) != 2 || got[1].Status.Observed != isolate.Unknown || got[0].Kind != isolate.HappenedNotInForce || got[0].Status.Observed != isolate.Failed {
			t.Errorf("told %+v", got)
		}
	})
}

func TestLostRecordIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		r.store.Lose()
		r.restart(t)
		reconcile(t, r, isolate.Isolated)
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedRecordLost || got[0].Detail == "" || got[0].Status.Observed != isolate.Isolated {
			t.Errorf("told %+v", got)
		}
		r.restart(t)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told())
	})
}

// What nobody kept before the agent ended is told by the next one, and no more once it is
// kept.
func TestWhatNobodyKeptIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept atomic.Bool
		r, told := newTold(t)
		tell := r.cfg.Tell
		r.cfg.Tell = func(h isolate.Happening) bool { return tell(h) && kept.Load() }
		r.restart(t)
		o := order("cmd_1")
		o.Lease = time.Hour
		if _, err := r.Isolate(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		at := r.clock.Now()
		for range 2 {
			reconcile(t, r, isolate.Isolated)
		}
		wantTold(t, told(), isolate.HappenedLeaseLapsed)
		for range 2 { // the disk of the one that keeps them is full
			r.restart(t)
			reconcile(t, r, isolate.Isolated)
			if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedLeaseLapsed || !got[0].At.Equal(at) || got[0].CommandID != "cmd_1" {
				t.Errorf("told %+v", got)
			}
			time.Sleep(time.Minute)
		}
		r.store.Lose()
		r.restart(t)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told(), isolate.HappenedRecordLost)
		r.restart(t)
		kept.Store(true)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told(), isolate.HappenedRecordLost)
		r.restart(t)
		reconcile(t, r, isolate.Isolated)
		wantTold(t, told())
		// A release does not pay for what was before it.
		kept.Store(false)
		if _, err := r.Isolate(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		reconcile(t, r, isolate.Isolated)
		if _, err := r.Release(t.Context(), order("cmd_2")); err != nil {
			t.Fatal(err)
		}
		wantTold(t, told(), isolate.HappenedLeaseLapsed)
		kept.Store(true)
		r.restart(t)
		reconcile(t, r, isolate.Released)
		wantTold(t, told(), isolate.HappenedLeaseLapsed)
	})
}

// Whoever deletes the record, damages it or puts an older one back while the agent runs
// is told of, and does not open the endpoint by a restart.
func TestRecordIsLostWhileIsolated(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string, old []byte){
		"deleted": func(t *testing.T, dir string, _ []byte) {
			for _, f := range []string{"isolation.record", "isolation.marker"} {
				if err := os.Remove(filepath.Join(dir, f)); err != nil {
					t.Error(err)
				}
			}
		},
		"an older one": func(t *testing.T, dir string, old []byte) {
			if err := os.WriteFile(filepath.Join(dir, "isolation.record"), old, 0o600); err != nil {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(dir, "isolation.marker")); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				store := func() isolate.Store {
					s, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: make([]byte, 32)})
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
				r, told := newTold(t, func(c *isolate.Config) { c.Store = store() })
				if _, err := r.Release(t.Context(), order("cmd_0")); err != nil {
					t.Fatal(err)
				}
				old, err := os.ReadFile(filepath.Join(dir, "isolation.record"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
					t.Fatal(err)
				}
				reconcile(t, r, isolate.Isolated)
				wantTold(t, told())
				harm(t, dir, old)
				time.Sleep(5 * time.Second)
				if st := reconcile(t, r, isolate.Isolated); !st.Persisted || len(st.Drift) != 0 {
					t.Errorf("%+v", st)
				}
				if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedRecordLost || got[0].Detail == "" {
					t.Errorf("told %+v", got)
				}
				r.cfg.Store = store()
				r.reboot(t)
				if st := reconcile(t, r, isolate.Isolated); st.CommandID != "cmd_1" || st.CodeNumber == "" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Who is told may take as long as he likes, and may ask back.
func TestWhoIsToldBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		stuck, n := make(chan struct{}), atomic.Int32{}
		r = newRig(t, func(c *isolate.Config) {
			c.Tell = func(h isolate.Happening) bool {
				<-stuck
				if st := r.Status(t.Context()); st.Desired != isolate.Isolated {
					t.Errorf("%+v", st)
				}
				n.Add(int32(h.Count))
				return true
			}
		})
		for i := range 1000 {
			if _, err := r.Isolate(t.Context(), order(fmt.Sprint("cmd_", i))); err != nil {
				t.Fatal(err)
			}
			r.fw.Damage()
			reconcile(t, r, isolate.Isolated)
		}
		close(stuck)
		synctest.Wait()
		if got := n.Load(); got < 256 || got > 258 { // the newest, and those that he had
			t.Errorf("told of %d", got)
		}
	})
}

// The end of an isolation is told also if the agent dies on the way, and once if it
// lives.
func TestEndIsToldAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		tell := r.cfg.Tell
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
			t.Fatal(err)
		}
		dying := make(chan struct{})
		r.cfg.Tell = func(isolate.Happening) bool { <-dying; return true }
		r.restart(t)
		at := r.clock.Now()
		if _, err := r.ReleaseByCode(t.Context(), codeOf(rightNumber).String(), "1000", "suzuki"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		rec, err := r.store.Load()
		if err != nil || rec.Ended == nil || rec.Ended.Told {
			t.Errorf("%+v, %v", rec, err)
		}
		r.cfg.Tell = tell
		r.restart(t)
		reconcile(t, r, isolate.Released)
		got := told()
		if len(got) != 1 || got[0].Kind != isolate.HappenedReleasedByCode || got[0].By != "suzuki" || got[0].CommandID != "cmd_1" || !got[0].At.Equal(at) {
			t.Errorf("told %+v", got)
		}
		r.restart(t)
		reconcile(t, r, isolate.Released)
		wantTold(t, told())
		close(dying)
	})
}

// The end of an isolation that nobody could keep, for want of a disk, is told again after
// the next start.
func TestEndIsToldUntilItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		tell, n := r.cfg.Tell, atomic.Int32{}
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
			t.Fatal(err)
		}
		r.cfg.Tell = func(isolate.Happening) bool { n.Add(1); return false }
		r.restart(t)
		if _, err := r.ReleaseByCode(t.Context(), codeOf(rightNumber).String(), "1000", "suzuki"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(time.Hour)
			reconcile(t, r, isolate.Released)
			synctest.Wait()
			r.restart(t)
		}
		if got := n.Load(); got != 2 {
			t.Errorf("told %d times, once each process", got)
		}
		r.cfg.Tell = tell
		for range 2 {
			r.restart(t)
			reconcile(t, r, isolate.Released)
			synctest.Wait()
		}
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedReleasedByCode || got[0].By != "suzuki" {
			t.Errorf("told %+v", got)
		}
	})
}
