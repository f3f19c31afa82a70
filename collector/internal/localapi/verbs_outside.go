package localapi

import (
	"context"
	"io"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/timestamp"
)

// Timestamp is a time stamp of the ledger by an outside authority.
type Timestamp struct {
	StampedAt  time.Time `json:"stamped_at"`            // by the authority's clock
	AccuracyNS int64     `json:"accuracy_ns,omitempty"` // 0: the authority does not say
	Size       int64     `json:"size"`                  // entries of the ledger
	Authority  string    `json:"authority"`
	Policy     string    `json:"policy"`
	Serial     string    `json:"serial"`
	Reason     string    `json:"reason"` // export, hourly, asked
	Index      int64     `json:"index"`  // of its entry in the ledger
	SHA256     string    `json:"sha256"` // of the token
	Note       string    `json:"note"`   // what was stamped
	Token      []byte    `json:"token"`  // TimeStampResp, DER
	Chain      string    `json:"chain"`  // PEM
}

func viewTimestamp(t timestamp.Token) Timestamp {
	return Timestamp{t.At, int64(t.Accuracy), t.Size, t.Authority, t.Policy, t.Serial, string(t.Reason), t.LedgerIdx, t.SHA256, t.Note, t.Response, t.ChainPEM}
}

func ledgerTimestamp(ctx context.Context, c *call, _ None) (any, error) {
	t, err := c.acts.LedgerTimestamp(ctx, c.actor)
	return viewTimestamp(t), err
}

// LedgerTimestamps is the request of ledger.timestamps.
type LedgerTimestamps struct {
	Before int64 `json:"before,omitempty"` // only those whose entry has a smaller index
	Limit  int   `json:"limit"`            // 1 to 1000
}

func ledgerTimestamps(ctx context.Context, c *call, in LedgerTimestamps) (any, error) {
	list, err := c.acts.LedgerTimestamps(ctx, c.actor, in.Before, in.Limit)
	return views(list, viewTimestamp), err
}

// LedgerCosign is the request of ledger.cosign.
type LedgerCosign struct {
	Note string `json:"note,omitempty"` // cosigned; empty: ask the witnesses
}

// Cosigned is a checkpoint with what witnesses signed of it.
type Cosigned struct {
	Note       string        `json:"note"` // with all signatures
	Size       int64         `json:"size"`
	Signatures []Cosignature `json:"signatures"`
}

// Cosignature is what one witness signed.
type Cosignature struct {
	Witness string    `json:"witness"`
	Key     string    `json:"key"`
	At      time.Time `json:"at"` // by the witness's clock
}

func ledgerCosign(ctx context.Context, c *call, in LedgerCosign) (any, error) {
	s, err := c.acts.LedgerCosign(ctx, c.actor, in.Note)
	return Cosigned{s.Note, s.Size, views(s.Signatures, func(s cosign.Signature) Cosignature { return Cosignature{s.Witness, s.WitnessKey, s.At} })}, err
}

// Outside is how those outside go who speak for the ledger.
type Outside struct {
	// Fault says why somebody who is in the settings is not asked; mostly empty.
	Fault     string          `json:"fault,omitempty"`
	Timestamp *TimestampState `json:"timestamp,omitempty"`
	Witnesses []WitnessState  `json:"witnesses,omitempty"`
}

// TimestampState is how time stamps go.
type TimestampState struct {
	Authority string    `json:"authority"`
	Newest    time.Time `json:"newest,omitzero"`
	Size      int64     `json:"size"`
	Failing   string    `json:"failing,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Next      time.Time `json:"next,omitzero"`
}

// WitnessState is how a witness goes.
type WitnessState struct {
	OrganisationID string    `json:"organisation_id"`
	Witness        string    `json:"witness"`
	URL            string    `json:"url,omitempty"`
	Size           int64     `json:"size"`
	At             time.Time `json:"at,omitzero"`
	Failing        string    `json:"failing,omitempty"`
	Ahead          bool      `json:"ahead,omitempty"` // it has seen more entries than there are
	Since          time.Time `json:"since,omitzero"`
}

func viewOutside(s act.OutsideStatus) Outside {
	out := Outside{Fault: s.Fault}
	if t := s.Timestamp; t != nil {
		out.Timestamp = &TimestampState{t.Authority, t.Newest, t.Size, t.Failing, t.Since, t.Next}
	}
	for _, w := range s.Witnesses {
		out.Witnesses = append(out.Witnesses, WitnessState{w.OrganisationID, w.Witness, w.URL, w.Size, w.At, w.Failing, w.Ahead, w.Since})
	}
	return out
}

// custodyForm is the custody form of an incident, PDF.
func custodyForm(ctx context.Context, c *call, in Ref, w io.Writer) error {
	return c.acts.CustodyForm(ctx, c.actor, in.Ref, w)
}
