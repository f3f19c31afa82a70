package uplink_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/capability"
	"hozen/internal/custody"
	"hozen/internal/custody/issue"
	"hozen/internal/digest"
	"hozen/internal/envelope/unseal"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// collector is a stand-in that speaks the protocol and can be told to misbehave.
type collector struct {
	agentv1.UnimplementedAgentServiceServer
	agentv1.UnimplementedEnrollmentServiceServer

	ca     *pki.CA
	key    *ecdsa.PrivateKey
	cert   []byte
	addr   string
	server *grpc.Server

	mu         sync.Mutex
	orders     []*agentv1.Command // sent at each connection until a result came
	push       chan *agentv1.ConnectResponse
	drop       chan struct{} // closed: the present stream is cut
	hellos     int
	hello      *agentv1.Hello
	serials    []string // of the certificates that connected
	acks       []string
	results    []*agentv1.CommandResult
	alerts     []*agentv1.Alert
	progress   int
	events     []*agentv1.IsolationEvent
	capability capability.Number
	checkpoint *agentv1.Checkpoint       // shown in Welcome
	conflicts  []*agentv1.LedgerConflict // heard
	deaf       bool                      // never confirms results, alerts and events
	mute       bool                      // never answers heartbeats
	revoke     bool
	behind     bool // its clock says that no certificate is old
	heartbeat  uint32
	parts      map[string]map[string]*storedPart // acquisition → part
	cutAfter   int                               // chunks until an upload is cut; 0 never
	uploads    int
	discard    bool
	bytes      int
	receipts   map[string]custody.Signed
	badReceipt func(custody.Receipt) custody.Receipt
	refusal    *agentv1.Refusal
	opens      *unseal.Identity // opens parts that arrive encrypted
	clear      int              // parts that arrived in the clear
	enrol      func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error)
}

type storedPart struct {
	data  []byte
	ended bool
	head  int // of an age file: data is that until it is ended
}

// size is how many clear bytes are there.
func (p *storedPart) size() int {
	if p.head == 0 || p.ended {
		return len(p.data)
	}
	return (len(p.data) - p.head) / (spool.SealedChunk + 16) * spool.SealedChunk
}

// begin begins a part, or goes on with it.
func (p *storedPart) begin(m *agentv1.PartBegin) error {
	offset := int(m.GetOffset())
	if offset == 0 {
		p.data, p.head = m.GetEnvelope(), len(m.GetEnvelope())
	}
	if offset != p.size() {
		return status.Errorf(codes.FailedPrecondition, "offset %d of %d", offset, p.size())
	}
	if p.head > 0 {
		p.data = p.data[:spool.SealedOffset(p.head, int64(offset))]
	}
	return nil
}

// open opens a part that arrived encrypted.
func (p *storedPart) open(with *unseal.Identity) error {
	if p.head == 0 {
		return nil
	}
	r, err := unseal.Open(bytes.NewReader(p.data), *with)
	if err == nil {
		p.data, err = io.ReadAll(r)
	}
	return err
}

func refusal(code agentv1.RefusalCode, part string) *agentv1.UploadResponse {
	return &agentv1.UploadResponse{Result: &agentv1.UploadResponse_Refusal{Refusal: &agentv1.Refusal{Code: code, Part: part}}}
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now().Add(-pki.AgentLife*2))
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{ca: ca, heartbeat: 30, capability: capability.Current, push: make(chan *agentv1.ConnectResponse, 16), drop: make(chan struct{}),
		parts: map[string]map[string]*storedPart{}, receipts: map[string]custody.Signed{}}
	if c.key, err = pki.NewKey(); err != nil {
		t.Fatal(err)
	}
	if c.cert, _, err = ca.IssueCollector(nil, nil, c.key.Public(), time.Now()); err != nil {
		t.Fatal(err)
	}
	c.listen(t, "127.0.0.1:0")
	t.Cleanup(func() { c.server.Stop() })
	return c
}

func (c *collector) listen(t *testing.T, addr string) {
	t.Helper()
	own, err := pki.TLSCertificate(c.cert, c.key, c.ca.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.addr = l.Addr().String()
	give := func() (*tls.Certificate, error) { return &own, nil }
	c.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(pki.ServerConfig(c.ca.Certificate(), give))), grpc.MaxRecvMsgSize(wire.MaxMessage))
	agentv1.RegisterAgentServiceServer(c.server, c)
	agentv1.RegisterEnrollmentServiceServer(c.server, c)
	go c.server.Serve(l)
}

func serialOf(ctx context.Context) (serial string, expired bool) {
	p, _ := peer.FromContext(ctx)
	cert := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0]
	return pki.Serial(cert), time.Now().After(cert.NotAfter)
}

func (c *collector) Connect(s grpc.BidiStreamingServer[agentv1.ConnectRequest, agentv1.ConnectResponse]) error {
	serial, expired := serialOf(s.Context())
	c.mu.Lock()
	expired = expired && !c.behind
	c.mu.Unlock()
	if expired {
		return status.Error(codes.Unauthenticated, "expired")
	}
	m, err := s.Recv()
	if err != nil {
		return err
	}
	if err := wire.ConnectRequest(m); err != nil || m.GetHello() == nil {
		return status.Errorf(codes.InvalidArgument, "no proper hello: %v", err)
	}
	c.mu.Lock()
	c.hellos++
	c.hello = m.GetHello()
	c.serials = append(c.serials, serial)
	revoked, beat, drop, capable, shown := c.revoke, c.heartbeat, c.drop, c.capability, c.checkpoint
	todo := append([]*agentv1.Command(nil), c.orders...)
	c.mu.Unlock()
	if revoked {
		return status.Error(codes.PermissionDenied, "revoked")
	}
	out := make(chan *agentv1.ConnectResponse, 1024)
	welcome := &agentv1.Welcome{Capability: uint32(capable), CollectorTime: timestamppb.Now(), HeartbeatSeconds: beat, Checkpoint: shown}
	if err := s.Send(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	for _, o := range todo {
		out <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: o}}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.listenTo(s, out) }()
	for {
		var m *agentv1.ConnectResponse
		select {
		case m = <-out:
		case m = <-c.push:
		case <-drop:
			return status.Error(codes.Unavailable, "cut")
		case err := <-ended:
			return err
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
}

func (c *collector) listenTo(s grpc.BidiStreamingServer[agentv1.ConnectRequest, agentv1.ConnectResponse], out chan<- *agentv1.ConnectResponse) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := wire.ConnectRequest(m); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		c.mu.Lock()
		var answer *agentv1.ConnectResponse
		switch b := m.GetBody().(type) {
		case *agentv1.ConnectRequest_Heartbeat:
			if !c.mute {
				answer = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: b.Heartbeat.GetSequence(), SentAt: timestamppb.Now()}}}
			}
		case *agentv1.ConnectRequest_CommandAck:
			c.acks = append(c.acks, b.CommandAck.GetCommandId())
		case *agentv1.ConnectRequest_CommandResult:
			c.results = append(c.results, b.CommandResult)
			if !c.deaf {
				answer = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_ResultReceived{ResultReceived: &agentv1.ResultReceived{CommandId: b.CommandResult.GetCommandId()}}}
			}
		case *agentv1.ConnectRequest_Alert:
			c.alerts = append(c.alerts, b.Alert)
			if !c.deaf {
				answer = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_AlertReceived{AlertReceived: &agentv1.AlertReceived{AlertId: b.Alert.GetAlertId(), IncidentNumber: "INC-2026-0001", IncidentId: id.New(id.Incident)}}}
			}
		case *agentv1.ConnectRequest_IsolationEvent:
			if c.capability < capability.Isolation {
				c.mu.Unlock()
				return status.Error(codes.InvalidArgument, "body of a kind that this version does not know")
			}
			c.events = append(c.events, b.IsolationEvent)
			if !c.deaf {
				answer = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_IsolationEventReceived{IsolationEventReceived: &agentv1.IsolationEventReceived{EventId: b.IsolationEvent.GetEventId()}}}
			}
		case *agentv1.ConnectRequest_LedgerConflict:
			if c.capability < capability.Witness {
				c.mu.Unlock()
				return status.Error(codes.InvalidArgument, "body of a kind that this version does not know")
			}
			c.conflicts = append(c.conflicts, b.LedgerConflict)
			if !c.deaf {
				answer = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_LedgerConflictReceived{LedgerConflictReceived: &agentv1.LedgerConflictReceived{ConflictId: b.LedgerConflict.GetConflictId()}}}
			}
		case *agentv1.ConnectRequest_Progress:
			c.progress++
		}
		c.mu.Unlock()
		if answer != nil {
			out <- answer
		}
	}
}

// told returns the results that have arrived so far; more may arrive meanwhile.
func (c *collector) told() []*agentv1.CommandResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*agentv1.CommandResult(nil), c.results...)
}

// cut ends the present control stream.
func (c *collector) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.drop)
	c.drop = make(chan struct{})
}

func (c *collector) order(o *agentv1.Command) {
	c.mu.Lock()
	c.orders = append(c.orders, o)
	c.mu.Unlock()
	c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: o}}
}

// connected waits for a control stream. What is ordered before may be heard twice.
func (c *collector) connected(t *testing.T) {
	t.Helper()
	await(t, "connection", func() bool { return c.count(func() int { return c.hellos }) > 0 })
}

func (c *collector) count(f func() int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f()
}

func (c *collector) Renew(ctx context.Context, m *agentv1.RenewRequest) (*agentv1.RenewResponse, error) {
	p, _ := peer.FromContext(ctx)
	endpointID, err := pki.EndpointID(p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	pub, err := pki.CheckCSR(m.GetCsr())
	if err != nil {
		return nil, err
	}
	if c.count(func() int {
		if c.behind {
			return 1
		}
		return 0
	}) == 1 {
		return nil, status.Error(codes.FailedPrecondition, "too early")
	}
	der, _, err := c.ca.IssueAgent(endpointID, pub, time.Now())
	return &agentv1.RenewResponse{Issued: &agentv1.Issued{EndpointId: endpointID, Certificate: der, CaCertificate: c.ca.Certificate().Raw}}, err
}

func (c *collector) Enroll(_ context.Context, m *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	if err := wire.EnrollRequest(m); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return c.enrol(m)
}

func (c *collector) UploadState(_ context.Context, m *agentv1.UploadStateRequest) (*agentv1.UploadStateResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &agentv1.UploadStateResponse{}
	for name, p := range c.parts[m.GetAcquisitionId()] {
		out.Parts = append(out.Parts, &agentv1.PartState{Name: name, Size: uint64(p.size()), Complete: p.ended})
	}
	if s, ok := c.receipts[m.GetAcquisitionId()]; ok {
		out.Receipt = &agentv1.Receipt{Payload: s.Payload, Signature: s.Signature, Certificate: s.Certificate}
	}
	return out, nil
}

func (c *collector) Upload(s grpc.ClientStreamingServer[agentv1.UploadRequest, agentv1.UploadResponse]) error {
	var acquisitionID string
	var part *storedPart
	c.mu.Lock()
	c.uploads++
	c.mu.Unlock()
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if err := wire.UploadRequest(m); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		c.mu.Lock()
		done, err := func() (*agentv1.UploadResponse, error) {
			defer c.mu.Unlock()
			switch st := m.GetStep().(type) {
			case *agentv1.UploadRequest_Begin:
				acquisitionID = st.Begin.GetAcquisitionId()
				if c.parts[acquisitionID] == nil {
					c.parts[acquisitionID] = map[string]*storedPart{}
				}
			case *agentv1.UploadRequest_PartBegin:
				if part != nil {
					return nil, status.Error(codes.InvalidArgument, "part was not ended")
				}
				part = c.parts[acquisitionID][st.PartBegin.GetName()]
				if part == nil {
					part = &storedPart{}
					c.parts[acquisitionID][st.PartBegin.GetName()] = part
				}
				if b := st.PartBegin.GetEnvelope(); len(b) == 0 {
					c.clear++
				} else if _, err := age.ExtractHeader(bytes.NewReader(b)); err != nil {
					return refusal(agentv1.RefusalCode_REFUSAL_CODE_MALFORMED, st.PartBegin.GetName()), nil
				}
				return nil, part.begin(st.PartBegin)
			case *agentv1.UploadRequest_Chunk:
				c.bytes += len(st.Chunk)
				if c.discard {
					return nil, nil
				}
				part.data = append(part.data, st.Chunk...)
				if c.cutAfter > 0 {
					if c.cutAfter--; c.cutAfter == 0 {
						return nil, status.Error(codes.Unavailable, "cut")
					}
				}
			case *agentv1.UploadRequest_PartEnd:
				if c.discard {
					part.ended, part = true, nil
					return nil, nil
				}
				err := part.open(c.opens)
				if d := digest.Of(part.data); err != nil || int(st.PartEnd.GetSize()) != len(part.data) || string(d[:]) != string(st.PartEnd.GetSha256()) {
					return refusal(agentv1.RefusalCode_REFUSAL_CODE_DIGEST_MISMATCH, ""), nil
				}
				part.ended, part = true, nil
			case *agentv1.UploadRequest_Seal:
				if c.refusal != nil {
					return &agentv1.UploadResponse{Result: &agentv1.UploadResponse_Refusal{Refusal: c.refusal}}, nil
				}
				return c.receipt(acquisitionID, st.Seal)
			}
			return nil, nil
		}()
		if err != nil {
			return err
		}
		if done != nil {
			return s.SendAndClose(done)
		}
	}
}

func (c *collector) receipt(acquisitionID string, m *agentv1.Seal) (*agentv1.UploadResponse, error) {
	r := custody.Receipt{
		AcquisitionID: acquisitionID, EndpointID: id.New(id.Endpoint), ManifestSHA256: digest.Of(m.GetManifest()).String(), ReceivedAt: time.Now(),
		Ledger:    custody.Ledger{Index: 0, TreeSize: 1, LeafSHA256: digest.Of(nil).String(), RootSHA256: digest.Of(nil).String()},
		Collector: custody.Collector{Name: "test", CASHA256: c.ca.Fingerprint()},
	}
	if c.badReceipt != nil {
		r = c.badReceipt(r)
	}
	s, err := issue.Receipt(r, c.key, c.cert)
	if err != nil {
		return nil, err
	}
	if c.badReceipt == nil {
		c.receipts[acquisitionID] = s
	}
	return &agentv1.UploadResponse{Result: &agentv1.UploadResponse_Receipt{Receipt: &agentv1.Receipt{Payload: s.Payload, Signature: s.Signature, Certificate: s.Certificate}}}, nil
}

// handler notes what it carries out.
type handler struct {
	mu    sync.Mutex
	calls []journal.Command
	block chan struct{} // Acquire waits for it
	fail  bool          // Preserve comes to nothing
}

func (h *handler) do(c journal.Command) journal.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	return journal.Result{Status: journal.Done}
}

func (h *handler) Acquire(ctx context.Context, c journal.Command) journal.Result {
	if h.block != nil {
		select {
		case <-h.block:
		case <-ctx.Done():
			return journal.Result{Status: journal.Failed}
		}
	}
	r := h.do(c)
	r.AcquisitionID = c.AcquisitionID
	return r
}

func (h *handler) Isolate(_ context.Context, c journal.Command) journal.Result {
	r := h.do(c)
	r.Isolation = &journal.Isolation{Desired: journal.StateIsolated, Observed: journal.StateIsolated, MeasuredAt: time.Now(), Capable: true}
	return r
}

func (h *handler) Release(_ context.Context, c journal.Command) journal.Result { return h.do(c) }

func (h *handler) Preserve(_ context.Context, c journal.Command) journal.Result {
	r := h.do(c)
	if h.fail {
		return journal.Result{Status: journal.Failed, Detail: "nothing could be read"}
	}
	r.AcquisitionID = c.AcquisitionID
	return r
}

func (h *handler) done() []journal.Command {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]journal.Command(nil), h.calls...)
}

// pc is one agent without its program.
type pc struct {
	*uplink.Uplink
	dir      string
	identity *identity.Store
	spool    *spool.Spool
	journal  *journal.Journal
	handler  *handler
	cancel   context.CancelFunc
	ended    chan error
}

// newPC makes an agent that is enrolled at c since then.
func newPC(t *testing.T, c *collector, issued time.Time) *pc {
	t.Helper()
	p := &pc{dir: t.TempDir(), handler: &handler{}}
	store, err := identity.Open(filepath.Join(p.dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := store.Key()
	if err != nil {
		t.Fatal(err)
	}
	endpointID := id.New(id.Endpoint)
	der, _, err := c.ca.IssueAgent(endpointID, key.Public(), issued)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SaveEnrolment(identity.Enrolment{EndpointID: endpointID, Certificate: der, CA: c.ca.Certificate().Raw, Collectors: []string{c.addr}}); err != nil {
		t.Fatal(err)
	}
	p.identity = store
	if p.spool, err = spool.Open(spool.Config{Dir: filepath.Join(p.dir, "spool"), MinFreeBytes: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.spool.Close() })
	return p
}

// start runs the uplink; change may alter its settings.
func (p *pc) start(t *testing.T, change func(*uplink.Config)) *pc {
	t.Helper()
	var err error
	if p.journal, err = journal.Open(journal.Config{Path: filepath.Join(p.dir, "journal")}); err != nil {
		t.Fatal(err)
	}
	cfg := uplink.Config{
		Identity: p.identity, Spool: p.spool, Journal: p.journal, Handler: p.handler, RoutesFile: filepath.Join(p.dir, "routes"),
		Host: func() uplink.Host {
			return uplink.Host{Hostname: "pc\x1b1", OS: "linux", Arch: "amd64", AgentVersion: "0"}
		},
		Isolation:  func(context.Context) journal.Isolation { return journal.Isolation{Observed: journal.StateReleased} },
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	if p.Uplink, err = uplink.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.ended = cancel, make(chan error, 1)
	go func() { p.ended <- p.Run(ctx) }()
	t.Cleanup(p.stop)
	return p
}

// stop ends the uplink and closes the journal; it may be called twice.
func (p *pc) stop() {
	p.cancel()
	if err, ok := <-p.ended; ok && err != nil {
		panic(err)
	}
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
	p.journal.Close()
}

// await polls a condition that another goroutine makes true.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never happened: %s", what)
		}
	}
}

func command(counter uint64) *agentv1.Command {
	return &agentv1.Command{CommandId: id.New(id.Command), Counter: counter, IssuedAt: timestamppb.Now(), Issuer: "山田", Reason: "virus",
		Verb: &agentv1.Command_Isolate{Isolate: &agentv1.Isolate{Mode: agentv1.IsolationMode_ISOLATION_MODE_STANDARD}}}
}

func acquireOrder(counter uint64) *agentv1.Command {
	m := command(counter)
	m.Verb = &agentv1.Command_Acquire{Acquire: &agentv1.Acquire{Profile: "flash"}}
	return m
}
