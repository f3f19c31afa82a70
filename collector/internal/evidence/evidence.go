// Package evidence takes in what agents send, proves every byte, and keeps it:
// upload parts, acquisitions, numbered items and receipts. It knows nothing of
// gRPC, HTML or where incidents come from.
package evidence

import (
	"time"

	"hozen/internal/artifact"
)

// Acquisition is one run on one endpoint that was accepted whole.
type Acquisition struct {
	ID             string
	OrganisationID string
	EndpointID     string
	IncidentID     string // empty until tied
	CommandID      string
	AlertID        string
	Trigger        artifact.Trigger
	Profile        string
	Outcome        artifact.Outcome
	StartedAt      time.Time // agent clock
	FinishedAt     time.Time // agent clock
	ReceivedAt     time.Time // collector clock
	ManifestSHA256 string
	Items          int
	Records        int64
	StoredBytes    int64
	LedgerIdx      int64 // entry of the acceptance
	// DisposedAt is when its bytes were disposed of; zero while they are kept. Manifest,
	// signature, receipt and digests stay.
	DisposedAt time.Time
}

// Item is one artifact accepted as evidence.
type Item struct {
	ID             string // "evd_…"
	Number         string // "INC-2026-0007-E03-07", the seventh of exhibit E03; empty until tied to an incident
	OrganisationID string
	AcquisitionID  string
	EndpointID     string
	IncidentID     string
	Name           string // artifacts/process.jsonl.zst
	Kind           artifact.Kind
	Schema         string
	Outcome        artifact.Outcome
	Records        int64
	PlainSHA256    string
	PlainSize      int64
	StoredSHA256   string // name of the blob
	StoredSize     int64
	ReceivedAt     time.Time
	LedgerIdx      int64
	DisposedAt     time.Time // as of its acquisition
}
