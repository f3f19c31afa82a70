package checkpoint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// ActForked records that a person declared a new line: from here on the ledger is signed
// although it does not go on from what was signed before.
const ActForked = "ledger.fork"

// Fork is a new line that a person is about to declare.
type Fork struct {
	Difference Difference
	Origin     string
	Key        checkpoint.Key
	no         int64
}

// Plan prepares a new line for an organisation whose ledger differs from what was signed,
// making a new key when the old one is lost. What does not come to a commit is to be given to
// [Log.Abandon]. It wraps [ErrNothing] when nothing differs.
func (l *Log) Plan(ctx context.Context, organisationID string) (Fork, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, err := l.line(ctx, l.cfg.DB.Read(), organisationID)
	if err != nil {
		return Fork{}, fmt.Errorf("plan a new line: %w", err)
	}
	if ln == nil || ln.differs == nil {
		return Fork{}, fmt.Errorf("plan a new line: %w", ErrNothing)
	}
	if err := l.reload(); err != nil { // a key that was put back is not replaced
		return Fork{}, fmt.Errorf("plan a new line: %w", err)
	}
	if l.key == nil {
		if _, err := os.Lstat(l.cfg.KeyFile); err == nil {
			// Unreadable, and perhaps of use to an expert.
			if err := os.Rename(l.cfg.KeyFile, l.cfg.KeyFile+"."+strconv.FormatInt(l.cfg.Now().Unix(), 10)); err != nil {
				return Fork{}, fmt.Errorf("plan a new line: %w", err)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Fork{}, fmt.Errorf("plan a new line: %w", err)
		}
		if l.key, err = makeKey(l.cfg.KeyFile); err != nil {
			return Fork{}, fmt.Errorf("plan a new line: %w", err)
		}
	}
	f := Fork{Difference: *ln.differs, Key: public(l.key), no: ln.no + 1}
	f.Origin = l.originOf(organisationID, f.no)
	// Before its transaction: a line in the database that nothing outside knows of is not believed.
	if err := writeBegun(l.cfg.Dir, organisationID, begunText(f.Origin, f.Key.Text(f.Origin), f.Difference.Known.Note)); err != nil {
		return Fork{}, fmt.Errorf("plan a new line: %w", err)
	}
	return f, nil
}

// Details are the facts for the ledger's entry of a fork.
func (f Fork) Details() map[string]string {
	m := f.Difference.Details()
	m["origin"], m["verifier_key"], m["key_sha256"] = f.Origin, f.Key.Text(f.Origin), f.Key.Fingerprint()
	return m
}

// Details are the facts for the ledger's entry of a difference.
func (d Difference) Details() map[string]string {
	m := map[string]string{"kind": string(d.Kind), "detail": d.Detail, "size": strconv.FormatInt(d.Size, 10), "root_sha256": hex.EncodeToString(d.Root[:])}
	if d.Known.Note != "" {
		m["signed_origin"], m["signed_size"] = d.Known.Origin, strconv.FormatInt(d.Known.Size, 10)
		m["signed_root_sha256"] = hex.EncodeToString(d.Known.Root[:])
	}
	return m
}

// Store stores a fork in the transaction of its ledger entry.
func (f Fork) Store(ctx context.Context, tx *sqldb.Tx, ledgerIdx int64, reason string, now time.Time) error {
	return insertLine(ctx, tx, lineRow{organisationID: f.Difference.OrganisationID, no: f.no, origin: f.Origin, verifierKey: f.Key.Text(f.Origin),
		startedAt: now, size: ledgerIdx + 1, kind: f.Difference.Kind, knownNote: f.Difference.Known.Note, reason: reason, ledgerIdx: ledgerIdx})
}

// Begin signs the first state of a new line, after its transaction was committed.
func (l *Log) Begin(ctx context.Context, f Fork) (Signed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lines, f.Difference.OrganisationID)
	s, err := l.sign(ctx, f.Difference.OrganisationID, 1)
	if err != nil {
		return Signed{}, fmt.Errorf("sign the new line: %w", err)
	}
	return s, nil
}
