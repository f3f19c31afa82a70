package winpower_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/winpower"
	"hozen/internal/artifact"
	"hozen/internal/winapi/evt"
)

// pc is a PC under the ladder of triggers, in virtual time.
type pc struct {
	t      *testing.T
	plan   *shutdown.Plan
	client *winpower.Client
	told   func(evt.Shutdown)
	open   bool // an incident is
	took   time.Duration
	orders []acquire.Order
}

func start(t *testing.T) *pc {
	c := &pc{t: t, took: 200 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan struct{})
	c.client = winpower.New(winpower.Config{Allowed: osservice.PreshutdownNeeded, Watch: func(ctx context.Context, told func(evt.Shutdown)) error {
		c.told = told
		close(listening)
		<-ctx.Done()
		return nil
	}})
	var err error
	c.plan, err = shutdown.New(shutdown.Config{
		Dir: t.TempDir(), BootID: "b", Allowed: c.client.Allowed, Release: c.client.Release,
		Incident: func() (string, bool) { return "", c.open },
		Acquire: func(ctx context.Context, o acquire.Order) (acquire.Result, error) {
			c.orders = append(c.orders, o)
			time.Sleep(c.took)
			m := artifact.Manifest{Outcome: artifact.Complete, Probes: []artifact.ProbeOutcome{{Kind: artifact.KindProcess, Records: 7}}}
			return acquire.Result{AcquisitionID: o.AcquisitionID, Manifest: m}, nil
		},
		Uploaded: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.client.Run(ctx); close(ended) }()
	go func() {
		for {
			select {
			case n := <-c.client.Events():
				go c.plan.Handle(ctx, n)
			case <-ctx.Done():
				return
			}
		}
	}()
	<-listening
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

func (c *pc) hear(event, source string) shutdown.Report {
	return c.plan.Handle(c.t.Context(), winpower.Notice(event, source))
}

func (c *pc) wait() {
	c.t.Helper()
	if err := c.plan.Wait(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// TestShutDown: the event log, two sessions, a sign-out and the service manager tell of
// one shutdown; one capture is made, and by the service manager nothing is added.
func TestShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.told(evt.Shutdown{Type: "reboot"})
		time.Sleep(50 * time.Millisecond)
		for range 2 {
			if r := c.hear(shutdown.Down, shutdown.SourceSession); !r.Joined || !r.Sealed {
				t.Errorf("%+v", r)
			}
		}
		c.client.Heard(osservice.HeardLogoff)
		time.Sleep(10 * time.Second) // programs end
		begun := time.Now()
		r := c.hear(shutdown.Down, shutdown.SourceService)
		if added := time.Since(begun); added != 0 || !r.Joined || !r.Sealed {
			t.Errorf("%s added, %+v", added, r)
		}
		c.wait()
		if len(c.orders) != 1 {
			t.Fatalf("%d captures of one shutdown", len(c.orders))
		}
		last := c.plan.Noted()
		if e := last.GoingDown(); e == nil || e.Source != shutdown.SourceEventLog || e.Type != "reboot" || len(last.Notices) != 5 {
			t.Errorf("%+v", last)
		}
	})
}

// TestServiceAlone: nobody told before; without an incident the PC waits less than a second.
func TestServiceAlone(t *testing.T) {
	for _, took := range []time.Duration{200 * time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := start(t)
			c.took = took
			begun := time.Now()
			r := c.hear(shutdown.Down, shutdown.SourceService)
			if added := time.Since(begun); added >= shutdown.HeldAtMost || r.Sealed != (took < time.Second) {
				t.Errorf("a capture of %s: %s added, %+v", took, added, r)
			}
			c.wait()
		})
	}
}

// TestIncident: with one open the service takes what it may, and never all of it.
func TestIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.open, c.took = true, 8*time.Second
		begun := time.Now()
		r := c.hear(shutdown.Down, shutdown.SourceService)
		if added := time.Since(begun); added < c.took || added >= osservice.PreshutdownNeeded-30*time.Second || !r.Sealed {
			t.Errorf("%s added, %+v", added, r)
		}
		c.wait()
	})
}

// TestFastStartup: "Shut down" signs people out and hibernates; no service hears of a
// shutdown. What ran is captured when they are signed out, and the start after is told.
func TestFastStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.hear(shutdown.Logoff, shutdown.SourceSession)
		c.client.Heard(osservice.HeardLogoff)
		c.client.Heard(osservice.HeardSuspend)
		time.Sleep(14 * time.Hour)
		c.client.Heard(osservice.HeardResumed)
		time.Sleep(time.Second)
		c.wait()
		var triggers []artifact.Trigger
		for _, o := range c.orders {
			triggers = append(triggers, o.Trigger)
		}
		if got := fmt.Sprint(triggers); got != fmt.Sprint([]artifact.Trigger{artifact.TriggerShutdown, artifact.TriggerSuspend}) {
			t.Errorf("%s", got)
		}
		last := c.plan.Noted()
		if last.GoingDown() != nil || last.Asleep() != nil || last.Logoff == nil || last.Logoff.SealedAt.Wall.IsZero() {
			t.Errorf("%+v", last)
		}
	})
}

// TestTakenBack: what was asked for and taken back is no shutdown.
func TestTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		c.told(evt.Shutdown{Type: "poweroff"})
		time.Sleep(time.Second)
		c.told(evt.Shutdown{Cancelled: true})
		time.Sleep(time.Second)
		if c.plan.Noted().GoingDown() != nil {
			t.Error("it counts as going down")
		}
		c.told(evt.Shutdown{Type: "poweroff"})
		time.Sleep(time.Second)
		c.wait()
		if len(c.orders) != 2 || c.plan.Noted().GoingDown() == nil {
			t.Errorf("%d captures, %+v", len(c.orders), c.plan.Noted())
		}
	})
}

// TestDown: who is told to go down goes the way that was asked for, and says why not.
func TestDown(t *testing.T) {
	var asked []bool
	fail := errors.New("a privilege is not held")
	c := winpower.New(winpower.Config{Down: func(reboot bool) error { asked = append(asked, reboot); return fail }})
	if err := errors.Join(c.PowerOff(t.Context(), false), c.Reboot(t.Context(), true)); !errors.Is(err, fail) || fmt.Sprint(asked) != "[false true]" {
		t.Errorf("%v, %v", asked, err)
	}
}
