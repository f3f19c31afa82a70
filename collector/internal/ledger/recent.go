package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb"
)

// recent is what one transaction knows of a tree, so that an act with a thousand entries
// does not read the same again for each.
type recent struct {
	organisationID string
	written        Head // as the database has it
	head           Head // with the entries of this transaction that are sealed; without its root
	unsealed       []unsealed
	at             time.Time // of the newest entry, sealed or not
	hashes         map[int64]tlog.Hash
	run            []byte // hashes that fill no row of the database yet, one behind the other
	runFirst       int64  // number of the first of them
}

// unsealed is an entry that may still be added to.
type unsealed struct {
	Entry
	clockBack time.Duration
}

// maxUnsealed bounds the entries of one transaction that wait in memory.
const maxUnsealed = 4096

// size is how many entries there are, sealed or not.
func (r *recent) size() int64 { return r.head.Size + int64(len(r.unsealed)) }

// seal writes the entries before index, and their hashes, together with others of the
// transaction; the head is written once at its end.
func (r *recent) seal(ctx context.Context, tx *sqldb.Tx, index int64) error {
	for r.head.Size < index {
		e := r.unsealed[0]
		r.unsealed = r.unsealed[1:]
		var salt [32]byte
		rand.Read(salt[:]) // never fails (crypto/rand)
		text, err := encode(r.head.Size, e.Entry, e.clockBack)
		if err != nil {
			return err
		}
		record := recordOf(salt[:], text)
		leaf := tlog.RecordHash(record[:])
		hashes, err := tlog.StoredHashesForRecordHash(r.head.Size, leaf, r.reader(ctx, tx))
		if err != nil {
			return err
		}
		if err := tx.Gather(ctx, entryRows(), e.OrganisationID, r.head.Size, sqldb.FormatTime(e.At), e.ActorKind, sqldb.CleanText(e.ActorID), e.Act,
			sqldb.CleanText(e.Subject), text, hex.EncodeToString(salt[:]), hex.EncodeToString(record[:]), keyIn(tx).mac(e.OrganisationID, r.head.Size, leaf)); err != nil {
			return err
		}
		if err := r.store(ctx, tx, tlog.StoredHashCount(r.head.Size), hashes); err != nil {
			return err
		}
		r.head.Size++
		if e.At.After(r.head.At) {
			r.head.At = e.At
		}
		tx.Last("ledger_heads", recentKey{e.OrganisationID}, func(ctx context.Context) error { return r.writeHead(ctx, tx) })
	}
	return nil
}

// recentKey is under what the transaction keeps it.
type recentKey struct{ organisationID string }

// recall returns what is known. At first it reads the head and the hashes at the edge of
// the tree, which are all that further entries need.
func recall(ctx context.Context, tx *sqldb.Tx, organisationID string) (*recent, error) {
	if r, ok := tx.Noted(recentKey{organisationID}).(*recent); ok {
		return r, nil
	}
	head, err := readHead(ctx, tx, organisationID, tx.ForUpdate())
	if err != nil {
		return nil, err
	}
	r := &recent{organisationID: organisationID, written: head, head: head, at: head.At, hashes: map[int64]tlog.Hash{}}
	if head.Size > 0 {
		if _, err := tlog.TreeHash(head.Size, r.reader(ctx, tx)); err != nil {
			return nil, err
		}
	}
	tx.Note(recentKey{organisationID}, r)
	return r, nil
}

// rooted is the head with its root.
func (r *recent) rooted(ctx context.Context, tx *sqldb.Tx) (Head, error) {
	root, err := tlog.TreeHash(r.head.Size, r.reader(ctx, tx))
	if err != nil {
		return Head{}, err
	}
	h := r.head
	h.Root = root
	return h, nil
}

// writeHead writes the head of a tree that has grown.
func (r *recent) writeHead(ctx context.Context, tx *sqldb.Tx) error {
	head, err := r.rooted(ctx, tx)
	if err == nil {
		err = writeHead(ctx, tx, r.written, head)
	}
	if err != nil {
		return fmt.Errorf("append to ledger: %w", err)
	}
	r.written = head
	return nil
}

// reader reads stored hashes by tlog's numbering.
func (r *recent) reader(ctx context.Context, tx *sqldb.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var missing []int64
		for _, x := range indexes {
			if _, ok := r.hashes[x]; !ok {
				missing = append(missing, x)
			}
		}
		read, err := reader(ctx, tx, r.organisationID).ReadHashes(missing)
		if err != nil {
			return nil, err
		}
		for i, x := range missing {
			r.hashes[x] = read[i]
		}
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = r.hashes[x]
		}
		return out, nil
	})
}

// store stores the hashes that a new entry brings, from first on.
func (r *recent) store(ctx context.Context, tx *sqldb.Tx, first int64, hashes []tlog.Hash) error {
	for i, h := range hashes {
		x := first + int64(i)
		r.hashes[x] = h
		if len(r.run) == 0 {
			r.runFirst = x
			tx.Last("ledger_hashes", runKey{r.organisationID}, func(ctx context.Context) error { return r.writeRun(ctx, tx) })
		}
		if r.run = append(r.run, h[:]...); len(r.run) < maxRun*tlog.HashSize {
			continue
		}
		if err := tx.Gather(ctx, hashRows(), r.organisationID, r.runFirst, r.takeRun()); err != nil {
			return err
		}
	}
	return nil
}

// maxRun is how many hashes one row of ledger_hashes holds at most: two kilobytes, so that
// a thousand entries need few rows, and one hash little reading.
const maxRun = 32

// runKey is under what the transaction keeps who writes the hashes that fill no row.
type runKey struct{ organisationID string }

// takeRun returns the hashes that wait, in hexadecimal, which then wait no longer.
func (r *recent) takeRun() string {
	s := hex.EncodeToString(r.run)
	r.run = r.run[:0]
	return s
}

// writeRun writes the hashes that fill no row.
func (r *recent) writeRun(ctx context.Context, tx *sqldb.Tx) error {
	if len(r.run) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO ledger_hashes (organisation_id, idx, hash) VALUES ($1, $2, $3)`, r.organisationID, r.runFirst, r.takeRun())
	if err != nil {
		return fmt.Errorf("append to ledger: %w", err)
	}
	return nil
}

func hashRows() sqldb.Rows {
	return sqldb.Rows{Table: "ledger_hashes", Columns: "organisation_id, idx, hash"}
}

// parseRun reads a row of ledger_hashes: of one or more hashes, the first of which has the
// row's number.
func parseRun(s string) ([]tlog.Hash, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) == 0 || len(b)%tlog.HashSize != 0 || len(b) > maxRun*tlog.HashSize {
		return nil, fmt.Errorf("hashes %.80q: want %d hexadecimal digits for each, of %d at most", s, 2*tlog.HashSize, maxRun)
	}
	run := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range run {
		run[i] = tlog.Hash(b[i*tlog.HashSize:])
	}
	return run, nil
}
