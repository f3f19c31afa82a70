package agentapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/collector/internal/agentapi"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

func TestControlStream(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	var ids []string
	for n := range uint64(3) {
		c := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: n + 1, Verb: dispatch.Isolate, IssuedAt: time.Now(), Status: dispatch.Queued, Reason: "virus"}
		ids = append(ids, c.ID)
		r.commands = append(r.commands, c)
	}
	s := a.connect(t)
	for _, want := range ids {
		m, err := s.Recv()
		if err != nil || m.GetCommand().GetCommandId() != want || m.GetCommand().GetIsolate() == nil || m.GetCommand().GetReason() != "virus" {
			t.Fatalf("%v %v, want %s", m, err, want)
		}
		if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: &agentv1.CommandAck{CommandId: want}}}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "acknowledgements", func() bool { return r.seen("acked " + ids[2]) })
	if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: &agentv1.CommandResult{
		CommandId: ids[0], Status: agentv1.CommandStatus_COMMAND_STATUS_DONE, FinishedAt: timestamppb.Now(),
	}}}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetResultReceived().GetCommandId() != ids[0] {
		t.Fatalf("%v %v", m, err)
	}
	if r.results[0].Status != dispatch.Done {
		t.Fatalf("%+v", r.results[0])
	}
	alertID := id.New(id.Alert)
	if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Alert{Alert: &agentv1.Alert{AlertId: alertID, Message: "変な画面\nです", Reporter: "hanako", ReportedAt: timestamppb.Now()}}}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetAlertReceived().GetAlertId() != alertID || m.GetAlertReceived().GetIncidentNumber() != "INC-2026-0007" {
		t.Fatalf("%v %v", m, err)
	}
	if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: 9, SentAt: timestamppb.Now(),
		Isolation: &agentv1.IsolationStatus{Observed: agentv1.IsolationState_ISOLATION_STATE_ISOLATED}}}}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetHeartbeat().GetSequence() != 9 {
		t.Fatalf("%v %v", m, err)
	}
	if !r.seen("seen " + a.endpointID + " isolated") {
		t.Fatal("measurement of the heartbeat lost")
	}
	// A command ordered now arrives at a wake, and the two unfinished are not sent again.
	r.mu.Lock()
	next := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 4, Verb: dispatch.Release, IssuedAt: time.Now(), Status: dispatch.Queued}
	r.commands = append(r.commands, next)
	r.mu.Unlock()
	r.wakeUp(a.endpointID)
	if m, err := s.Recv(); err != nil || m.GetCommand().GetCommandId() != next.ID || m.GetCommand().GetRelease() == nil {
		t.Fatalf("%v %v", m, err)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := ends(t, s); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	await(t, "disconnection", func() bool { return r.seen("disconnected " + a.endpointID) })
	if r.Online(a.endpointID) {
		t.Fatal("still online")
	}
}

// A command that no agent takes is ended with a word; the stream and the next one live.
func TestCommandThatNoAgentTakesIsEnded(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	bad := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 1, Verb: dispatch.Isolate, IssuedAt: time.Now(), Status: dispatch.Queued, Isolation: dispatch.Isolation{
		Mode: dispatch.Selective, Permits: []dispatch.Permit{{Network: netip.MustParsePrefix("192.0.2.7/32"), Protocol: "tcp", First: 1, Last: 1, Host: "a host", ExpiresAt: time.Now().Add(time.Hour)}},
	}}
	odd := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 2, Verb: "dance", IssuedAt: time.Now(), Status: dispatch.Queued}
	good := dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: 3, Verb: dispatch.Release, IssuedAt: time.Now(), Status: dispatch.Queued}
	r.mu.Lock()
	r.commands = append(r.commands, bad, odd, good)
	r.mu.Unlock()
	s := a.connect(t)
	if m, err := s.Recv(); err != nil || m.GetCommand().GetCommandId() != good.ID {
		t.Fatalf("%v %v", m, err)
	}
	for _, want := range []string{
		"unsendable " + bad.ID + " command.isolate.permits[0].host: holds a character outside a-z A-Z 0-9 . _ -",
		"unsendable " + odd.ID + ` the verb "dance" has no form on the wire`,
	} {
		if !r.seen(want) {
			t.Errorf("never said: %s", want)
		}
	}
}

func TestNewestStreamWins(t *testing.T) {
	r := newRig(t, nil)
	endpointID := id.New(id.Endpoint)
	first, second := r.dialAs(t, endpointID, time.Now()), r.dialAs(t, endpointID, time.Now())
	old := first.connect(t)
	for range 20 {
		s := second.connect(t)
		wantCode(t, "older stream", ends(t, old), codes.Aborted)
		if !r.Online(endpointID) {
			t.Fatal("offline although a stream is live")
		}
		old, first, second = s, second, first
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range r.events { // strictly there, gone, there, gone, …
		want := "disconnected " + endpointID
		if i%2 == 0 {
			want = "connected " + endpointID + " pc1"
		}
		if e != want {
			t.Fatalf("event %d is %q", i, e)
		}
	}
}

func TestRevocationCutsAtOnce(t *testing.T) {
	r := newRig(t, nil)
	a, other := r.dial(t, time.Now()), r.dial(t, time.Now())
	s, safe := a.connect(t), other.connect(t)
	up, err := a.Upload(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Send(begin()); err != nil {
		t.Fatal(err)
	}
	if err := up.Send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{Name: "artifacts/process.jsonl.zst"}}}); err != nil {
		t.Fatal(err)
	}
	await(t, "upload began", func() bool { return r.seen("part artifacts/process.jsonl.zst 0") })
	r.mu.Lock()
	r.revoked[a.serial] = true
	r.mu.Unlock()
	r.revoke(a.endpointID)
	wantCode(t, "control stream", ends(t, s), codes.PermissionDenied)
	_, err = up.CloseAndRecv()
	wantCode(t, "upload", err, codes.PermissionDenied)
	_, err = a.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
	wantCode(t, "next call", err, codes.PermissionDenied)
	if err := safe.Send(beat(1)); err != nil {
		t.Fatal(err)
	}
	if m, err := safe.Recv(); err != nil || m.GetHeartbeat() == nil {
		t.Fatalf("another endpoint was hit: %v %v", m, err)
	}
}

func TestExpiredMayOnlyRenew(t *testing.T) {
	r := newRig(t, func(c *agentapi.Config) {
		c.Now = func() time.Time { return time.Now().Add(pki.AgentLife + time.Hour) }
	})
	a := r.dial(t, time.Now())
	s, err := a.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "connect", ends(t, s), codes.Unauthenticated)
	_, err = a.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
	wantCode(t, "upload state", err, codes.Unauthenticated)
	csr, err := pki.NewCSR(a.key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Renew(context.Background(), &agentv1.RenewRequest{Csr: csr})
	if err != nil || wire.RenewResponse(m) != nil || m.GetIssued().GetEndpointId() != a.endpointID {
		t.Fatal(m, err)
	}
	r.mu.Lock()
	r.revoked[a.serial] = true
	r.mu.Unlock()
	_, err = a.Renew(context.Background(), &agentv1.RenewRequest{Csr: csr})
	wantCode(t, "renew a revoked one", err, codes.PermissionDenied)
}

func TestStrangers(t *testing.T) {
	r := newRig(t, nil)
	conn := r.stranger(t)
	s, err := agentv1.NewAgentServiceClient(conn).Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "connect", ends(t, s), codes.Unauthenticated)
	_, err = agentv1.NewAgentServiceClient(conn).Renew(context.Background(), &agentv1.RenewRequest{Csr: []byte("x")})
	wantCode(t, "renew", err, codes.Unauthenticated)

	c := agentv1.NewEnrollmentServiceClient(conn)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	req := func(token string) *agentv1.EnrollRequest {
		return &agentv1.EnrollRequest{Token: token, Csr: csr, Host: host(), Capability: 1}
	}
	m, err := c.Enroll(context.Background(), req("good"))
	if err != nil || wire.EnrollResponse(m) != nil || m.GetIssued() == nil {
		t.Fatal(m, err)
	}
	if m, err = c.Enroll(context.Background(), req("slow")); err != nil || m.GetPending().GetCode() != "4F7K-92QM" {
		t.Fatal(m, err)
	}
	_, err = c.Enroll(context.Background(), req("unknown"))
	wantCode(t, "unknown token", err, codes.PermissionDenied)
	broken := req("good")
	broken.Csr = []byte("no CSR")
	_, err = c.Enroll(context.Background(), broken)
	wantCode(t, "broken CSR", err, codes.InvalidArgument)
	limited := false
	for range 200 {
		if _, err := c.Enroll(context.Background(), req("unknown")); status.Code(err) == codes.ResourceExhausted {
			limited = true
			break
		}
	}
	if !limited {
		t.Error("guessing tokens is not slowed down")
	}
}

func beat(n uint64) *agentv1.ConnectRequest {
	return &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: n, SentAt: timestamppb.Now()}}}
}

func begin() *agentv1.UploadRequest {
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{AcquisitionId: id.New(id.Acquisition)}}}
}

// TestHostileControl sends what breaks a rule: each ends that stream with a clear
// error that names the field, and another endpoint goes on.
func TestHostileControl(t *testing.T) {
	r := newRig(t, nil)
	safe := r.dial(t, time.Now()).connect(t)
	a := r.dial(t, time.Now())
	now := timestamppb.Now()
	cmd, acq, alt := id.New(id.Command), id.New(id.Acquisition), id.New(id.Alert)
	body := func(m *agentv1.ConnectRequest) *agentv1.ConnectRequest { return m }
	alert := func(change func(*agentv1.Alert)) *agentv1.ConnectRequest {
		m := &agentv1.Alert{AlertId: alt, Message: "m", Reporter: "r", ReportedAt: now}
		change(m)
		return body(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Alert{Alert: m}})
	}
	result := func(change func(*agentv1.CommandResult)) *agentv1.ConnectRequest {
		m := &agentv1.CommandResult{CommandId: cmd, Status: agentv1.CommandStatus_COMMAND_STATUS_DONE, FinishedAt: now}
		change(m)
		return body(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: m}})
	}
	progress := func(change func(*agentv1.AcquisitionProgress)) *agentv1.ConnectRequest {
		m := &agentv1.AcquisitionProgress{AcquisitionId: acq, Total: 3}
		change(m)
		return body(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Progress{Progress: m}})
	}
	isolation := func(change func(*agentv1.IsolationStatus)) *agentv1.ConnectRequest {
		m := &agentv1.IsolationStatus{}
		change(m)
		return body(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Isolation{Isolation: m}})
	}
	for _, c := range []struct {
		name, field string
		m           *agentv1.ConnectRequest
	}{
		{"empty message", "body", &agentv1.ConnectRequest{}},
		{"second hello", "hello", hello()},
		{"alert without identifier", "alert.alert_id", alert(func(m *agentv1.Alert) { m.AlertId = "" })},
		{"alert under another kind of identifier", "alert.alert_id", alert(func(m *agentv1.Alert) { m.AlertId = cmd })},
		{"long alert", "alert.message", alert(func(m *agentv1.Alert) { m.Message = strings.Repeat("x", wire.MaxAlert+1) })},
		{"NUL in alert", "alert.message", alert(func(m *agentv1.Alert) { m.Message = "a\x00b" })},
		{"line break in reporter", "alert.reporter", alert(func(m *agentv1.Alert) { m.Reporter = "a\nb" })},
		{"alert without time", "alert.reported_at", alert(func(m *agentv1.Alert) { m.ReportedAt = nil })},
		{"alert from year 60000", "alert.reported_at", alert(func(m *agentv1.Alert) { m.ReportedAt = &timestamppb.Timestamp{Seconds: 1 << 41} })},
		{"result of status 99", "command_result.status", result(func(m *agentv1.CommandResult) { m.Status = 99 })},
		{"result without status", "command_result.status", result(func(m *agentv1.CommandResult) { m.Status = 0 })},
		{"result of a path", "command_result.command_id", result(func(m *agentv1.CommandResult) { m.CommandId = "cmd_../../../../etc/passwd0000" })},
		{"result with a long detail", "command_result.detail", result(func(m *agentv1.CommandResult) { m.Detail = strings.Repeat("x", wire.MaxDetail+1) })},
		{"result with a foreign acquisition", "command_result.acquisition_id", result(func(m *agentv1.CommandResult) { m.AcquisitionId = "acq_x" })},
		{"acknowledgement of nothing", "command_ack.command_id", &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: &agentv1.CommandAck{}}}},
		{"progress beyond its end", "progress.done", progress(func(m *agentv1.AcquisitionProgress) { m.Done = 4 })},
		{"progress with markup", "progress.kind", progress(func(m *agentv1.AcquisitionProgress) { m.Kind = "<script>" })},
		{"isolation of state 42", "isolation.observed", isolation(func(m *agentv1.IsolationStatus) { m.Observed = 42 })},
		{"isolation wants isolating", "isolation.desired", isolation(func(m *agentv1.IsolationStatus) { m.Desired = agentv1.IsolationState_ISOLATION_STATE_ISOLATING })},
		{"digest in capitals", "isolation.rules_digest", isolation(func(m *agentv1.IsolationStatus) { m.RulesDigest = strings.Repeat("A", 64) })},
		{"heartbeat without time", "heartbeat.sent_at", &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}}},
	} {
		s := a.connect(t)
		if err := s.Send(c.m); err != nil {
			t.Fatal(err)
		}
		err := ends(t, s)
		wantCode(t, c.name, err, codes.InvalidArgument)
		if msg := status.Convert(err).Message(); !strings.HasPrefix(msg, c.field+":") {
			t.Errorf("%s: error %q does not name %s", c.name, msg, c.field)
		}
	}
	for _, c := range []struct {
		name, field string
		change      func(*agentv1.Hello)
		code        codes.Code
	}{
		{"no capability", "hello.capability", func(m *agentv1.Hello) { m.Capability = 0 }, codes.InvalidArgument},
		{"no host", "hello.host", func(m *agentv1.Hello) { m.Host = nil }, codes.InvalidArgument},
		{"no isolation", "hello.isolation", func(m *agentv1.Hello) { m.Isolation = nil }, codes.InvalidArgument},
		{"long host name", "hello.host.hostname", func(m *agentv1.Hello) { m.Host.Hostname = strings.Repeat("h", 256) }, codes.InvalidArgument},
		{"escape sequence in host name", "hello.host.hostname", func(m *agentv1.Hello) { m.Host.Hostname = "a\x1b[31m" }, codes.InvalidArgument},
		{"system with spaces", "hello.host.os", func(m *agentv1.Hello) { m.Host.Os = "a b" }, codes.InvalidArgument},
		{"long boot identifier", "hello.boot_id", func(m *agentv1.Hello) { m.BootId = strings.Repeat("b", 65) }, codes.InvalidArgument},
	} {
		s, err := a.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		m := hello()
		c.change(m.GetHello())
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
		err = ends(t, s)
		wantCode(t, c.name, err, c.code)
		if msg := status.Convert(err).Message(); !strings.HasPrefix(msg, c.field+":") {
			t.Errorf("%s: error %q does not name %s", c.name, msg, c.field)
		}
	}
	s, err := a.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(beat(1)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "heartbeat before hello", ends(t, s), codes.InvalidArgument)
	if err := safe.Send(beat(1)); err != nil {
		t.Fatal(err)
	}
	if m, err := safe.Recv(); err != nil || m.GetHeartbeat() == nil {
		t.Fatalf("another endpoint was hit: %v %v", m, err)
	}
	if len(r.alerts) != 0 || len(r.results) != 0 {
		t.Error("something invalid reached the acts")
	}
}

// TestForeignCommand: an endpoint that speaks of another's command changes nothing.
func TestForeignCommand(t *testing.T) {
	r := newRig(t, nil)
	c := dispatch.Command{ID: id.New(id.Command), EndpointID: id.New(id.Endpoint), Counter: 1, Verb: dispatch.Isolate, Status: dispatch.Queued}
	r.commands = append(r.commands, c)
	s := r.dial(t, time.Now()).connect(t)
	for _, m := range []*agentv1.ConnectRequest{
		{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: &agentv1.CommandAck{CommandId: c.ID}}},
		{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: &agentv1.CommandResult{CommandId: c.ID, Status: agentv1.CommandStatus_COMMAND_STATUS_DONE, FinishedAt: timestamppb.Now()}}},
		beat(5),
	} {
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	for {
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetHeartbeat().GetSequence() == 5 {
			break
		}
	}
	if r.commands[0].Status != dispatch.Queued || len(r.results) != 0 {
		t.Fatalf("%+v", r.commands[0])
	}
}

func TestHostileUpload(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	control := a.connect(t)
	part := func(name string) *agentv1.UploadRequest {
		return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{Name: name}}}
	}
	good := part("artifacts/process.jsonl.zst")
	chunk := func(n int) *agentv1.UploadRequest {
		return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: make([]byte, n)}}
	}
	seal := func(change func(*agentv1.Seal)) *agentv1.UploadRequest {
		m := &agentv1.Seal{Manifest: []byte("{}"), Signature: []byte("s"), Certificate: []byte("c")}
		change(m)
		return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Seal{Seal: m}}
	}
	for _, c := range []struct {
		name, field string
		steps       []*agentv1.UploadRequest
		code        codes.Code
	}{
		{"chunk first", "step", []*agentv1.UploadRequest{chunk(1)}, codes.InvalidArgument},
		{"no identifier", "begin.acquisition_id", []*agentv1.UploadRequest{{Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{}}}}, codes.InvalidArgument},
		{"second begin", "begin", []*agentv1.UploadRequest{begin(), begin()}, codes.InvalidArgument},
		{"path as part", "part_begin.name", []*agentv1.UploadRequest{begin(), part("artifacts/../../etc/passwd")}, codes.InvalidArgument},
		{"absolute part", "part_begin.name", []*agentv1.UploadRequest{begin(), part("/etc/passwd")}, codes.InvalidArgument},
		{"hidden part", "part_begin.name", []*agentv1.UploadRequest{begin(), part("artifacts/.x")}, codes.InvalidArgument},
		{"chunk too large", "chunk", []*agentv1.UploadRequest{begin(), good, chunk(wire.MaxChunk + 1)}, codes.InvalidArgument},
		{"empty chunk", "chunk", []*agentv1.UploadRequest{begin(), good, chunk(0)}, codes.InvalidArgument},
		{"short digest", "part_end.sha256", []*agentv1.UploadRequest{begin(), good, {Step: &agentv1.UploadRequest_PartEnd{PartEnd: &agentv1.PartEnd{Sha256: make([]byte, 31)}}}}, codes.InvalidArgument},
		{"offset near the end of numbers", "part_begin.offset", []*agentv1.UploadRequest{begin(), {Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{Name: "artifacts/x", Offset: 1 << 63}}}}, codes.InvalidArgument},
		{"no manifest", "seal.manifest", []*agentv1.UploadRequest{begin(), seal(func(m *agentv1.Seal) { m.Manifest = nil })}, codes.InvalidArgument},
		{"large manifest", "seal.manifest", []*agentv1.UploadRequest{begin(), seal(func(m *agentv1.Seal) { m.Manifest = make([]byte, wire.MaxManifest+1) })}, codes.InvalidArgument},
		{"no certificate", "seal.certificate", []*agentv1.UploadRequest{begin(), seal(func(m *agentv1.Seal) { m.Certificate = nil })}, codes.InvalidArgument},
		{"huge message", "", []*agentv1.UploadRequest{begin(), chunk(wire.MaxMessage + 1)}, codes.ResourceExhausted},
		{"no seal", "", []*agentv1.UploadRequest{begin(), good}, codes.Canceled},
		{"nothing at all", "", nil, codes.Canceled},
	} {
		up, err := a.Upload(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.steps {
			if err := up.Send(m); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(c.name, err)
			}
		}
		_, err = up.CloseAndRecv()
		wantCode(t, c.name, err, c.code)
		if msg := status.Convert(err).Message(); c.field != "" && !strings.HasPrefix(msg, c.field+":") {
			t.Errorf("%s: error %q does not name %s", c.name, msg, c.field)
		}
	}
	_, err := a.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: "acq_"})
	wantCode(t, "state of nothing", err, codes.InvalidArgument)

	r.mu.Lock()
	r.sealErr = &evidence.Refusal{Code: evidence.BadSignature, Detail: "not by its key\x1b[2J"}
	r.mu.Unlock()
	m, err := sendAll(t, a, begin(), good, chunk(10), seal(func(*agentv1.Seal) {}))
	if err != nil || m.GetRefusal().GetCode() != agentv1.RefusalCode_REFUSAL_CODE_BAD_SIGNATURE || wire.UploadResponse(m) != nil {
		t.Fatal("a refusal is an answer:", m, err)
	}
	r.mu.Lock()
	r.sealErr = evidence.ErrNoSpace
	r.mu.Unlock()
	_, err = sendAll(t, a, begin(), seal(func(*agentv1.Seal) {}))
	wantCode(t, "disk full", err, codes.ResourceExhausted)
	r.mu.Lock()
	r.sealErr = evidence.ErrOffset
	r.mu.Unlock()
	_, err = sendAll(t, a, begin(), seal(func(*agentv1.Seal) {}))
	wantCode(t, "wrong offset", err, codes.FailedPrecondition)
	r.mu.Lock()
	r.sealErr = nil
	r.mu.Unlock()
	if m, err := sendAll(t, a, begin(), good, chunk(10), seal(func(*agentv1.Seal) {})); err != nil || !bytes.Equal(m.GetReceipt().GetPayload(), []byte("p")) {
		t.Fatal(m, err)
	}
	if err := control.Send(beat(3)); err != nil {
		t.Fatal(err)
	}
	if m, err := control.Recv(); err != nil || m.GetHeartbeat().GetSequence() != 3 {
		t.Fatalf("the control stream was hit: %v %v", m, err)
	}
}

func sendAll(t *testing.T, a *agent, steps ...*agentv1.UploadRequest) (*agentv1.UploadResponse, error) {
	t.Helper()
	up, err := a.Upload(context.Background(), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range steps {
		if err := up.Send(m); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	return up.CloseAndRecv()
}

func TestFaultsOfTheCollector(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	s := a.connect(t)
	r.mu.Lock()
	r.fail = errors.New("database: secret words")
	r.mu.Unlock()
	if err := s.Send(beat(1)); err != nil {
		t.Fatal(err)
	}
	err := ends(t, s)
	wantCode(t, "fault", err, codes.Unavailable)
	if strings.Contains(err.Error(), "secret") {
		t.Error("the agent was told of the collector's inside:", err)
	}
	r.mu.Lock()
	r.fail, r.panics = nil, true
	r.mu.Unlock()
	_, err = a.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
	wantCode(t, "panic", err, codes.Internal)
	r.mu.Lock()
	r.panics = false
	r.mu.Unlock()
	if _, err := a.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)}); err != nil {
		t.Fatal("after a panic:", err)
	}
}

func TestSilentAgentIsLetGo(t *testing.T) {
	r := newRig(t, func(c *agentapi.Config) { c.Heartbeat = time.Second })
	wantCode(t, "silent agent", ends(t, r.dial(t, time.Now()).connect(t)), codes.DeadlineExceeded)
}

func TestConnectionsAreLimited(t *testing.T) {
	r := newRig(t, func(c *agentapi.Config) { c.MaxConnections = 1 })
	a, b := r.dial(t, time.Now()), r.dial(t, time.Now())
	a.connect(t)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := b.UploadState(ctx, &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
	wantCode(t, "second connection", err, codes.DeadlineExceeded)
	a.conn.Close()
	if _, err := b.UploadState(context.Background(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)}, grpc.WaitForReady(true)); err != nil {
		t.Fatal("after the first went away:", err)
	}
}

// alive fails the test unless the control stream answers.
func alive(t *testing.T, s control, sequence uint64) {
	t.Helper()
	if err := s.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: sequence, SentAt: timestamppb.Now()}}}); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetHeartbeat().GetSequence() == sequence {
			return
		}
	}
}

// TestManyConnectionsOfOneEndpoint: who stole a key fills no collector with it and keeps
// the agent itself neither out nor offline.
func TestManyConnectionsOfOneEndpoint(t *testing.T) {
	r := newRig(t, nil)
	endpointID := id.New(id.Endpoint)
	call := func(a *agent) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := a.UploadState(ctx, &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
		return err
	}
	first := r.dialAs(t, endpointID, time.Now())
	s := first.connect(t)
	var thieves []*agent
	for range 20 {
		a := r.dialAs(t, endpointID, time.Now())
		if err := call(a); err != nil {
			t.Fatal(err)
		}
		thieves = append(thieves, a)
	}
	alive(t, s, 1)
	open := func() (n int) {
		for _, a := range thieves {
			if a.conn.GetState() == connectivity.Ready {
				n++
			}
		}
		return n
	}
	await(t, "all but 7 of 20 further connections are cut", func() bool { return open() == 7 })
	// The agent itself comes anew, as after a broken line, and is let in.
	first.conn.Close()
	alive(t, r.dialAs(t, endpointID, time.Now()).connect(t), 2)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(slices.DeleteFunc(slices.Clone(r.events), func(e string) bool { return e != "crowded "+endpointID+" 127.0.0.1" })); n != 1 {
		t.Errorf("said %d times that there are too many: %q", n, r.events)
	}
}

// TestRevokedConnectionsTakeNoPlace: a key that was stolen and revoked does nothing to
// the endpoint that it belonged to, and its user is told why.
func TestRevokedConnectionsTakeNoPlace(t *testing.T) {
	r := newRig(t, nil)
	endpointID := id.New(id.Endpoint)
	s := r.dialAs(t, endpointID, time.Now()).connect(t)
	for range 20 {
		a := r.dialAs(t, endpointID, time.Now())
		r.mu.Lock()
		r.revoked[a.serial] = true
		r.mu.Unlock()
		_, err := a.UploadState(t.Context(), &agentv1.UploadStateRequest{AcquisitionId: id.New(id.Acquisition)})
		wantCode(t, "revoked", err, codes.PermissionDenied)
	}
	alive(t, s, 1)
	if r.seen("crowded " + endpointID + " 127.0.0.1") {
		t.Error("revoked connections count as the endpoint's")
	}
}
