package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/releasecode"
)

// localNetwork is what the socket speaks for about isolation.
type localNetwork struct{ a *agent }

// The sources of a status.
const (
	sourceAgent   = "agent"
	sourceWithout = "without_agent"
)

// Network measures now.
func (l localNetwork) Network(ctx context.Context) localapi.NetworkStatus {
	return networkStatus(l.a.isolationFor(ctx), sourceAgent, time.Now())
}

// askedEvery is how often the rules are read for all users together; who looks after an
// isolation must not have to wait behind whoever asks without end.
const askedEvery = 250 * time.Millisecond

// asked is what was measured last because a user asked.
type asked struct {
	mu sync.Mutex
	st isolate.Status
	at time.Time
}

// isolationFor measures for whoever asks: for root now, for others at most askedEvery ago.
func (a *agent) isolationFor(ctx context.Context) isolate.Status {
	if localapi.UID(ctx) == rootUID {
		return a.isolate.Status(ctx)
	}
	a.asked.mu.Lock()
	defer a.asked.mu.Unlock()
	if a.asked.at.IsZero() || time.Since(a.asked.at) > askedEvery {
		a.asked.st, a.asked.at = a.isolate.Status(ctx), time.Now()
	}
	return a.asked.st
}

const rootUID = "0"

// ReleaseByCode gives the network back to whoever knows the code.
func (l localNetwork) ReleaseByCode(ctx context.Context, code string, by localapi.Peer) (localapi.NetworkStatus, error) {
	a := l.a
	st, err := a.isolate.ReleaseByCode(ctx, code, by.UID, by.String())
	a.orderedHere(st)
	return networkStatus(st, sourceAgent, time.Now()), releaseError(err)
}

// tellBeforeLeaving is how long an agent that is uninstalled tries to tell the collector.
const tellBeforeLeaving = 5 * time.Second

// ReleaseForUninstall gives the network back and waits until the collector has been told.
func (l localNetwork) ReleaseForUninstall(ctx context.Context, by localapi.Peer) (localapi.NetworkStatus, bool, error) {
	a := l.a
	a.lastUninstall.Store(nil)
	st, err := a.isolate.ReleaseForUninstall(ctx, by.String())
	a.orderedHere(st)
	told := false
	if e := st.Ended; e != nil && e.How == isolate.HappenedReleasedByUninstall {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellBeforeLeaving)
		told = a.toldOfUninstall(limited)
		cancel()
	}
	return networkStatus(st, sourceAgent, time.Now()), told, releaseError(err)
}

// orderedHere spreads what somebody at the PC did.
func (a *agent) orderedHere(st isolate.Status) {
	a.notices.follow(st)
	poke(a.watch)
	a.uplink.IsolationChanged()
}

// toldOfUninstall waits until the collector has the event of the release, or ctx ends.
func (a *agent) toldOfUninstall(ctx context.Context) bool {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if kept := a.lastUninstall.Load(); kept != nil {
			waits := slices.ContainsFunc(a.journal.Events(), func(e journal.IsolationEvent) bool { return e.ID == *kept })
			if !waits {
				return true
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}

// releaseError puts the errors of a release into the words of the socket.
func releaseError(err error) error {
	say := func(r localapi.ReleaseError) error { r.Err = err; return &r }
	var many *isolate.TooManyTries
	var group *releasecode.GroupError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, isolate.ErrNoCode):
		return say(localapi.ReleaseError{Code: localapi.CodeNoCode})
	case errors.Is(err, isolate.ErrWrongCode):
		return say(localapi.ReleaseError{Code: localapi.CodeWrong})
	case errors.As(err, &many):
		return say(localapi.ReleaseError{Code: localapi.CodeTooMany, RetryAfter: many.RetryAfter})
	case errors.As(err, &group):
		return say(localapi.ReleaseError{Code: localapi.CodeMistyped, Group: group.Group})
	case errors.Is(err, releasecode.ErrDigits), errors.Is(err, releasecode.ErrLength):
		return say(localapi.ReleaseError{Code: localapi.CodeMistyped})
	case errors.Is(err, isolate.ErrNeedsRoot), errors.Is(err, errors.ErrUnsupported):
		return say(localapi.ReleaseError{Code: localapi.CodeUnable})
	}
	return err
}

// networkStatus puts what the manager measured into the words of the socket.
func networkStatus(st isolate.Status, source string, now time.Time) localapi.NetworkStatus {
	o := st.Observation
	n := localapi.NetworkStatus{
		Format: localapi.NetworkFormat, Source: source,
		Desired: string(st.Desired), Observed: string(st.Observed), Reason: string(st.Reason), Detail: st.Detail,
		MeasuredAt: o.MeasuredAt, Capable: st.Capable, CommandID: st.CommandID, OrderedAt: st.OrderedAt,
		Persisted: st.Persisted, RecordLost: st.RecordLost, Held: string(o.Held), Dropped: o.DroppedPackets(), Limits: o.Limits,
	}
	if !o.MeasuredAt.IsZero() {
		n.AgeMS = max(0, now.Sub(o.MeasuredAt).Milliseconds())
	}
	if e := st.Ended; e != nil {
		n.Ended = &localapi.EndedHow{How: string(e.How), At: e.At, By: e.By}
	}
	if st.Desired != isolate.Isolated {
		return n
	}
	n.Mode, n.Drill, n.Until, n.LeaseUntil, n.LeaseLapsed = string(st.Policy.Mode), st.Drill, st.Until, st.LeaseUntil, st.LeaseLapsed
	n.CodeNumber, n.Phone, n.Notice = st.CodeNumber, st.Notice.Phone, st.Notice.Text
	if h := st.WayHome; h != nil {
		n.WayHome = &localapi.WayHome{OK: h.OK, At: h.At, Detail: h.Detail}
	}
	if c := st.Confirm; c != nil {
		n.Confirmation = &localapi.Confirm{By: c.By, Fallback: string(c.Else), At: c.At, Missed: c.Missed}
	}
	for _, t := range st.Trials {
		n.Trials = append(n.Trials, localapi.Trial{Name: t.Name, Outcome: string(t.Outcome), Reason: t.Reason, At: t.At, Cut: t.Chain != "" || !meantOpen(t.Name)})
	}
	for _, c := range st.Policy.Collectors {
		n.Collectors = append(n.Collectors, c.String())
	}
	for _, t := range st.Policy.Tunnels {
		n.Tunnels = append(n.Tunnels, localapi.OpenTunnel{Address: t.Address.String(), Protocol: t.Protocol, Port: t.Port, Link: t.Link, Why: t.Why, Since: t.Since})
	}
	for _, p := range st.Policy.Permits {
		n.Permits = append(n.Permits, localapi.OpenPermit{
			Network: p.Network.String(), Protocol: string(p.Protocol), First: p.First, Last: p.Last,
			Host: p.Host, Reason: p.Reason, ExpiresAt: p.ExpiresAt,
		})
	}
	return n
}

// meantOpen reports whether a trial is one of what stays open; in full isolation the
// collector is none, and its trial names the chain that drops it.
func meantOpen(trial string) bool {
	return slices.ContainsFunc([]string{"loopback", "own", "permit", "collector"}, func(p string) bool { return strings.HasPrefix(trial, p) })
}
