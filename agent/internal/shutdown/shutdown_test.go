package shutdown_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scene is a plan with hooks that note what they were asked.
type scene struct {
	t     *testing.T
	dir   string
	plan  *shutdown.Plan
	cfg   shutdown.Config
	begun time.Time

	mu       sync.Mutex
	orders   []acquire.Order
	released []time.Duration
	told     []string
	marks    []string
}

// set makes a scene; change alters its configuration. All times count from then on.
func set(t *testing.T, change func(s *scene)) *scene {
	t.Helper()
	s := &scene{t: t, dir: filepath.Join(t.TempDir(), "power"), begun: time.Now()}
	s.cfg = shutdown.Config{
		Dir: s.dir, BootID: "boot-1",
		Acquire: func(_ context.Context, o acquire.Order) (acquire.Result, error) { return s.sealed(o) },
		Release: func() { s.mu.Lock(); s.released = append(s.released, time.Since(s.begun)); s.mu.Unlock() },
		Tell:    func(_ context.Context, key string) { s.mu.Lock(); s.told = append(s.told, key); s.mu.Unlock() },
		Mark: func(_ context.Context, n record.ShutdownNotice) {
			s.mu.Lock()
			s.marks = append(s.marks, n.Event)
			s.mu.Unlock()
		},
		Clock: func() artifact.Instant {
			return artifact.Instant{Wall: time.Now().UTC(), BootNS: int64(time.Since(s.begun)) + 1}
		},
	}
	if change != nil {
		change(s)
	}
	var err error
	s.plan, err = shutdown.New(s.cfg)
	must(t, err)
	t.Cleanup(func() { // before the folder goes
		limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.plan.Wait(limited); err != nil {
			t.Log("the plan is not at rest:", err)
		}
	})
	return s
}

// sealed notes an order and is what a runner returns when all went well.
func (s *scene) sealed(o acquire.Order) (acquire.Result, error) {
	s.mu.Lock()
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	return acquire.Result{AcquisitionID: o.AcquisitionID, Manifest: captured(artifact.Complete, 100), FirstArtifactAt: time.Now()}, nil
}

// captured is a manifest with the notice and so many processes.
func captured(o artifact.Outcome, processes int64) artifact.Manifest {
	return artifact.Manifest{Outcome: o, Probes: []artifact.ProbeOutcome{
		{Kind: artifact.KindShutdown, Outcome: artifact.Complete, Records: 1}, {Kind: artifact.KindProcess, Records: processes}, {Kind: artifact.KindNetConn},
	}}
}

func (s *scene) notice(event, source string) shutdown.Report {
	return s.plan.Handle(s.t.Context(), shutdown.Notice{ShutdownNotice: record.ShutdownNotice{Event: event, Source: source, ByUID: -1}})
}

func (s *scene) last() shutdown.Last {
	s.t.Helper()
	must(s.t, s.plan.Wait(s.t.Context()))
	l, err := shutdown.ReadLast(s.dir)
	must(s.t, err)
	return l
}

// heard is what people were told when nothing is under way any more.
func (s *scene) heard() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

func (s *scene) firstRelease() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.released) == 0 {
		s.t.Fatal("the PC was not let go")
	}
	return s.released[0]
}

// TestHeldForLessThanHalfASecond: with no open incident, whatever hangs or breaks.
func TestHeldForLessThanHalfASecond(t *testing.T) {
	forever := make(chan struct{})
	for name, c := range map[string]struct {
		change func(s *scene)
		sealed bool
		after  time.Duration // exactly; 0: at once
	}{
		"all is well": {nil, true, 0},
		"takes 300 ms": {func(s *scene) {
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				time.Sleep(300 * time.Millisecond)
				return s.sealed(o)
			}
		}, true, 300 * time.Millisecond},
		"uses all its time": {func(s *scene) {
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				time.Sleep(time.Until(o.Deadline))
				return s.sealed(o)
			}
		}, true, 430 * time.Millisecond},
		"the disk hangs": {func(s *scene) {
			s.cfg.Acquire = func(context.Context, acquire.Order) (acquire.Result, error) {
				<-forever
				return acquire.Result{}, errors.New("at last")
			}
		}, false, 470 * time.Millisecond},
		"the spool is full": {func(s *scene) {
			s.cfg.Acquire = func(context.Context, acquire.Order) (acquire.Result, error) { return acquire.Result{}, spool.ErrFull }
		}, false, 0},
		"panic": {func(s *scene) {
			s.cfg.Acquire = func(context.Context, acquire.Order) (acquire.Result, error) { panic("oh") }
		}, false, 0},
		"hooks panic": {func(s *scene) {
			s.cfg.Incident = func() (string, bool) { panic("oh") }
			s.cfg.Profile = func(bool) string { panic("oh") }
			s.cfg.Mark = func(context.Context, record.ShutdownNotice) { panic("oh") }
		}, true, 0},
		"the incident is not known in time": {func(s *scene) {
			s.cfg.Incident = func() (string, bool) { <-forever; return "", true }
		}, false, 470 * time.Millisecond},
		"the recorder hangs": {func(s *scene) {
			s.cfg.Mark = func(context.Context, record.ShutdownNotice) { <-forever }
		}, true, 0},
		"the collector is not waited for": {func(s *scene) {
			s.cfg.Uploaded = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				forever = make(chan struct{})
				s := set(t, c.change)
				r := s.notice(shutdown.Down, shutdown.SourceLogind)
				if r.Sealed != c.sealed || r.Held != c.after || s.firstRelease() != c.after || r.Held >= 500*time.Millisecond {
					t.Errorf("%+v, let go after %s", r, s.firstRelease())
				}
				close(forever)
				l := s.last()
				if e := l.GoingDown(); e == nil || e.AcquisitionID != r.AcquisitionID || e.AddedDelayNS != int64(c.after) || e.ReleasedAt.Wall.IsZero() || c.sealed && e.Outcome != artifact.Complete {
					t.Errorf("%+v", e)
				}
				if told := s.heard(); len(told) > 0 && name != "the incident is not known in time" {
					t.Errorf("somebody was told %s", told)
				}
			})
		})
	}
}

// TestATerminalThatHangs holds neither the PC nor the agent that ends.
func TestATerminalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		s := set(t, func(s *scene) {
			s.cfg.Incident = func() (string, bool) { return "", true }
			s.cfg.Tell = func(context.Context, string) { <-stuck }
		})
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); !r.Sealed || r.Held != 0 {
			t.Errorf("%+v", r)
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, s.plan.Wait(limited))
		close(stuck)
	})
}

func TestReleaseThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, func(s *scene) { s.cfg.Release = func() { panic("oh") } })
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); !r.Sealed {
			t.Errorf("%+v", r)
		}
	})
}

// TestNowhereToWrite: the PC is let go and the evidence sealed all the same.
func TestNowhereToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		must(t, os.RemoveAll(s.dir))
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); !r.Sealed || s.firstRelease() != 0 {
			t.Errorf("%+v", r)
		}
		must(t, s.plan.Wait(t.Context()))
	})
}

// TestNotedBeforeItIsSealed: a power cut during the capture leaves the notice.
func TestNotedBeforeItIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := set(t, func(s *scene) {
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) { <-goOn; return s.sealed(o) }
		})
		go s.notice(shutdown.Down, shutdown.SourceLogind)
		synctest.Wait()
		l, err := shutdown.ReadLast(s.dir)
		must(t, err)
		if e := l.GoingDown(); e == nil || !e.SealedAt.Wall.IsZero() || e.AcquisitionID == "" {
			t.Errorf("%+v", l)
		}
		if w, ok := s.plan.Record(); !ok || w.Reason != record.ReasonDown || len(w.Notices) != 1 || w.BootID != "boot-1" {
			t.Errorf("the probe would write %+v", w)
		}
		close(goOn)
		if e := s.last().GoingDown(); e.SealedAt.Wall.IsZero() || e.FirstArtifactNS < 0 {
			t.Errorf("%+v", e)
		}
		if _, ok := s.plan.Record(); ok {
			t.Error("the notice is in every acquisition that follows")
		}
	})
}

// TestWithAnIncident: the PC may be held as long as it allows minus a reserve, and is let
// go as soon as all is done.
func TestWithAnIncident(t *testing.T) {
	const never = time.Hour
	for name, c := range map[string]struct {
		source           string
		allowed          time.Duration
		capture, upload  time.Duration
		want             time.Duration
		uploaded, sealed bool
	}{
		"done and delivered":       {"logind", 30 * time.Second, 2 * time.Second, time.Second, 3 * time.Second, true, true},
		"collector away":           {"logind", 5 * time.Second, 2 * time.Second, never, 4 * time.Second, false, true},
		"much is allowed":          {"logind", time.Minute, 2 * time.Second, never, 20 * time.Second, false, true},
		"a fifth is kept":          {"logind", 10 * time.Second, time.Second, never, 8 * time.Second, false, true},
		"not known":                {"logind", 0, time.Second, never, 4 * time.Second, false, true},
		"next to nothing":          {"logind", time.Second, 100 * time.Millisecond, never, 470 * time.Millisecond, false, true},
		"capture hangs":            {"logind", 5 * time.Second, never, 0, 4 * time.Second, false, false},
		"the companion's own time": {"companion", 5 * time.Second, 6 * time.Second, time.Second, 7 * time.Second, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				delivered := false
				s := set(t, func(s *scene) {
					s.cfg.Incident = func() (string, bool) { return "inc_1", true }
					s.cfg.Allowed = func() time.Duration { return c.allowed }
					s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
						time.Sleep(c.capture)
						return s.sealed(o)
					}
					s.cfg.Uploaded = func(ctx context.Context, id string) error {
						select {
						case <-time.After(c.upload):
							delivered = true
							return nil
						case <-ctx.Done():
							return ctx.Err()
						}
					}
				})
				r := s.notice(shutdown.Down, c.source)
				if r.Held != c.want || r.Sealed != c.sealed {
					t.Errorf("%+v", r)
				}
				e := s.last().Down
				if !e.IncidentOpen || delivered != c.uploaded {
					t.Errorf("delivered %t, %+v", delivered, e)
				}
				o := s.orders[0]
				if by := o.Deadline.Sub(s.begun); by >= c.want && c.capture == never || by > 20*time.Second || o.IncidentID != "inc_1" || !o.Urgent {
					t.Errorf("order %+v by %s", o, by)
				}
				if told := s.heard(); !slices.Equal(told, []string{shutdown.TellCapturing, shutdown.TellCaptured}) {
					t.Errorf("told %s", told)
				}
			})
		})
	}
}

// TestFirstSourceCapturesOthersJoin in the same going-down.
func TestFirstSourceCapturesOthersJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, func(s *scene) {
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				time.Sleep(200 * time.Millisecond)
				return s.sealed(o)
			}
		})
		var wg sync.WaitGroup
		var first, second shutdown.Report
		wg.Go(func() { first = s.notice(shutdown.Down, shutdown.SourceLogind) })
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		wg.Go(func() { second = s.notice(shutdown.Down, shutdown.SourceCompanion) })
		wg.Wait()
		if first.Joined || !second.Joined || !second.Sealed || first.AcquisitionID != second.AcquisitionID || time.Since(s.begun) != 200*time.Millisecond {
			t.Errorf("%+v, %+v", first, second)
		}
		third := s.notice(shutdown.Down, shutdown.SourceCompanion)
		if !third.Joined || !third.Sealed || time.Since(s.begun) != 200*time.Millisecond {
			t.Errorf("after it was sealed: %+v", third)
		}
		time.Sleep(2 * time.Minute)
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); r.Joined || r.AcquisitionID == first.AcquisitionID {
			t.Errorf("two minutes later: %+v", r)
		}
		l := s.last()
		if len(s.orders) != 2 || len(l.Notices) != 4 || l.Down.Source != shutdown.SourceLogind {
			t.Errorf("%d orders, %+v", len(s.orders), l)
		}
		if !slices.Equal(s.marks, []string{"down", "down", "down", "down"}) {
			t.Errorf("marked %s", s.marks)
		}
	})
}

// TestFailedCaptureIsTriedAgain by the next source.
func TestFailedCaptureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := set(t, func(s *scene) {
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				if n++; n == 1 {
					return acquire.Result{}, spool.ErrFull
				}
				return s.sealed(o)
			}
		})
		r := s.notice(shutdown.Down, shutdown.SourceLogind)
		if r.Sealed || !errors.Is(r.Err, spool.ErrFull) {
			t.Errorf("%+v", r)
		}
		if r := s.notice(shutdown.Down, shutdown.SourceCompanion); !r.Sealed || r.Joined {
			t.Errorf("%+v", r)
		}
	})
}

// TestNothingAliveIsNoCapture: the notice alone is none. It is said, the next source tries
// again, and nobody is told that evidence is kept.
func TestNothingAliveIsNoCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		s := set(t, func(s *scene) {
			s.cfg.Incident = func() (string, bool) { return "", true }
			s.cfg.Acquire = func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				if full {
					return acquire.Result{AcquisitionID: o.AcquisitionID, Manifest: captured(artifact.Partial, 0)}, nil
				}
				return s.sealed(o)
			}
		})
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); r.Sealed || r.Outcome != artifact.Partial {
			t.Errorf("%+v", r)
		}
		if e := s.last().GoingDown(); !e.Empty || e.AcquisitionID == "" {
			t.Errorf("noted %+v", e)
		}
		if told := s.heard(); !slices.Equal(told, []string{shutdown.TellCapturing}) {
			t.Errorf("told %s", told)
		}
		full = false
		if r := s.notice(shutdown.Down, shutdown.SourceCompanion); !r.Sealed || r.Joined {
			t.Errorf("tried again: %+v", r)
		}
		if e := s.last().GoingDown(); e.Empty {
			t.Errorf("noted %+v", e)
		}
	})
}

func TestCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		first := s.notice(shutdown.Down, shutdown.SourceLogind)
		s.notice(shutdown.Cancelled, shutdown.SourceLogind)
		if l := s.last(); l.GoingDown() != nil || l.Down.AcquisitionID != first.AcquisitionID {
			t.Errorf("%+v", l.Down)
		}
		second := s.notice(shutdown.Down, shutdown.SourceLogind)
		if second.Joined || second.AcquisitionID == first.AcquisitionID {
			t.Errorf("%+v", second)
		}
		if l := s.last(); l.GoingDown() == nil {
			t.Error("the second one is not noted")
		}
	})
}

// TestSessionsAloneAreFew: every program in a session can have its helper say that the PC goes
// down. That costs three captures an hour, and what something else tells is captured anyway.
func TestSessionsAloneAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		captured := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.orders) }
		for range 20 {
			s.notice(shutdown.Down, shutdown.SourceSession)
			s.notice(shutdown.Cancelled, shutdown.SourceSession)
			time.Sleep(2 * time.Minute)
		}
		if captured() != 3 {
			t.Errorf("%d captures because a session said so 20 times", captured())
		}
		if r := s.notice(shutdown.Down, shutdown.SourceEventLog); !r.Sealed || captured() != 4 {
			t.Errorf("the true one: %+v, %d captures", r, captured())
		}
		if r := s.notice(shutdown.Down, shutdown.SourceSession); !r.Joined {
			t.Errorf("a session of the true one: %+v", r)
		}
		time.Sleep(2 * time.Hour)
		for range 5 { // each confirmed by something else
			s.notice(shutdown.Down, shutdown.SourceSession)
			s.notice(shutdown.Down, shutdown.SourceService)
			time.Sleep(2 * time.Minute)
		}
		if captured() != 9 {
			t.Errorf("%d captures: those that were confirmed count", captured())
		}
	})
}

// TestSessionTakesBackItsOwn: a session calls off what only sessions told of.
func TestSessionTakesBackItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		s.notice(shutdown.Down, shutdown.SourceSession)
		s.notice(shutdown.Cancelled, shutdown.SourceSession)
		if s.last().GoingDown() != nil {
			t.Error("its own is not called off")
		}
		for _, order := range [][]string{{shutdown.SourceEventLog, shutdown.SourceSession}, {shutdown.SourceSession, shutdown.SourceEventLog}} {
			time.Sleep(2 * time.Minute)
			for _, source := range order {
				s.notice(shutdown.Down, source)
			}
			s.notice(shutdown.Cancelled, shutdown.SourceSession)
			if s.last().GoingDown() == nil {
				t.Errorf("%s: a session calls off what the event log told", order)
			}
			s.notice(shutdown.Cancelled, shutdown.SourceEventLog)
			if s.last().GoingDown() != nil {
				t.Error("the event log does not call it off")
			}
		}
	})
}

// TestStillHere: what did not come is taken back.
func TestStillHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		s.notice(shutdown.Down, shutdown.SourceCompanion)
		time.Sleep(16 * time.Minute)
		if l := s.last(); l.GoingDown() != nil {
			t.Errorf("%+v", l.Down)
		}
	})
}

func TestScheduledIsEarlyAndInAddition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		at := func(in time.Duration) {
			s.plan.Handle(t.Context(), shutdown.Notice{ShutdownNotice: record.ShutdownNotice{Event: shutdown.Scheduled, Source: "logind", Type: "reboot", For: time.Now().Add(in), ByUID: 1000, ByTTY: "pts/1"}})
		}
		at(2 * time.Second) // too near
		must(t, s.plan.Wait(t.Context()))
		at(time.Minute)
		at(2 * time.Minute) // set anew
		must(t, s.plan.Wait(t.Context()))
		if len(s.orders) != 1 || s.orders[0].Urgent || !s.orders[0].Deadline.IsZero() || len(s.released) != 0 {
			t.Fatalf("%+v", s.orders)
		}
		r := s.notice(shutdown.Down, "logind")
		l := s.last()
		if len(s.orders) != 2 || r.Joined || l.Early == nil || l.Early.SealedAt.Wall.IsZero() || l.Early.AcquisitionID == l.Down.AcquisitionID {
			t.Errorf("%+v", l)
		}
		if by := l.By(); by == nil || by.ByUID != 1000 || by.ByTTY != "pts/1" {
			t.Errorf("asked by %+v", by)
		}
	})
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, func(s *scene) { s.cfg.Incident = func() (string, bool) { return "", true } })
		r := s.notice(shutdown.Sleep, shutdown.SourceLogind)
		if !r.Sealed || s.firstRelease() > 470*time.Millisecond || s.orders[0].Trigger != artifact.TriggerSuspend || s.orders[0].Deadline.Sub(s.begun) > 470*time.Millisecond {
			t.Errorf("%+v, %+v", r, s.orders)
		}
		if l := s.last(); l.Asleep() == nil || l.Down != nil {
			t.Errorf("%+v", l)
		}
		s.notice(shutdown.Resumed, shutdown.SourceLogind)
		if l := s.last(); l.Asleep() != nil {
			t.Errorf("%+v", l.Sleep)
		}
		if r := s.notice(shutdown.Sleep, shutdown.SourceLogind); r.Joined {
			t.Error("the second sleep was not captured")
		}
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); r.Joined || !r.Sealed {
			t.Errorf("a shutdown after a sleep: %+v", r)
		}
	})
}

func TestManyNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		for range 100 {
			s.notice(shutdown.Down, shutdown.SourceCompanion)
			s.notice(shutdown.Cancelled, shutdown.SourceLogind)
		}
		if l := s.last(); len(l.Notices) != 64 || l.Notices[63].Event != shutdown.Cancelled {
			t.Errorf("%d notices", len(l.Notices))
		}
	})
}
