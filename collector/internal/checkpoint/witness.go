package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// Verdict is what a signed state that somebody else kept says of the ledger.
type Verdict struct {
	// Ours: this collector's key signed it, or one that it used before.
	Ours bool
	// Known is what the note says.
	Known checkpoint.Checkpoint
	// Difference is how the ledger differs from it; nil when it goes on from it, and for a
	// note that is not ours.
	Difference *Difference
	// Declared: it belongs to a line that is over, and what it shows is covered by what
	// was declared then.
	Declared bool
}

// Held judges a signed state that a witness holds. When it is later than anything that this
// collector remembers, or other, nothing more is signed until a person decides; the note
// is kept in place of what this collector remembered, so that a restart changes nothing.
func (l *Log) Held(ctx context.Context, organisationID, note string) (Verdict, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.held(ctx, organisationID, note)
	if err != nil {
		return Verdict{}, fmt.Errorf("judge a witness's checkpoint: %w", err)
	}
	return v, nil
}

func (l *Log) held(ctx context.Context, organisationID, note string) (Verdict, error) {
	q := l.cfg.DB.Read()
	c, err := checkpoint.Parse(note)
	if err != nil {
		return Verdict{}, nil // the witness is told by its own check
	}
	v := Verdict{Known: c}
	org, no, ok := l.ours(c.Origin)
	if !ok || org != organisationID {
		return v, nil
	}
	rows, err := allLines(ctx, q, organisationID)
	if err != nil {
		return v, err
	}
	keys := []checkpoint.Key{public(l.key)}
	for _, r := range rows {
		if _, k, err := checkpoint.ParseKey(r.verifierKey); err == nil && r.no == no {
			keys = append(keys, k)
		}
	}
	key := signer(note, keys)
	if key == nil {
		return v, nil
	}
	v.Ours = true
	ln, err := l.line(ctx, q, organisationID)
	if err != nil {
		return v, err
	}
	if ln == nil {
		ln = &line{} // known once the note is kept
	}
	if no < ln.no {
		v.Declared = declared(rows, c, no, key)
		if !v.Declared {
			v.Difference, err = l.compare(ctx, q, organisationID, c)
		}
		return v, err
	}
	if v.Difference, err = l.compare(ctx, q, organisationID, c); err != nil {
		return v, err
	}
	if v.Difference == nil && no > ln.no {
		v.Difference = &Difference{OrganisationID: organisationID, Kind: OtherLine, Known: c, Detail: "it was signed under a line that the database does not know"}
	}
	if v.Difference == nil && c.Size <= ln.newest.Size {
		return v, nil
	}
	if ln.differs != nil && no == ln.no && c.Size <= ln.newest.Size {
		return v, nil // known, and less than what is known
	}
	if err := writeNote(l.cfg.Dir, organisationID, c); err != nil {
		return v, err
	}
	l.lines[organisationID] = ln
	ln.no, ln.origin, ln.newest, ln.signedAt = no, c.Origin, c, time.Time{}
	if v.Difference != nil {
		ln.differs = v.Difference
	}
	return v, nil
}

// signer returns the key that signed a note; nil when none of them did.
func signer(note string, keys []checkpoint.Key) checkpoint.Key {
	for _, k := range keys {
		if k == nil {
			continue
		}
		if _, err := checkpoint.Open(note, k); err == nil {
			return k
		}
	}
	return nil
}

// declared reports whether a state of a line that is over is covered by the declaration
// that ended it: it is no later than the last state that was known then. key signed it, and
// must have signed that one too: the row alone proves nothing.
func declared(rows []lineRow, c checkpoint.Checkpoint, no int64, key checkpoint.Key) bool {
	for _, r := range rows {
		if r.no != no+1 {
			continue
		}
		if known, err := checkpoint.Open(r.knownNote, key); err == nil && known.Origin == c.Origin {
			return c.Size < known.Size || c.Size == known.Size && c.Root == known.Root
		}
	}
	return false
}

// Conflict is a difference that was noticed, by this collector or by a witness.
type Conflict struct {
	OrganisationID string
	ID             string // see [ConflictID]
	EndpointID     string // of the witness; empty when the collector noticed by itself
	Kind           string
	KnownNote      string // what was signed and kept
	ShownNote      string // what the ledger says now; a signed note or "size root"
	NoticedAt      time.Time
	ReceivedAt     time.Time
	Detail         string
	Line           int64 // newest line when it was stored
	LedgerIdx      int64
}

// DeclaredKind begins the kinds of conflicts that a person's declaration explains.
const DeclaredKind = "declared_"

// ConflictID names the conflict between two states: the SHA-256 of both texts.
func ConflictID(known, shown string) string {
	sum := sha256.Sum256([]byte(known + shown))
	return hex.EncodeToString(sum[:])
}

// HasConflict reports whether a conflict is stored.
func HasConflict(ctx context.Context, q sqldb.Queryer, organisationID, conflictID string) (bool, error) {
	var n int64
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM checkpoint_conflicts WHERE organisation_id = $1 AND id = $2`, organisationID, conflictID).Scan(&n); err != nil {
		return false, fmt.Errorf("look for conflict: %w", err)
	}
	return n > 0, nil
}

// InsertConflict stores a conflict in the transaction of its ledger entry.
func InsertConflict(ctx context.Context, tx *sqldb.Tx, c Conflict) error {
	row, err := newestLine(ctx, tx, c.OrganisationID)
	if err != nil {
		return err
	}
	if row != nil {
		c.Line = row.no
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO checkpoint_conflicts
		(organisation_id, id, endpoint_id, kind, known_note, shown_note, noticed_at, received_at, detail, line, ledger_idx)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		c.OrganisationID, c.ID, c.EndpointID, c.Kind, sqldb.CleanText(c.KnownNote), sqldb.CleanText(c.ShownNote), sqldb.FormatTime(c.NoticedAt),
		sqldb.FormatTime(c.ReceivedAt), sqldb.CleanText(c.Detail), c.Line, c.LedgerIdx); err != nil {
		return fmt.Errorf("store conflict: %w", err)
	}
	return nil
}

// Conflicts returns the conflicts of an organisation, those that a declaration explains last
// and otherwise the newest first, at most a hundred.
func Conflicts(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Conflict, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id, id, endpoint_id, kind, known_note, shown_note, noticed_at, received_at, detail, line, ledger_idx
		FROM checkpoint_conflicts WHERE organisation_id = $1
		ORDER BY CASE WHEN kind LIKE 'declared!_%' ESCAPE '!' THEN 1 ELSE 0 END, received_at DESC, id LIMIT 100`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("read conflicts: %w", err)
	}
	defer rows.Close()
	var out []Conflict
	for rows.Next() {
		var c Conflict
		if err := rows.Scan(&c.OrganisationID, &c.ID, &c.EndpointID, &c.Kind, &c.KnownNote, &c.ShownNote, sqldb.ScanTime(&c.NoticedAt),
			sqldb.ScanTime(&c.ReceivedAt), &c.Detail, &c.Line, &c.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read conflicts: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
