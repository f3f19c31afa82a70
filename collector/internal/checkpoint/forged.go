package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/durable"
)

// macsSuffix ends the names of the files that tell from which entry on all of an organisation
// have the MAC of which key. Whoever can write the database alone cannot have entries without
// one taken for older ones.
const macsSuffix = ".macs"

// macs says which entries must have a MAC.
type macs struct {
	from int64  // the first of them
	key  string // [ledger.Key.ID]
}

func macsPath(dir, organisationID string) string {
	return filepath.Join(dir, organisationID+macsSuffix)
}

// errMacs means that the file was read and does not say it.
var errMacs = errors.New("the file that tells from where on entries have MACs is damaged")

// readMacs reads the file; without one known is false.
func readMacs(dir, organisationID string) (m macs, known bool, err error) {
	b, err := os.ReadFile(macsPath(dir, organisationID))
	if errors.Is(err, fs.ErrNotExist) {
		return macs{}, false, nil
	}
	if err != nil {
		return macs{}, false, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if n, err := fmt.Sscanf(string(b), "%d %s", &m.from, &m.key); n != 2 || m.from < 0 || m.text() != string(b) {
		return macs{}, false, errors.Join(errMacs, err)
	}
	return m, true, nil
}

func (m macs) text() string { return fmt.Sprintf("%d %s\n", m.from, m.key) }

func writeMacs(dir, organisationID string, m macs) error {
	if err := durable.WriteFile(macsPath(dir, organisationID), []byte(m.text()), 0o600); err != nil {
		return fmt.Errorf("keep from where on entries have MACs: %w", err)
	}
	return nil
}

// macsOf is what the file says. Where there is none yet it is what the entries say: the first
// that has a right MAC, after those of versions that made none. While the line that a person
// declared has nothing signed yet, it is the entry of that decision.
func (l *Log) macsOf(ctx context.Context, q sqldb.Queryer, key ledger.Key, head ledger.Head) (m macs, known bool, err error) {
	if m, err = l.declared(ctx, q, key, head.OrganisationID); err != nil || m.key != "" {
		return m, false, err
	}
	m, known, err = readMacs(l.cfg.Dir, head.OrganisationID)
	if err != nil || known {
		return m, known, err
	}
	from, err := key.First(ctx, q, head)
	return macs{from, key.ID()}, false, err
}

// declared finds the decision with which the newest line began, as long as nothing is signed
// under it, even if the collector stopped in between. The zero macs: there is none. Whoever can write the
// database alone has neither the file that says that the line begins nor an entry with a MAC.
func (l *Log) declared(ctx context.Context, q sqldb.Queryer, key ledger.Key, organisationID string) (macs, error) {
	row, err := newestLine(ctx, q, organisationID)
	if err != nil || row == nil || row.no < 2 {
		return macs{}, err
	}
	begun, err := readBegun(l.cfg.Dir, organisationID)
	if err != nil {
		return macs{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	notes, err := noteAtOrBelow(ctx, q, organisationID, row.no, 1<<62)
	if err != nil || notes != nil || begun != row.begunText() {
		return macs{}, err
	}
	e, own, err := key.Own(ctx, q, organisationID, row.ledgerIdx)
	if err != nil || !own || e.Act != ActForked || e.Details["verifier_key"] != row.verifierKey {
		return macs{}, err
	}
	return macs{row.ledgerIdx, key.ID()}, nil
}

// forged reports how entries differ, after those that were signed, from what this collector
// wrote. nil: in nothing.
func (l *Log) forged(ctx context.Context, q sqldb.Queryer, ln *line, head ledger.Head) (*Difference, error) {
	key := ledger.KeyOf(l.cfg.DB)
	if key.ID() == "" {
		return nil, nil
	}
	d := &Difference{OrganisationID: head.OrganisationID, Kind: Forged, Known: ln.newest, Size: head.Size, Root: head.Root}
	m, known, err := l.macsOf(ctx, q, key, head)
	if errors.Is(err, errMacs) {
		d.Kind, d.Detail = BadFile, err.Error()
		return d, nil
	}
	if err == nil && !known {
		err = writeMacs(l.cfg.Dir, head.OrganisationID, m)
	}
	if err != nil {
		return nil, err
	}
	if m.key != key.ID() {
		d.Kind, d.Detail = EntryKey, otherEntryKey(m, key)
		return d, nil
	}
	runs, err := key.Grown(ctx, q, max(m.from, ln.newest.Size), head)
	switch {
	case errors.Is(err, ledger.ErrBroken):
		d.Kind, d.Detail = Rewritten, err.Error()
	case err != nil:
		return nil, err
	case len(runs) == 0:
		return nil, nil
	default:
		var list []string
		for _, r := range runs[:min(len(runs), 5)] {
			list = append(list, runText(r))
		}
		d.Detail = fmt.Sprintf("%s: no MAC of this collector", strings.Join(list, ", "))
		if more := len(runs) - len(list); more > 0 {
			d.Detail += fmt.Sprintf(" (and %d more stretches)", more)
		}
	}
	return d, nil
}

func runText(r [2]int64) string {
	if r[0] == r[1] {
		return fmt.Sprintf("entry %d", r[0])
	}
	return fmt.Sprintf("entries %d to %d", r[0], r[1])
}

func otherEntryKey(m macs, key ledger.Key) string {
	return fmt.Sprintf("entries from %d on have MACs of the key %s, and the key is now %s", m.from, m.key, key.ID())
}

// forged names the entries that no MAC of this collector covers. The file is read after the view
// of the database: it only ever tells of fewer entries.
func (a *auditor) forged(ctx context.Context, org string) error {
	key := ledger.KeyOf(a.l.cfg.DB)
	if key.ID() == "" {
		return nil
	}
	head, err := ledger.HeadOf(ctx, a.q, org)
	if errors.Is(err, ledger.ErrBroken) {
		return nil // package ledger names it
	}
	if err != nil {
		return err
	}
	m, _, err := a.l.macsOf(ctx, a.q, key, head)
	switch {
	case errors.Is(err, errMacs), errors.Is(err, errUnreadable):
		a.find(org, CodeFile, "macs", "%v", err)
		return nil
	case err != nil:
		return err
	case m.key != key.ID():
		a.find(org, CodeEntryKey, "macs", "%s", otherEntryKey(m, key))
		return nil
	}
	runs, err := key.Forged(ctx, a.q, org, m.from, head.Size)
	if err != nil {
		return err
	}
	for _, r := range runs {
		a.find(org, CodeForged, fmt.Sprintf("ledger %d", r[0]), "%s: no MAC of this collector: written or changed in the database, or the leaf is not the one that was written", runText(r))
	}
	return nil
}
