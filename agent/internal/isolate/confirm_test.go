package isolate_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

var errNoWay = errors.New("no way home")

// homeward is a rig whose way home is open or not.
func homeward(t *testing.T, open *bool) *rig {
	return newRig(t, func(c *isolate.Config) {
		c.WayHome = func(context.Context) error {
			if *open {
				return nil
			}
			return errNoWay
		}
	})
}

func confirmed(id string, otherwise isolate.Fallback) isolate.Request {
	r := order(id)
	r.Within, r.Else = time.Minute, otherwise
	return r
}

func TestConfirmation(t *testing.T) {
	in := func(t *testing.T, do func(t *testing.T, open *bool, r *rig)) {
		synctest.Test(t, func(t *testing.T) {
			open := false
			do(t, &open, homeward(t, &open))
		})
	}
	isolated := func(t *testing.T, r *rig, q isolate.Request) isolate.Status {
		t.Helper()
		st, err := r.Isolate(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
		return st
	}
	reconciled := func(t *testing.T, r *rig, desired isolate.State) isolate.Status {
		t.Helper()
		st, err := r.Reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, st, desired, desired, "")
		return st
	}
	t.Run("at once", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			*open = true
			if st := isolated(t, r, confirmed("cmd_1", isolate.RollBack)); st.Confirm == nil || st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
			*open = false // what was confirmed stays, whatever becomes of the way home
			time.Sleep(time.Hour)
			reconciled(t, r, isolate.Isolated)
			r.restart(t)
			reconciled(t, r, isolate.Isolated)
		})
	})
	t.Run("in time", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			if st := isolated(t, r, confirmed("cmd_1", isolate.RollBack)); !st.Confirm.At.IsZero() || st.WayHome.OK {
				t.Errorf("%+v", st.Confirm)
			}
			time.Sleep(59 * time.Second)
			*open = true
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
			time.Sleep(time.Hour)
			*open = false
			reconciled(t, r, isolate.Isolated)
		})
	})
	t.Run("never, roll back", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(59 * time.Second)
			reconciled(t, r, isolate.Isolated)
			time.Sleep(time.Second)
			if st := reconciled(t, r, isolate.Released); st.Confirm == nil || st.Confirm.Missed.IsZero() || st.CommandID != "cmd_1" {
				t.Errorf("%+v", st)
			}
			r.restart(t)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("never, stay closed", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", ""))
			time.Sleep(time.Hour)
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.Missed.IsZero() || st.Confirm.Else != isolate.StayClosed {
				t.Errorf("%+v", st.Confirm)
			}
			*open = true // late is better than never
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.Missed.IsZero() || st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("back to the earlier isolation", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			*open = true
			isolated(t, r, order("cmd_1"))
			*open = false
			q := confirmed("cmd_2", isolate.RollBack)
			q.Policy = isolatetest.PolicyB()
			isolated(t, r, q)
			q.CommandID = "cmd_3" // replaces what was never confirmed: nothing to go back to
			isolated(t, r, q)
			time.Sleep(time.Minute)
			if st := reconciled(t, r, isolate.Isolated); st.CommandID != "cmd_1" || !st.Policy.Equal(isolatetest.PolicyA()) || st.Confirm.Missed.IsZero() {
				t.Errorf("%+v", st)
			}
			if p, _ := r.fw.InForce(); p == nil || !p.Equal(isolatetest.PolicyA()) {
				t.Errorf("in force: %+v", p)
			}
		})
	})
	t.Run("back to what was to stay closed", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.StayClosed))
			q := confirmed("cmd_2", isolate.RollBack)
			q.Policy = isolatetest.PolicyB()
			isolated(t, r, q)
			q.CommandID = "cmd_3" // goes back to what the one before it would have
			isolated(t, r, q)
			r.restart(t)
			time.Sleep(time.Minute)
			for range 2 {
				if st := reconciled(t, r, isolate.Isolated); st.CommandID != "cmd_1" || !st.Policy.Equal(isolatetest.PolicyA()) || st.Confirm.Missed.IsZero() {
					t.Errorf("%+v", st)
				}
				time.Sleep(time.Hour)
			}
			if n := r.fw.Calls("restore"); n != 0 {
				t.Errorf("opened %d times", n)
			}
		})
	})
	t.Run("over a sleep", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(50 * time.Second)
			time.Sleep(8 * time.Hour)
			r.clock.Slept(8 * time.Hour)
			st := reconciled(t, r, isolate.Isolated) // awake, and the network is not up yet
			if by := st.Confirm.By; by.Before(r.clock.Now().Add(time.Minute)) {
				t.Errorf("until %s, and it is %s", by, r.clock.Now())
			}
			time.Sleep(110 * time.Second)
			reconciled(t, r, isolate.Isolated)
			*open = true
			time.Sleep(20 * time.Second) // late, and the way home is tried first
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("a record of an agent that did not count sleep", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			_, _ = r.clock.Boot()
			time.Sleep(8 * time.Hour)
			r.clock.Slept(8 * time.Hour)
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			rec, err := r.store.Load()
			if err != nil {
				t.Fatal(err)
			}
			c := *rec.Confirm
			c.Asleep, rec.Confirm = 0, &c
			if err := r.store.Save(rec); err != nil {
				t.Fatal(err)
			}
			r.restart(t)
			reconciled(t, r, isolate.Isolated)
			time.Sleep(2 * time.Minute)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("asleep again and again", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			for n := range 50 {
				time.Sleep(time.Minute)
				r.clock.Slept(time.Minute)
				st, err := r.Reconcile(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if st.Desired == isolate.Released {
					if n < 5 {
						t.Errorf("rolled back after %d sleeps", n)
					}
					return
				}
				time.Sleep(70 * time.Second)
			}
			t.Error("never rolled back")
		})
	})
	t.Run("over several processes", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			for range 2 {
				time.Sleep(25 * time.Second)
				r.restart(t)
				reconciled(t, r, isolate.Isolated)
			}
			time.Sleep(11 * time.Second)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("switched off over the time", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(time.Hour)
			r.reboot(t)
			if st := reconciled(t, r, isolate.Isolated); !st.Confirm.Missed.IsZero() || !st.Confirm.By.Equal(time.Now().Add(2*time.Minute)) {
				t.Errorf("%+v", st.Confirm)
			}
			time.Sleep(119 * time.Second) // until the network is up
			*open = true
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("never, after a restart", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(59 * time.Second)
			r.reboot(t)
			reconciled(t, r, isolate.Isolated)
			time.Sleep(100 * time.Second)
			r.restart(t) // of the agent, which gives no more time
			reconciled(t, r, isolate.Isolated)
			time.Sleep(20 * time.Second)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("restarted in the middle", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			q := confirmed("cmd_1", isolate.RollBack)
			q.Within = 10 * time.Minute
			isolated(t, r, q)
			time.Sleep(4 * time.Minute)
			r.reboot(t)
			reconciled(t, r, isolate.Isolated)
			time.Sleep(6*time.Minute - time.Second)
			reconciled(t, r, isolate.Isolated)
			time.Sleep(time.Second)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("restarted again and again", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			for range 5 {
				r.reboot(t)
				reconciled(t, r, isolate.Isolated)
				time.Sleep(119 * time.Second)
				reconciled(t, r, isolate.Isolated)
			}
			r.reboot(t)
			reconciled(t, r, isolate.Isolated) // what was left by the wall clock
			time.Sleep(time.Second)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("the way home is tried last of all", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			r.restart(t)
			time.Sleep(time.Hour) // nobody looked; the PC was asleep, or its clock was set
			*open = true
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("rules that are not whole are no reason to open", func(t *testing.T) {
		in(t, func(t *testing.T, open *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(time.Hour)
			r.fw.Damage()
			r.fault("apply", isolatetest.FailBefore)
			*open = true // who is reached can be told what to do
			st, err := r.Reconcile(t.Context())
			if err == nil {
				t.Error("no error")
			}
			want(t, st, isolate.Isolated, isolate.Failed, isolate.Incomplete)
			r.fw.Next = nil
			if st := reconciled(t, r, isolate.Isolated); st.Confirm.At.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("a process that cannot find out leaves it alone", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(time.Hour)
			r.cfg.WayHome = nil
			r.restart(t)
			if st := reconciled(t, r, isolate.Isolated); !st.Confirm.At.IsZero() || !st.Confirm.Missed.IsZero() {
				t.Errorf("%+v", st.Confirm)
			}
		})
	})
	t.Run("saying it again gives no more time", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(40 * time.Second)
			r.fw.Damage()
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(20 * time.Second)
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("a disk that fails keeps it closed", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			time.Sleep(time.Minute)
			r.store.Next = func() isolatetest.Fault { return isolatetest.FailBefore }
			st, err := r.Reconcile(t.Context())
			if err == nil {
				t.Error("no error")
			}
			want(t, st, isolate.Isolated, isolate.Isolated, "")
			r.store.Next = nil
			reconciled(t, r, isolate.Released)
		})
	})
	t.Run("released before", func(t *testing.T) {
		in(t, func(t *testing.T, _ *bool, r *rig) {
			isolated(t, r, confirmed("cmd_1", isolate.RollBack))
			if st, err := r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"}); err != nil || st.Confirm != nil {
				t.Errorf("%+v, %v", st.Confirm, err)
			}
		})
	})
	t.Run("asked for what cannot be", func(t *testing.T) {
		r := newRig(t)
		if _, err := r.Isolate(t.Context(), confirmed("cmd_1", isolate.RollBack)); err == nil || r.fw.Calls("apply") != 0 {
			t.Errorf("without a way home: %v", err)
		}
		in(t, func(t *testing.T, _ *bool, r *rig) {
			if _, err := r.Isolate(t.Context(), confirmed("cmd_1", "open_all")); err == nil || r.fw.Calls("apply") != 0 {
				t.Errorf("unknown fallback: %v", err)
			}
		})
	})
}
