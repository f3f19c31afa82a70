package timestamp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/sqldb"
	parsing "hozen/internal/custody/checkpoint"
)

// Finding is a time stamp that is not what it was when it came.
type Finding struct {
	OrganisationID string
	Subject        string // "time stamp 17", by its entry in the ledger
	Detail         string // English, for experts
}

// Audit checks every time stamp again, offline, against the certificates that were trusted
// when it came, and returns the checkpoints that were stamped: the ledger must go on from
// each of them.
func Audit(ctx context.Context, q sqldb.Queryer, organisationIDs []string) (findings []Finding, kept []checkpoint.Known, err error) {
	const batch = 200
	for _, org := range organisationIDs {
		for before := int64(0); ; {
			list, err := List(ctx, q, org, before, batch)
			if err != nil {
				return nil, nil, err
			}
			for _, t := range list {
				subject := "time stamp " + strconv.FormatInt(t.LedgerIdx, 10)
				if err := t.verify(ctx); err != nil {
					findings = append(findings, Finding{org, subject, err.Error()})
				} else {
					kept = append(kept, checkpoint.Known{Name: subject, Note: t.Note})
				}
				before = t.LedgerIdx
			}
			if len(list) < batch {
				break
			}
		}
	}
	return findings, kept, nil
}

// verify checks a token as it is kept.
func (t Token) verify(ctx context.Context) error {
	roots, err := RootsPEM([]byte(t.ChainPEM))
	if err != nil {
		return err
	}
	f, err := Check(ctx, t.Response, []byte(t.Note), roots)
	if err != nil {
		return err
	}
	c, err := parsing.Parse(t.Note)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(t.Response)
	if !f.At.Equal(t.At) || f.Serial != t.Serial || c.Size != t.Size || hex.EncodeToString(sum[:]) != t.SHA256 {
		return fmt.Errorf("the row says %v, %s, %d entries, and the token %v, %s, %d entries", t.At, t.Serial, t.Size, f.At, f.Serial, c.Size)
	}
	return nil
}
