// Package enroll turns strangers into endpoints: tokens, requests that wait for an
// operator, certificates and their revocation. It knows nothing of gRPC or HTML.
package enroll

import "time"

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
}

// DefaultTTL is how long a token works unless another time is asked for.
const DefaultTTL = 24 * time.Hour
