package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hozen/collector/internal/config"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/watch"
	"hozen/internal/durable"
)

const (
	// backupLook is how often it is looked whether a backup is due.
	backupLook = 10 * time.Minute
	// proveEvery is how often a backup is read back as a whole, which costs as much as
	// reading all evidence.
	proveEvery = 7 * 24 * time.Hour
	// provedFile in the data folder holds what came of that last.
	provedFile = "backup-proved.json"
)

// backupClock backs up by the clock and knows how that went.
type backupClock struct {
	cfg  config.Backup
	dir  string // the data folder
	acts backing
	log  *slog.Logger
	now  func() time.Time
	// began is when the collector began to run.
	began time.Time

	mu     sync.Mutex
	failed string // why the newest try failed; empty: it did not
	proved proved
}

// backing is what the clock does.
type backing interface {
	BackUpByClock(ctx context.Context, dir string) error
	ProveBackupByClock(ctx context.Context, dir string) (fsck.Report, error)
}

// proved is what came of reading a backup back.
type proved struct {
	Dir      string    `json:"dir"`
	At       time.Time `json:"at"`
	Problems int       `json:"problems"`
}

func newBackupClock(dir string, cfg config.Backup, acts backing, log *slog.Logger, now func() time.Time) *backupClock {
	b := &backupClock{cfg: cfg, dir: dir, acts: acts, log: log, now: now, began: now()}
	raw, err := os.ReadFile(filepath.Join(dir, provedFile))
	if err == nil {
		err = json.Unmarshal(raw, &b.proved)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("what came of proving the backup is not known", slog.Any("error", err))
	}
	if b.proved.Dir != cfg.Dir {
		b.proved = proved{} // of another folder
	}
	return b
}

// run backs up when it is time to, until ctx ends.
func (b *backupClock) run(ctx context.Context) {
	if b.cfg.Dir == "" {
		return
	}
	for {
		if err := b.tick(ctx); err != nil && ctx.Err() == nil {
			b.log.ErrorContext(ctx, "backup by the clock failed", slog.String("dir", b.cfg.Dir), slog.Any("error", err))
		}
		timer := time.NewTimer(backupLook)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// tick backs up and proves what is due.
func (b *backupClock) tick(ctx context.Context) error {
	err := b.due(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed = ""; err != nil {
		b.failed = err.Error()
	}
	return err
}

func (b *backupClock) due(ctx context.Context) error {
	if at := b.newest(); at.IsZero() || b.now().Sub(at) >= b.cfg.Every() {
		if err := b.acts.BackUpByClock(ctx, b.cfg.Dir); err != nil {
			return err
		}
		b.log.InfoContext(ctx, "backup made", slog.String("dir", b.cfg.Dir))
	}
	b.mu.Lock()
	last := b.proved.At
	b.mu.Unlock()
	if !last.IsZero() && b.now().Sub(last) < proveEvery {
		return nil
	}
	r, err := b.acts.ProveBackupByClock(ctx, b.cfg.Dir)
	if err != nil {
		return err
	}
	for _, p := range r.Problems {
		b.log.ErrorContext(ctx, "the backup is not right", slog.String("problem", p.String()))
	}
	p := proved{Dir: b.cfg.Dir, At: b.now().UTC(), Problems: len(r.Problems)}
	b.mu.Lock()
	b.proved = p
	b.mu.Unlock()
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(b.dir, provedFile), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep what came of proving the backup: %w", err)
	}
	return nil
}

// newest is when the newest complete backup was made; zero: there is none, its folder is not
// there, or an older version left the database out, which was on PostgreSQL.
func (b *backupClock) newest() time.Time {
	n, err := fsck.ReadNote(filepath.Join(b.cfg.Dir, backupData))
	if err != nil || n.Database == "" {
		return time.Time{}
	}
	return n.At
}

// care says how the collector is.
func (s *serving) care() watch.Collector {
	c := watch.Collector{CAUntil: s.ca.Certificate().NotAfter, BackupDir: s.cfg.Backup.Dir, BackupEvery: s.cfg.Backup.Every()}
	if cert := s.cert.Load(); cert != nil && cert.Leaf != nil {
		c.CertificateUntil = cert.Leaf.NotAfter
	}
	free, err := durable.Free(s.dir)
	c.FreeBytes, c.DiskFailed, c.DiskTight = free, err != nil, err == nil && free < s.tightBelow()
	if b := s.backups; b != nil && c.BackupDir != "" {
		c.BackupAt, c.Started = b.newest(), b.began
		b.mu.Lock()
		c.BackupFailed, c.ProvedAt, c.ProvedBad = b.failed, b.proved.At, b.proved.Problems
		b.mu.Unlock()
	}
	return c
}

// tightBelow is how many free bytes are too few to be easy about.
func (s *serving) tightBelow() uint64 { return 10 * uint64(s.cfg.Storage.MinFreeMB) * 1e6 }
