package acquire_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// planned makes a runner whose plan has the given budgets.
func planned(t *testing.T, sink acquire.Sink, list ...acquire.Planned) *acquire.Runner {
	t.Helper()
	signer, err := identity.NewOneTime()
	must(t, err)
	return acquire.NewRunner(acquire.Config{
		Sink:     sink,
		Plan:     func(string) (acquire.Plan, error) { return acquire.Plan{Profile: "flash", Probes: list}, nil },
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Tool:     func() artifact.Tool { return artifact.Tool{Name: "test"} },
	})
}

func budgeted(f fake, budget time.Duration) acquire.Planned {
	return acquire.Planned{New: func() probe.Probe { return f }, Budget: budget}
}

// The ways in which a probe of the property test behaves.
var manners = []string{"quick", "empty", "slow", "obeys", "ignores", "panics", "fails", "trickles"}

func behave(manner string, d time.Duration, wake <-chan struct{}) func(context.Context, probe.Writer) error {
	return func(ctx context.Context, w probe.Writer) error {
		switch manner {
		case "quick":
			return w.Write(line("q"))
		case "slow": // and then done, whatever its time is
			time.Sleep(d)
			return w.Write(line("s"))
		case "obeys":
			w.Write(line("o"))
			<-ctx.Done()
			return ctx.Err()
		case "ignores":
			w.Write(line("i"))
			<-wake
		case "panics":
			time.Sleep(min(d, 10*time.Millisecond))
			panic("oh")
		case "fails":
			return errors.New("broken")
		case "trickles":
			for {
				if err := w.Write(line("t")); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
		}
		return nil
	}
}

// TestSealedBeforeTheDeadline: whatever the probes do.
func TestSealedBeforeTheDeadline(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := time.Duration(rapid.IntRange(0, 5000).Draw(rt, "limit")) * time.Millisecond
		reserve := time.Duration(rapid.IntRange(0, 300).Draw(rt, "reserve")) * time.Millisecond
		n := rapid.IntRange(0, 8).Draw(rt, "probes")
		var said []string
		var budgets, delays []time.Duration
		for range n {
			said = append(said, rapid.SampledFrom(manners).Draw(rt, "manner"))
			budgets = append(budgets, time.Duration(rapid.IntRange(1, 2000).Draw(rt, "budget"))*time.Millisecond)
			delays = append(delays, time.Duration(rapid.IntRange(0, 3000).Draw(rt, "delay"))*time.Millisecond)
		}
		var res acquire.Result
		var err error
		var took time.Duration
		synctest.Test(t, func(t *testing.T) {
			wake := make(chan struct{})
			var list []acquire.Planned
			for i := range n {
				list = append(list, budgeted(fake{artifact.Kind(fmt.Sprintf("k%d", i)), probe.Volatility(min(i, 4)), behave(said[i], delays[i], wake)}, budgets[i]))
			}
			s := newSpool(t, t.TempDir())
			begun := time.Now()
			res, err = planned(t, s, list...).Run(t.Context(), acquire.Order{Profile: "flash", Urgent: true, Deadline: begun.Add(limit), Reserve: reserve})
			took = time.Since(begun)
			close(wake)
			time.Sleep(4 * time.Second) // of the bubble: the slow ones end
		})
		if err != nil {
			rt.Fatal(err)
		}
		least := reserve
		if least == 0 {
			least = 50 * time.Millisecond
		}
		// The first, which is a live one, has a tenth of a second in every case.
		if took > max(limit-least, 100*time.Millisecond) {
			rt.Fatalf("the last probe ended after %s of %s, reserve %s", took, limit, reserve)
		}
		// Where there is time for all of them and for waiting for those that hang, each has
		// its turn. With less, those before may have left one no time.
		kept := reserve
		if kept == 0 {
			kept = min(max(limit/5, 50*time.Millisecond), time.Second)
		}
		need := kept
		for _, b := range budgets {
			need += b + 250*time.Millisecond // the default of Config.Grace
		}
		enough := limit >= need
		m := res.Manifest
		if len(m.Probes) != n {
			rt.Fatalf("%d outcomes of %d probes", len(m.Probes), n)
		}
		for i, p := range m.Probes {
			if !p.Outcome.Valid() || p.Outcome == artifact.Interrupted {
				rt.Errorf("%s: %+v", said[i], p)
			}
			if p.Outcome != artifact.Complete && p.Outcome != artifact.Empty && p.Detail == "" {
				rt.Errorf("%s: %s without a reason", said[i], p.Outcome)
			}
			if hangs := said[i] == "obeys" || said[i] == "ignores" || said[i] == "trickles"; hangs && p.Outcome != artifact.TimedOut && p.Outcome != artifact.NotStarted {
				rt.Errorf("%s ended as %s", said[i], p.Outcome)
			}
			if p.Outcome == artifact.NotStarted && (i == 0 || enough) {
				rt.Errorf("%s found no time of %s", said[i], limit)
			}
		}
	})
}

// TestMostVolatileGetMost: with a third of a second for the flash plan, the first probe
// may take half of it, and one that hangs costs only itself.
func TestMostVolatileGetMost(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		hang := behave("ignores", 0, wake)
		res, err := planned(t, s, budgeted(fake{"a", 0, hang}, 2*time.Second), budgeted(fake{"b", 0, hang}, 2*time.Second),
			budgeted(fake{"c", 1, writes("fine")}, 2*time.Second), budgeted(fake{"d", 2, hang}, 2*time.Second), budgeted(fake{"e", 4, writes("fine")}, 2*time.Second),
		).Run(t.Context(), acquire.Order{Profile: "flash", Deadline: time.Now().Add(450 * time.Millisecond), Reserve: 150 * time.Millisecond})
		must(t, err)
		close(wake)
		p := res.Manifest.Probes
		if p[0].DurationNS != int64(150*time.Millisecond) || p[0].BudgetNS != int64(125*time.Millisecond) || p[1].DurationNS != int64(75*time.Millisecond) {
			t.Errorf("got %+v", p)
		}
		if p[2].Outcome != artifact.Complete || p[4].Outcome != artifact.Complete || res.Manifest.Outcome != artifact.Partial {
			t.Errorf("got %+v", p)
		}
		if res.FirstArtifactAt.IsZero() || p[0].Records != 1 || !strings.Contains(p[0].Detail, "deadline") {
			t.Errorf("got %+v", res)
		}
	})
}

// TestEnoughTimeShrinksNothing: a deadline that is far away leaves the plan as it is.
func TestEnoughTimeShrinksNothing(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		res, err := planned(t, s, budgeted(fake{"a", 0, writes("x")}, 2*time.Second), budgeted(fake{"b", 0, writes("x")}, time.Second)).
			Run(t.Context(), acquire.Order{Profile: "flash", Deadline: time.Now().Add(time.Minute)})
		must(t, err)
		for i, want := range []time.Duration{2 * time.Second, time.Second} {
			if got := time.Duration(res.Manifest.Probes[i].BudgetNS); got != want {
				t.Errorf("probe %d has %s", i, got)
			}
		}
		if res.Manifest.Outcome != artifact.Complete {
			t.Error(res.Manifest.Outcome)
		}
	})
}

// TestUrgentComesFirst: the running acquisition ends at once and is sealed, the next one
// in the row waits.
func TestUrgentComesFirst(t *testing.T) {
	for _, manner := range []string{"obeys", "ignores"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSpool(t, t.TempDir())
			wake := make(chan struct{})
			var mu sync.Mutex
			var order []string
			note := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
			runs := 0
			first := fake{"a", 0, func(ctx context.Context, w probe.Writer) error {
				mu.Lock()
				runs++
				n := runs
				mu.Unlock()
				switch n {
				case 1:
					w.Write(line("x"))
					err := behave(manner, 0, wake)(ctx, w)
					return err
				default:
					return w.Write(line("y"))
				}
			}}
			r := planned(t, s, budgeted(first, time.Minute), budgeted(fake{"b", 1, writes("z")}, time.Second))
			var wg sync.WaitGroup
			run := func(name string, urgent bool) (out *acquire.Result) {
				out = new(acquire.Result)
				wg.Go(func() {
					o := acquire.Order{Profile: "flash", Urgent: urgent}
					if urgent {
						o.Deadline = time.Now().Add(450 * time.Millisecond)
					}
					res, err := r.Run(t.Context(), o)
					if err != nil {
						t.Error(err)
					}
					*out = res
					note(name)
				})
				synctest.Wait()
				return out
			}
			running := run("running", false)
			waiting := run("waiting", false)
			begun := time.Now()
			urgent := run("urgent", true)
			wg.Wait()
			if d := time.Since(begun); d > 100*time.Millisecond {
				t.Errorf("%s: took %s", manner, d)
			}
			close(wake)
			if running.Manifest.Outcome != artifact.Interrupted || running.Manifest.Probes[0].Outcome != artifact.Interrupted ||
				running.Manifest.Probes[1].Outcome != artifact.NotStarted || !strings.Contains(running.Manifest.Probes[1].Detail, "urgent") {
				t.Errorf("%s: %+v", manner, running.Manifest.Probes)
			}
			if urgent.Manifest.Outcome != artifact.Complete || waiting.Manifest.Outcome != artifact.Complete {
				t.Errorf("%s: %s, %s", manner, urgent.Manifest.Outcome, waiting.Manifest.Outcome)
			}
			if order[len(order)-1] != "waiting" {
				t.Errorf("%s: %s", manner, order)
			}
		})
	}
}

// slowSink makes room slowly.
type slowSink struct {
	acquire.Sink
	wait time.Duration
	err  error
}

func (s slowSink) Begin(id string, plan []byte) (*spool.Acquisition, error) {
	time.Sleep(s.wait)
	if s.err != nil {
		return nil, s.err
	}
	return s.Sink.Begin(id, plan)
}

// TestReadsWhileTheDiskIsSlow: in a hurry no probe waits for the spool.
func TestReadsWhileTheDiskIsSlow(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var read time.Duration
		lines := make([]string, 20_000) // more than is gathered before it is written
		p := fake{"a", 0, func(_ context.Context, w probe.Writer) error {
			err := writes(lines...)(nil, w)
			read = time.Since(begun)
			return err
		}}
		also := fake{"b", 1, func(_ context.Context, w probe.Writer) error {
			read = max(read, time.Since(begun))
			return w.Write(line("z"))
		}}
		r := planned(t, slowSink{Sink: s, wait: 340 * time.Millisecond}, budgeted(p, time.Second), budgeted(also, time.Second))
		res, err := r.Run(t.Context(), acquire.Order{Profile: "flash", Urgent: true, Deadline: begun.Add(450 * time.Millisecond)})
		must(t, err)
		if read != 0 || res.Manifest.Outcome != artifact.Complete || res.Manifest.Probes[0].Records != 20_000 || len(res.Manifest.Artifacts) != 2 {
			t.Errorf("read after %s, %+v", read, res.Manifest)
		}
		full := slowSink{Sink: s, err: spool.ErrFull}
		if _, err := planned(t, full, budgeted(p, time.Second)).Run(t.Context(), acquire.Order{Profile: "flash", Urgent: true, Deadline: time.Now().Add(time.Second)}); !errors.Is(err, spool.ErrFull) {
			t.Errorf("full: %v", err)
		}
	})
}

// TestSlowDigestIsLeftOut: the program's own digest must not hold up the seal.
func TestSlowDigestIsLeftOut(t *testing.T) {
	s := newSpool(t, t.TempDir())
	signer, err := identity.NewOneTime()
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		r := acquire.NewRunner(acquire.Config{
			Sink: s, Plan: planOf(fake{"a", 0, writes("x")}),
			Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
			Tool:     func() artifact.Tool { time.Sleep(time.Hour); return artifact.Tool{SHA256: "late"} },
		})
		begun := time.Now()
		res, err := r.Run(t.Context(), acquire.Order{Profile: "flash", Urgent: true, Deadline: begun.Add(400 * time.Millisecond)})
		must(t, err)
		if d := time.Since(begun); d > 400*time.Millisecond || res.Manifest.Tool.SHA256 != "" || res.Manifest.Tool.Name == "" {
			t.Errorf("took %s, %+v", d, res.Manifest.Tool)
		}
		r.Prepare() // ends the goroutine
	})
}

// TestCrashInAHurry is TestCrashAtEachStep without notes and with parts that are placed
// beside the probes: what is whole is sealed, and nothing is claimed of the rest.
func TestCrashInAHurry(t *testing.T) {
	errCrash := errors.New("crash")
	fakes := []fake{{"a", 0, writes("1", "2")}, {"b", 1, writes("3")}, {"c", 2, writes("4")}}
	for at := 1; ; at++ {
		dir := t.TempDir()
		var mu sync.Mutex
		n, last := 0, ""
		s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, Step: func(step string) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n >= at {
				if n == at {
					last = step
				}
				return errCrash
			}
			return nil
		}})
		must(t, err)
		acq := id.New(id.Acquisition)
		_, err = runner(t, s, fakes...).Run(t.Context(), acquire.Order{AcquisitionID: acq, Profile: "flash", Urgent: true, Deadline: time.Now().Add(time.Minute)})
		must(t, s.Close())
		if last == "" {
			must(t, err)
			if at < 14 {
				t.Errorf("only %d steps", at)
			}
			return
		}
		s = newSpool(t, dir)
		if _, err := runner(t, s, fakes...).Recover(t.Context(), s); err != nil {
			t.Errorf("%s: recover: %v", last, err)
		}
		list := s.List()
		if len(list) == 0 {
			if !strings.HasPrefix(last, "spool.begin.") {
				t.Errorf("%s: the acquisition is lost", last)
			}
			continue
		}
		if list[0].State != spool.Sealed {
			t.Fatalf("%s: %+v", last, list)
		}
		checkSealed(t, last, s, acq)
		must(t, s.Close())
	}
}

// TestTheTimeBeginsWithTheTurn: an acquisition that waited for longer than it may take has
// all of its time, and what is to be first comes first, also when no time is left.
func TestTheTimeBeginsWithTheTurn(t *testing.T) {
	for _, limit := range []time.Duration{2 * time.Second, time.Nanosecond} {
		synctest.Test(t, func(t *testing.T) {
			slow := func(d time.Duration) fake {
				return fake{"live", probe.Live, func(ctx context.Context, w probe.Writer) error {
					select {
					case <-time.After(d):
						return w.Write(line("l"))
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
			}
			at, wait := time.Second, make(chan struct{})
			list := []acquire.Planned{{New: func() probe.Probe { return slow(at) }, Budget: time.Minute}}
			r := planned(t, newSpool(t, t.TempDir()), list...)
			var wg sync.WaitGroup
			wg.Go(func() { // the one before takes half a minute
				_, err := r.Run(t.Context(), acquire.Order{Profile: "flash", Extra: []acquire.Planned{
					budgeted(fake{"before", probe.Live, func(context.Context, probe.Writer) error { <-wait; return nil }}, time.Minute),
				}})
				must(t, err)
			})
			synctest.Wait()
			time.AfterFunc(30*time.Second, func() { close(wait) })
			decision := budgeted(fake{"decision", probe.Machine, func(_ context.Context, w probe.Writer) error { return w.Write(line("d")) }}, 100*time.Millisecond)
			decision.First = true
			res, err := r.Run(t.Context(), acquire.Order{Profile: "flash", Limit: limit, Extra: []acquire.Planned{decision}})
			must(t, err)
			wg.Wait()
			p := res.Manifest.Probes
			if len(p) != 2 || p[0].Kind != "decision" || p[0].Outcome != artifact.Complete {
				t.Fatalf("limit %s: %+v", limit, p)
			}
			if whole := limit > at; (p[1].Outcome == artifact.Complete) != whole {
				t.Errorf("limit %s: %+v", limit, p[1])
			}
		})
	}
}
