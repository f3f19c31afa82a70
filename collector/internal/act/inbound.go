package act

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/id"
)

// The bounds of what the collector tries by itself. An order gets two tries of a second.
const (
	inboundOrders = 32               // that may be tried in one inboundWindow; the others are not
	inboundWindow = 10 * time.Second // a group is ordered in less
	inboundTime   = 10 * time.Second // for everything that belongs to a try, reading evidence too
	// IANA's dynamic ports, where services do not listen (RFC 6335, 6).
	firstDynamic, dynamicPorts = 49152, 16384
)

// inboundTrials are the collector's own tries to reach the endpoints that it had isolated. Agents
// cannot try what comes from outside; and what is found here is the collector's own word,
// which no agent has signed. They live in memory alone: what went wrong is in the ledger.
type inboundTrials struct {
	// answers opens one connection and reports whether anything came back; nil: nothing is tried.
	answers func(ctx context.Context, to netip.AddrPort) (bool, error)
	work    sync.WaitGroup

	mu    sync.Mutex
	m     map[string]*inboundTrial // by endpoint, of its newest order
	since time.Time                // when the window began
	begun int                      // orders in it
}

// inboundTrial is what was tried for one order to isolate.
type inboundTrial struct {
	organisation, command string

	to       netip.AddrPort
	seen     bool // the endpoint names that address as its own
	open     bool // it answered before the cut
	running  bool // a try is under way, the only one of this endpoint
	isolated bool // the endpoint said so, and that was not tried yet
	// trial is what came of it, by the collector's clock; without an outcome: not known yet.
	trial endpoint.Trial
}

// decide says what came of it.
func (t *inboundTrial) decide(o endpoint.TrialOutcome, reason string, at time.Time) {
	t.running, t.isolated = false, false
	t.trial = endpoint.Trial{Name: endpoint.InboundTCP4, Outcome: o, Reason: reason, At: at}
	if t.to.Addr().Is6() {
		t.trial.Name = endpoint.InboundTCP6
	}
	if t.to.IsValid() {
		t.trial.Target = t.to.String()
	}
}

// over adds what the collector found to what the endpoint said of the same order.
func (t *inboundTrials) over(e endpoint.Endpoint) endpoint.Endpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	in, i := t.m[e.ID], e.Isolation
	if in == nil || in.trial.Outcome == "" || i.CommandID != in.command || i.Desired != endpoint.Isolated || i.Observed != endpoint.Isolated && i.Observed != endpoint.Failed {
		return e
	}
	tried := in.trial
	tried.At = tried.At.Add(e.ClockOffset) // those of a measurement are by the endpoint's clock
	e.Isolation.More.Trials = append(slices.Clone(i.More.Trials), tried)
	return e
}

// room counts an order among those that may be tried, if there is room for it.
func (t *inboundTrials) room(now time.Time) bool {
	if d := now.Sub(t.since); d < 0 || d >= inboundWindow {
		t.since, t.begun = now, 0
	}
	if t.begun >= inboundOrders {
		return false
	}
	t.begun++
	return true
}

// order begins with an order, cut: to an endpoint that is isolated already. It reports whether
// there is something to try before the cut.
func (t *inboundTrials) order(endpointID string, in *inboundTrial, why string, cut bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.m[endpointID]
	if old != nil && (old.command == in.command || old.running) {
		return false // it is sent again; or the earlier one is still being tried
	}
	t.m[endpointID] = in
	switch {
	case why != "":
		in.decide(endpoint.NotShown, why, now)
		return false
	case !t.room(now):
		in.decide(endpoint.NotShown, endpoint.ReasonNotTried, now)
		return false
	case cut:
		// One order replaces another: what was open before the first cut still counts, and
		// nothing can be seen open now.
		if old != nil && old.to.Addr() == in.to.Addr() {
			in.to, in.seen, in.open = old.to, old.seen, old.open
		}
		return false
	}
	in.running = true
	return true
}

// before takes what came of the try before the cut and reports whether the one after it is
// due already.
func (t *inboundTrials) before(in *inboundTrial, open bool, why string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if why != "" {
		in.decide(endpoint.NotShown, why, now)
		return false
	}
	in.seen, in.open, in.running = true, open, in.isolated
	return in.running
}

// cut hears that an endpoint says it is isolated by an order, and returns what is to be tried
// now, if anything. What this collector did not order since it started is fresh.
func (t *inboundTrials) cut(endpointID, command string, now time.Time) (in *inboundTrial, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in = t.m[endpointID]
	if in == nil {
		if command == "" || !t.room(now) {
			return nil, false // its next word brings it up again
		}
		in = &inboundTrial{command: command, isolated: true, running: true}
		t.m[endpointID] = in
		return in, true
	}
	if in.command != command || in.trial.Outcome != "" || in.isolated {
		return nil, false
	}
	in.isolated = true
	if in.running {
		return nil, false // whoever tries goes on with it
	}
	in.running = true
	return in, false
}

// after takes what came of the try through the isolation.
func (t *inboundTrials) after(in *inboundTrial, o endpoint.TrialOutcome, reason string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	in.decide(o, reason, now)
}

// CommandSends hears that a command is about to go out to an endpoint that is connected from
// that address. It returns at once: the command does not wait for what is tried.
func (s *Acts) CommandSends(endpointID, remote string, c dispatch.Command) {
	if s.inbound.answers == nil || c.Verb != dispatch.Isolate || c.Isolation.Drill || c.Isolation.Mode == dispatch.Full {
		return
	}
	in := &inboundTrial{organisation: c.OrganisationID, command: c.ID}
	why := s.aim(in, remote, c)
	if !s.inbound.order(endpointID, in, why, s.presence.isolated(endpointID), s.now()) {
		return
	}
	s.inbound.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), inboundTime)
		defer cancel()
		why, open := "", false
		if seen, err := s.seesItself(ctx, in.organisation, endpointID, in.to.Addr()); err != nil || !seen {
			why = endpoint.ReasonUnseen
		} else if open, err = s.inbound.answers(ctx, in.to); err != nil {
			open = false
		}
		if s.inbound.before(in, open, why, s.now()) {
			s.tryInbound(ctx, endpointID, in)
		}
	})
}

// aim says where to try an order, or why not.
func (s *Acts) aim(in *inboundTrial, remote string, c dispatch.Command) (why string) {
	addr := hostAddr(remote)
	if !addr.IsValid() {
		return endpoint.ReasonUnseen
	}
	in.to = netip.AddrPortFrom(addr, uint16(firstDynamic+rand.IntN(dynamicPorts)))
	switch {
	case addr.IsLoopback() || s.ownAddr == nil || s.ownAddr(addr):
		return endpoint.ReasonUnseen // what stays on one machine is open in every isolation
	case slices.ContainsFunc(c.Isolation.Permits, func(p dispatch.Permit) bool { return p.Protocol == "tcp" }):
		return endpoint.ReasonPermits // an answer might be what a permit lets through
	}
	return ""
}

// inboundDue tries to reach an endpoint that just said that it is isolated.
func (s *Acts) inboundDue(endpointID string, i endpoint.IsolationStatus) {
	if s.inbound.answers == nil || i.Desired != endpoint.Isolated || i.Observed != endpoint.Isolated || i.More.Drill || i.More.Mode == string(dispatch.Full) {
		return
	}
	in, fresh := s.inbound.cut(endpointID, i.CommandID, s.now())
	if in == nil {
		return
	}
	s.inbound.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), inboundTime)
		defer cancel()
		if fresh {
			if why := s.inboundAgain(ctx, endpointID, in); why != "" {
				s.inbound.after(in, endpoint.NotShown, why, s.now())
				return
			}
		}
		s.tryInbound(ctx, endpointID, in)
	})
}

// inboundAgain finds out about an order from before this collector started: an isolation that
// leaks would else be whole again with the restart. It says why nothing is to be tried.
func (s *Acts) inboundAgain(ctx context.Context, endpointID string, in *inboundTrial) (why string) {
	e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
	if err != nil {
		return "error"
	}
	c, err := dispatch.ByID(ctx, s.db.Read(), in.command)
	if err != nil || c.EndpointID != endpointID || c.Verb != dispatch.Isolate || c.Isolation.Drill || c.Isolation.Mode == dispatch.Full {
		return endpoint.ReasonNotTried
	}
	s.inbound.mu.Lock() // its address is shown
	defer s.inbound.mu.Unlock()
	in.organisation = e.OrganisationID
	return s.aim(in, e.RemoteAddr, c)
}

// tryInbound tries once to reach an isolated endpoint.
func (s *Acts) tryInbound(ctx context.Context, endpointID string, in *inboundTrial) {
	if !in.seen {
		if seen, err := s.seesItself(ctx, in.organisation, endpointID, in.to.Addr()); err != nil || !seen {
			s.inbound.after(in, endpoint.NotShown, endpoint.ReasonUnseen, s.now())
			return
		}
	}
	answered, err := s.inbound.answers(ctx, in.to)
	outcome, reason := endpoint.NotShown, "no_control"
	switch {
	case err != nil || !s.hub.Online(endpointID):
		reason = "error" // silence of a PC that is gone says nothing
	case answered:
		outcome, reason = endpoint.Contrary, "answered"
	case in.open:
		outcome, reason = endpoint.AsOrdered, ""
	}
	if outcome == endpoint.Contrary {
		stands := false
		if err := s.transact(ctx, func(ctx context.Context, d *deed) error {
			var err error
			stands, err = s.inboundLeak(ctx, d, endpointID, in)
			return err
		}); err != nil {
			// It is shown all the same.
			s.log.ErrorContext(ctx, "note inbound leak", slog.String("endpoint", endpointID), slog.Any("error", err))
		} else if !stands {
			outcome, reason = endpoint.NotShown, "error"
		}
	}
	s.inbound.after(in, outcome, reason, s.now())
	s.hub.publish(in.organisation, Event{Kind: EventEndpoint, EndpointID: endpointID})
}

// inboundLeak records that an endpoint answered through its isolation, and reports whether
// that isolation still stands: what was being released meanwhile has answered as it should.
func (s *Acts) inboundLeak(ctx context.Context, d *deed, endpointID string, in *inboundTrial) (bool, error) {
	e, err := endpoint.ByID(ctx, d.tx, endpointID)
	if err != nil {
		return true, err
	}
	i := s.presence.over(e).Isolation
	if i.CommandID != in.command || i.Desired != endpoint.Isolated {
		return false, nil
	}
	order, err := dispatch.ByID(ctx, d.tx, in.command)
	if err != nil {
		return true, err
	}
	open, err := dispatch.Outstanding(ctx, d.tx, endpointID)
	if err != nil {
		return true, err
	}
	if slices.ContainsFunc(open, func(c dispatch.Command) bool { return c.Verb == dispatch.Release && c.Counter > order.Counter }) {
		return false, nil
	}
	d.actor = Actor{Kind: BySystem, OrganisationID: e.OrganisationID}
	d.tell(s, Event{Kind: EventEndpoint, EndpointID: e.ID})
	ev := endpoint.IsolationEvent{
		ID: id.New(id.IsolationEvent), OrganisationID: e.OrganisationID, EndpointID: e.ID, Kind: endpoint.EventLeak, At: d.now.Add(e.ClockOffset), ReceivedAt: d.now,
		CommandID: in.command, Count: 1, Detail: "The collector itself opened a TCP connection to " + in.to.String() + ", and something answered. The endpoint did not tell of it.",
	}
	_, err = s.eventLine(ctx, d, e, ev, heldBack{}, nil)
	return true, err
}

// seesItself reports whether an address is among those that the newest evidence of an
// endpoint's network names as its own. If it is not, something between translates, and
// whatever answers there is somebody else.
func (s *Acts) seesItself(ctx context.Context, organisationID, endpointID string, addr netip.Addr) (bool, error) {
	a, err := s.evidence.Counted(ctx, organisationID, endpointID, artifact.KindNetConfig)
	if err != nil {
		return false, err
	}
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: organisationID, AcquisitionID: a.ID})
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(items, func(it evidence.Item) bool { return it.Kind == artifact.KindNetConfig })
	if i < 0 {
		return false, evidence.ErrNotFound
	}
	f, err := s.evidence.Open(ctx, items[i])
	if err != nil {
		return false, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxHintWindow), zstd.WithDecoderMaxMemory(maxHintWindow))
	if err != nil {
		return false, err
	}
	defer z.Close()
	return namesAddress(ctx, z, addr)
}

// namesAddress reports whether lines of a [record.NetConfig] name an address as one of the
// endpoint's own, see [hintLines].
func namesAddress(ctx context.Context, r io.Reader, addr netip.Addr) (bool, error) {
	found := false
	addr = addr.Unmap().WithZone("")
	err := hintLines(ctx, r, func(line []byte) {
		var l struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		}
		if found || json.Unmarshal(line, &l) != nil || l.Type != record.NetAddress {
			return
		}
		p, err := netip.ParsePrefix(l.Address)
		found = err == nil && p.Addr().Unmap() == addr
	})
	return found, err
}
