package main

import (
	"log/slog"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// severedShown is how many connections a measurement names; all of them are evidence.
const severedShown = 16

func wayHome(st isolate.Status) bool { return st.WayHome != nil && st.WayHome.OK }

// measured puts what the manager measured into the words of the wire.
func measured(st isolate.Status) journal.Isolation {
	m := journal.Isolation{
		Desired: journal.State(st.Desired), Observed: journal.State(st.Observed), MeasuredAt: st.Observation.MeasuredAt,
		WayHome: wayHome(st), DroppedPackets: st.Observation.DroppedPackets(), Detail: st.Detail, CommandID: st.CommandID,
		Capable: st.Capable, Persisted: st.Persisted, Until: st.Until, LeaseUntil: st.LeaseUntil, Held: string(st.Observation.Held),
		Drill: st.Drill, Limits: st.Observation.Limits,
	}
	if _, err := digest.Parse(st.Observation.Digest); err == nil {
		m.RulesDigest = st.Observation.Digest
	}
	switch st.Desired {
	case isolate.Isolated:
		m.Mode = journal.Mode(st.Policy.Mode)
	case isolate.Released:
	default:
		m.Desired = journal.StateUnknown
	}
	if m.MeasuredAt.IsZero() {
		m.MeasuredAt = time.Now()
	}
	if c := st.Confirm; c != nil {
		m.Confirmation = &journal.Confirmation{By: c.By, Fallback: journal.Fallback(c.Else), ConfirmedAt: c.At, MissedAt: c.Missed}
	}
	if s := st.Severed; s != nil {
		m.Severed = &journal.Severed{At: s.At, Took: s.Took, Destroyed: s.Destroyed, Gone: s.Gone, Failed: s.Failed, Unsupported: s.Unsupported, Detail: s.Detail}
		for _, c := range s.List[:min(len(s.List), severedShown)] {
			m.Severed.First = append(m.Severed.First, c.String())
		}
	}
	if o := st.Others; o != nil {
		m.Others, m.OthersDifferences = string(o.Verdict), o.Differences
	}
	if st.Desired == isolate.Isolated {
		for _, t := range st.Policy.Tunnels {
			m.Tunnels = append(m.Tunnels, journal.Tunnel{Address: t.Address.String(), Protocol: t.Protocol, Port: t.Port, Link: t.Link, Why: t.Why, Since: t.Since})
		}
	}
	for _, t := range st.Trials {
		m.Trials = append(m.Trials, journal.Trial{
			Name: t.Name, Outcome: journal.TrialOutcome(t.Outcome), Reason: t.Reason, Target: t.Target, At: t.At, Dropped: t.Dropped,
		})
	}
	return m
}

// eventRetry is the wait before something that happened and could not be kept is tried
// again.
const eventRetry = 5 * time.Second

// happened keeps what happened to the isolation without an order until the collector has
// it, and takes evidence of it. The manager has a goroutine for it alone. It reports false
// if the agent stops before that could be kept.
func (a *agent) happened(h isolate.Happening) (kept bool) {
	e := eventOf(h)
	a.uplink.IsolationChanged()
	a.proofs.add(a, proof{occasion: string(h.Kind), event: e, status: h.Status})
	for {
		err := a.uplink.IsolationEvent(e)
		if err == nil {
			if h.Kind == isolate.HappenedReleasedByUninstall {
				a.lastUninstall.Store(&e.ID)
			}
			return true
		}
		a.set.log.Error("what happened to the isolation is not kept yet", slog.String("kind", string(h.Kind)), slog.Any("error", err))
		select {
		case <-time.After(eventRetry):
		case <-a.proofs.stopped():
			return false
		}
	}
}

// eventOf is a happening in the words of the journal. Its kinds are the same.
func eventOf(h isolate.Happening) journal.IsolationEvent {
	m := measured(h.Status)
	return journal.IsolationEvent{
		ID: id.New(id.IsolationEvent), Kind: journal.EventKind(h.Kind), At: h.At, CommandID: h.CommandID, Differences: h.Differences,
		Seen: h.Seen, By: h.By, Detail: h.Detail, Isolation: &m, Count: h.Count,
	}
}
