package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// How long certificates are good for.
const (
	CALife        = 20 * 365 * 24 * time.Hour
	CollectorLife = 365 * 24 * time.Hour
	AgentLife     = 90 * 24 * time.Hour
)

// backdate moves the beginning of a certificate before the moment of issue, for
// endpoints whose clock is slow.
const backdate = time.Hour

// ErrKey is wrapped by errors about keys that are not ECDSA P-256.
var ErrKey = errors.New("want an ECDSA P-256 key")

// CA issues certificates. It is safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a certificate authority with a fresh key. Name is shown to people
// who look at the certificate; it may be empty.
func NewCA(name string, now time.Time) (*CA, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = "Hozen CA"
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate).UTC(),
		NotAfter:              now.Add(CALife).UTC(),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issue CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read own CA certificate: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// LoadCA is the inverse of [CA.CertificatePEM] and [CA.KeyPEM].
func LoadCA(certPEM, keyPEM []byte) (*CA, error) {
	cert, err := ParseCertificatePEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("load CA certificate: %w", err)
	}
	if !cert.IsCA {
		return nil, errors.New("load CA certificate: it is not a CA's")
	}
	key, err := ParseKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("load CA key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("load CA: the key does not belong to the certificate")
	}
	return &CA{cert: cert, key: key}, nil
}

// Certificate returns the CA's own certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// CertificatePEM returns the certificate as PEM.
func (ca *CA) CertificatePEM() []byte { return CertificatePEM(ca.cert.Raw) }

// KeyPEM returns the private key as PEM (PKCS #8). Whoever has it can make
// endpoints and collectors.
func (ca *CA) KeyPEM() ([]byte, error) { return KeyPEM(ca.key) }

// Fingerprint returns the SHA-256 of the CA certificate, see [Fingerprint].
func (ca *CA) Fingerprint() string { return Fingerprint(ca.cert.Raw) }

// NewKey makes an ECDSA P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// checkKey reports whether pub is ECDSA P-256.
func checkKey(pub crypto.PublicKey) (*ecdsa.PublicKey, error) {
	k, ok := pub.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w, got %T", ErrKey, pub)
	}
	if k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w, got curve %s", ErrKey, k.Params().Name)
	}
	return k, nil
}

// newSerial returns a random positive 127-bit number (RFC 5280, 4.1.2.2 allows 20 octets).
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	b[0] &= 0x7f
	b[0] |= 0x40 // never zero, always of the same length
	return new(big.Int).SetBytes(b[:]), nil
}

// Serial spells a certificate's serial number as lower-case hexadecimal digits.
func Serial(cert *x509.Certificate) string { return hex.EncodeToString(cert.SerialNumber.Bytes()) }

// CertificatePEM wraps one certificate in PEM.
func CertificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// ParseCertificatePEM reads the first certificate of a PEM file.
func ParseCertificatePEM(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM block of type CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}

// KeyPEM wraps a private key in PEM (PKCS #8).
func KeyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKeyPEM reads an ECDSA P-256 key as [KeyPEM] wrote it.
func ParseKeyPEM(b []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("no PEM block of type PRIVATE KEY")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w, got %T", ErrKey, k)
	}
	if _, err := checkKey(key.Public()); err != nil {
		return nil, err
	}
	return key, nil
}
