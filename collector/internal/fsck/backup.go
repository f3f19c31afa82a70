package fsck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// Names in a backup's folder.
const (
	BackupDB    = "hozen.db"
	BackupBlobs = "blobs"
	BackupNote  = "backup.json" // written last: a folder without it is no backup
	// BackupEvidenceKeys in BackupBlobs holds the data keys, encrypted.
	BackupEvidenceKeys = "keys"
)

// Note says what a backup holds, so that it can be held against receipts and later
// states of the ledger.
type Note struct {
	Format   string     `json:"format"` // "hozen-backup/1"
	At       time.Time  `json:"at"`
	Database string     `json:"database"` // file name; "" in one of PostgreSQL by an older version, which left it out
	SHA256   string     `json:"database_sha256,omitempty"`
	Schema   int64      `json:"schema"`
	Blobs    int        `json:"blobs"`
	Bytes    int64      `json:"bytes"`
	Ledgers  []NoteHead `json:"ledgers"`
	// EvidenceKey names the key file that is needed to read the blobs: the first half of the
	// SHA-256 of its public key, in 16 digits. Empty: they lie there in the clear.
	EvidenceKey string `json:"evidence_key,omitempty"`
}

// NoteHead is the state of one organisation's ledger in a backup.
type NoteHead struct {
	OrganisationID string `json:"organisation_id"`
	Size           int64  `json:"size"`
	RootSHA256     string `json:"root_sha256"`
}

// NoteFormat is the first field of every note.
const NoteFormat = "hozen-backup/1"

// BackupConfig says what to copy where.
type BackupConfig struct {
	DB    *sqldb.DB
	Blobs *fsblob.Store
	// Keys are those of the blobs. They are copied as they lie there, encrypted to the key
	// file, which no backup holds. Optional: without it nothing is encrypted.
	Keys *atrest.Ring
	// Dir is made when it is not there; an earlier backup there is brought up to date,
	// copying only new blobs. Anything else in it is refused.
	Dir string
	Now func() time.Time // Optional; default time.Now
}

// Backup copies database and blobs while the collector works, hashing every blob
// that it copies, verifies the ledger of the copy and writes the note. A backup that
// fails in the middle has no note, or the note of the backup before it is gone.
func Backup(ctx context.Context, cfg BackupConfig, progress func(step string, done, total int)) (Note, error) {
	n, err := backup(ctx, cfg, progress)
	if err != nil {
		return Note{}, fmt.Errorf("back up to %q: %w", cfg.Dir, err)
	}
	return n, nil
}

func backup(ctx context.Context, cfg BackupConfig, progress func(step string, done, total int)) (Note, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if progress == nil {
		progress = func(string, int, int) {}
	}
	if err := claim(cfg.Dir); err != nil {
		return Note{}, err
	}
	n := Note{Format: NoteFormat, At: cfg.Now().UTC(), Ledgers: []NoteHead{}}
	var err error
	if n.Schema, err = sqldb.SchemaVersion(); err != nil {
		return Note{}, err
	}
	// Rows first: what they speak of is in the store by then and never goes away.
	if err := copyDB(ctx, cfg, &n); err != nil {
		return Note{}, err
	}
	to, err := fsblob.Open(filepath.Join(cfg.Dir, BackupBlobs))
	if err != nil {
		return Note{}, err
	}
	// Keys before what they open.
	if cfg.Keys != nil {
		if err := cfg.Keys.CopyKeys(filepath.Join(cfg.Dir, BackupBlobs, BackupEvidenceKeys)); err != nil {
			return Note{}, err
		}
		n.EvidenceKey = cfg.Keys.Wrapping().String()[:16]
	}
	for info, err := range cfg.Blobs.List(ctx) {
		if err != nil {
			return Note{}, err
		}
		if _, err := cfg.Blobs.CopyTo(ctx, info.Digest, to); err != nil {
			return Note{}, err
		}
		n.Blobs++
		n.Bytes += info.Size
		progress(StepBlobs, n.Blobs, 0)
	}
	b, err := json.MarshalIndent(n, "", "\t")
	if err != nil {
		return Note{}, err
	}
	return n, durable.WriteFile(filepath.Join(cfg.Dir, BackupNote), append(b, '\n'), 0o600)
}

// claim makes sure that the folder is ours to write.
func claim(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch {
		case e.Name() == BackupDB, e.Name() == BackupBlobs, e.Name() == BackupNote, durable.IsTemp(e.Name()):
		case strings.HasPrefix(e.Name(), BackupDB+".new"): // of one that was cut off, with SQLite's files beside it
		default:
			return fmt.Errorf("%q is in the folder and no part of a backup", e.Name())
		}
	}
	return durable.Remove(filepath.Join(dir, BackupNote))
}

func copyDB(ctx context.Context, cfg BackupConfig, n *Note) error {
	path := filepath.Join(cfg.Dir, BackupDB)
	fresh := path + ".new"
	if err := durable.Remove(fresh); err != nil {
		return err
	}
	if err := cfg.DB.Copy(ctx, fresh); err != nil {
		return err
	}
	if err := verifyCopy(ctx, fresh, n); err != nil {
		return err
	}
	f, err := os.Open(fresh)
	if err != nil {
		return err
	}
	sum, _, err := digest.OfReader(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	n.Database, n.SHA256 = BackupDB, sum.String()
	return durable.Rename(fresh, path)
}

// verifyCopy proves that the copy opens and that its ledger agrees with itself.
func verifyCopy(ctx context.Context, path string, n *Note) error {
	db, err := sqldb.OpenCopy(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(n.readLedgers(ctx, db), db.Close())
}

// readLedgers proves the ledgers of a database and notes where they end.
func (n *Note) readLedgers(ctx context.Context, db *sqldb.DB) error {
	return db.ReadTx(ctx, func(ctx context.Context, q sqldb.Queryer) error {
		problems, err := ledger.Verify(ctx, q, nil)
		if err != nil {
			return err
		}
		if len(problems) > 0 {
			return fmt.Errorf("the copied ledger is not right: %s (and %d more); run fsck", problems[0], len(problems)-1)
		}
		heads, err := ledger.Heads(ctx, q)
		for _, h := range heads {
			n.Ledgers = append(n.Ledgers, NoteHead{h.OrganisationID, h.Size, digest.Digest(h.Root).String()})
		}
		return err
	})
}

// ReadNote reads the note of a backup.
func ReadNote(dir string) (Note, error) {
	b, err := os.ReadFile(filepath.Join(dir, BackupNote))
	if errors.Is(err, fs.ErrNotExist) {
		return Note{}, fmt.Errorf("read backup %q: it is not finished, or no backup", dir)
	}
	if err != nil {
		return Note{}, fmt.Errorf("read backup %q: %w", dir, err)
	}
	var n Note
	if err := json.Unmarshal(b, &n); err != nil {
		return Note{}, fmt.Errorf("read backup %q: %w", dir, err)
	}
	if n.Format != NoteFormat {
		return Note{}, fmt.Errorf("read backup %q: format is %.40q, want %q", dir, n.Format, NoteFormat)
	}
	return n, nil
}
