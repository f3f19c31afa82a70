package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"hozen/agent/internal/identity"
	"hozen/internal/buildinfo"
	"hozen/internal/pki"
	"hozen/proto/wire"
)

const (
	connectTime  = 10 * time.Second
	callTime     = 30 * time.Second // of a call with one answer
	maxAnswer    = 1 << 20          // bytes of any message from the collector
	clientWindow = 64 << 10         // bytes in flight to the agent, which receives little
)

// dialer makes TCP connections as [Config.Control] wants them.
func dialer(control func(network, address string, c syscall.RawConn) error) *net.Dialer {
	return &net.Dialer{
		Timeout: connectTime,
		Control: func(network, address string, c syscall.RawConn) error {
			if err := keepQueueShort(c); err != nil {
				return err
			}
			if control == nil {
				return nil
			}
			return control(network, address, c)
		},
	}
}

// client opens the one connection of a session. It connects at the first call and
// never again by itself: when it breaks, the session ends.
func client(a string, tlsConfig *tls.Config, control func(network, address string, c syscall.RawConn) error) (*grpc.ClientConn, error) {
	d := dialer(control)
	return grpc.NewClient("passthrough:///"+a,
		grpc.WithTransportCredentials(batching{credentials.NewTLS(tlsConfig)}),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithAuthority("collector"), // keeps addresses and names out of the TLS handshake
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", a) }),
		grpc.WithUserAgent("hozen-agent/"+buildinfo.Get().Version),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(clientWindow),
		grpc.WithInitialConnWindowSize(4*clientWindow),
		grpc.WithReadBufferSize(8<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer), grpc.MaxCallSendMsgSize(wire.MaxMessage), grpc.ForceCodecV2(wire.Codec())),
	)
}

// clientTLS are the TLS settings of an enrolled agent.
func (u *Uplink) clientTLS(e identity.Enrolment) (*tls.Config, *x509.Certificate, error) {
	ca, err := pki.ParseCertificate(e.CA)
	if err != nil {
		return nil, nil, err
	}
	give := func() (*tls.Certificate, error) {
		c, err := u.cfg.Identity.TLSCertificate()
		return &c, err
	}
	cfg := pki.ClientConfig(ca, give, u.cfg.Identity.Now)
	if r, ok := u.cfg.Identity.(reckoner); ok {
		now := cfg.VerifyConnection
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			err := now(cs)
			if at := r.Reckoned(); err != nil && len(cs.PeerCertificates) > 0 && !at.IsZero() {
				if _, rerr := pki.VerifyCollector(ca, cs.PeerCertificates[0], at); rerr == nil {
					return nil
				}
			}
			return err
		}
	}
	return cfg, ca, nil
}

// reckoner knows the time from what collectors told, whatever becomes of the PC's clock:
// one that is set far ahead would have the collector's certificate over, and an isolated PC
// has nobody else to ask for the time. It must never go back, or whoever has the key of a
// certificate that is over could keep it alive by telling old times.
type reckoner interface{ Reckoned() time.Time }

// WayHome makes a new connection to the collector beside the session and reports nil
// when the collector answered with its certificate at one of its addresses.
func (u *Uplink) WayHome(ctx context.Context) error {
	e, err := u.cfg.Identity.Enrolment()
	if err != nil {
		return err
	}
	cfg, _, err := u.clientTLS(e)
	if err != nil {
		return err
	}
	cfg.NextProtos = []string{"h2"}
	// All at once: at an address that somebody made up nobody may answer, and the time
	// for one that does would be gone.
	ctx, cancel := context.WithCancel(ctx)
	list := u.resolve(ctx, e)
	ends := make(chan error, len(list))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, a := range list {
		wg.Go(func() {
			err := shakeHands(ctx, a.String(), cfg, u.cfg.Control)
			if err != nil {
				err = fmt.Errorf("%s: %w", a, err)
			}
			ends <- err
		})
	}
	errs := []error{errors.New("collector not reached by a new connection")}
	for range list {
		err := <-ends
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func shakeHands(ctx context.Context, a string, cfg *tls.Config, control func(network, address string, c syscall.RawConn) error) error {
	raw, err := dialer(control).DialContext(ctx, "tcp", a)
	if err != nil {
		return err
	}
	defer raw.Close()
	return tls.Client(raw, cfg).HandshakeContext(ctx)
}

// explain turns an error of a call into one on which a caller acts, and takes the
// machinery's words out of it.
func explain(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	switch s.Code() {
	case codes.OK:
		return nil
	case codes.PermissionDenied:
		return ErrRevoked
	}
	return fmt.Errorf("%s: %s", s.Code(), wire.Text(s.Message(), wire.MaxReason))
}
