package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/isolation"
	"hozen/agent/internal/probe/severed"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/durable"
)

const (
	// proofAfter is how long a proof waits, so that it never competes with the answer to
	// the order for the disk.
	proofAfter = 500 * time.Millisecond
	// proofWait is how long it waits for what is still being tried through the rules.
	proofWait = 20 * time.Second
	// proofLook is how often is looked for that meanwhile.
	proofLook = time.Second
	// proofEvery is how often a series of the same is proved.
	proofEvery = 10 * time.Minute
	// proofsMax bounds what waits, to about 2 MB of lists of connections.
	proofsMax = 16
	// proofLimit is how long one may take.
	proofLimit = 10 * time.Second

	isolationBudget = 250 * time.Millisecond
	severedBudget   = 500 * time.Millisecond
)

// proof is one measurement of the isolation that becomes evidence.
type proof struct {
	occasion string                 // verb of the order, or what happened
	command  journal.Command        // empty without an order
	event    journal.IsolationEvent // empty with one
	status   isolate.Status
	due      time.Time // not before
	late     time.Time // at the latest
}

// proofs makes evidence of the isolation in the background. Its zero value is ready; it
// has a goroutine only while something waits.
type proofs struct {
	mu      sync.Mutex
	queue   []proof
	running bool
	orders  int                  // being carried out
	last    map[string]time.Time // when what comes in series was proved
	stop    chan struct{}        // closed when the agent stops; nil before anyone asked
	ended   bool
}

// hold keeps proofs from being made while an order is carried out, until the result is
// called: the capture before a cut must not wait for one.
func (p *proofs) hold() (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.orders--
	}
}

func (p *proofs) held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.orders > 0
}

// stopped is closed when the agent stops.
func (p *proofs) stopped() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping()
}

func (p *proofs) stopping() chan struct{} {
	if p.stop == nil {
		p.stop = make(chan struct{})
	}
	return p.stop
}

// end has nothing wait any more, and nothing more come.
func (p *proofs) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		close(p.stopping())
	}
}

// inSeries reports whether something may come again and again by itself.
func inSeries(occasion string) bool {
	switch isolate.Kind(occasion) {
	case isolate.HappenedDrift, isolate.HappenedNotInForce, isolate.HappenedLeak, isolate.HappenedTunnelChanged, isolate.HappenedOthersRules:
		return true
	}
	return false
}

// worthProof reports whether something changed what is in force, or showed that it was
// something else than ordered.
func worthProof(occasion string) bool {
	switch isolate.Kind(occasion) {
	case isolate.HappenedCodeRefused, isolate.HappenedLeaseLapsed:
		return false
	}
	return true
}

// prove has evidence taken of what an order led to, unless nothing was done.
func (a *agent) prove(r journal.Result, p proof) {
	if r.Status == journal.Done || r.Status == journal.Failed {
		a.proofs.add(a, p)
	}
}

// add has evidence taken of p soon. Of a series only the first is proved at once, then
// one each [proofEvery]; how many there were stands in the events.
func (p *proofs) add(a *agent, one proof) {
	if !worthProof(one.occasion) {
		return
	}
	now := time.Now()
	one.due, one.late = now.Add(proofAfter), now.Add(proofWait)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if inSeries(one.occasion) {
		if at, again := p.last[one.occasion]; again && now.Sub(at) < proofEvery {
			return
		}
		if p.last == nil {
			p.last = map[string]time.Time{}
		}
		p.last[one.occasion] = now
	} else {
		p.last = nil // what follows is about another state
	}
	if len(p.queue) == proofsMax {
		a.set.log.Warn("too much happened to the isolation; no evidence is taken of the oldest of it", slog.String("occasion", p.queue[0].occasion))
		p.queue = slices.Delete(p.queue, 0, 1)
	}
	p.queue = append(p.queue, one)
	if !p.running {
		p.running = true
		a.captures.Go(func() { p.run(a) })
	}
}

// next takes the oldest proof; when there is none the goroutine ends.
func (p *proofs) next() (one proof, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue, p.running = nil, false
		return proof{}, false
	}
	one = p.queue[0]
	p.queue = slices.Delete(p.queue, 0, 1)
	return one, true
}

func (p *proofs) run(a *agent) {
	for {
		one, ok := p.next()
		if !ok {
			return
		}
		a.await(&one, p.stopped())
		a.takeProof(one)
	}
}

// await waits until the answer to the order is out, no order is being carried out and
// everything was tried. What is measured by then, of the same order, is what is proved.
func (a *agent) await(one *proof, stopped <-chan struct{}) {
	wait := time.NewTimer(time.Until(one.due))
	defer wait.Stop()
	for {
		select {
		case <-wait.C:
		case <-stopped:
			return
		}
		done := a.tried(one.status)
		if !done {
			ctx, cancel := context.WithTimeout(context.Background(), proofLimit)
			now := a.isolate.Status(ctx)
			cancel()
			if !same(now, one.status) {
				done = true // another order came, and has a proof of its own
			} else if done = a.tried(now); done {
				now.Before, now.Drift, now.Seen = one.status.Before, one.status.Drift, one.status.Seen
				one.status = now
			}
		}
		if (done || time.Now().After(one.late)) && !a.proofs.held() {
			return
		}
		wait.Reset(proofLook)
	}
}

// same reports whether both were measured of the same order.
func same(a, b isolate.Status) bool {
	return a.CommandID == b.CommandID && a.OrderedAt.Equal(b.OrderedAt) && a.Observed == b.Observed
}

// tried reports whether everything that is to be tried through the rules was, since the
// order.
func (a *agent) tried(st isolate.Status) bool {
	if a.trials == nil || st.Observed != isolate.Isolated {
		return true // nothing is
	}
	return len(st.Trials) > 0 && !slices.ContainsFunc(st.Trials, func(t isolate.Trial) bool { return t.At.Before(st.OrderedAt) })
}

// takeProof seals one measurement as an acquisition of its own.
func (a *agent) takeProof(one proof) {
	ctx, cancel := context.WithTimeout(context.Background(), proofLimit)
	defer cancel()
	line := isolationLine(one)
	o := acquire.Order{
		Trigger: artifact.TriggerProof, CommandID: line.CommandID, IncidentID: one.command.IncidentID, Profile: profileProof,
		Extra: []acquire.Planned{{Budget: isolationBudget, New: func() probe.Probe { return isolation.New(line) }}},
	}
	if s := one.status.Severed; s != nil {
		lines := severedLines(s.List)
		o.Extra = append(o.Extra, acquire.Planned{Budget: severedBudget, New: func() probe.Probe { return severed.New(lines, s.Omitted) }})
	}
	res, err := a.runner.Run(ctx, o)
	if err != nil {
		a.set.log.Error("no evidence of the isolation", slog.String("occasion", one.occasion), slog.Any("error", err))
		a.sealSoon()
		return
	}
	a.set.log.Info("evidence of the isolation sealed", slog.String("acquisition", res.AcquisitionID), slog.String("occasion", one.occasion))
	a.noteProved(line.CommandID)
	releaseMemory()
}

// occasionResume is that the agent found itself isolated when it began.
const occasionResume = "resume"

// proveResumed has evidence taken of an isolation that was in force when the agent began,
// once in a boot: that the PC came up isolated, and what an agent that died owes.
func (a *agent) proveResumed(st isolate.Status) {
	if st.Desired != isolate.Isolated || !st.Capable {
		return
	}
	if b, err := os.ReadFile(a.provedFile()); err == nil && string(b) == a.provedNote(st.CommandID) {
		return
	}
	a.proofs.add(a, proof{occasion: occasionResume, status: st})
}

// noteProved remembers that there is evidence of an order in this boot. Forgotten, it is
// taken once more.
func (a *agent) noteProved(commandID string) {
	if err := durable.WriteFile(a.provedFile(), []byte(a.provedNote(commandID)), 0o600); err != nil {
		a.set.log.Warn("it is not noted that the isolation was proved", slog.Any("error", err))
	}
}

func (a *agent) provedFile() string { return filepath.Join(a.set.state, "isolation", "proved") }

func (a *agent) provedNote(commandID string) string { return a.bootID + " " + commandID + "\n" }

// isolationLine is a measurement in the words of the evidence.
func isolationLine(one proof) record.Isolation {
	st, e, o := one.status, one.event, one.status.Observation
	l := record.Isolation{
		Occasion: one.occasion, EventID: e.ID, EventAt: e.At, EventBy: e.By, EventDetail: e.Detail, EventCount: e.Count,
		Drift: st.Drift, Seen: st.Seen, Desired: string(st.Desired), CommandID: st.CommandID, OrderedAt: st.OrderedAt,
		Persisted: st.Persisted, RecordLost: st.RecordLost, Drill: st.Drill, Before: string(st.Before),
		Mode: string(st.Policy.Mode), Collectors: texts(st.Policy.Collectors), DHCPServers: texts(st.Policy.DHCPServers), Mark: st.Policy.Mark,
		Until: st.Until, LeaseUntil: st.LeaseUntil, LeaseLapsed: st.LeaseLapsed, CodeNumber: st.CodeNumber,
		Observed: string(st.Observed), Reason: string(st.Reason), Detail: st.Detail, Capable: st.Capable, MeasuredAt: o.MeasuredAt,
		Present: o.Present, Complete: o.Complete, Digest: o.Digest, Expected: o.Expected, Held: string(o.Held), Tables: o.Tables, Gaps: o.Gaps, Limits: o.Limits,
	}
	if len(e.Differences) > 0 {
		l.Drift = e.Differences
	}
	if len(e.Seen) > 0 {
		l.Seen = e.Seen
	}
	for _, p := range st.Policy.Permits {
		l.Permits = append(l.Permits, record.IsolationPermit{
			Network: p.Network.String(), Protocol: string(p.Protocol), FirstPort: p.First, LastPort: p.Last, Reason: p.Reason, Host: p.Host, ExpiresAt: p.ExpiresAt,
		})
	}
	for _, t := range st.Policy.Tunnels {
		l.Tunnels = append(l.Tunnels, record.IsolationTunnel{
			Address: t.Address.String(), Protocol: uint16(t.Protocol), Port: t.Port, OwnPort: t.Own, Link: t.Link, Why: t.Why, Since: t.Since, Proved: t.Proved,
		})
	}
	for _, k := range o.Links {
		l.Links = append(l.Links, record.IsolationLink(k))
	}
	for _, d := range o.Drops {
		l.Drops = append(l.Drops, record.IsolationDrop(d))
	}
	if c := st.Confirm; c != nil {
		l.Confirm = record.IsolationConfirm{WithinNS: int64(c.Within), By: c.By, Else: string(c.Else), At: c.At, MissedAt: c.Missed}
	}
	if d := st.Ended; d != nil {
		l.Ended = record.IsolationEnded{CommandID: d.CommandID, How: string(d.How), At: d.At, By: d.By}
	}
	if w := st.WayHome; w != nil {
		l.WayHome = record.IsolationWayHome(*w)
	}
	if s := st.Severed; s != nil {
		l.Severed = record.IsolationSevered{
			At: s.At, TookNS: int64(s.Took), Destroyed: s.Destroyed, Gone: s.Gone, Failed: s.Failed, Omitted: s.Omitted, Unsupported: s.Unsupported, Detail: s.Detail,
		}
	}
	if t := st.Others; t != nil {
		l.Others, l.OthersBefore, l.OthersAfter, l.OthersDifferences = string(t.Verdict), t.Before.Tables, t.After.Tables, t.Differences
	}
	for _, t := range st.Trials {
		l.Trials = append(l.Trials, record.IsolationTrial{
			Name: t.Name, Outcome: string(t.Outcome), Reason: t.Reason, Target: t.Target, At: t.At, TookNS: int64(t.Took), Chain: t.Chain, Dropped: t.Dropped,
		})
	}
	return l
}

// texts writes a list of addresses.
func texts[T interface{ String() string }](list []T) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.String())
	}
	return out
}

func severedLines(list []isolate.Connection) []record.Severed {
	lines := make([]record.Severed, len(list))
	for i, c := range list {
		lines[i] = record.Severed{
			Proto: c.Protocol, State: c.State, LocalAddr: c.Local.Addr().WithZone("").String(), LocalPort: c.Local.Port(),
			RemoteAddr: c.Remote.Addr().WithZone("").String(), RemotePort: c.Remote.Port(), UID: int64(c.UID), Inode: uint64(c.Inode), Cookie: c.Cookie,
			NetNS: c.NetNS, PID: c.PID, StartTicks: c.StartTicks, Comm: c.Process, BytesAcked: c.Sent, BytesReceived: c.Received, Outcome: c.Outcome,
		}
		if c.PID != 0 && c.Inode == 0 {
			lines[i].UID = -1 // Windows tells nobody whose it is
		}
	}
	return lines
}
