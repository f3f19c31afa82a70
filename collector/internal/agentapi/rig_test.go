package agentapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/collector/internal/act"
	"hozen/collector/internal/agentapi"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// acts stands in for the collector's acts and notes what it was told.
type acts struct {
	live
	ca *pki.CA

	mu        sync.Mutex
	revoked   map[string]bool // serials
	commands  []dispatch.Command
	events    []string
	alerts    []act.AlertCall
	attention act.Attention
	results   []dispatch.Result
	fail      error // what the next calls return
	reached   uint64
	panics    bool
	chunks    int
	wrote     int64
	sealErr   error
}

func (a *acts) note(format string, args ...any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, fmt.Sprintf(format, args...))
	return a.fail
}

func (a *acts) seen(event string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.events, event)
}

func (a *acts) Enroll(_ context.Context, c act.EnrollCall) (act.EnrollReply, error) {
	if c.Secret == "unknown" {
		return act.EnrollReply{}, fmt.Errorf("%w: no such token", act.ErrForbidden)
	}
	if c.Secret == "slow" {
		return act.EnrollReply{PendingCode: "4F7K-92QM"}, nil
	}
	pub, err := pki.CheckCSR(c.CSR)
	if err != nil {
		return act.EnrollReply{}, fmt.Errorf("%w: %w", act.ErrInvalid, err)
	}
	endpointID := id.New(id.Endpoint)
	der, _, err := a.ca.IssueAgent(endpointID, pub, time.Now())
	return act.EnrollReply{EndpointID: endpointID, Certificate: der, CA: a.ca.Certificate().Raw}, err
}

func (a *acts) Renew(_ context.Context, endpointID, serial string, csr []byte) ([]byte, error) {
	if err := a.note("renew %s", endpointID); err != nil {
		return nil, err
	}
	pub, err := pki.CheckCSR(csr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", act.ErrInvalid, err)
	}
	der, _, err := a.ca.IssueAgent(endpointID, pub, time.Now())
	return der, err
}

func (a *acts) CertificateStatus(_ context.Context, endpointID, serial string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.panics {
		panic("on purpose")
	}
	if a.revoked[serial] {
		return fmt.Errorf("%w: revoked", act.ErrForbidden)
	}
	return nil
}

func (a *acts) EndpointConnected(_ context.Context, endpointID string, d endpoint.Description, remote string) error {
	a.mu.Lock()
	a.reached = d.CommandCounter
	a.mu.Unlock()
	return a.note("connected %s %s", endpointID, d.Hostname)
}

func (a *acts) EndpointSeen(_ context.Context, endpointID string, i endpoint.IsolationStatus) error {
	return a.note("seen %s %s", endpointID, i.Observed)
}

func (a *acts) CommandSends(endpointID, remote string, c dispatch.Command) {
	_ = a.note("sends %s %s %s", endpointID, remote, c.ID)
}

func (a *acts) CommandUnsendable(_ context.Context, _, commandID, why string) error {
	a.mu.Lock()
	a.commands = slices.DeleteFunc(slices.Clone(a.commands), func(c dispatch.Command) bool { return c.ID == commandID })
	a.mu.Unlock()
	return a.note("unsendable %s %s", commandID, why)
}

func (a *acts) EndpointClock(_ context.Context, endpointID string, offset time.Duration) error {
	return a.note("clock %s %s", endpointID, offset.Round(time.Minute))
}

func (a *acts) EndpointDisconnected(_ context.Context, endpointID string) error {
	return a.note("disconnected %s", endpointID)
}

func (a *acts) IsolationHappened(_ context.Context, endpointID string, e endpoint.IsolationEvent, _ *endpoint.IsolationStatus) error {
	return a.note("happened %s %s %s", endpointID, e.Kind, e.ID)
}

func (a *acts) EndpointIsolation(_ context.Context, endpointID string, i endpoint.IsolationStatus) error {
	return a.note("isolation %s %s", endpointID, i.Observed)
}

func (a *acts) EndpointCrowded(_ context.Context, endpointID, remote string) error {
	return a.note("crowded %s %s", endpointID, remote)
}

func (a *acts) Outstanding(_ context.Context, endpointID string) ([]dispatch.Command, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []dispatch.Command
	for _, c := range a.commands {
		if c.EndpointID == endpointID && !c.Status.Final() {
			out = append(out, c)
		}
	}
	return out, nil
}

func (a *acts) CommandsReported(ctx context.Context, endpointID string, take func() []act.Report) error {
	for _, r := range take() {
		var err error
		if r.Result != nil {
			err = a.CommandFinished(ctx, endpointID, *r.Result, r.Isolation)
		} else {
			err = a.CommandAcked(ctx, endpointID, r.CommandID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *acts) CommandAcked(_ context.Context, endpointID, commandID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, c := range a.commands {
		if c.ID == commandID && c.EndpointID == endpointID {
			a.commands[i].Status = dispatch.Accepted
			a.events = append(a.events, "acked "+commandID)
			return nil
		}
	}
	return act.ErrNotFound
}

func (a *acts) CommandFinished(_ context.Context, endpointID string, r dispatch.Result, i *endpoint.IsolationStatus) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for j, c := range a.commands {
		if c.ID == r.CommandID && c.EndpointID == endpointID {
			a.commands[j].Status = r.Status
			a.results = append(a.results, r)
			return nil
		}
	}
	return act.ErrNotFound
}

func (a *acts) Attention(_ context.Context, endpointID string) (act.Attention, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attention, a.fail
}

func (a *acts) ReportTrouble(_ context.Context, endpointID string, c act.AlertCall) (incident.Incident, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.alerts = append(a.alerts, c)
	return incident.Incident{ID: id.New(id.Incident), Number: "INC-2026-0007"}, a.fail
}

// live stands in for the hub.
type live struct {
	hub     sync.Mutex
	streams map[*liveStream]string
}

type liveStream struct{ wake, revoked chan struct{} }

func (l *live) SubscribeEndpoint(endpointID string) (wake, revoked <-chan struct{}, cancel func()) {
	s := &liveStream{make(chan struct{}, 1), make(chan struct{})}
	l.hub.Lock()
	defer l.hub.Unlock()
	l.streams[s] = endpointID
	return s.wake, s.revoked, func() {
		l.hub.Lock()
		defer l.hub.Unlock()
		delete(l.streams, s)
	}
}

func (l *live) Progress(string, act.Progress) {}

func (l *live) each(endpointID string, f func(*liveStream)) (n int) {
	l.hub.Lock()
	defer l.hub.Unlock()
	for s, e := range l.streams {
		if e == endpointID {
			n++
			f(s)
		}
	}
	return n
}

func (l *live) wakeUp(endpointID string) {
	l.each(endpointID, func(s *liveStream) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	})
}

func (l *live) revoke(endpointID string) {
	l.each(endpointID, func(s *liveStream) { close(s.revoked) })
}

func (l *live) Online(endpointID string) bool { return l.each(endpointID, func(*liveStream) {}) > 0 }

// uploads takes everything and keeps nothing.
type uploads struct{ a *acts }

func (u uploads) State(_ context.Context, endpointID, acquisitionID string) (evidence.UploadState, error) {
	return evidence.UploadState{Parts: []evidence.PartState{{Name: "artifacts/process.jsonl.zst", Size: 17}}}, nil
}

func (u uploads) Begin(_ context.Context, endpointID, acquisitionID string) (agentapi.Upload, error) {
	return &upload{a: u.a}, nil
}

type upload struct{ a *acts }

func (u *upload) Part(name string, offset int64, _ []byte) error {
	return u.a.note("part %s %d", name, offset)
}
func (u *upload) Write(chunk []byte) error {
	u.a.mu.Lock()
	defer u.a.mu.Unlock()
	u.a.chunks++
	u.a.wrote += int64(len(chunk))
	return nil
}
func (u *upload) EndPart(size int64, sha256 []byte) error { return u.a.note("end %d", size) }
func (u *upload) Close()                                  {}
func (u *upload) Seal(context.Context, []byte, []byte, []byte) (evidence.Receipt, error) {
	u.a.mu.Lock()
	defer u.a.mu.Unlock()
	return evidence.Receipt{Payload: []byte("p"), Signature: []byte("s"), Certificate: []byte("c")}, u.a.sealErr
}

// rig is a running server.
type rig struct {
	*acts
	server *agentapi.Server
	addr   string
}

func newRig(t testing.TB, change func(*agentapi.Config)) *rig {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, _, err := ca.IssueCollector(nil, nil, key.Public(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own, err := pki.TLSCertificate(der, key, ca.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{acts: &acts{live: live{streams: map[*liveStream]string{}}, ca: ca, revoked: map[string]bool{}}}
	cfg := agentapi.Config{
		Enrolling: r.acts, Presence: r.acts, Orders: r.acts, Alerts: r.acts, Live: r.acts, Uploads: uploads{r.acts},
		CA: ca.Certificate(), Certificate: func() (*tls.Certificate, error) { return &own, nil },
	}
	if change != nil {
		change(&cfg)
	}
	if r.server, err = agentapi.New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.server.Stop()
		<-done
	})
	return r
}

// agent is one enrolled endpoint with a raw connection.
type agent struct {
	agentv1.AgentServiceClient
	conn       *grpc.ClientConn
	endpointID string
	serial     string
	key        *ecdsa.PrivateKey
}

// dial connects an endpoint whose certificate was issued then.
func (r *rig) dial(t testing.TB, issued time.Time, opts ...grpc.DialOption) *agent {
	return r.dialAs(t, id.New(id.Endpoint), issued, opts...)
}

func (r *rig) dialAs(t testing.TB, endpointID string, issued time.Time, opts ...grpc.DialOption) *agent {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ca := r.ca
	if issued.Before(ca.Certificate().NotBefore) { // an old certificate needs an older CA of the same key
		t.Fatal("CA is younger than the certificate")
	}
	der, serial, err := ca.IssueAgent(endpointID, key.Public(), issued)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pki.TLSCertificate(der, key, ca.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	cfg := pki.ClientConfig(ca.Certificate(), func() (*tls.Certificate, error) { return &cert, nil }, time.Now)
	conn, err := grpc.NewClient("passthrough:///"+r.addr, append(opts, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &agent{AgentServiceClient: agentv1.NewAgentServiceClient(conn), conn: conn, endpointID: endpointID, serial: serial, key: key}
}

// stranger connects without a certificate.
func (r *rig) stranger(t testing.TB) *grpc.ClientConn {
	t.Helper()
	cfg, err := pki.EnrollConfig(r.ca.Fingerprint(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type control = grpc.BidiStreamingClient[agentv1.ConnectRequest, agentv1.ConnectResponse]

func hello() *agentv1.ConnectRequest {
	return &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Hello{Hello: &agentv1.Hello{
		Capability: 1, Host: host(), BootId: "b", AgentTime: timestamppb.Now(), Isolation: &agentv1.IsolationStatus{},
	}}}
}

func host() *agentv1.HostDescription {
	return &agentv1.HostDescription{Hostname: "pc1", Os: "linux", Arch: "amd64"}
}

// connect opens a control stream and says Hello.
func (a *agent) connect(t testing.TB) control {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := a.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(hello()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if m.GetWelcome() == nil {
		t.Fatalf("got %T before welcome", m.GetBody())
	}
	return s
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

// ends reads until the stream ends and returns why.
func ends(t testing.TB, s control) error {
	t.Helper()
	got := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Recv(); err != nil {
				got <- err
				return
			}
		}
	}()
	select {
	case err := <-got:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("stream does not end")
		return nil
	}
}

func wantCode(t testing.TB, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}
