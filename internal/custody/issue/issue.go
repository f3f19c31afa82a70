// Package issue makes the collector's signed receipts. It is apart from package
// custody, which reads them, so that a verifier can't link what makes them; it
// knows nothing of databases or of where keys lie.
package issue

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"hozen/internal/custody"
)

// Receipt encodes and signs r with the key of the collector's certificate (DER).
// The signature is not the same twice (ECDSA): what was handed out is kept.
func Receipt(r custody.Receipt, signer crypto.Signer, certificate []byte) (custody.Signed, error) {
	key, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return custody.Signed{}, errors.New("sign receipt: the key is no ECDSA P-256 key")
	}
	r.Format = custody.ReceiptFormat
	r.ReceivedAt = r.ReceivedAt.UTC().Round(0)
	if r.Evidence == nil {
		r.Evidence = []custody.Evidence{}
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return custody.Signed{}, fmt.Errorf("encode receipt: %w", err)
	}
	if _, err := custody.Decode(payload); err != nil {
		return custody.Signed{}, fmt.Errorf("encode receipt: %w", err) // never hand out what nobody accepts
	}
	sum := sha256.Sum256(payload)
	sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return custody.Signed{}, fmt.Errorf("sign receipt: %w", err)
	}
	return custody.Signed{Payload: payload, Signature: sig, Certificate: certificate}, nil
}
