package fsck

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// ProveConfig says which backup is proved, and with what.
type ProveConfig struct {
	Dir  string
	Keys *atrest.Ring // of the key file, as it is needed to restore
	CA   *x509.Certificate
	// Checkpoints opens, for the copied database, what lay outside it: what the backup has of that. Optional:
	// without it the copied ledger is held against nothing that was signed, and no MAC is checked.
	Checkpoints func(*sqldb.DB) (*checkpoint.Log, error)
}

// Prove restores a backup as far as that goes without a place to put it: the copied database
// is opened, everything in it is proved as [Run] does, and every copied byte of evidence is
// decrypted and hashed. It writes nothing.
func Prove(ctx context.Context, cfg ProveConfig, progress func(step string, done, total int)) (Note, Report, error) {
	n, err := ReadNote(cfg.Dir)
	if err != nil {
		return Note{}, Report{}, err
	}
	path, sum, err := databaseOf(cfg.Dir, n)
	if err != nil {
		return n, Report{}, fmt.Errorf("prove backup: %w", err)
	}
	if sum != n.SHA256 {
		return n, Report{Problems: []Problem{{Code: BackupChanged, Subject: BackupDB, Detail: "the database of the backup has SHA-256 " + sum + ", its note says " + n.SHA256}}}, nil
	}
	db, err := sqldb.OpenCopy(ctx, path)
	if err != nil {
		return n, Report{}, fmt.Errorf("prove backup: %w", err)
	}
	open := func() (*fsblob.Store, error) { return fsblob.OpenSealed(filepath.Join(cfg.Dir, BackupBlobs), cfg.Keys) }
	if cfg.Keys == nil {
		open = func() (*fsblob.Store, error) { return fsblob.Open(filepath.Join(cfg.Dir, BackupBlobs)) }
	}
	blobs, err := open()
	if err != nil {
		return n, Report{}, errors.Join(fmt.Errorf("prove backup: %w", err), db.Close())
	}
	what := Config{DB: db, Blobs: blobs, CA: cfg.CA}
	if cfg.Checkpoints != nil {
		if what.Checkpoints, err = cfg.Checkpoints(db); err != nil {
			return n, Report{}, errors.Join(fmt.Errorf("prove backup: %w", err), db.Close())
		}
	}
	r, err := Run(ctx, what, progress)
	return n, r, errors.Join(err, db.Close())
}

// databaseOf returns the path of a backup's database and the SHA-256 that it has.
func databaseOf(dir string, n Note) (path, sum string, err error) {
	if n.Database == "" {
		return "", "", errors.New("its database is elsewhere")
	}
	path = filepath.Join(dir, BackupDB)
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	d, _, err := digest.OfReader(f)
	return path, d.String(), errors.Join(err, f.Close())
}

// RestoreDB puts the database of the backup in dir into db, which must be empty
// ([sqldb.ErrNotEmpty]) and may be of the other kind. The bytes are those of the note, and
// the ledger is proved again and ends where the note says.
func RestoreDB(ctx context.Context, db *sqldb.DB, dir string) (Note, error) {
	n, err := ReadNote(dir)
	if err != nil {
		return Note{}, err
	}
	path, sum, err := databaseOf(dir, n)
	if err == nil && sum != n.SHA256 {
		err = fmt.Errorf("%q has SHA-256 %s, the backup's note says %s", path, sum, n.SHA256)
	}
	if err == nil {
		err = db.Load(ctx, path)
	}
	if err == nil {
		var now Note
		if err = now.readLedgers(ctx, db); err == nil && !maps.Equal(now.heads(), n.heads()) {
			err = errors.New("the ledgers do not end where the backup's note says; run fsck")
		}
	}
	if err != nil {
		return Note{}, fmt.Errorf("restore database: %w", err)
	}
	return n, nil
}

func (n Note) heads() map[string]NoteHead {
	m := map[string]NoteHead{}
	for _, h := range n.Ledgers {
		m[h.OrganisationID] = h
	}
	return m
}

// BackupChanged means that a file of a backup is not what was written.
const BackupChanged Code = "backup_changed"
