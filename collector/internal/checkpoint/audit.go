package checkpoint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// Code says what is wrong between a ledger and what was signed of it.
type Code string

// The codes.
const (
	// CodeShorter: fewer entries than were signed. An older database was put back, or
	// entries were cut off.
	CodeShorter Code = "shorter"
	// CodeRewritten: other entries than were signed, with hashes that fit them.
	CodeRewritten Code = "rewritten"
	// CodeSignature: a checkpoint that is kept here was not signed by the key of its line.
	CodeSignature Code = "signature"
	// CodeForeign: a checkpoint from elsewhere is not of this collector's ledgers.
	CodeForeign Code = "foreign"
	// CodeKey: the key that signs is not there, or another one.
	CodeKey Code = "key"
	// CodeLine: the database does not know of a line that was signed, or of one that nobody
	// declared.
	CodeLine Code = "line"
	// CodeFile: the file of the newest signed state is missing or cannot be read.
	CodeFile Code = "file"
	// CodeForged: entries that have no MAC of this collector.
	CodeForged Code = "forged"
	// CodeEntryKey: the key of the entries' MACs is another one, so that none can be checked.
	CodeEntryKey Code = "entry_key"
	// CodeDeclared: a line was ended by a person's decision. No problem but a note.
	CodeDeclared Code = "declared"
	// CodeTold: a witness told of a difference. No problem but a note: what is true of it
	// shows above.
	CodeTold Code = "told"
	// CodeUnsigned: there is nothing signed yet. No problem but a note.
	CodeUnsigned Code = "unsigned"
)

// Finding is one thing that was found.
type Finding struct {
	OrganisationID string
	Code           Code
	Note           bool   // remarkable, but nothing is wrong
	Subject        string // the checkpoint: where it is from
	Detail         string // English, for experts
}

// Known is a checkpoint that was kept elsewhere.
type Known struct {
	Name string // where from, such as the name of a file
	Note string
}

// Files is what lies outside the database: see [Log.Files].
type Files struct {
	notes map[string]checkpoint.Checkpoint // by organisation
	begun map[string]string
	wrong map[string]error
}

// Files reads what lies outside the database. Whoever audits one unchanging view of the
// database reads them before that begins: what is signed meanwhile is not in the view.
func (l *Log) Files() (Files, error) {
	f := Files{map[string]checkpoint.Checkpoint{}, map[string]string{}, map[string]error{}}
	orgs, err := l.noted()
	if err != nil {
		return f, fmt.Errorf("audit checkpoints: %w", err)
	}
	for _, org := range orgs {
		if f.notes[org], err = readNote(l.cfg.Dir, org); err != nil {
			f.wrong[org] = err
		}
		if f.begun[org], err = readBegun(l.cfg.Dir, org); err != nil {
			f.wrong[org] = err
		}
	}
	return f, nil
}

// Audit holds the ledgers against everything that was signed of them: the rows, the files
// outside the database, and what was kept elsewhere, and looks for entries that this collector
// did not write. That stored hashes follow from entries, package ledger shows.
func (l *Log) Audit(ctx context.Context, q sqldb.Queryer, files Files, known []Known) ([]Finding, error) {
	a := auditor{l: l, q: q, key: l.Key(), files: files}
	orgs, err := l.organisations(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("audit checkpoints: %w", err)
	}
	for _, org := range orgs {
		if err := errors.Join(a.organisation(ctx, org), a.forged(ctx, org)); err != nil {
			return nil, fmt.Errorf("audit checkpoints: %w", err)
		}
	}
	for _, k := range known {
		if err := a.known(ctx, k); err != nil {
			return nil, fmt.Errorf("audit checkpoints: %w", err)
		}
	}
	return a.findings, nil
}

type auditor struct {
	l        *Log
	q        sqldb.Queryer
	key      checkpoint.Key
	files    Files
	findings []Finding
}

func (a *auditor) find(org string, code Code, subject, format string, args ...any) {
	note := code == CodeDeclared || code == CodeTold || code == CodeUnsigned
	a.findings = append(a.findings, Finding{org, code, note, subject, fmt.Sprintf(format, args...)})
}

func (a *auditor) organisation(ctx context.Context, org string) error {
	rows, err := allLines(ctx, a.q, org)
	if err != nil {
		return err
	}
	kept := a.files.notes[org]
	if err := a.files.wrong[org]; err != nil {
		a.find(org, CodeFile, "newest", "%v", err)
	}
	if len(rows) == 0 && kept.Note == "" {
		a.find(org, CodeUnsigned, "newest", "nothing of this ledger is signed yet")
		return nil
	}
	var last int64
	for i, r := range rows {
		last = r.no
		if i > 0 {
			a.find(org, CodeDeclared, r.origin, "a person declared a new line at %d entries on %s (ledger %d, %s): %s", r.size, sqldb.FormatTime(r.startedAt), r.ledgerIdx, r.kind, r.reason)
		}
	}
	if len(rows) > 0 {
		if err := a.line(ctx, org, rows[len(rows)-1]); err != nil {
			return err
		}
	}
	if len(rows) > 0 && a.files.wrong[org] == nil {
		why, err := a.missing(ctx, org, rows[len(rows)-1], kept, a.files.begun[org])
		switch {
		case err != nil:
			return err
		case why != "" && kept.Note == "":
			a.find(org, CodeFile, "newest", "%s", why)
		case why != "":
			a.find(org, CodeLine, "newest", "%s", why)
			if _, err := a.compare(ctx, org, a.l.lineOf(kept.Origin, org), "newest", kept, time.Time{}); err != nil {
				return err
			}
		}
	}
	if kept.Note != "" {
		o, no, ok := a.l.ours(kept.Origin)
		switch {
		case !ok || o != org:
			a.find(org, CodeFile, "newest", "the file is of the log %s", kept.Origin)
		case no < last: // set aside too late: the line is over
		default:
			if a.key != nil {
				if _, err := checkpoint.Open(kept.Note, a.key); err != nil {
					a.find(org, CodeSignature, "newest", "the file outside the database: %v", err)
				}
			}
			agrees, err := a.compare(ctx, org, no, "newest", kept, time.Time{})
			if err != nil {
				return err
			}
			if agrees && no > last {
				a.find(org, CodeLine, "newest", "the file outside the database was signed under %s, which the database does not know", kept.Origin)
			}
		}
	}
	conflicts, err := Conflicts(ctx, a.q, org)
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(conflicts) {
		who := c.EndpointID
		if who == "" {
			who = "the collector"
		}
		a.find(org, CodeTold, who, "told on %s: %s %s (ledger %d)", sqldb.FormatTime(c.ReceivedAt), c.Kind, c.Detail, c.LedgerIdx)
	}
	return nil
}

// line checks the newest signed state of a line in the database. If the ledger goes on
// from it, it goes on from all before it too.
func (a *auditor) line(ctx context.Context, org string, r lineRow) error {
	name, key, err := checkpoint.ParseKey(r.verifierKey)
	switch {
	case err != nil || name != r.origin || r.origin != a.l.originOf(org, r.no):
		a.find(org, CodeSignature, r.origin, "the row of the line is not right: its origin or key is damaged")
		return nil
	case a.key == nil:
		a.find(org, CodeKey, r.origin, "the key that signs is not there")
	case !a.key.Equal(key):
		a.find(org, CodeKey, r.origin, "another key signs (%s) than the one of the line (%s)", a.key.Fingerprint(), key.Fingerprint())
	}
	row, err := noteAtOrBelow(ctx, a.q, org, r.no, 1<<62)
	if err != nil || row == nil {
		return err
	}
	subject := fmt.Sprintf("checkpoint %d", row.size)
	c, err := checkpoint.Open(row.note, key)
	if err != nil || c.Size != row.size || c.Origin != r.origin {
		a.find(org, CodeSignature, subject, "the newest checkpoint in the database is not what was signed: %v", err)
		return nil
	}
	_, err = a.compare(ctx, org, r.no, subject, c, row.signedAt)
	return err
}

// compare holds one signed state against the ledger, and says between which signed states
// the change lies.
func (a *auditor) compare(ctx context.Context, org string, no int64, subject string, c checkpoint.Checkpoint, at time.Time) (agrees bool, err error) {
	d, err := a.l.compare(ctx, a.q, org, c)
	if err != nil || d == nil {
		return err == nil, err
	}
	detail := d.Detail
	if !at.IsZero() {
		detail += ", signed on " + sqldb.FormatTime(at)
	}
	good, bad, err := a.bracket(ctx, org, no, c.Size)
	if err != nil {
		return false, err
	}
	switch {
	case good != nil && bad != nil && d.Kind == Rewritten:
		detail += fmt.Sprintf("; entries 0 to %d are as signed on %s, the change is between entry %d and entry %d", good.size-1, sqldb.FormatTime(good.signedAt), good.size, bad.size-1)
	case good != nil && d.Kind == Rewritten:
		detail += fmt.Sprintf("; entries 0 to %d are as signed on %s", good.size-1, sqldb.FormatTime(good.signedAt))
	}
	code := CodeRewritten
	if d.Kind == Shorter {
		code = CodeShorter
	}
	a.find(org, code, subject, "%s", detail)
	return false, nil
}

// bracket finds the newest signed state in the database from which the ledger goes on and
// the one after it: going on from one means going on from all before it, so halving finds it.
func (a *auditor) bracket(ctx context.Context, org string, no, limit int64) (good, bad *noteRow, err error) {
	lo, hi := int64(0), limit
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		row, err := noteAtOrBelow(ctx, a.q, org, no, mid)
		if err != nil {
			return nil, nil, err
		}
		if row == nil || row.size <= lo {
			lo = mid // nothing between
			continue
		}
		c, perr := checkpoint.Parse(row.note)
		var d *Difference
		if perr == nil {
			if d, err = a.l.compare(ctx, a.q, org, c); err != nil {
				return nil, nil, err
			}
		}
		if perr == nil && d == nil {
			good, lo = row, mid
		} else {
			hi = row.size - 1
		}
	}
	after := int64(0)
	if good != nil {
		after = good.size
	}
	bad, err = noteAbove(ctx, a.q, org, no, after)
	return good, bad, err
}

// known holds a checkpoint from elsewhere against the ledger.
func (a *auditor) known(ctx context.Context, k Known) error {
	c, err := checkpoint.Parse(k.Note)
	if err != nil {
		a.find("", CodeForeign, k.Name, "%v", err)
		return nil
	}
	org, no, ok := a.l.ours(c.Origin)
	if !ok {
		a.find("", CodeForeign, k.Name, "it is of the log %s, and the logs of this collector begin with %s/", c.Origin, a.l.cfg.Name)
		return nil
	}
	rows, err := allLines(ctx, a.q, org)
	if err != nil {
		return err
	}
	keys := []checkpoint.Key{}
	if a.key != nil {
		keys = append(keys, a.key)
	}
	for _, r := range rows {
		if _, key, err := checkpoint.ParseKey(r.verifierKey); err == nil && r.no == no {
			keys = append(keys, key)
		}
	}
	key := signer(k.Note, keys)
	if key == nil {
		a.find(org, CodeForeign, k.Name, "it has %d entries with the root %s and is not signed by a key of this collector", c.Size, hex.EncodeToString(c.Root[:]))
		return nil
	}
	if len(rows) > 0 && no < rows[len(rows)-1].no && declared(rows, c, no, key) {
		a.find(org, CodeDeclared, k.Name, "it is of %s, a line that is over and whose end was declared", c.Origin)
		return nil
	}
	_, err = a.compare(ctx, org, no, k.Name, c, time.Time{})
	return err
}
