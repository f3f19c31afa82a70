package agentapi

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"hozen/collector/internal/act"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// caller is who is at the other end, by the certificate of the connection.
type caller struct {
	endpointID string // empty without a certificate
	serial     string
	expires    time.Time
	remote     string // address without port
	network    string // what one machine cannot change of it at will
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// peerOf reads the caller from the connection; the handshake has verified the chain.
func peerOf(ctx context.Context) (caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, status.Error(codes.Internal, "no peer")
	}
	c := caller{remote: hostOf(p.Addr), network: networkOf(p.Addr).String()}
	var info credentials.TLSInfo
	switch i := p.AuthInfo.(type) {
	case memberInfo:
		info = i.TLSInfo
	case credentials.TLSInfo:
		info = i
	default:
		return caller{}, status.Error(codes.Unauthenticated, "TLS is needed")
	}
	if len(info.State.PeerCertificates) == 0 {
		return c, nil
	}
	return c.with(info.State.PeerCertificates[0])
}

func (c caller) with(cert *x509.Certificate) (caller, error) {
	endpointID, err := pki.EndpointID(cert)
	if err != nil {
		return caller{}, status.Error(codes.Unauthenticated, err.Error())
	}
	c.endpointID, c.serial, c.expires = endpointID, pki.Serial(cert), cert.NotAfter
	return c, nil
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// tap refuses strangers before their message is read, but those that enrol: what they
// may say is bounded by [stranger]. A call that is no stream ends when its message does
// not come, which gRPC would wait for as long as the connection lives.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	c, err := peerOf(ctx)
	if err != nil {
		return nil, err
	}
	if c.endpointID == "" && info.FullMethodName != agentv1.EnrollmentService_Enroll_FullMethodName {
		return nil, status.Error(codes.Unauthenticated, "a certificate is needed; enrol first")
	}
	if info.FullMethodName == agentv1.EnrollmentService_Enroll_FullMethodName && !s.enrolls.allow(c.network, s.cfg.Now()) {
		return nil, status.Error(codes.ResourceExhausted, "too many requests from this address; wait a minute")
	}
	switch info.FullMethodName {
	case agentv1.AgentService_Connect_FullMethodName, agentv1.AgentService_Upload_FullMethodName:
		return ctx, nil
	}
	ctx, cancel := context.WithTimeout(ctx, unaryTime)
	context.AfterFunc(ctx, cancel) // with the call, or when its time is over
	return ctx, nil
}

// admit decides at each call whether the caller may make it.
func (s *Server) admit(ctx context.Context, method string) (caller, error) {
	c, err := peerOf(ctx)
	if err != nil || method == agentv1.EnrollmentService_Enroll_FullMethodName {
		return c, err
	}
	if c.endpointID == "" {
		return c, status.Error(codes.Unauthenticated, "a certificate is needed; enrol first")
	}
	if s.cfg.Now().After(c.expires) && method != agentv1.AgentService_Renew_FullMethodName {
		return c, status.Error(codes.Unauthenticated, "the certificate has expired; renew it first")
	}
	err = s.cfg.Enrolling.CertificateStatus(ctx, c.endpointID, c.serial)
	switch {
	case barred(err):
		return c, errRevoked
	case err != nil:
		return c, s.fault(ctx, "check certificate", err)
	}
	return c, nil
}

// barred reports whether an error of CertificateStatus is its verdict and no fault.
func barred(err error) bool {
	return errors.Is(err, act.ErrForbidden) || errors.Is(err, act.ErrNotFound)
}

// revoked asks at the handshake; a fault is for [Server.admit] to tell.
func (s *Server) revoked(endpointID, serial string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime/2)
	defer cancel()
	return barred(s.cfg.Enrolling.CertificateStatus(ctx, endpointID, serial))
}

// crowded tells that an endpoint has too many connections: a very bad line, or somebody
// who stole its key.
func (s *Server) crowded(endpointID string, remote net.Addr) {
	if !s.crowds.allow(endpointID, s.cfg.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime/2)
	defer cancel()
	from := hostOf(remote)
	s.cfg.Log.WarnContext(ctx, "endpoint has more connections than an agent makes; its key may be stolen", slog.String("endpoint", endpointID), slog.String("remote", from))
	if err := s.cfg.Presence.EndpointCrowded(ctx, endpointID, from); err != nil {
		s.cfg.Log.ErrorContext(ctx, "note crowd of connections", slog.String("endpoint", endpointID), slog.Any("error", err))
	}
}

// errRevoked tells an agent that it has been cut off.
var errRevoked = status.Error(codes.PermissionDenied, "the certificate was revoked or is not known here; enrol again")

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer s.recovered(ctx, info.FullMethod, &err)
	c, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		s.refused(ctx, c, info.FullMethod, err)
		return nil, err
	}
	return handler(context.WithValue(ctx, callerKey{}, c), req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	defer s.recovered(ctx, info.FullMethod, &err)
	c, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		s.refused(ctx, c, info.FullMethod, err)
		return err
	}
	return handler(srv, &callerStream{ServerStream: ss, ctx: context.WithValue(ctx, callerKey{}, c)})
}

type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *callerStream) Context() context.Context { return s.ctx }

// recovered keeps the fault of one call from ending the others.
func (s *Server) recovered(ctx context.Context, method string, err *error) {
	if p := recover(); p != nil {
		s.cfg.Log.ErrorContext(ctx, "call panicked", slog.String("method", method), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		*err = status.Error(codes.Internal, "fault in the collector; its log says more")
	}
}

func (s *Server) refused(ctx context.Context, c caller, method string, err error) {
	s.cfg.Log.WarnContext(ctx, "call refused", slog.String("endpoint", c.endpointID), slog.String("remote", c.remote),
		slog.String("method", method), slog.String("code", status.Code(err).String()))
}
