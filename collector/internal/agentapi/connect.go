package agentapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/capability"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// controlStream is the control stream as gRPC hands it over.
type controlStream = grpc.BidiStreamingServer[agentv1.ConnectRequest, agentv1.ConnectResponse]

// control is one live control stream. Only the goroutine of Connect sends; a second
// one receives and puts its answers into out.
type control struct {
	s      *Server
	stream controlStream
	who    caller
	in     chan received                 // what the agent sent, handled in order
	out    chan *agentv1.ConnectResponse // answers, waiting to be sent
	heard  atomic.Int64                  // when the agent was last heard, on the clock of started
	start  time.Time
	sent   map[string]bool          // commands sent on this stream
	told   *act.Attention           // what was last said of open incidents; nil before
	knows  bool                     // the agent understands that
	offset atomic.Int64             // agent clock minus ours in nanoseconds, by its newest word
	last   endpoint.IsolationStatus // what was last said of the isolation unasked; for handleAll alone
	ledger witnessing
	set    *agentv1.Configure // what was last said that the organisation has set; nil before
	takes  bool               // the agent understands that
}

type received struct {
	m   *agentv1.ConnectRequest
	at  time.Time // when
	err error
}

// Connect implements the AgentService.
func (s *Server) Connect(stream controlStream) (err error) {
	ctx := stream.Context()
	c := &control{
		s: s, stream: stream, who: callerOf(ctx), start: time.Now(), sent: map[string]bool{},
		in: make(chan received), out: make(chan *agentv1.ConnectResponse, 16),
	}
	// Receiving has its own goroutine for as long as the stream lives; it ends with the
	// stream's context, which gRPC ends when Connect returns.
	go c.receive(ctx)
	hello, err := c.hello(ctx)
	if err != nil {
		s.refused(ctx, c.who, agentv1.AgentService_Connect_FullMethodName, err)
		return err
	}
	s.homes.list() // looks names up before an order needs them
	c.knows = capability.Number(hello.GetCapability()) >= capability.Preserve
	c.takes = capability.Number(hello.GetCapability()) >= capability.Sealed && s.cfg.Settings != nil
	if at := wire.Time(hello.GetAgentTime()); !at.IsZero() {
		c.offset.Store(int64(at.Sub(s.cfg.Now())))
	}
	c.last = fromIsolation(hello.GetIsolation())
	ctx, leave, err := s.sessions.claim(ctx, c.who.endpointID, replaceTime)
	if err != nil {
		return status.Error(codes.Aborted, err.Error())
	}
	defer leave()
	defer hold(stream.Context())()
	wake, revoked, unsubscribe := s.cfg.Live.SubscribeEndpoint(c.who.endpointID)
	defer unsubscribe()
	if err := s.news.wait(ctx, c.who.endpointID); err != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if err := s.cfg.Presence.EndpointConnected(ctx, c.who.endpointID, fromHello(hello), c.who.remote); err != nil {
		return s.fault(ctx, "note connection", err)
	}
	defer c.gone(ctx, unsubscribe)
	s.cfg.Log.InfoContext(ctx, "endpoint connected", slog.String("endpoint", c.who.endpointID), slog.String("remote", c.who.remote))
	welcome := &agentv1.Welcome{
		Capability: uint32(capability.Current), CollectorTime: wire.Timestamp(s.cfg.Now()), HeartbeatSeconds: uint32(s.cfg.Heartbeat / time.Second),
		Checkpoint: c.welcomed(ctx, hello),
	}
	if err := c.send(ctx, &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	return c.run(ctx, wake, revoked)
}

// receive passes messages on until the stream ends.
func (c *control) receive(ctx context.Context) {
	for {
		m, err := c.stream.Recv()
		at := c.s.cfg.Now()
		if err == nil {
			if bad := wire.ConnectRequest(m); bad != nil {
				err = invalid(bad)
			}
		}
		select {
		case c.in <- received{m, at, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// hello waits for the first message.
func (c *control) hello(ctx context.Context) (*agentv1.Hello, error) {
	timer := time.NewTimer(helloTime)
	defer timer.Stop()
	select {
	case r := <-c.in:
		if r.err != nil {
			return nil, r.err
		}
		h := r.m.GetHello()
		if h == nil {
			return nil, invalid(errors.New("body: the first message of a stream must be hello"))
		}
		if n := capability.Number(h.GetCapability()); n < capability.OldestAgent {
			return nil, status.Error(codes.FailedPrecondition, fmt.Sprintf("hello.capability: agent has %d, this collector serves %d and newer; update the agent", n, capability.OldestAgent))
		}
		return h, nil
	case <-timer.C:
		return nil, status.Error(codes.DeadlineExceeded, "no hello within "+helloTime.String())
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// run sends commands and answers until the stream ends.
func (c *control) run(ctx context.Context, wake, revoked <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.heard.Store(int64(time.Since(c.start)))
	handled := make(chan error, 1)
	go func() { handled <- c.handleAll(ctx) }()
	// Whatever ends the stream, the handler has finished before "gone" is said.
	defer func() {
		cancel(nil)
		for {
			select {
			case <-handled:
				return
			case <-c.out: // nobody reads it any more
			}
		}
	}()

	// What the organisation has set comes before the order to acquire.
	if err := c.sendConfigure(ctx); err != nil {
		return err
	}
	if err := c.sendAttention(ctx); err != nil {
		return err
	}
	if err := c.sendCommands(ctx); err != nil {
		return err
	}
	quiet := 3 * c.s.cfg.Heartbeat
	check := time.NewTicker(c.s.cfg.Heartbeat)
	defer check.Stop()
	for {
		select {
		case <-revoked:
			return errRevoked
		case <-wake:
			// First how much evidence is worth, then the order that may take the PC down.
			if err := c.sendConfigure(ctx); err != nil {
				return err
			}
			if err := c.sendAttention(ctx); err != nil {
				return err
			}
			if err := c.sendCommands(ctx); err != nil {
				return err
			}
		case m := <-c.out:
			if err := c.send(ctx, m); err != nil {
				return err
			}
		case err := <-handled:
			handled <- nil
			if err == nil && ctx.Err() != nil {
				return whyEnded(ctx) // the handler only saw it first
			}
			return err
		case <-check.C:
			if time.Since(c.start)-time.Duration(c.heard.Load()) > quiet {
				return status.Error(codes.DeadlineExceeded, "nothing heard for "+quiet.String())
			}
			if c.s.cfg.Now().After(c.who.expires) {
				return status.Error(codes.Unauthenticated, "the certificate has expired; renew it first")
			}
			if err := c.sendCheckpoint(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return whyEnded(ctx)
		}
	}
}

// whyEnded says to the agent why a stream whose context is over ends.
func whyEnded(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, errReplaced) {
		return status.Error(codes.Aborted, err.Error())
	}
	return status.FromContextError(ctx.Err()).Err()
}

// sendCommands sends what is outstanding and was not sent on this stream yet, in the
// order of the counter.
func (c *control) sendCommands(ctx context.Context) error {
	list, err := c.s.cfg.Orders.Outstanding(ctx, c.who.endpointID)
	if err != nil {
		return c.s.fault(ctx, "read commands", err)
	}
	still := make(map[string]bool, len(list))
	for _, cmd := range list {
		still[cmd.ID] = true
		if c.sent[cmd.ID] {
			continue
		}
		m := toCommand(cmd, time.Duration(c.offset.Load()), c.s.cfg.Now())
		if m == nil {
			if err := c.unsendable(ctx, cmd, fmt.Errorf("the verb %.40q has no form on the wire", cmd.Verb)); err != nil {
				return err
			}
			continue
		}
		if i := m.GetIsolate(); i != nil && i.GetMode() != agentv1.IsolationMode_ISOLATION_MODE_FULL {
			i.Collectors = c.s.homes.list()
		}
		whole := &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: m}}
		if bad := wire.ConnectResponse(whole); bad != nil {
			if err := c.unsendable(ctx, cmd, bad); err != nil {
				return err
			}
			continue
		}
		c.s.cfg.Orders.CommandSends(c.who.endpointID, c.who.remote, cmd)
		if err := c.stream.Send(whole); err != nil {
			return err
		}
	}
	c.sent = still
	return nil
}

// unsendable ends a command that every agent would refuse by ending its stream, only to
// get it again.
func (c *control) unsendable(ctx context.Context, cmd dispatch.Command, why error) error {
	c.s.cfg.Log.ErrorContext(ctx, "command cannot be sent", slog.String("command", cmd.ID), slog.Any("error", why))
	if err := c.s.cfg.Orders.CommandUnsendable(ctx, c.who.endpointID, cmd.ID, why.Error()); err != nil {
		return c.s.fault(ctx, "end a command that cannot be sent", err)
	}
	return nil
}

// send sends a message that agents take; of another they would end the stream.
func (c *control) send(ctx context.Context, m *agentv1.ConnectResponse) error {
	if bad := wire.ConnectResponse(m); bad != nil {
		c.s.cfg.Log.ErrorContext(ctx, "message cannot be sent", slog.String("endpoint", c.who.endpointID), slog.Any("error", bad))
		return nil
	}
	return c.stream.Send(m)
}

// sendConfigure says what the organisation has set, unless that was said on this stream
// already. That it cannot be found out keeps no order waiting.
func (c *control) sendConfigure(ctx context.Context) error {
	if !c.takes {
		return nil
	}
	set, err := c.s.cfg.Settings.EndpointSettings(ctx, c.who.endpointID)
	if err != nil {
		c.s.cfg.Log.ErrorContext(ctx, "what the organisation has set is not told", slog.String("endpoint", c.who.endpointID), slog.Any("error", err))
		return nil
	}
	m := &agentv1.Configure{Recipients: set.Recipients}
	if t := set.Triage; t != nil {
		m.Triage = &agentv1.TriageScope{Private: t.Private, Histories: t.Histories}
	}
	if c.set != nil && proto.Equal(c.set, m) {
		return nil
	}
	c.set = m
	return c.send(ctx, &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Configure{Configure: m}})
}

// sendAttention says whether an incident with the endpoint is open, unless that was
// said on this stream already.
func (c *control) sendAttention(ctx context.Context) error {
	if !c.knows {
		return nil
	}
	a, err := c.s.cfg.Alerts.Attention(ctx, c.who.endpointID)
	if err != nil {
		return c.s.fault(ctx, "look for open incidents", err)
	}
	if c.told != nil && *c.told == a {
		return nil
	}
	c.told = &a
	return c.send(ctx, &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Attention{Attention: &agentv1.Attention{IncidentOpen: a.Open, IncidentNumber: a.Number}}})
}

// handleAll handles what the agent sends, one message after the other.
func (c *control) handleAll(ctx context.Context) (err error) {
	defer c.s.recovered(ctx, agentv1.AgentService_Connect_FullMethodName, &err)
	var flying *reports
	defer func() {
		if flying != nil {
			<-flying.done
		}
	}()
	for {
		select {
		case <-flying.landed():
			if err := c.land(ctx, flying); err != nil {
				return err
			}
			flying = nil
		case r := <-c.in:
			if errors.Is(r.err, io.EOF) {
				return nil // the agent said good-bye
			}
			if r.err != nil {
				return r.err
			}
			c.heard.Store(int64(time.Since(c.start)))
			report, ok := c.reportOf(r.m)
			if ok && flying.add(report) {
				continue
			}
			if err := c.land(ctx, flying); err != nil {
				return err
			}
			flying = nil
			if ok {
				flying = c.fly(ctx, report)
				continue
			}
			jumped := c.readClock(r)
			if (c.isNews(r.m) || jumped) && c.s.news.wait(ctx, c.who.endpointID) != nil {
				return nil
			}
			answer, err := c.handle(ctx, r.m)
			if err != nil {
				return err
			}
			if answer == nil {
				continue
			}
			select {
			case c.out <- answer:
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// readClock takes the agent's clock from a heartbeat and reports whether it has jumped:
// a clock that is put right after Hello must not falsify the moments in orders.
func (c *control) readClock(r received) (jumped bool) {
	sent := wire.Time(r.m.GetHeartbeat().GetSentAt())
	if sent.IsZero() {
		return false
	}
	offset := sent.Sub(r.at)
	before := c.offset.Swap(int64(offset))
	return (offset - time.Duration(before)).Abs() >= endpoint.ClockJump
}

// isNews reports whether an endpoint says something unasked that is stored, as a
// heartbeat does that says another thing of the isolation than was said before.
func (c *control) isNews(m *agentv1.ConnectRequest) bool {
	i := m.GetIsolation()
	if h := m.GetHeartbeat(); h != nil {
		i = h.GetIsolation()
	}
	if i != nil {
		before := c.last
		c.last = fromIsolation(i)
		return m.GetHeartbeat() == nil || !before.Same(c.last)
	}
	return m.GetAlert() != nil || m.GetIsolationEvent() != nil || m.GetLedgerConflict() != nil
}

// handle carries one message to its act and returns the answer, if there is one. Reports
// on commands are handled by [control.fly].
func (c *control) handle(ctx context.Context, m *agentv1.ConnectRequest) (*agentv1.ConnectResponse, error) {
	s, endpointID := c.s, c.who.endpointID
	switch b := m.GetBody().(type) {
	case *agentv1.ConnectRequest_Hello:
		return nil, invalid(errors.New("hello: only the first message of a stream may be hello"))
	case *agentv1.ConnectRequest_Heartbeat:
		if err := s.cfg.Orders.EndpointClock(ctx, endpointID, time.Duration(c.offset.Load())); err != nil {
			return nil, s.fault(ctx, "note clock", err)
		}
		if err := s.cfg.Presence.EndpointSeen(ctx, endpointID, fromIsolation(b.Heartbeat.GetIsolation())); err != nil {
			return nil, s.fault(ctx, "note heartbeat", err)
		}
		return &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Heartbeat{Heartbeat: &agentv1.Heartbeat{
			Sequence: b.Heartbeat.GetSequence(), SentAt: wire.Timestamp(s.cfg.Now()),
		}}}, nil
	case *agentv1.ConnectRequest_Progress:
		s.cfg.Live.Progress(endpointID, fromProgress(b.Progress))
	case *agentv1.ConnectRequest_Isolation:
		if err := s.cfg.Presence.EndpointIsolation(ctx, endpointID, fromIsolation(b.Isolation)); err != nil {
			return nil, s.fault(ctx, "note isolation", err)
		}
	case *agentv1.ConnectRequest_IsolationEvent:
		ev, i := fromIsolationEvent(b.IsolationEvent), measured(b.IsolationEvent.GetIsolation())
		if err := s.cfg.Alerts.IsolationHappened(ctx, endpointID, ev, i); err != nil {
			return nil, s.fault(ctx, "store isolation event", err)
		}
		return &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_IsolationEventReceived{IsolationEventReceived: &agentv1.IsolationEventReceived{EventId: ev.ID}}}, nil
	case *agentv1.ConnectRequest_LedgerConflict:
		return c.conflict(ctx, b.LedgerConflict)
	case *agentv1.ConnectRequest_Alert:
		inc, err := s.cfg.Alerts.ReportTrouble(ctx, endpointID, fromAlert(b.Alert))
		if err != nil {
			return nil, s.fault(ctx, "store alert", err)
		}
		return &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_AlertReceived{AlertReceived: &agentv1.AlertReceived{
			AlertId: b.Alert.GetAlertId(), IncidentNumber: inc.Number, IncidentId: inc.ID,
		}}}, nil
	}
	return nil, nil
}

// passOver reports whether an error about a command is none or one that must not end
// the stream: a collector that was put back to an older state does not know commands
// that it gave since, and an agent would repeat their results for ever.
func (c *control) passOver(ctx context.Context, err error) bool {
	if errors.Is(err, act.ErrNotFound) {
		c.s.cfg.Log.WarnContext(ctx, "endpoint speaks of a command that is not its own or not known", slog.String("endpoint", c.who.endpointID))
		return true
	}
	return err == nil
}

// gone tells that the stream has ended. The context of the call has ended too, but
// this must still be written.
func (c *control) gone(ctx context.Context, unsubscribe func()) {
	unsubscribe()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replaceTime)
	defer cancel()
	if err := c.s.cfg.Presence.EndpointDisconnected(ctx, c.who.endpointID); err != nil {
		c.s.cfg.Log.ErrorContext(ctx, "note disconnection", slog.String("endpoint", c.who.endpointID), slog.Any("error", err))
	}
	c.s.cfg.Log.InfoContext(ctx, "endpoint disconnected", slog.String("endpoint", c.who.endpointID))
}
