package uplink

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozen/agent/internal/identity"
	"hozen/internal/capability"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// The errors of [Enroll] on which callers act.
var (
	// ErrUnreachable means that no address of the token answered as that collector.
	ErrUnreachable = errors.New("collector not reached")
	// ErrNotAccepted means that the collector answered and said no.
	ErrNotAccepted = errors.New("collector did not accept the enrolment")
)

// EnrollConfig is what an enrolment needs.
type EnrollConfig struct {
	Token pki.Token
	// Key is the agent's key, which the certificate will be for.
	Key  crypto.Signer
	Host Host
	// Now is the time that certificates are checked against.
	Now func() time.Time
	// Pending is called with the code that an operator compares, once and whenever it
	// changes, while the enrolment waits for approval. Optional.
	Pending func(code string)
	// Control is as in [Config]. Optional.
	Control func(network, address string, c syscall.RawConn) error
}

// Enroll exchanges the token for a certificate. While an operator has to approve it
// keeps asking until ctx ends. The error wraps ErrUnreachable or ErrNotAccepted.
func Enroll(ctx context.Context, cfg EnrollConfig) (identity.Enrolment, error) {
	csr, err := pki.NewCSR(cfg.Key)
	if err != nil {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w", err)
	}
	req := &agentv1.EnrollRequest{Token: cfg.Token.Secret, Csr: csr, Host: toHost(cfg.Host), Capability: uint32(capability.Current)}
	code, failures := "", backoff{min: time.Second, max: 30 * time.Second}
	for {
		m, err := askAll(ctx, cfg, req)
		var wait time.Duration
		switch {
		case err != nil && (code == "" || !errors.Is(err, ErrUnreachable)):
			return identity.Enrolment{}, fmt.Errorf("enrol: %w", err)
		case err != nil:
			// The collector knows of the request; it may just be starting again.
			wait = failures.next()
		case m.GetIssued() != nil:
			return accept(cfg, m.GetIssued())
		default:
			failures.reset()
			if p := m.GetPending(); p.GetCode() != code {
				code = p.GetCode()
				if cfg.Pending != nil {
					cfg.Pending(code)
				}
			}
			wait = time.Duration(m.GetPending().GetRetryAfterSeconds()) * time.Second
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return identity.Enrolment{}, fmt.Errorf("enrol: %w", ctx.Err())
		}
	}
}

// askAll asks at each address until one answers.
func askAll(ctx context.Context, cfg EnrollConfig, req *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	errs := []error{ErrUnreachable}
	for _, a := range cfg.Token.Addresses {
		m, err := ask(ctx, cfg, a, req)
		if err == nil {
			return m, nil
		}
		if errors.Is(err, ErrNotAccepted) || ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", a, err))
	}
	return nil, errors.Join(errs...)
}

func ask(ctx context.Context, cfg EnrollConfig, a string, req *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	tlsConfig, err := pki.EnrollConfig(cfg.Token.CASHA256, cfg.Now)
	if err != nil {
		return nil, err
	}
	conn, err := client(a, tlsConfig, cfg.Control)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	m, err := agentv1.NewEnrollmentServiceClient(conn).Enroll(ctx, req)
	switch status.Code(err) {
	case codes.OK:
		return m, wire.EnrollResponse(m)
	case codes.PermissionDenied, codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.Unauthenticated:
		return nil, fmt.Errorf("%w: %s", ErrNotAccepted, wire.Text(status.Convert(err).Message(), wire.MaxReason))
	}
	return nil, explain(err)
}

// accept checks that what was issued is what was asked for.
func accept(cfg EnrollConfig, m *agentv1.Issued) (identity.Enrolment, error) {
	e := identity.Enrolment{EndpointID: m.GetEndpointId(), Certificate: m.GetCertificate(), CA: m.GetCaCertificate(), Collectors: cfg.Token.Addresses}
	if pki.Fingerprint(e.CA) != cfg.Token.CASHA256 {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w: it gave another CA than the token names", ErrNotAccepted)
	}
	ca, err := pki.ParseCertificate(e.CA)
	if err != nil {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w", err)
	}
	cert, err := pki.ParseCertificate(e.Certificate)
	if err != nil {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w", err)
	}
	endpointID, pub, err := pki.VerifyAgent(ca, cert)
	if err != nil {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w", err)
	}
	if endpointID != e.EndpointID || !pub.Equal(cfg.Key.Public()) {
		return identity.Enrolment{}, fmt.Errorf("enrol: %w: the certificate is for another endpoint or key", ErrNotAccepted)
	}
	return e, nil
}
