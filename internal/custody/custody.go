// Package custody reads and checks what a collector says of evidence that it holds:
// signed receipts. It can't make one (see package issue) and knows nothing of files,
// networks or clocks, so that agents and the offline verifier can link it. The
// format is described in internal/docs/design/custody.md.
package custody

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"hozen/internal/digest"
	"hozen/internal/id"
)

// Formats of this version.
const (
	ReceiptFormat = "hozen-receipt/1"
	SignedFormat  = "hozen-signed-receipt/1"
)

// MaxReceipt is the size in bytes from which a receipt is refused unread.
const MaxReceipt = 256 << 10

// The errors that callers act on.
var (
	// ErrMalformed means that the bytes are no receipt of a known format.
	ErrMalformed = errors.New("malformed receipt")
	// ErrSignature means that the receipt was not signed by that collector.
	ErrSignature = errors.New("the receipt is not signed by this collector")
)

// Receipt is the collector's word that it holds an acquisition whole: the payload
// of a signed receipt.
type Receipt struct {
	Format         string     `json:"format"`
	AcquisitionID  string     `json:"acquisition_id"`
	EndpointID     string     `json:"endpoint_id"`
	IncidentNumber string     `json:"incident_number,omitempty"` // "INC-2026-0007"
	ManifestSHA256 string     `json:"manifest_sha256"`           // of the exact bytes of the manifest
	ReceivedAt     time.Time  `json:"received_at"`               // collector clock, UTC
	Evidence       []Evidence `json:"evidence"`                  // in the order of the manifest
	Ledger         Ledger     `json:"ledger"`
	Collector      Collector  `json:"collector"`
}

// Evidence is one artifact as the collector numbered it.
type Evidence struct {
	Number       string `json:"number,omitempty"` // "INC-2026-0007-E03"
	Name         string `json:"name"`             // artifacts/process.jsonl.zst
	Kind         string `json:"kind"`
	StoredSHA256 string `json:"stored_sha256"`
}

// Ledger says where in the custody ledger the acceptance stands. The tree (RFC 6962)
// ends with that entry, so a receipt pins everything that was recorded before it.
type Ledger struct {
	Index      int64  `json:"index"`
	LeafSHA256 string `json:"leaf_sha256"` // RFC 6962 leaf hash
	TreeSize   int64  `json:"tree_size"`
	RootSHA256 string `json:"root_sha256"`
}

// Collector names who signed.
type Collector struct {
	Name     string `json:"name"`
	CASHA256 string `json:"ca_sha256"` // SHA-256 of the DER of its CA certificate
}

// Signed is a receipt as it travels and is kept.
type Signed struct {
	Payload     []byte // exact bytes that were signed
	Signature   []byte // ECDSA P-256/SHA-256, ASN.1 DER
	Certificate []byte // the collector's certificate, DER

	// Beside it, all or none: a signed checkpoint of the ledger (package checkpoint), the key
	// that checks it, and the proof that the entry of the acceptance is in that ledger
	// (RFC 6962, 2.1.1). They are checked apart from the receipt, which counts without.
	Checkpoint  string
	VerifierKey string
	Inclusion   [][]byte
}

// Decode reads a payload. It refuses what it doesn't know: unknown fields, other
// formats, missing facts. All errors wrap [ErrMalformed].
func Decode(payload []byte) (Receipt, error) {
	var r Receipt
	if err := strict(payload, &r); err != nil {
		return Receipt{}, err
	}
	if err := r.check(); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return r, nil
}

func (r *Receipt) check() error {
	if r.Format != ReceiptFormat {
		return fmt.Errorf("format is %.40q, want %q", r.Format, ReceiptFormat)
	}
	errs := []error{id.Check(id.Acquisition, r.AcquisitionID), id.Check(id.Endpoint, r.EndpointID)}
	for _, s := range []string{r.ManifestSHA256, r.Ledger.LeafSHA256, r.Ledger.RootSHA256, r.Collector.CASHA256} {
		_, err := digest.Parse(s)
		errs = append(errs, err)
	}
	if r.ReceivedAt.IsZero() {
		errs = append(errs, errors.New("received_at is missing"))
	}
	if r.Ledger.Index < 0 || r.Ledger.TreeSize <= r.Ledger.Index {
		errs = append(errs, fmt.Errorf("entry %d is not in a tree of %d", r.Ledger.Index, r.Ledger.TreeSize))
	}
	for _, e := range r.Evidence {
		_, err := digest.Parse(e.StoredSHA256)
		errs = append(errs, err)
		if e.Name == "" || e.Kind == "" {
			errs = append(errs, errors.New("evidence without name or kind"))
		}
	}
	return errors.Join(errs...)
}

// Verify checks that a collector whose certificate ca issued signed s, that it
// signed as a collector (an endpoint's certificate of the same CA does not count),
// and returns what it signed. Errors wrap [ErrMalformed] or [ErrSignature].
func Verify(s Signed, ca *x509.Certificate) (Receipt, error) {
	r, err := Decode(s.Payload)
	if err != nil {
		return Receipt{}, err
	}
	if want := digest.Of(ca.Raw).String(); r.Collector.CASHA256 != want {
		return Receipt{}, fmt.Errorf("%w: it names the CA %.8s…, not %.8s…", ErrSignature, r.Collector.CASHA256, want)
	}
	cert, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: certificate: %w", ErrMalformed, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots: roots,
		// Receipts outlive certificates; what counts is that it was valid then.
		CurrentTime: r.ReceivedAt,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return Receipt{}, fmt.Errorf("%w: certificate: %w", ErrSignature, err)
	}
	if err := CheckSignature(cert, s.Payload, s.Signature); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// CheckSignature checks a detached ECDSA P-256/SHA-256 signature (ASN.1 DER) by the
// key of cert over the exact bytes of message.
func CheckSignature(cert *x509.Certificate, message, signature []byte) error {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: its key is no ECDSA key", ErrSignature)
	}
	sum := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(key, sum[:], signature) {
		return ErrSignature
	}
	return nil
}

// signedFile is the JSON of a receipt that is kept as a file (receipt.json).
type signedFile struct {
	Format      string `json:"format"`
	Payload     []byte `json:"payload"`     // base64 of the exact bytes
	Signature   []byte `json:"signature"`   // base64
	Certificate []byte `json:"certificate"` // base64 of the DER

	Checkpoint  string   `json:"checkpoint,omitempty"` // signed note
	VerifierKey string   `json:"verifier_key,omitempty"`
	Inclusion   [][]byte `json:"inclusion,omitempty"` // base64 each
}

// DecodeFile reads the file form of a signed receipt; nothing is verified yet.
func DecodeFile(b []byte) (Signed, error) {
	var f signedFile
	if err := strict(b, &f); err != nil {
		return Signed{}, err
	}
	if f.Format != SignedFormat {
		return Signed{}, fmt.Errorf("%w: format is %.40q, want %q", ErrMalformed, f.Format, SignedFormat)
	}
	return Signed{Payload: f.Payload, Signature: f.Signature, Certificate: f.Certificate,
		Checkpoint: f.Checkpoint, VerifierKey: f.VerifierKey, Inclusion: f.Inclusion}, nil
}

// EncodeFile writes the file form of a signed receipt.
func EncodeFile(s Signed) ([]byte, error) {
	b, err := json.MarshalIndent(signedFile{SignedFormat, s.Payload, s.Signature, s.Certificate, s.Checkpoint, s.VerifierKey, s.Inclusion}, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return append(b, '\n'), nil
}

func strict(b []byte, v any) error {
	if len(b) > MaxReceipt {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: text after its end", ErrMalformed)
	}
	return nil
}
