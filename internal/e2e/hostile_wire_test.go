package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/internal/e2e/rig"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// member is an enrolled agent's identity, in the hands of somebody who does evil with it.
type member struct {
	EndpointID  string `json:"endpoint_id"`
	Certificate []byte `json:"certificate"`
	CA          []byte `json:"ca"`
	key         *ecdsa.PrivateKey
}

func memberIn(t *testing.T, state string) member {
	t.Helper()
	var m member
	b, err := os.ReadFile(filepath.Join(state, "identity", "identity.json"))
	must(t, err)
	decode(t, b, &m)
	b, err = os.ReadFile(filepath.Join(state, "identity", "agent-key.pem"))
	must(t, err)
	m.key, err = pki.ParseKeyPEM(b)
	must(t, err)
	return m
}

func (m member) tls(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := pki.TLSCertificate(m.Certificate, m.key, m.CA)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
}

// enrolled makes a further member of the system.
func (s *system) enrolled(t *testing.T, ctx context.Context, name string) member {
	t.Helper()
	a, err := s.Agent(rig.AgentConfig{Program: s.agent.Program, Dir: filepath.Join(s.dir, name)})
	must(t, err)
	token, err := s.collector.Token(ctx, 1)
	must(t, err)
	must(t, a.Enroll(ctx, token))
	return memberIn(t, a.Dir)
}

// wireAttacks speak to the collector's port for agents.
func (s *system) wireAttacks(t *testing.T, ctx context.Context) []attack {
	evil := s.enrolled(t, ctx, "evil")
	gone := s.enrolled(t, ctx, "gone")
	must(t, s.collector.Glass().Call(ctx, "endpoint.revoke", map[string]any{"ref": gone.EndpointID, "reason": "test"}, nil))

	stranger := &tls.Config{MinVersion: tls.VersionTLS13}
	forger := evil
	ca, err := pki.NewCA("Hozen", time.Now())
	must(t, err)
	forger.Certificate, _, err = ca.IssueAgent(evil.EndpointID, evil.key.Public(), time.Now())
	must(t, err)
	forger.CA = ca.Certificate().Raw
	own, err := tls.LoadX509KeyPair(filepath.Join(s.collector.Dir, "pki", "collector.pem"), filepath.Join(s.collector.Dir, "pki", "collector-key.pem"))
	must(t, err)
	old := evil.tls(t)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	as := func(cfg *tls.Config, do func(ctx context.Context, c grpc.ClientConnInterface) error) func(context.Context) string {
		cfg = cfg.Clone()
		cfg.InsecureSkipVerify = true // it is not the collector that is on trial
		return func(ctx context.Context) string {
			conn, err := grpc.NewClient("passthrough:///"+s.collector.Agents, grpc.WithTransportCredentials(credentials.NewTLS(cfg)), grpc.WithAuthority("collector"))
			if err != nil {
				return err.Error()
			}
			defer conn.Close()
			if err := do(ctx, conn); err != nil {
				return err.Error()
			}
			return "accepted"
		}
	}
	state := func(acquisition string) func(context.Context, grpc.ClientConnInterface) error {
		return func(ctx context.Context, c grpc.ClientConnInterface) error {
			_, err := agentv1.NewAgentServiceClient(c).UploadState(ctx, &agentv1.UploadStateRequest{AcquisitionId: acquisition})
			return err
		}
	}
	enroll := func(r *agentv1.EnrollRequest) func(context.Context, grpc.ClientConnInterface) error {
		return func(ctx context.Context, c grpc.ClientConnInterface) error {
			_, err := agentv1.NewEnrollmentServiceClient(c).Enroll(ctx, r)
			return err
		}
	}
	fresh := func() string { return id.New(id.Acquisition) }
	me := evil.tls(t)
	csr, err := pki.NewCSR(evil.key)
	must(t, err)
	host := &agentv1.HostDescription{Hostname: "evil", Os: "linux", Arch: "amd64"}
	return []attack{
		{"garbage", `TLS alert|closed`, func(ctx context.Context) string {
			return exchange(ctx, "tcp", s.collector.Agents, strings.Repeat("\x00\xff\x16", 10_000))
		}},
		{"plain HTTP", `TLS alert|closed`, func(ctx context.Context) string {
			return exchange(ctx, "tcp", s.collector.Agents, "GET / HTTP/1.1\r\nHost: collector\r\n\r\n")
		}},
		{"no certificate", `Unauthenticated.*a certificate is needed`, as(stranger, state(fresh()))},
		{"foreign CA", `Unavailable.*(tls|EOF|reset|closed|broken)`, as(forger.tls(t), state(fresh()))},
		{"the collector's own certificate", `Unavailable.*(tls|EOF|reset|closed|broken)`,
			as(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}, state(fresh()))},
		{"TLS 1.2", `Unavailable.*protocol version`, as(old, state(fresh()))},
		{"revoked", `PermissionDenied.*revoked`, as(gone.tls(t), state(fresh()))},
		{"path for an identifier", `InvalidArgument.*acquisition_id`, as(me, state("acq_../../../../../../etc/passwd"))},
		{"unknown method", `Unimplemented`, as(me, func(ctx context.Context, c grpc.ClientConnInterface) error {
			return c.Invoke(ctx, "/hozen.agent.v1.AgentService/Exec", &agentv1.UploadStateRequest{}, &agentv1.UploadStateResponse{})
		})},
		{"wrong token", `PermissionDenied|Unauthenticated`, as(stranger, enroll(&agentv1.EnrollRequest{Token: strings.Repeat("a", 32), Csr: csr, Host: host, Capability: 1}))},
		{"huge token", `InvalidArgument.*token`, as(stranger, enroll(&agentv1.EnrollRequest{Token: strings.Repeat("a", 4096), Csr: csr, Host: host, Capability: 1}))},
		{"request that is none", `InvalidArgument.*csr|PermissionDenied`, as(stranger, enroll(&agentv1.EnrollRequest{Token: strings.Repeat("a", 32), Csr: []byte("x"), Host: host, Capability: 1}))},
		{"control characters", `InvalidArgument.*hostname`,
			as(stranger, enroll(&agentv1.EnrollRequest{Token: strings.Repeat("a", 32), Csr: csr, Host: &agentv1.HostDescription{Hostname: "a\x1b[2Jb", Os: "linux", Arch: "amd64"}, Capability: 1}))},
		{"no hello", `InvalidArgument.*hello`, as(me, func(ctx context.Context, c grpc.ClientConnInterface) error {
			stream, err := agentv1.NewAgentServiceClient(c).Connect(ctx)
			if err != nil {
				return err
			}
			if err := stream.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{Sequence: 1, SentAt: timestamppb.Now()}}}); err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		})},
		{"chunk first", `InvalidArgument.*begin`, as(me, upload(chunk(16)))},
		{"path for a part", `InvalidArgument.*name|malformed`, as(me, upload(begin(fresh()), part("artifacts/../../../../etc/cron.d/evil"), chunk(16)))},
		{"chunk outside of a part", `MALFORMED.*outside of a part`, as(me, upload(begin(fresh()), chunk(16)))},
		{"chunk above the limit", `InvalidArgument.*chunk`, as(me, upload(begin(fresh()), part("artifacts/process.jsonl.zst"), chunk(300<<10)))},
		{"message above the limit", `ResourceExhausted.*larger than max`, as(me, upload(begin(fresh()), part("artifacts/process.jsonl.zst"), chunk(5<<20)))},
		{"not zstd", `MALFORMED.*process.jsonl.zst`, as(me, upload(begin(fresh()), part("artifacts/process.jsonl.zst"), chunk(16), end(16)))},
		{"other bytes than announced", `DIGEST_MISMATCH.*process.jsonl.zst`, as(me, upload(begin(fresh()), part("artifacts/process.jsonl.zst"), chunk(16), end(17)))},
		{"manifest that is none", `MALFORMED|BAD_SIGNATURE`, as(me, upload(begin(fresh()), seal([]byte(`{"format":`), []byte("sig"), evil.Certificate)))},
		{"manifest with another's certificate", `BAD_SIGNATURE|FOREIGN_ENDPOINT|MALFORMED`, as(me, upload(begin(fresh()), seal([]byte(`{}`), []byte("sig"), gone.Certificate)))},
	}
}

// upload sends steps and returns the collector's no as an error.
func upload(steps ...*agentv1.UploadRequest) func(context.Context, grpc.ClientConnInterface) error {
	return func(ctx context.Context, c grpc.ClientConnInterface) error {
		stream, err := agentv1.NewAgentServiceClient(c).Upload(ctx)
		if err != nil {
			return err
		}
		for _, step := range steps {
			if err := stream.Send(step); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		m, err := stream.CloseAndRecv()
		if err != nil {
			return err
		}
		b, err := json.Marshal(map[string]string{"code": m.GetRefusal().GetCode().String(), "part": m.GetRefusal().GetPart(), "detail": m.GetRefusal().GetDetail()})
		if err != nil || m.GetReceipt() != nil {
			return err
		}
		return errors.New(string(b))
	}
}

func begin(acquisition string) *agentv1.UploadRequest {
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{AcquisitionId: acquisition}}}
}

func part(name string) *agentv1.UploadRequest {
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartBegin{PartBegin: &agentv1.PartBegin{Name: name}}}
}

func chunk(n int) *agentv1.UploadRequest {
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: make([]byte, n)}}
}

// end ends a part of 16 zero bytes, as which it announces n.
func end(n int) *agentv1.UploadRequest {
	sum := sha256Of(make([]byte, n))
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_PartEnd{PartEnd: &agentv1.PartEnd{Size: uint64(n), Sha256: sum}}}
}

func seal(manifest, signature, certificate []byte) *agentv1.UploadRequest {
	return &agentv1.UploadRequest{Step: &agentv1.UploadRequest_Seal{Seal: &agentv1.Seal{Manifest: manifest, Signature: signature, Certificate: certificate}}}
}
