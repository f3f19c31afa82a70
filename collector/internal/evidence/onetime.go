package evidence

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"

	"hozen/internal/custody"
	"hozen/internal/digest"
)

// credential is what came with a manifest as its signer's: the certificate of an enrolled
// endpoint, or the bare public key of a one-time key (DER SubjectPublicKeyInfo), which signed
// evidence that was acquired with a USB kit.
type credential struct {
	keySHA256 string
	key       any
	oneTime   bool
}

func readCredential(der []byte) (credential, error) {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return credential{keySHA256: digest.Of(cert.RawSubjectPublicKeyInfo).String(), key: cert.PublicKey}, nil
	}
	key, kerr := x509.ParsePKIXPublicKey(der)
	if kerr != nil {
		return credential{}, fmt.Errorf("certificate: %w", err)
	}
	if _, ok := key.(*ecdsa.PublicKey); !ok {
		return credential{}, errors.New("the key is no ECDSA key")
	}
	return credential{keySHA256: digest.Of(der).String(), key: key, oneTime: true}, nil
}

// verify checks the signature over a message.
func (c credential) verify(message, signature []byte) error {
	return custody.CheckSignature(&x509.Certificate{PublicKey: c.key}, message, signature)
}

// OneTimeKey returns the public key (DER) with which evidence was signed, or nil when an
// enrolled endpoint signed it with its certificate.
func (s Sealed) OneTimeKey() []byte {
	if c, err := readCredential(s.Certificate); err == nil && c.oneTime {
		return s.Certificate
	}
	return nil
}
