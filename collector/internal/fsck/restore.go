package fsck

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// ProveConfig says which backup is proved, and with what.
type ProveConfig struct {
	Dir  string
	Keys *atrest.Ring // of the key file, as it is needed to restore
	CA   *x509.Certificate
}

// Prove restores a backup as far as that goes without a place to put it: the copied database
// is opened, everything in it is proved as [Run] does, and every copied byte of evidence is
// decrypted and hashed. It writes nothing. A backup without a database (PostgreSQL's own
// tools copy that) is [errors.ErrUnsupported].
func Prove(ctx context.Context, cfg ProveConfig, progress func(step string, done, total int)) (Note, Report, error) {
	n, err := ReadNote(cfg.Dir)
	if err != nil {
		return Note{}, Report{}, err
	}
	if n.Database == "" {
		return n, Report{}, fmt.Errorf("prove backup: its database is elsewhere: %w", errors.ErrUnsupported)
	}
	path := filepath.Join(cfg.Dir, BackupDB)
	f, err := os.Open(path)
	if err != nil {
		return n, Report{}, fmt.Errorf("prove backup: %w", err)
	}
	sum, _, err := digest.OfReader(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return n, Report{}, fmt.Errorf("prove backup: %w", err)
	}
	if sum.String() != n.SHA256 {
		return n, Report{Problems: []Problem{{Code: BackupChanged, Subject: BackupDB, Detail: "the database of the backup has SHA-256 " + sum.String() + ", its note says " + n.SHA256}}}, nil
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
	r, err := Run(ctx, Config{DB: db, Blobs: blobs, CA: cfg.CA}, progress)
	return n, r, errors.Join(err, db.Close())
}

// BackupChanged means that a file of a backup is not what was written.
const BackupChanged Code = "backup_changed"
