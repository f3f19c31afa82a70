package osservice

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scene is a service under a manager that is ours.
type scene struct {
	controls chan word
	said     []standing
	heard    []Heard
	ended    chan error
}

// play starts a service; work ends with its context, after a second if slow.
func play(t *testing.T, h Hooks, slow time.Duration) *scene {
	s := &scene{controls: make(chan word, queueRoomForTests), ended: make(chan error, 1)}
	h.Heard = func(w Heard) { s.heard = append(s.heard, w) }
	f := &frame{hooks: h, log: slog.New(slog.DiscardHandler), work: func(ctx context.Context, ready func()) error {
		time.Sleep(1200 * time.Millisecond) // to start
		ready()
		<-ctx.Done()
		time.Sleep(slow)
		return nil
	}}
	go func() { s.ended <- f.live(t.Context(), s.controls, func(st standing) { s.said = append(s.said, st) }) }()
	return s
}

const queueRoomForTests = 8

func (s *scene) phases() (all []phase) {
	for _, st := range s.said {
		all = append(all, st.phase)
	}
	return slices.Compact(all)
}

// checkRising: the manager takes a service for dead whose check point does not rise.
func (s *scene) checkRising(t *testing.T) {
	t.Helper()
	for i := 1; i < len(s.said); i++ {
		if a, b := s.said[i-1], s.said[i]; a.phase == b.phase && b.phase != running && b.checkPoint <= a.checkPoint {
			t.Errorf("check point %d after %d", b.checkPoint, a.checkPoint)
		}
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, Hooks{}, 3*time.Second)
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishStop}
		begun := time.Now()
		if err := <-s.ended; err != nil || time.Since(begun) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if p := s.phases(); !slices.Equal(p, []phase{starting, running, stopping}) {
			t.Errorf("%v", p)
		}
		s.checkRising(t)
		if last := s.said[len(s.said)-1]; last.checkPoint < 6 {
			t.Errorf("%+v: no sign of life while it stopped", last)
		}
	})
}

// TestPreshutdown: what the hook takes is waited for, and signs of life go on meanwhile.
func TestPreshutdown(t *testing.T) {
	for _, w := range []wish{wishPreshutdown, wishRehearsal} {
		synctest.Test(t, func(t *testing.T) {
			var got []bool
			s := play(t, Hooks{GoingDown: func(ctx context.Context, rehearsal bool) {
				got = append(got, rehearsal)
				time.Sleep(20 * time.Second)
				if ctx.Err() != nil {
					t.Error("it was told to end before it was done")
				}
			}}, 0)
			time.Sleep(2 * time.Second)
			s.controls <- word{wish: w}
			s.controls <- word{wish: w} // a second word changes nothing
			begun := time.Now()
			if err := <-s.ended; err != nil || time.Since(begun) != 20*time.Second {
				t.Errorf("%v after %s", err, time.Since(begun))
			}
			if !slices.Equal(got, []bool{w == wishRehearsal}) {
				t.Errorf("%v", got)
			}
			s.checkRising(t)
			if last := s.said[len(s.said)-1]; last.phase != stopping || last.checkPoint < 38 {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestPreshutdownThatHangs: Windows would kill it; it ends before that.
func TestPreshutdownThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := play(t, Hooks{GoingDown: func(context.Context, bool) { <-ctx.Done() }}, 0)
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishPreshutdown}
		begun := time.Now()
		if err := <-s.ended; err != nil || time.Since(begun) != preshutdownWork {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := play(t, Hooks{}, time.Hour) // the agent itself hangs
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishPreshutdown}
		begun := time.Now()
		if err := <-s.ended; !errors.Is(err, errHangs) || time.Since(begun) >= PreshutdownNeeded {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestStopThatHangs: signs of life do not go on for ever.
func TestStopThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, Hooks{}, time.Hour)
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishStop}
		begun := time.Now()
		if err := <-s.ended; !errors.Is(err, errHangs) || time.Since(begun) != stopWork {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		time.Sleep(2 * time.Hour)
	})
	synctest.Test(t, func(t *testing.T) { // going down has its own time, also with a stop
		s := play(t, Hooks{GoingDown: func(context.Context, bool) { time.Sleep(time.Hour) }}, time.Hour)
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishPreshutdown}
		s.controls <- word{wish: wishStop}
		begun := time.Now()
		if err := <-s.ended; !errors.Is(err, errHangs) || time.Since(begun) != preshutdownWork {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestHookThatPanics ends no service and holds nothing up.
func TestHookThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, Hooks{GoingDown: func(context.Context, bool) { panic("on purpose") }}, 0)
		time.Sleep(2 * time.Second)
		s.controls <- word{wish: wishPreshutdown}
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, Hooks{}, 0)
		time.Sleep(2 * time.Second)
		for _, c := range []word{{wishSession, 5}, {wishSession, 7}, {wishSession, 6}, {wishPower, 10}, {wishPower, 4}, {wishPower, 18}} {
			s.controls <- c
		}
		synctest.Wait()
		if want := []Heard{HeardSessions, HeardLogoff, HeardSuspend, HeardResumed}; !slices.Equal(s.heard, want) {
			t.Errorf("%q", s.heard)
		}
		before := len(s.said)
		s.controls <- word{wish: wishStatus}
		synctest.Wait()
		if len(s.said) != before+1 || s.said[before].phase != running {
			t.Errorf("asked for its state it said %+v", s.said[before:])
		}
		s.controls <- word{wish: wishStop}
		<-s.ended
	})
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		`C:\Hozen\hozen-agent.exe run --service`:                `C:\Hozen\hozen-agent.exe run --service`,
		`C:\Program Files\Hozen\hozen-agent.exe run --service`:  `"C:\Program Files\Hozen\hozen-agent.exe" run --service`,
		`"C:\Program Files\Hozen\hozen-agent.exe" run`:          `"C:\Program Files\Hozen\hozen-agent.exe" run`,
		`C:\Program Files\Hozen\hozen-agent.EXE`:                `"C:\Program Files\Hozen\hozen-agent.EXE"`,
		`"C:\Program Files\Hozen\hozen-agent.exe run --service`: `"C:\Program Files\Hozen\hozen-agent.exe run --service`,
		``: ``,
	} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	log := slog.New(newLines(slog.LevelInfo, func(l slog.Level, line string) { got = append(got, l.String()+" "+line) }))
	log.Debug("no")
	log.With(slog.String("a", "b")).WithGroup("g").Warn("one\x00 two", slog.Int("n", 3))
	log.Error(strings.Repeat("x", 2*maxLine))
	if len(got) != 2 || got[0] != `WARN msg="one\x00 two" a=b g.n=3` || len(got[1]) != maxLine+len("ERROR ") {
		t.Errorf("%.200q", got)
	}
}
