package pki

import (
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ServerConfig are the TLS settings of the collector's listener for agents: TLS 1.3
// only. A client certificate is asked for, not demanded, since an agent that enrols
// has none. One that is shown must come from ca and name an endpoint, or the
// handshake fails; whether it is expired or revoked is decided at each call, because
// an expired one may still be renewed. Certificate is asked at each handshake, so
// that a renewed one is used without restart.
func ServerConfig(ca *x509.Certificate, certificate func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true, // each connection shows its certificate anew
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return nil
			}
			_, _, err := VerifyAgent(ca, cs.PeerCertificates[0])
			return err
		},
	}
}

// ClientConfig are the TLS settings of an enrolled agent: the collector must show a
// certificate that ca issued to a collector. Names and addresses play no part.
func ClientConfig(ca *x509.Certificate, certificate func() (*tls.Certificate, error), now func() time.Time) *tls.Config {
	cfg := pinned(func(chain []*x509.Certificate) error {
		_, err := VerifyCollector(ca, chain[0], now())
		return err
	})
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate() }
	return cfg
}

// EnrollConfig are the TLS settings of an agent that has a token and no certificate:
// the collector must send its CA certificate along, with the SHA-256 that the token
// carries, and a certificate that this CA issued to a collector.
func EnrollConfig(caSHA256 string, now func() time.Time) (*tls.Config, error) {
	want, err := hex.DecodeString(caSHA256)
	if err != nil || len(want) != 32 {
		return nil, fmt.Errorf("CA fingerprint %.80q: want 64 hexadecimal digits", caSHA256)
	}
	return pinned(func(chain []*x509.Certificate) error {
		for _, c := range chain[1:] {
			got, err := hex.DecodeString(Fingerprint(c.Raw))
			if err == nil && subtle.ConstantTimeCompare(got, want) == 1 {
				_, err := VerifyCollector(c, chain[0], now())
				return err
			}
		}
		return fmt.Errorf("collector has no certificate of the CA %s that the token names", caSHA256)
	}), nil
}

// pinned returns client settings that leave the choice of peer to verify alone.
func pinned(verify func(chain []*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The standard verification asks for host names, which we do not depend on.
		// VerifyConnection runs in every handshake and does all of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("collector showed no certificate")
			}
			return verify(cs.PeerCertificates)
		},
	}
}
