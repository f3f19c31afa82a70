// Package enroll turns strangers into endpoints: tokens, requests that wait for an
// operator, certificates and their revocation. It knows nothing of gRPC or HTML.
package enroll

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// How long a token may work, and how often.
const (
	DefaultTTL = 24 * time.Hour
	MinTTL     = time.Minute
	MaxTTL     = 30 * 24 * time.Hour
	MaxUses    = 10_000
	MaxNote    = 256 // bytes
)

// ErrNotFound means that there is no such token, request or certificate.
var ErrNotFound = errors.New("no such enrolment")

// Token is a minted enrolment token; its secret is stored only as a hash.
type Token struct {
	ID             string
	OrganisationID string
	Auto           bool // no approval needed
	Note           string
	CreatedBy      string // operator ID
	CreatedAt      time.Time
	ExpiresAt      time.Time
	MaxUses        int // 0 means one
	Uses           int
	RevokedAt      time.Time
}

// Why reports why a token can't bring in one more endpoint: "revoked", "expired",
// "used_up" or "" when it can.
func (t Token) Why(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !now.Before(t.ExpiresAt):
		return "expired"
	case t.Uses >= max(t.MaxUses, 1):
		return "used_up"
	}
	return ""
}

// RequestStatus is how a request stands.
type RequestStatus string

// The statuses of a request.
const (
	Pending  RequestStatus = "pending"
	Approved RequestStatus = "approved"
	Rejected RequestStatus = "rejected"
)

// Request is a PC that asked to be enrolled and waits for an operator.
type Request struct {
	ID             string
	OrganisationID string
	TokenID        string
	Code           string // short code that both sides show, "4F7K-92QM"
	Hostname       string
	OS             string
	Arch           string
	Platform       string
	RemoteAddr     string
	RequestedAt    time.Time
	AgentVersion   string
	KeySHA256      string // of the DER SubjectPublicKeyInfo
	PublicKey      []byte // DER SubjectPublicKeyInfo
	Status         RequestStatus
	Reason         string // of a rejection
	EndpointID     string // once approved
}

// Certificate is one that was issued to an endpoint.
type Certificate struct {
	Serial         string // as pki.Serial spells it
	OrganisationID string
	EndpointID     string
	KeySHA256      string
	DER            []byte
	NotBefore      time.Time
	NotAfter       time.Time
	IssuedAt       time.Time
	RevokedAt      time.Time
}

// Renewable reports whether a third of the certificate's life is over.
func (c Certificate) Renewable(now time.Time) bool {
	return !now.Before(c.IssuedAt.Add(c.NotAfter.Sub(c.IssuedAt) / 3))
}

// HashSecret is how the secret of a token is stored. The secret has 160 random bits,
// so a plain SHA-256 can't be reversed by guessing.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// codeAlphabet is without characters that are misread: I, L, O, 0, 1; and without U,
// so that fewer words appear.
const codeAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewCode returns a short code such as "4F7K-92QM", 39 bits. It is for finding the
// right request, not a secret.
func NewCode() string {
	var out []byte
	for b := make([]byte, 1); len(out) < 9; {
		if len(out) == 4 {
			out = append(out, '-')
		}
		rand.Read(b)                                    // never fails (crypto/rand)
		if n := int(b[0]) & 31; n < len(codeAlphabet) { // others would favour some characters
			out = append(out, codeAlphabet[n])
		}
	}
	return string(out)
}
