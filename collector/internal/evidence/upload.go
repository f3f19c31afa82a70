package evidence

import (
	"errors"
	"fmt"
)

// UploadState tells what is durably or provisionally there of one acquisition.
type UploadState struct {
	Parts   []PartState // in the order of their names
	Receipt *Receipt    // when the acquisition was accepted before
}

// PartState tells how much of one part has arrived.
type PartState struct {
	Name     string // artifacts/process.jsonl.zst
	Size     int64  // bytes; the next ones begin here
	Complete bool   // it was ended and had its digest
}

// Receipt is the collector's signed word, see custody.Signed.
type Receipt struct {
	Payload     []byte // JSON, hozen-receipt/1
	Signature   []byte // ASN.1 DER
	Certificate []byte // DER
}

// Code says why an acquisition was refused.
type Code string

// The codes; they mirror RefusalCode of the wire.
const (
	DigestMismatch  Code = "digest_mismatch"
	BadSignature    Code = "bad_signature"
	ArtifactMissing Code = "artifact_missing"
	ArtifactUnknown Code = "artifact_unknown"
	ForeignEndpoint Code = "foreign_endpoint"
	Conflict        Code = "conflict"
	Malformed       Code = "malformed"
	TooLarge        Code = "too_large"
	OtherKey        Code = "other_key" // encrypted, and not to a key of this collector
)

// Codes returns every code.
func Codes() []Code {
	return []Code{DigestMismatch, BadSignature, ArtifactMissing, ArtifactUnknown, ForeignEndpoint, Conflict, Malformed, TooLarge, OtherKey}
}

// Refusal is final: sending the same again won't help. Nothing of the acquisition
// was kept.
type Refusal struct {
	Code   Code
	Part   string // part that it is about, or empty
	Detail string // English, for the record, at most 1 KiB
}

func (r *Refusal) Error() string {
	if r.Part == "" {
		return fmt.Sprintf("acquisition refused: %s: %s", r.Code, r.Detail)
	}
	return fmt.Sprintf("acquisition refused: %s: %s: %s", r.Code, r.Part, r.Detail)
}

const maxDetail = 1 << 10

func refuse(code Code, part, format string, args ...any) *Refusal {
	d := fmt.Sprintf(format, args...)
	if len(d) > maxDetail {
		d = d[:maxDetail-3] + "..."
	}
	return &Refusal{Code: code, Part: part, Detail: d}
}

// The errors that may go away: the agent keeps its evidence and tries again.
var (
	// ErrOffset means that the bytes do not begin where the stored ones end, or that
	// stored bytes did not survive; UploadState tells where to go on.
	ErrOffset = errors.New("the part does not go on there")
	// ErrNoSpace means that the collector's disk is full.
	ErrNoSpace = errors.New("no space left on the collector")
	// ErrQuota means that too much of this endpoint lies there unsealed, or that it has
	// too many uploads open at one time.
	ErrQuota = errors.New("too much unsealed evidence of this endpoint")
	// ErrAllowance means that as much of this endpoint arrived as is taken in within a day.
	ErrAllowance = errors.New("this endpoint has sent as much as is taken in within a day")
	// ErrSuperseded means that the endpoint began the same upload again elsewhere.
	ErrSuperseded = errors.New("another upload of the same acquisition took over")
)
