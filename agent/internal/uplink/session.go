package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/capability"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

var (
	// errAgain ends a session on purpose; the next begins at once.
	errAgain  = errors.New("begin a new session")
	errSilent = errors.New("the collector does not answer")
)

type controlStream = grpc.BidiStreamingClient[agentv1.ConnectRequest, agentv1.ConnectResponse]

// session is one life of the connection. Only the goroutine of serve sends.
type session struct {
	u      *Uplink
	e      identity.Enrolment
	client agentv1.AgentServiceClient
	stream controlStream
	in     chan *agentv1.ConnectResponse
	dead   *time.Timer // ends the session unless it is put off
	quiet  time.Duration
	beat   uint64
	// understands is what the collector said that it does.
	understands capability.Number
	// When each result, alert and event was last sent on this stream.
	sent   map[string]time.Time
	flying int // events that wait for their confirmation, about
}

// session connects to one address and stays until something breaks. met reports
// whether the collector welcomed the agent.
func (u *Uplink) session(ctx context.Context, e identity.Enrolment, a address) (met bool, err error) {
	cfg, ca, err := u.clientTLS(e)
	if err != nil {
		return false, err
	}
	conn, err := client(a.String(), cfg, u.cfg.Control)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel(nil)
		if cerr := conn.Close(); err == nil {
			err = cerr
		}
		wg.Wait()
	}()
	s := &session{
		u: u, e: e, client: agentv1.NewAgentServiceClient(conn), in: make(chan *agentv1.ConnectResponse), sent: map[string]time.Time{},
		dead: time.AfterFunc(connectTime+u.cfg.AnswerTime, func() { cancel(errSilent) }),
	}
	defer s.dead.Stop()
	due, expired, err := u.renewalDue(e)
	if err != nil {
		return false, err
	}
	if expired {
		// Nothing but renewing is allowed with it, unless it is over by our own clock alone,
		// which somebody may have set: the collector's counts. An isolated PC cannot ask
		// anybody else for the time.
		if err := u.renew(ctx, s.client, e); !errors.Is(err, errNotDue) {
			return false, err
		}
		due = renewRetry
	}
	welcome, err := s.greet(ctx)
	if err != nil {
		return false, reason(ctx, err)
	}
	every := time.Duration(welcome.GetHeartbeatSeconds()) * time.Second
	s.quiet = every + u.cfg.AnswerTime
	s.dead.Reset(s.quiet)
	s.understands = capability.Number(welcome.GetCapability())
	s.shown(welcome.GetCheckpoint())
	u.connected(a)
	u.heard()
	u.routes.worked(a, pki.Fingerprint(e.CA))
	if err := u.cfg.Identity.Saw(wire.Time(welcome.GetCollectorTime())); err != nil {
		u.cfg.Log.WarnContext(ctx, "keep time", slog.Any("error", err))
	}
	u.cfg.Log.InfoContext(ctx, "collector connected", slog.String("address", a.String()))
	wg.Go(func() { s.receive(ctx, cancel) })
	wg.Go(func() { newUploader(u, s.client, ca, s.understands).run(ctx) })
	err = s.serve(ctx, e, every, due)
	if errors.Is(err, io.EOF) {
		s.drain(ctx)
	}
	return true, reason(ctx, err)
}

// drain waits until the receiver has learnt why the stream broke, which tells its sender
// only that. What the collector said before comes first and is passed over: it says it
// again at the next connection.
func (s *session) drain(ctx context.Context) {
	limit := time.NewTimer(s.u.cfg.AnswerTime)
	defer limit.Stop()
	for {
		select {
		case <-s.in:
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		}
	}
}

// reason prefers the cause of a cancelled context over the error it led to.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if errors.Is(err, errAgain) {
		return err
	}
	return explain(err)
}

// greet says Hello and waits for Welcome.
func (s *session) greet(ctx context.Context) (*agentv1.Welcome, error) {
	stream, err := s.client.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s.stream = stream
	var waiting uint32
	var bytes uint64
	for _, i := range s.u.cfg.Spool.List() {
		if i.State == spool.Sealed {
			waiting++
		}
		bytes += uint64(i.Bytes)
	}
	h := toHello(s.u.cfg.Host(), s.u.cfg.Isolation(ctx), waiting, bytes)
	h.CommandCounter = s.u.cfg.Journal.Counter()
	h.CheckpointNote = s.u.note(s.e)
	if err := stream.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Hello{Hello: h}}); err != nil {
		_, err = stream.Recv() // holds the reason
		return nil, err
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if err := wire.ConnectResponse(m); err != nil {
		return nil, fmt.Errorf("collector said something that is not allowed: %w", err)
	}
	if m.GetWelcome() == nil {
		return nil, errors.New("collector said something else before welcome")
	}
	return m.GetWelcome(), nil
}

// receive passes messages on until the stream ends, and puts off the end of a
// session that is heard.
func (s *session) receive(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			cancel(fmt.Errorf("connection lost: %w", explain(err)))
			return
		}
		s.dead.Reset(s.quiet)
		s.u.heard()
		if err := wire.ConnectResponse(m); err != nil {
			if errors.Is(err, wire.ErrUnknownBody) {
				continue // from a newer collector
			}
			cancel(fmt.Errorf("collector said something that is not allowed: %w", err))
			return
		}
		select {
		case s.in <- m:
		case <-ctx.Done():
			return
		}
	}
}

// serve sends and handles until the session ends.
func (s *session) serve(ctx context.Context, e identity.Enrolment, every, renewIn time.Duration) error {
	u := s.u
	heartbeat := time.NewTicker(every)
	defer heartbeat.Stop()
	renewal := time.NewTimer(renewIn)
	defer renewal.Stop()
	if err := errors.Join(s.sendResults(), s.sendAlerts(), s.sendEvents(), s.sendConflicts(), s.sendHeartbeat(ctx)); err != nil {
		return err
	}
	for {
		var err error
		select {
		case m := <-s.in:
			err = s.handle(m)
		case <-u.results:
			err = s.sendResults()
		case <-u.alerts:
			err = s.sendAlerts()
		case <-u.events:
			err = s.sendEvents()
		case <-u.moved:
			err = s.sendMoved(ctx)
		case <-heartbeat.C:
			// What was sent long ago without an answer is sent again.
			err = errors.Join(s.sendHeartbeat(ctx), s.sendResults(), s.sendAlerts(), s.sendEvents(), s.sendConflicts())
		case <-u.nudge:
			if now, ierr := u.cfg.Identity.Enrolment(); ierr == nil && !bytes.Equal(now.Certificate, e.Certificate) {
				err = errAgain // enrolled anew
			}
		case <-renewal.C:
			if err = u.renew(ctx, s.client, e); err != nil && !errors.Is(err, errAgain) {
				u.cfg.Log.WarnContext(ctx, "certificate not renewed", slog.Any("error", err))
				renewal.Reset(renewRetry)
				err = nil
			}
		case <-ctx.Done():
			err = errors.Join(s.stream.CloseSend(), ctx.Err())
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) send(m *agentv1.ConnectRequest) error {
	if err := wire.ConnectRequest(m); err != nil {
		// Said on purpose to nobody: it would end the connection at every attempt.
		s.u.cfg.Log.Error("message breaks a rule and is not sent", slog.Any("error", err))
		return nil
	}
	return s.stream.Send(m)
}

// handle takes one message of the collector in.
func (s *session) handle(m *agentv1.ConnectResponse) error {
	switch b := m.GetBody().(type) {
	case *agentv1.ConnectResponse_Command:
		return s.handleCommand(fromCommand(b.Command))
	case *agentv1.ConnectResponse_ResultReceived:
		delete(s.sent, b.ResultReceived.GetCommandId())
		err := s.u.cfg.Journal.Confirm(b.ResultReceived.GetCommandId())
		s.u.settle()
		return err
	case *agentv1.ConnectResponse_AlertReceived:
		delete(s.sent, b.AlertReceived.GetAlertId())
		return s.u.alertReceived(journal.AlertReceipt{
			AlertID: b.AlertReceived.GetAlertId(), IncidentNumber: b.AlertReceived.GetIncidentNumber(), IncidentID: b.AlertReceived.GetIncidentId(),
		})
	case *agentv1.ConnectResponse_IsolationEventReceived:
		return s.eventReceived(b.IsolationEventReceived.GetEventId())
	case *agentv1.ConnectResponse_Checkpoint:
		s.shown(b.Checkpoint)
		return s.sendConflicts()
	case *agentv1.ConnectResponse_LedgerConflictReceived:
		delete(s.sent, b.LedgerConflictReceived.GetConflictId())
		if s.u.cfg.Witness != nil {
			s.u.cfg.Witness.Told(b.LedgerConflictReceived.GetConflictId())
		}
	case *agentv1.ConnectResponse_Attention:
		if s.u.cfg.Attention != nil {
			s.u.cfg.Attention(Attention{Open: b.Attention.GetIncidentOpen(), IncidentNumber: b.Attention.GetIncidentNumber()})
		}
	case *agentv1.ConnectResponse_Configure:
		if s.u.cfg.Configure != nil {
			s.u.cfg.Configure(fromConfigure(b.Configure))
		}
	}
	return nil // heartbeats and a second welcome
}

// handleCommand keeps a command before it is acknowledged. When it cannot be kept the
// session ends, so that the collector sends it again at the next.
func (s *session) handleCommand(c journal.Command) error {
	e, fresh, err := s.u.cfg.Journal.Accept(c)
	if errors.Is(err, journal.ErrCounter) {
		return s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: toResult(journal.Result{
			CommandID: c.ID, Status: journal.Refused, FinishedAt: time.Now(),
			Detail: fmt.Sprintf("counter %d was passed by another command", c.Counter),
		})}})
	}
	if err != nil {
		return fmt.Errorf("keep command: %w", err)
	}
	if err := s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: &agentv1.CommandAck{CommandId: c.ID}}}); err != nil {
		return err
	}
	if fresh {
		signal(s.u.lanes)
		return nil
	}
	if e.Result != nil { // the collector did not hear it, or forgot
		return s.sendResult(*e.Result)
	}
	return nil
}

// sendResults sends the results that were not sent lately.
func (s *session) sendResults() error {
	for _, r := range s.u.cfg.Journal.Unconfirmed() {
		if time.Since(s.sent[r.CommandID]) < s.u.cfg.ResendAfter {
			continue
		}
		if err := s.sendResult(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sendResult(r journal.Result) error {
	s.sent[r.CommandID] = time.Now()
	return s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: toResult(r)}})
}

// sendAlerts sends the alerts that were not sent lately.
func (s *session) sendAlerts() error {
	for _, a := range s.u.cfg.Journal.Alerts() {
		if time.Since(s.sent[a.ID]) < s.u.cfg.ResendAfter {
			continue
		}
		s.sent[a.ID] = time.Now()
		if err := s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Alert{Alert: toAlert(a)}}); err != nil {
			return err
		}
	}
	return nil
}

// eventsAtOnce is how many isolation events may wait for their confirmation, so that
// neither end blocks the other when a week of them is told.
const eventsAtOnce = 32

// sendEvents sends the isolation events that were not sent lately. An older collector
// would end the stream at the first; they wait for a newer one.
func (s *session) sendEvents() error {
	if s.understands < capability.Isolation {
		return nil
	}
	s.flying = 0
	var due []journal.IsolationEvent
	for _, e := range s.u.cfg.Journal.Events() {
		if time.Since(s.sent[e.ID]) < s.u.cfg.ResendAfter {
			s.flying++
		} else if len(due) < eventsAtOnce {
			due = append(due, e)
		}
	}
	for _, e := range due[:max(0, min(len(due), eventsAtOnce-s.flying))] {
		s.sent[e.ID] = time.Now()
		s.flying++
		m := toEvent(e)
		if m == nil {
			continue // of a newer agent that was here before
		}
		if (e.Kind == journal.EventTunnelChanged || e.Kind == journal.EventOthersRules) && s.understands < capability.Tunnels {
			m.Kind = agentv1.IsolationEventKind_ISOLATION_EVENT_KIND_DRIFT // the word that it has
		}
		if err := s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_IsolationEvent{IsolationEvent: m}}); err != nil {
			return err
		}
	}
	return nil
}

// eventReceived forgets an event that the collector has and sends more when it has all.
func (s *session) eventReceived(eventID string) error {
	delete(s.sent, eventID)
	if err := s.u.cfg.Journal.ConfirmEvent(eventID); err != nil {
		return err
	}
	if s.flying--; s.flying > 0 {
		return nil
	}
	return s.sendEvents()
}

func (s *session) sendHeartbeat(ctx context.Context) error {
	s.beat++
	return s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{
		Sequence: s.beat, SentAt: wire.Timestamp(time.Now()), Isolation: toIsolation(s.u.cfg.Isolation(ctx)),
	}}})
}

// sendMoved sends progress, and isolation when it changed.
func (s *session) sendMoved(ctx context.Context) error {
	for _, p := range s.u.takeProgress() {
		if err := s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Progress{Progress: toProgress(p)}}); err != nil {
			return err
		}
	}
	if !s.u.takeIsolationChanged() {
		return nil
	}
	return s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Isolation{Isolation: toIsolation(s.u.cfg.Isolation(ctx))}})
}
