// Package export makes the evidence package of an incident: a zip with a BagIt folder in
// it, as internal/docs/design/package-format.md says, and keeps the records by which the
// same package can be made again. It knows nothing of who may have one, of where evidence
// is kept, of HTTP or of commands.
package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Format is the first field of data/package.json.
const Format = "hozen-package/1"

// Limits of what people write for a package, in bytes, and of its scope.
const (
	MaxRecipient = 256
	MaxPurpose   = 1024
	MaxScope     = 1000 // endpoints or profiles that a scope names
)

// ErrNotFound means that there is no such package.
var ErrNotFound = errors.New("no such evidence package")

// Record is one package as it was ordered. Its bytes follow from the record alone, from
// entries of the ledger before LedgerSize and from evidence that these accepted.
type Record struct {
	ID             string // "exp_…"
	OrganisationID string
	IncidentID     string
	Number         string // "INC-2026-0007-P01"
	At             time.Time
	ActorKind      string
	ActorID        string
	ActorName      string
	Recipient      string   // who gets it, as written
	Purpose        string   // why, as written
	Hosts          []string // endpoints that it is about; empty: all of the incident
	Profiles       []string // profiles whose acquisitions are in it; empty: all
	LedgerSize     int64    // the ledger's entries that it may show; the last is the order itself
	LedgerRoot     string   // hexadecimal
	Frozen         Frozen
	// Checkpoint is a signed checkpoint (C2SP tlog-checkpoint) that covers LedgerSize, and
	// CheckpointKey its verifier key (C2SP signed-note). Empty: there was none.
	Checkpoint    string
	CheckpointKey string
	// What came of the first complete writing; zero before.
	FinishedAt time.Time
	SHA256     string // of the zip
	Size       int64  // bytes
}

// Frozen is what may change after a package was ordered, as it was then.
type Frozen struct {
	Organisation string   `json:"organisation"`
	Incident     Incident `json:"incident"`
	Hosts        []Host   `json:"hosts"` // in the order of their folders
	LeftOut      LeftOut  `json:"left_out"`
	// Uploads are the files that people sent, in the order in which they began to come.
	Uploads []Upload `json:"uploads,omitempty"`
	// Elsewhere is what belongs to the case and is not in the package whatever its scope is.
	Elsewhere Elsewhere `json:"elsewhere,omitzero"`
	Tool      Tool      `json:"tool"`
	CASHA256  string    `json:"ca_sha256"`
}

// Incident is the record of the case.
type Incident struct {
	ID             string    `json:"id"`
	Number         string    `json:"number"`
	Title          string    `json:"title"`
	Classification string    `json:"classification"`
	Reporter       string    `json:"reporter"`
	DiscoveredAt   time.Time `json:"discovered_at"`
	OpenedAt       time.Time `json:"opened_at"`
	ClosedAt       time.Time `json:"closed_at,omitzero"`
}

// Host is one endpoint of the package.
type Host struct {
	EndpointID   string    `json:"endpoint_id"`
	Folder       string    `json:"folder"` // below data/hosts/
	Hostname     string    `json:"hostname"`
	Label        string    `json:"label"`
	OS           string    `json:"os"`
	Arch         string    `json:"arch"`
	Platform     string    `json:"platform"`
	AgentVersion string    `json:"agent_version"`
	EnrolledAt   time.Time `json:"enrolled_at,omitzero"`
	// ClockOffsetNS is the endpoint's clock minus the collector's as last measured before
	// the package was ordered; ClockAt says when.
	ClockOffsetNS int64     `json:"clock_offset_ns"`
	ClockAt       time.Time `json:"clock_at,omitzero"`
}

// LeftOut is what the scope keeps out of the package.
type LeftOut struct {
	Hosts        []string `json:"hosts"` // names of endpoints
	Acquisitions int      `json:"acquisitions"`
}

// Elsewhere is what belongs to the case and is not in the package.
type Elsewhere struct {
	Files     []File    `json:"files,omitempty"`     // that people sent and that the order left out; their exhibits are in the package, their bytes are not
	Incidents []Related `json:"incidents,omitempty"` // whose evidence is in packages of their own
}

// Empty reports whether there is nothing of that.
func (e Elsewhere) Empty() bool { return len(e.Files)+len(e.Incidents) == 0 }

// File is a file that a person sent, such as the log of a router.
type File struct {
	Exhibit string `json:"exhibit"` // number
	Name    string `json:"name"`    // as it was called; any text
	Size    int64  `json:"size"`    // bytes
	SHA256  string `json:"sha256"`
}

// Relation says how another incident is related to that of the package.
type Relation string

// The relations.
const (
	MergedFrom Relation = "merged_from" // it goes on in this one
	MergedInto Relation = "merged_into" // this one goes on in it
	SplitFrom  Relation = "split_from"  // this one came out of it
	SplitInto  Relation = "split_into"  // it came out of this one
)

// Related is another incident that shares endpoints or evidence with that of the package.
type Related struct {
	Relation     Relation `json:"relation"`
	ID           string   `json:"id"`
	Number       string   `json:"number"`
	Acquisitions int      `json:"acquisitions"` // how many it had when the package was ordered
	Files        int      `json:"files"`        // likewise, files that people sent
}

// Tool is the program that fixed the record.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Acquisition is one acquisition of the package.
type Acquisition struct {
	ID         string
	EndpointID string
	Profile    string
	Trigger    string
	Outcome    string
	StartedAt  time.Time // endpoint's clock
	FinishedAt time.Time // endpoint's clock
	ReceivedAt time.Time // collector's clock
	LedgerIdx  int64     // of its acceptance
	// ManifestSHA256 is of the manifest that was accepted.
	ManifestSHA256 string
	Items          []Item // in the order of the manifest
	// DisposedBy is the entry of the ledger by which its bytes were disposed of; nil: they are
	// there.
	DisposedBy *int64
}

// Item is one piece of evidence.
type Item struct {
	Number       string
	Name         string // artifacts/process.jsonl.zst
	Kind         string
	Schema       string
	Outcome      string
	Records      int64
	Compression  string // "zstd" or "none"
	PlainSHA256  string
	PlainSize    int64
	StoredSHA256 string
	StoredSize   int64
}

// Probe is what a manifest says of one probe.
type Probe struct {
	Kind, Outcome, Detail string
	Records, Skipped      int64
}

// Sealed is everything of an acquisition but its artifacts.
type Sealed struct {
	Files  map[string][]byte // exact bytes by name, such as "manifest.json"
	Probes []Probe
	Tool   string // name and version of what acquired
	// ToolSHA256 is of its program, and BootedAt when the endpoint was started, by its clock. Zero: not known.
	ToolSHA256 string
	BootedAt   time.Time
	CommandID  string // by which it was started; empty: by none
}

// Line is one line of the incident's timeline.
type Line struct {
	At        time.Time         `json:"at"`
	AgentAt   time.Time         `json:"agent_at,omitzero"`
	Kind      string            `json:"kind"`
	Actor     string            `json:"actor,omitempty"`
	Text      string            `json:"text,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	LedgerIdx int64             `json:"ledger_index"`
}

// Entry is one entry of the ledger with the proof that it is in the tree.
type Entry struct {
	Index int64    `json:"index"`
	Text  string   `json:"text"`  // exact text that was hashed
	Salt  string   `json:"salt"`  // hexadecimal
	Leaf  string   `json:"leaf"`  // RFC 6962 leaf hash, hexadecimal
	Proof []string `json:"proof"` // RFC 6962, 2.1.1, in the tree of the package
}

// Grown proves that the tree of the package begins with the tree that a receipt names.
type Grown struct {
	AcquisitionID string   `json:"acquisition_id"`
	Size          int64    `json:"tree_size"`
	Root          string   `json:"root_sha256"`
	Proof         []string `json:"proof"` // RFC 6962, 2.1.2
}

// Package is all that goes into a package but the bytes of the evidence.
type Package struct {
	Record
	Acquisitions []Acquisition // in the order of host folder, then identifier
	Timeline     []Line
	Entries      []Entry // in the order of their indexes
	Grown        []Grown
	// CheckpointProof proves that the tree of the checkpoint begins with that of the package.
	CheckpointProof []string
	// Stamp is the time stamp of the checkpoint (RFC 3161, TimeStampResp, DER), and StampCA the
	// certificates above the authority's own, PEM. Cosigned is the checkpoint with the
	// signatures of witnesses below it. Empty: there is none.
	Stamp   []byte
	StampCA string
	// Stamped tells of a time stamp that is not in the package, and StampedSize is how many
	// entries of the ledger it covers; for a form without a package.
	Stamped     string
	StampedSize int64
	Cosigned    string
	Exhibits    []Exhibit // in the order of their numbers
	Custody     []Fact    // what was done with all of them
}

// Source gives what lies in the store of evidence.
type Source interface {
	// Sealed returns the files of an acquisition.
	Sealed(ctx context.Context, acquisitionID string) (Sealed, error)
	// Open opens stored bytes by their SHA-256; the caller closes them.
	Open(ctx context.Context, storedSHA256 string) (io.ReadCloser, error)
}

func marshal(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return append(b, '\n'), nil
}
