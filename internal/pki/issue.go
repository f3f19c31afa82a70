package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"time"

	"hozen/internal/id"
)

// The names that certificates carry as their only URI.
const (
	uriScheme     = "hozen"
	collectorHost = "collector"
	endpointHost  = "endpoint"
)

func collectorURI() *url.URL { return &url.URL{Scheme: uriScheme, Host: collectorHost} }

func endpointURI(endpointID string) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: endpointHost, Path: "/" + endpointID}
}

// IssueAgent issues the certificate of an endpoint for [AgentLife]. The endpoint is
// named by the URI hozen://endpoint/end_…; whatever the request called itself is
// left out. Serial is spelt as [Serial] does.
func (ca *CA) IssueAgent(endpointID string, pub crypto.PublicKey, now time.Time) (der []byte, serial string, err error) {
	if err := id.Check(id.Endpoint, endpointID); err != nil {
		return nil, "", fmt.Errorf("issue agent certificate: %w", err)
	}
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: endpointID},
		URIs:        []*url.URL{endpointURI(endpointID)},
		NotAfter:    now.Add(AgentLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := ca.issue(tmpl, pub, now)
	if err != nil {
		return nil, "", fmt.Errorf("issue agent certificate: %w", err)
	}
	return cert.Raw, Serial(cert), nil
}

// IssueCollector issues the collector's own certificate for [CollectorLife]: for
// agents the URI hozen://collector, for browsers the host names and addresses.
func (ca *CA) IssueCollector(names []string, ips []net.IP, pub crypto.PublicKey, now time.Time) (der []byte, serial string, err error) {
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Hozen collector"},
		URIs:        []*url.URL{collectorURI()},
		DNSNames:    names,
		IPAddresses: ips,
		NotAfter:    now.Add(CollectorLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := ca.issue(tmpl, pub, now)
	if err != nil {
		return nil, "", fmt.Errorf("issue collector certificate: %w", err)
	}
	return cert.Raw, Serial(cert), nil
}

// issue fills in what all leaf certificates have in common and signs.
func (ca *CA) issue(tmpl *x509.Certificate, pub crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if _, err := checkKey(pub); err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl.SerialNumber = serial
	tmpl.NotBefore = now.Add(-backdate).UTC()
	if tmpl.NotBefore.Before(ca.cert.NotBefore) {
		tmpl.NotBefore = ca.cert.NotBefore
	}
	tmpl.NotAfter = tmpl.NotAfter.UTC()
	if tmpl.NotAfter.After(ca.cert.NotAfter) {
		tmpl.NotAfter = ca.cert.NotAfter
	}
	if !tmpl.NotAfter.After(tmpl.NotBefore) {
		return nil, fmt.Errorf("the clock says %s but the CA is good from %s to %s",
			now.UTC().Format(time.RFC3339), ca.cert.NotBefore.Format(time.RFC3339), ca.cert.NotAfter.Format(time.RFC3339))
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, pub, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// TLSCertificate puts a leaf, its key and its issuer together as a side of a
// handshake sends them. The issuer goes along because an agent that enrols knows
// the CA by its fingerprint only.
func TLSCertificate(leafDER []byte, key crypto.Signer, caDER []byte) (tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(leafDER)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	pub, err := checkKey(leaf.PublicKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	if !pub.Equal(key.Public()) {
		return tls.Certificate{}, fmt.Errorf("the key does not belong to certificate %s", Serial(leaf))
	}
	return tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key, Leaf: leaf}, nil
}
