package uplink

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozen/agent/internal/identity"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// renewRetry is the wait after a renewal that failed.
const renewRetry = time.Hour

// renewalDue returns how long it is until the certificate has lived a third of its
// life, and whether it has lived all of it.
func (u *Uplink) renewalDue(e identity.Enrolment) (in time.Duration, expired bool, err error) {
	cert, err := pki.ParseCertificate(e.Certificate)
	if err != nil {
		return 0, false, err
	}
	now := u.cfg.Identity.Now()
	third := cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3)
	return max(third.Sub(now), 0), now.After(cert.NotAfter), nil
}

// errNotDue means that by the collector's clock there is nothing to renew yet.
var errNotDue = errors.New("not due by the collector's clock")

// renew exchanges the certificate for a new one with the same key. On success it
// returns errAgain: the session goes on under the new certificate. The error wraps
// errNotDue when the collector says that it is too early.
func (u *Uplink) renew(ctx context.Context, c agentv1.AgentServiceClient, e identity.Enrolment) error {
	own, err := u.cfg.Identity.TLSCertificate()
	if err != nil {
		return err
	}
	key, ok := own.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("renew certificate: the key cannot sign")
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	m, err := c.Renew(ctx, &agentv1.RenewRequest{Csr: csr})
	if status.Code(err) == codes.FailedPrecondition {
		return fmt.Errorf("renew certificate: %w: %w", errNotDue, explain(err))
	}
	if err != nil {
		return fmt.Errorf("renew certificate: %w", explain(err))
	}
	if err := wire.RenewResponse(m); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if m.GetIssued().GetEndpointId() != e.EndpointID {
		return errors.New("renew certificate: the new one is for another endpoint")
	}
	// The CA stays the one that was pinned at enrolment.
	e.Certificate = m.GetIssued().GetCertificate()
	if err := u.cfg.Identity.SaveEnrolment(e); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	u.cfg.Log.InfoContext(ctx, "certificate renewed")
	return errAgain
}
