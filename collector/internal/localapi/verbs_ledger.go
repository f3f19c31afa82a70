package localapi

import (
	"context"
	"encoding/hex"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/internal/digest"
)

// LedgerDifference is how a ledger does not go on from what was signed of it before.
type LedgerDifference struct {
	OrganisationID string `json:"organisation_id"`
	Kind           string `json:"kind"`
	SignedSize     int64  `json:"signed_size"`
	Size           int64  `json:"size"`
	Detail         string `json:"detail"`
	Known          string `json:"signed,omitempty"` // the signed note
}

func viewDifference(d checkpoint.Difference) LedgerDifference {
	return LedgerDifference{d.OrganisationID, string(d.Kind), d.Known.Size, d.Size, d.Detail, d.Known.Note}
}

// Checkpoint is a signed state of the ledger.
type Checkpoint struct {
	Note        string    `json:"note"` // C2SP signed note
	VerifierKey string    `json:"verifier_key"`
	KeySHA256   string    `json:"key_sha256"`
	Origin      string    `json:"origin"`
	Size        int64     `json:"size"`
	RootSHA256  string    `json:"root_sha256"`
	SignedAt    time.Time `json:"signed_at"`
}

// ViewSigned is a signed state, as JSON.
func ViewSigned(s checkpoint.Signed) Checkpoint {
	return Checkpoint{s.Note, s.Key.Text(s.Origin), s.Key.Fingerprint(), s.Origin, s.Size, digest.Digest(s.Root).String(), s.SignedAt}
}

func ledgerCheckpoint(ctx context.Context, c *call, _ None) (any, error) {
	s, err := c.acts.LedgerSigned(ctx, c.actor)
	return ViewSigned(s), err
}

// LedgerIndex is the request of ledger.prove.
type LedgerIndex struct {
	Index int64 `json:"index"`
}

// LedgerProof proves that an entry stands in the signed ledger.
type LedgerProof struct {
	Checkpoint Checkpoint `json:"checkpoint"`
	Index      int64      `json:"index"`
	Text       string     `json:"text"` // exact bytes of the entry
	Salt       string     `json:"salt"` // hexadecimal
	LeafSHA256 string     `json:"leaf_sha256"`
	Inclusion  []string   `json:"inclusion"` // hexadecimal, RFC 6962 2.1.1
}

func ledgerProve(ctx context.Context, c *call, in LedgerIndex) (any, error) {
	p, err := c.acts.LedgerProof(ctx, c.actor, in.Index)
	if err != nil {
		return nil, err
	}
	return LedgerProof{ViewSigned(p.Signed), in.Index, p.Entry.Text, p.Entry.Salt, digest.Digest(p.Entry.Leaf).String(), hexes(p.Inclusion)}, nil
}

func hexes(list [][]byte) []string {
	out := make([]string, 0, len(list))
	for _, h := range list {
		out = append(out, hex.EncodeToString(h))
	}
	return out
}

// LedgerNote is the request of ledger.consistency.
type LedgerNote struct {
	Note string `json:"note"`
}

// LedgerConsistency says whether the ledger goes on from an older checkpoint.
type LedgerConsistency struct {
	// Verdict: "consistent", "foreign" (not signed here), "declared" (of a line whose end a
	// person declared), or the kind of the difference.
	Verdict     string      `json:"verdict"`
	Detail      string      `json:"detail,omitempty"`
	OldSize     int64       `json:"old_size"`
	Checkpoint  *Checkpoint `json:"checkpoint,omitempty"`
	Consistency []string    `json:"consistency"` // hexadecimal, RFC 6962 2.1.2
}

func ledgerConsistency(ctx context.Context, c *call, in LedgerNote) (any, error) {
	v, signed, proof, err := c.acts.LedgerConsistency(ctx, c.actor, in.Note)
	if err != nil {
		return nil, err
	}
	out := LedgerConsistency{Verdict: "consistent", OldSize: v.Known.Size, Consistency: hexes(proof)}
	switch {
	case v.Difference != nil:
		out.Verdict, out.Detail = string(v.Difference.Kind), v.Difference.Detail
	case !v.Ours:
		out.Verdict = "foreign"
	case v.Declared:
		out.Verdict = "declared"
	default:
		view := ViewSigned(signed)
		out.Checkpoint = &view
	}
	return out, nil
}

// LedgerFork is the request of ledger.fork.
type LedgerFork struct {
	Reason string `json:"reason"`
}

func ledgerFork(ctx context.Context, c *call, in LedgerFork) (any, error) {
	s, err := c.acts.DeclareFork(ctx, c.actor, in.Reason)
	return ViewSigned(s), err
}

// LedgerFolder is the request of ledger.export.
type LedgerFolder struct {
	Dir string `json:"dir"` // absolute, on the collector's machine
}

func ledgerExport(ctx context.Context, c *call, in LedgerFolder, emit func(any) error) (any, error) {
	s, err := c.acts.LedgerExport(ctx, c.actor, in.Dir, steps(emit))
	return ViewSigned(s), err
}
