package isolate

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// controlsLimit is how long the controls may keep the network open beyond what Before
	// takes; an order that will have no capture first waits only as long as a neighbour
	// takes to answer.
	controlsLimit = 1900 * time.Millisecond
	controlsHaste = 250 * time.Millisecond
	// controlsMax bounds what a record keeps of them.
	controlsMax = 128
	// trialsLimit is how long all trials may take together.
	trialsLimit = 30 * time.Second
	// trialsWait is how long the answer to an order waits for them after the cut.
	trialsWait = 3 * time.Second
	// trialsSoon is how long after trials the next ones may begin when they showed a leak or
	// the rules had to be put right.
	trialsSoon = 5 * time.Second
)

// prepare does what comes before the cut: the capture and, beside it, the controls and
// the search for tunnels and the look at the rules of others.
func (m *Manager) prepare(ctx context.Context, p Policy, haste bool) (BeforeOutcome, Controls, Beside, []Tunnel) {
	var controls Controls
	var beside Beside
	var tunnels []Tunnel
	var wg sync.WaitGroup
	wg.Go(func() { controls = m.tryControls(ctx, haste) })
	wg.Go(func() { tunnels = m.carried(context.WithoutCancel(ctx), p) })
	wg.Go(func() {
		limit := controlsLimit
		if haste {
			limit = controlsHaste
		}
		beside = m.lookBeside(ctx, limit)
	})
	before := m.runBefore(ctx, haste)
	wg.Wait()
	return before, controls, beside, tunnels
}

func (m *Manager) tryControls(ctx context.Context, haste bool) Controls {
	if m.cfg.Trials == nil {
		return Controls{}
	}
	limit := controlsLimit
	if haste {
		limit = controlsHaste
	}
	out := make(chan Controls, 1) // an abandoned call must write nowhere else
	err := m.controls.run(ctx, limit, func(ctx context.Context) error {
		out <- m.cfg.Trials.Controls(ctx)
		return nil
	})
	if err != nil {
		m.cfg.Log.WarnContext(ctx, "what was open before the cut is not known; trials will show little", slog.Any("error", err))
		return Controls{}
	}
	c := <-out
	c.Open = c.Open[:min(len(c.Open), controlsMax)]
	return c
}

// startTrials has the rules tried beside whatever goes on, if they were not for so long.
// What is tried for an earlier order is no reason to wait.
func (m *Manager) startTrials(ctx context.Context, every time.Duration) {
	if m.cfg.Trials == nil {
		return
	}
	done := make(chan struct{})
	m.mu.Lock()
	if !m.triedAt.IsZero() && (m.trying != nil || time.Since(m.triedAt) < every) {
		m.mu.Unlock()
		return
	}
	order, rec := m.orders, m.rec
	m.trying, m.triedAt = done, time.Now()
	m.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer close(done)
		out := make(chan []Trial, 1)
		err := m.tests.run(ctx, trialsLimit, func(ctx context.Context) error {
			out <- m.cfg.Trials.Try(ctx, rec.Policy, rec.Controls, func(ctx context.Context) ([]Drop, error) {
				o, err := m.observe(ctx, &rec.Policy, m.cfg.FirewallLimit)
				return o.Drops, err
			})
			return nil
		})
		if err != nil {
			m.cfg.Log.WarnContext(ctx, "the rules are not tried", slog.Any("error", err))
			m.tried(ctx, order, done, nil)
			return
		}
		m.tried(ctx, order, done, <-out)
	}()
}

// tried keeps what came of trials, unless another order counts by now.
func (m *Manager) tried(ctx context.Context, order int, done chan struct{}, got []Trial) {
	m.mu.Lock()
	if m.trying == done {
		m.trying = nil
	}
	current := m.orders == order && m.rec.Desired == Isolated && got != nil
	if current {
		m.trials = withLeaks(got, m.trials)
		m.recount = m.recount || !slices.EqualFunc(onlyLeaks(m.trials), m.rec.Leaks, func(a, b Trial) bool { return a.way() == b.way() })
	}
	m.mu.Unlock()
	if bad := leaks(got); current && len(bad) > 0 {
		st := m.measure(ctx, m.cfg.FirewallLimit)
		m.tell(Happening{Kind: HappenedLeak, Differences: bad}, st)
	}
}

// tryAgain begins new trials when it is time.
func (m *Manager) tryAgain(ctx context.Context, st Status) {
	switch {
	case st.Desired != Isolated:
	case st.Reason == Leak:
		m.startTrials(ctx, min(m.cfg.TrialsEvery, trialsSoon))
	default:
		m.startTrials(ctx, m.cfg.TrialsEvery)
	}
}

// awaitTrials adds what comes of the trials that run, if it comes in time.
func (m *Manager) awaitTrials(ctx context.Context, st Status, limit time.Duration) Status {
	m.mu.Lock()
	trying := m.trying
	m.mu.Unlock()
	if trying != nil {
		timer := time.NewTimer(max(0, limit))
		defer timer.Stop()
		select {
		case <-trying:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	trials := m.trials
	m.mu.Unlock()
	return st.tried(trials)
}

// tried returns s with the trials, which may show that rules that were read back do not
// hold.
func (s Status) tried(trials []Trial) Status {
	if s.Desired != Isolated {
		return s
	}
	s.Trials = trials
	if bad := leaks(trials); len(bad) > 0 && s.Observed == Isolated {
		s.Observed, s.Reason = Failed, Leak
		s.Detail = "the rules are in force but do not hold: " + strings.Join(bad, "; ")
	}
	return s
}
