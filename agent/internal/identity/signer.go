package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/pki"
)

// Algorithm is the only way in which manifests are signed.
const Algorithm = "ecdsa-p256-sha256"

// Signer signs manifests with one key.
type Signer struct {
	key     *ecdsa.PrivateKey
	spki    []byte
	chain   []byte // PEM
	oneTime bool
}

// Signer returns the signer of an enrolled agent. The error wraps ErrNotEnrolled when
// there is no enrolment.
func (s *Store) Signer() (*Signer, error) {
	e, err := s.Enrolment()
	if err != nil {
		return nil, err
	}
	key, err := s.Key()
	if err != nil {
		return nil, err
	}
	if _, err := pki.TLSCertificate(e.Certificate, key, e.CA); err != nil {
		return nil, err
	}
	return newSigner(key, slices.Concat(pki.CertificatePEM(e.Certificate), pki.CertificatePEM(e.CA)), false)
}

// NewOneTime makes a key for one acquisition; it is never written to disk. Who has
// its receipt code can tell that the evidence is the one that was taken.
func NewOneTime() (*Signer, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	return newSigner(key, nil, true)
}

func newSigner(key *ecdsa.PrivateKey, chain []byte, oneTime bool) (*Signer, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return &Signer{key: key, spki: spki, chain: chain, oneTime: oneTime}, nil
}

// Sign returns the signature over message: ECDSA P-256 over its SHA-256, ASN.1 DER.
func (s *Signer) Sign(message []byte) ([]byte, error) { return pki.Sign(s.key, message) }

// PublicPEM returns the public key as PEM, block "PUBLIC KEY".
func (s *Signer) PublicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.spki})
}

// CertificatePEM returns the certificate and its issuer, or nothing for a one-time key.
func (s *Signer) CertificatePEM() []byte { return s.chain }

// Describe says which key this is, for the manifest.
func (s *Signer) Describe() artifact.Signer {
	return artifact.Signer{Algorithm: Algorithm, KeySHA256: digest.Of(s.spki).String(), OneTime: s.oneTime}
}

// ReceiptCode spells the first 125 bits of a key's fingerprint in five groups of five
// for reading aloud or writing down (Crockford's base32: no I, L, O or U).
func ReceiptCode(keySHA256 digest.Digest) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	const groups, per = 5, 5
	all := base32.NewEncoding(alphabet).EncodeToString(keySHA256[:])
	var parts []string
	for i := range groups {
		parts = append(parts, all[i*per:(i+1)*per])
	}
	return strings.Join(parts, "-")
}
