package checkpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozen/internal/custody/checkpoint"
	"hozen/internal/durable"
)

// begunSuffix ends the names of the files that tell of a line whose first state is not
// signed yet. Whoever can write the database alone can invent a line there, not this.
const begunSuffix = ".begun"

func begunPath(dir, organisationID string) string {
	return filepath.Join(dir, organisationID+begunSuffix)
}

// begunText tells of one line and of nothing else.
func begunText(origin, verifierKey, knownNote string) string {
	return fmt.Sprintf("%s\n%s\n%x\n", origin, verifierKey, sha256.Sum256([]byte(knownNote)))
}

func (r lineRow) begunText() string { return begunText(r.origin, r.verifierKey, r.knownNote) }

// readBegun reads which line is beginning; without a file it is empty.
func readBegun(dir, organisationID string) (string, error) {
	b, err := os.ReadFile(begunPath(dir, organisationID))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which line begins: %w", err)
	}
	return string(b), nil
}

// writeBegun is done before the transaction that stores the line.
func writeBegun(dir, organisationID, text string) error {
	if err := durable.WriteFile(begunPath(dir, organisationID), []byte(text), 0o600); err != nil {
		return fmt.Errorf("keep which line begins: %w", err)
	}
	return nil
}

// removeBegun is done when the first state of the line is kept, or when there is no line.
func removeBegun(dir, organisationID string) error {
	if err := durable.Remove(begunPath(dir, organisationID)); err != nil {
		return fmt.Errorf("forget which line begins: %w", err)
	}
	return nil
}

// lineOf is the number of a line by the first line of its file; 0 when it is not ours.
func (l *Log) lineOf(text, organisationID string) int64 {
	origin, _, _ := strings.Cut(text, "\n")
	org, no, ok := l.ours(origin)
	if !ok || org != organisationID {
		return 0
	}
	return no
}

// uncovered says why the newest line of the database is not believed; empty when a file
// outside the database speaks of it. The file of the newest state is written before its row,
// and the file of a line that begins before the line's row: no loss of power leaves a row alone.
func uncovered(row lineRow, hasNotes bool, kept checkpoint.Checkpoint, keptLine int64, begun string) string {
	switch {
	case keptLine >= row.no, !hasNotes && begun == row.begunText():
		return ""
	case kept.Note == "":
		return "the file of the newest signed state is missing"
	}
	return fmt.Sprintf("the database knows of the line %s, and outside of it nobody declared one after %s", row.origin, kept.Origin)
}

// Abandon forgets a fork whose transaction was not committed.
func (l *Log) Abandon(ctx context.Context, f Fork) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	row, err := newestLine(ctx, l.cfg.DB.Read(), f.Difference.OrganisationID)
	if err == nil && (row == nil || row.no < f.no) {
		err = removeBegun(l.cfg.Dir, f.Difference.OrganisationID)
	}
	if err != nil {
		return fmt.Errorf("abandon a new line: %w", err)
	}
	return nil
}

// Copy is what lies outside the database, by the names of the files: what a backup needs
// beside the database so that what was put back is believed.
type Copy map[string][]byte

// Copy reads what lies outside the database. Whoever copies the database too does it
// after this, and again if the lines are not the same then: a copy of the files must not be
// newer than that of the database.
func (l *Log) Copy() (Copy, error) {
	list, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("copy checkpoints: %w", err)
	}
	c := Copy{}
	for _, f := range list {
		if !f.Type().IsRegular() || durable.IsTemp(f.Name()) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(l.cfg.Dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("copy checkpoints: %w", err)
		}
		c[f.Name()] = b
	}
	return c, nil
}

// SameLines reports whether both are of the same lines, however far those were signed.
func (c Copy) SameLines(o Copy) bool { return slices.Equal(c.lines(), o.lines()) }

func (c Copy) lines() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if strings.HasSuffix(name, noteSuffix) || strings.HasSuffix(name, begunSuffix) {
			origin, _, _ := strings.Cut(string(c[name]), "\n")
			out = append(out, name+" "+origin)
		}
	}
	return out
}

// Store writes the files into a folder, and takes away those that are no more.
func (c Copy) Store(dir string) error {
	if err := c.store(dir); err != nil {
		return fmt.Errorf("copy checkpoints: %w", err)
	}
	return nil
}

func (c Copy) store(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, b := range c {
		if err := durable.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if _, ok := c[f.Name()]; ok || !strings.HasSuffix(f.Name(), noteSuffix) && !strings.HasSuffix(f.Name(), begunSuffix) {
			continue
		}
		if err := durable.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// missing judges for an audit whether the newest line is believed. Files that were read
// before the view of the database may be older than a line that began meanwhile.
func (a *auditor) missing(ctx context.Context, org string, row lineRow, kept checkpoint.Checkpoint, begun string) (string, error) {
	notes, err := noteAtOrBelow(ctx, a.q, org, row.no, 1<<62)
	if err != nil {
		return "", err
	}
	why := uncovered(row, notes != nil, kept, a.l.lineOf(kept.Origin, org), begun)
	if why == "" {
		return "", nil
	}
	kept, nerr := readNote(a.l.cfg.Dir, org)
	begun, berr := readBegun(a.l.cfg.Dir, org)
	if nerr == nil && berr == nil { // otherwise the files as they were tell the same
		why = uncovered(row, notes != nil, kept, a.l.lineOf(kept.Origin, org), begun)
	}
	return why, nil
}
