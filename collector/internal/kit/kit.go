// Package kit makes USB kits, with which evidence is acquired on PCs without network or
// agent, reads what comes back on the sticks, and remembers which kits were made and what
// was imported. It knows nothing of endpoints, incidents or how evidence is kept.
package kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hozen/internal/usbkit"
)

// signatureFormat is the first field of kit.json.sig.
const signatureFormat = "hozen-kit-signature/1"

// maxSignature bounds kit.json.sig, in bytes.
const maxSignature = 32 << 10

// signature is kit.json.sig.
type signature struct {
	Format      string `json:"format"`
	Signature   []byte `json:"signature"`   // ECDSA P-256/SHA-256 over the exact bytes of kit.json, ASN.1 DER
	Certificate []byte `json:"certificate"` // of the collector, DER
}

// sign signs a document with the collector's key.
func sign(document []byte, key crypto.Signer, certificate []byte) ([]byte, error) {
	sum := sha256.Sum256(document)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign kit: %w", err)
	}
	b, err := json.MarshalIndent(signature{signatureFormat, sig, certificate}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("sign kit: %w", err)
	}
	return append(b, '\n'), nil
}

// ErrForeign means that a kit was not made by this collector.
var ErrForeign = errors.New("the kit was not made by this collector")

// Verify reads a document and checks that a collector of ca signed it; else the error wraps
// [ErrForeign].
func Verify(document, sig []byte, ca *x509.Certificate) (usbkit.Kit, error) {
	k, err := usbkit.Decode(document)
	if err != nil {
		return k, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if err := checkSigned(document, sig, ca, k.MadeAt); err != nil {
		return k, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return k, nil
}

func checkSigned(document, sig []byte, ca *x509.Certificate, at time.Time) error {
	var s signature
	if len(sig) > maxSignature {
		return fmt.Errorf("%s is too large", usbkit.SignatureFile)
	}
	if err := json.Unmarshal(sig, &s); err != nil || s.Format != signatureFormat {
		return fmt.Errorf("%s is not in the form", usbkit.SignatureFile)
	}
	cert, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "hozen://collector" {
		return errors.New("the certificate is no collector's")
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	// Kits outlive certificates; what counts is that it was valid then.
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	sum := sha256.Sum256(document)
	if !ok || !ecdsa.VerifyASN1(key, sum[:], s.Signature) {
		return errors.New("the signature is not over this document")
	}
	return nil
}
