package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/internal/id"
)

// MaxCSR is the largest signing request that is read, in bytes.
const MaxCSR = 4 << 10

// MaxCertificate is the largest certificate that is read, in bytes.
const MaxCertificate = 8 << 10

// Fingerprint returns the SHA-256 of DER bytes as 64 lower-case hexadecimal
// digits: of a certificate it is what `openssl x509 -fingerprint -sha256` prints,
// without the colons.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// KeyFingerprint returns the SHA-256 of a key's SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), in DER.
func KeyFingerprint(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	return Fingerprint(der), nil
}

// NewCSR makes a signing request (PKCS #10, RFC 2986) that carries nothing but the key.
func NewCSR(key crypto.Signer) ([]byte, error) {
	if _, err := checkKey(key.Public()); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA256}, key)
	if err != nil {
		return nil, fmt.Errorf("make signing request: %w", err)
	}
	return der, nil
}

// CheckCSR reads a signing request: at most [MaxCSR] bytes, ECDSA P-256, and signed
// by the key that it carries. Names and extensions in it are ignored.
func CheckCSR(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) == 0 {
		return nil, errors.New("signing request is empty")
	}
	if len(der) > MaxCSR {
		return nil, fmt.Errorf("signing request has %d bytes, at most %d are read", len(der), MaxCSR)
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read signing request: %w", err)
	}
	pub, err := checkKey(req.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("read signing request: %w", err)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check signing request: %w", err)
	}
	return pub, nil
}

// EndpointID returns the endpoint that a certificate stands for. It does not
// verify the certificate.
func EndpointID(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) != 1 {
		return "", fmt.Errorf("certificate has %d URI names, an endpoint's has one", len(cert.URIs))
	}
	u := cert.URIs[0]
	endpointID := strings.TrimPrefix(u.Path, "/")
	if err := id.Check(id.Endpoint, endpointID); err != nil || u.String() != endpointURI(endpointID).String() {
		return "", fmt.Errorf("certificate is for %.80q, not for an endpoint", u.String())
	}
	return endpointID, nil
}

func checkCollectorName(cert *x509.Certificate) error {
	if len(cert.URIs) != 1 || cert.URIs[0].String() != collectorURI().String() {
		return errors.New("certificate is not a collector's")
	}
	return nil
}

// VerifyAgent checks that a certificate was issued by ca to an endpoint, and
// returns the endpoint and its key. It does not look at the clock: whether an
// expired certificate is good enough depends on what for.
func VerifyAgent(ca, leaf *x509.Certificate) (endpointID string, pub *ecdsa.PublicKey, err error) {
	if err := verifyChain(ca, leaf, x509.ExtKeyUsageClientAuth, time.Time{}); err != nil {
		return "", nil, err
	}
	if pub, err = checkKey(leaf.PublicKey); err != nil {
		return "", nil, err
	}
	endpointID, err = EndpointID(leaf)
	return endpointID, pub, err
}

// VerifyCollector checks that a certificate was issued by ca to a collector and
// had not expired at that time; a zero time leaves the expiry out, as a receipt
// outlives the certificate that signed it.
func VerifyCollector(ca, leaf *x509.Certificate, at time.Time) (*ecdsa.PublicKey, error) {
	if err := verifyChain(ca, leaf, x509.ExtKeyUsageServerAuth, at); err != nil {
		return nil, err
	}
	if err := checkCollectorName(leaf); err != nil {
		return nil, err
	}
	return checkKey(leaf.PublicKey)
}

// verifyChain verifies leaf against the one root. A beginning that lies in the
// future is no reason to refuse: the CA vouches for it, so it only shows that the
// clock here is slow.
func verifyChain(ca, leaf *x509.Certificate, use x509.ExtKeyUsage, at time.Time) error {
	if bytes.Equal(ca.Raw, leaf.Raw) || leaf.IsCA {
		return errors.New("verify certificate: it is a CA's, not one issued by it")
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if at.Before(c.NotBefore) {
			at = c.NotBefore
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		return fmt.Errorf("verify certificate: %w", err)
	}
	return nil
}

// ParseCertificate reads a DER certificate from the other side.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("certificate has %d bytes, at most %d are read", len(der), MaxCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return cert, nil
}

// Sign signs data with ECDSA over SHA-256 and returns the signature as ASN.1 DER,
// which `openssl dgst -sha256 -verify` checks.
func Sign(key crypto.Signer, data []byte) ([]byte, error) {
	if _, err := checkKey(key.Public()); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// Verify reports whether sig is a signature by [Sign] over data.
func Verify(pub *ecdsa.PublicKey, data, sig []byte) bool {
	sum := sha256.Sum256(data)
	return ecdsa.VerifyASN1(pub, sum[:], sig)
}
