// Package agentapi is the edge to the agents: gRPC over TLS 1.3 on one listener. It
// checks who calls and what they say, and translates between the wire and the acts;
// it decides nothing, and knows nothing of SQL or HTML.
package agentapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// Enrolling gives and checks certificates.
type Enrolling interface {
	Enroll(ctx context.Context, c act.EnrollCall) (act.EnrollReply, error)
	Renew(ctx context.Context, endpointID, oldCertSerial string, csr []byte) (cert []byte, err error)
	// CertificateStatus returns an error wrapping [act.ErrForbidden] or [act.ErrNotFound]
	// for a certificate that was revoked or never issued.
	CertificateStatus(ctx context.Context, endpointID, serial string) error
}

// Presence hears who is there.
type Presence interface {
	EndpointConnected(ctx context.Context, endpointID string, d endpoint.Description, remote string) error
	EndpointSeen(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error
	EndpointDisconnected(ctx context.Context, endpointID string) error
	EndpointIsolation(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error
	// EndpointCrowded hears that an endpoint has more connections at one time than an
	// agent makes, the newest from that address.
	EndpointCrowded(ctx context.Context, endpointID, remote string) error
}

// Orders are the commands of an endpoint, and the clock by which it understands moments.
type Orders interface {
	// EndpointClock hears how far the endpoint's clock is ahead of ours by its newest word.
	EndpointClock(ctx context.Context, endpointID string, offset time.Duration) error
	Outstanding(ctx context.Context, endpointID string) ([]dispatch.Command, error)
	// CommandSends hears that a command is about to go out to an endpoint that is connected
	// from that address; it does not keep it waiting.
	CommandSends(endpointID, remote string, c dispatch.Command)
	// CommandUnsendable hears that a command has no form that agents take.
	CommandUnsendable(ctx context.Context, endpointID, commandID, why string) error
	// CommandsReported stores what take returns when it is its turn, all or none; see
	// [act.Acts.CommandsReported].
	CommandsReported(ctx context.Context, endpointID string, take func() []act.Report) error
}

// Alerts takes reports of trouble, by people and about isolation, and tells whether
// there is trouble.
type Alerts interface {
	Attention(ctx context.Context, endpointID string) (act.Attention, error)
	ReportTrouble(ctx context.Context, endpointID string, c act.AlertCall) (incident.Incident, error)
	IsolationHappened(ctx context.Context, endpointID string, e endpoint.IsolationEvent, i *endpoint.IsolationStatus) error
}

// Ledger shows endpoints the custody ledger's signed state, which makes them its witnesses,
// and hears what they noticed. What it shows may be empty; it keeps nobody from working.
type Ledger interface {
	EndpointCheckpoint(ctx context.Context, endpointID string, held []byte) act.Shown
	ReceiptProof(ctx context.Context, endpointID string, index int64) act.ReceiptProof
	LedgerConflict(ctx context.Context, endpointID string, c act.ConflictCall) error
}

// Settings tells what the organisation of an endpoint has set.
type Settings interface {
	EndpointSettings(ctx context.Context, endpointID string) (act.EndpointSettings, error)
}

// Live passes news between streams and people.
type Live interface {
	SubscribeEndpoint(endpointID string) (wake, revoked <-chan struct{}, cancel func())
	Progress(endpointID string, p act.Progress)
}

// Uploads takes evidence in.
type Uploads interface {
	State(ctx context.Context, endpointID, acquisitionID string) (evidence.UploadState, error)
	Begin(ctx context.Context, endpointID, acquisitionID string) (Upload, error)
}

// Upload is one acquisition on its way in. An error that is a [*evidence.Refusal] is
// final; any other means that it may be tried again later.
type Upload interface {
	Part(name string, offset int64, envelope []byte) error
	Write(chunk []byte) error
	EndPart(size int64, sha256 []byte) error
	Seal(ctx context.Context, manifest, signature, certificate []byte) (evidence.Receipt, error)
	Close()
}

// Config is the manual of the edge. Every field without "Optional" is needed.
type Config struct {
	Enrolling Enrolling
	Presence  Presence
	Orders    Orders
	Alerts    Alerts
	Live      Live
	Uploads   Uploads
	// Ledger shows the signed ledger. Optional: without it nothing is shown.
	Ledger Ledger
	// Settings are told to endpoints that understand them. Optional.
	Settings Settings

	// CA is the certificate that all agents' certificates come from.
	CA *x509.Certificate
	// Certificate returns the collector's own certificate with its issuer, see
	// [pki.TLSCertificate]. It is asked at each handshake.
	Certificate func() (*tls.Certificate, error)
	// Addresses, "host:port", are where agents find the collector. Orders to isolate name
	// them: an isolated PC has nobody to ask where a collector has gone. Optional.
	Addresses []string
	// Heartbeat is how often agents show that they are there. Optional, 30 s.
	Heartbeat time.Duration
	// MaxConnections bounds the connections at one time. Optional, 10,000.
	MaxConnections int
	// Now is the clock against which certificates expire. Optional.
	Now func() time.Time
	// Log hears of connections, refusals and faults; never of what evidence holds. Optional.
	Log *slog.Logger
}

// Timings and sizes of a connection.
const (
	defaultHeartbeat      = 30 * time.Second
	defaultMaxConnections = 10_000

	handshakeTime = 10 * time.Second // from TCP to HTTP/2
	helloTime     = 10 * time.Second // from the call to Hello
	replaceTime   = 10 * time.Second // for an older stream to give way
	uploadIdle    = 5 * time.Minute  // between two steps of an upload
	pendingRetry  = 3 * time.Second  // between two askings of a waiting enrolment
	unaryTime     = time.Minute      // a call that is no stream, from its first byte on

	// The windows bound what an upload has in flight; 2 MiB fill 160 Mbit/s at 100 ms. On
	// a fast line they must hold several chunks, or both ends wait for each other. On a slow
	// line it is the agent's socket that keeps acknowledgements from waiting behind
	// evidence, see TCP_NOTSENT_LOWAT there.
	streamWindow = 2 << 20
	connWindow   = 4 << 20

	maxStreams = 8        // calls at one time on one connection; an agent has four
	maxHeaders = 16 << 10 // bytes
)

// Server serves agents. Make one with [New].
type Server struct {
	agentv1.UnimplementedEnrollmentServiceServer
	agentv1.UnimplementedAgentServiceServer

	cfg      Config
	grpc     *grpc.Server
	sessions *sessions
	enrolls  *limiter // by address
	news     *limiter // by endpoint
	crowds   *limiter // by endpoint
	homes    *homes
}

// New returns a server that is ready for [Server.Serve].
func New(cfg Config) (*Server, error) {
	if cfg.Enrolling == nil || cfg.Presence == nil || cfg.Orders == nil || cfg.Alerts == nil || cfg.Live == nil ||
		cfg.Uploads == nil || cfg.CA == nil || cfg.Certificate == nil {
		return nil, errors.New("make agents' edge: a field of its Config is missing")
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = defaultHeartbeat
	}
	if s := cfg.Heartbeat / time.Second; s < wire.MinHeartbeat || s > wire.MaxHeartbeat {
		return nil, fmt.Errorf("make agents' edge: heartbeat of %s, want %d s to %d s", cfg.Heartbeat, wire.MinHeartbeat, wire.MaxHeartbeat)
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = defaultMaxConnections
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, sessions: newSessions(), enrolls: newLimiter(enrollRate, enrollBurst), news: newLimiter(newsRate, newsBurst), crowds: newLimiter(crowdsRate, 1), homes: newHomes(cfg.Addresses)}
	s.grpc = grpc.NewServer(
		grpc.Creds(guarded{
			TransportCredentials: credentials.NewTLS(pki.ServerConfig(cfg.CA, cfg.Certificate)),
			strangers:            newPlaces(maxStrangers, maxStrangersPer), endpoints: newCrowd(maxPerEndpoint), revoked: s.revoked, crowded: s.crowded,
		}),
		grpc.WaitForHandlers(true), // what they say last must find the database open
		grpc.ConnectionTimeout(handshakeTime),
		grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxRecvMsgSize(wire.MaxMessage),
		grpc.MaxSendMsgSize(wire.MaxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaders),
		experimental.BufferPool(&framePool{}),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(s.tap),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	agentv1.RegisterEnrollmentServiceServer(s.grpc, s)
	agentv1.RegisterAgentServiceServer(s.grpc, s)
	return s, nil
}

// Serve answers on l until [Server.Stop]; it closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(limitListener(l, s.cfg.MaxConnections)); err != nil {
		return fmt.Errorf("serve agents: %w", err)
	}
	return nil
}

// Stop ends every call at once. Agents come back by themselves, and nothing that was
// confirmed to them is lost; waiting for their long-lived streams would wait for ever.
func (s *Server) Stop() { s.grpc.Stop() }
