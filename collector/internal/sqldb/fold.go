package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

const (
	// foldAfter is how long after a commit the write-ahead log is folded into the database.
	foldAfter = 2 * time.Second
	// foldNow is the length of the log, in pages of 4 KiB, from which commits wait for it to
	// be folded in whole (64 MiB): under a load that never ends it would grow for ever.
	foldNow = 16384
)

// folding folds SQLite's write-ahead log into the database beside the transactions. SQLite
// by itself has the commit do it that makes the log too long, and who waits for that one
// commit waits for the whole database to be synced: an order to isolate a thousand PCs took
// a quarter longer when it was the one. A log that is not folded in loses nothing, it is
// durable from the commit on (sqlite.org/wal.html, 2.2).
//
// A nil one does nothing.
type folding struct {
	db   *sql.DB
	kick chan struct{}
	end  func() // stops it and waits
}

// startFolding begins to fold the log of the database at path. The connection that commits
// must have wal_autocheckpoint(0).
func startFolding(path string) (*folding, error) {
	// It gives way: 100 ms are the longest that a commit waits for readers because of it.
	db, err := sql.Open("sqlite", sqliteDSN(path, "deferred", "busy_timeout(100)", "synchronous(FULL)"))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.Background())
	f := &folding{db: db, kick: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx) })
	f.end = func() { cancel(); wg.Wait() }
	return f, nil
}

// committed tells that the log has grown.
func (f *folding) committed() {
	if f == nil {
		return
	}
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *folding) run(ctx context.Context) {
	for {
		select {
		case <-f.kick:
		case <-ctx.Done():
			return
		}
		wait := time.NewTimer(foldAfter)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		// What commits from here on is folded in the next time.
		select {
		case <-f.kick:
		default:
		}
		if long, err := f.fold(ctx, "PASSIVE"); err == nil && long >= foldNow {
			_, _ = f.fold(ctx, "RESTART")
		}
		// What fails is done again after the next commit, which fails for the same reason
		// (a full or broken disk) and tells somebody.
	}
}

// fold folds in what can be without waiting (PASSIVE) or all of it (RESTART), and returns
// how long the log is, in pages. (sqlite.org/pragma.html#pragma_wal_checkpoint)
func (f *folding) fold(ctx context.Context, mode string) (long int, err error) {
	var busy, folded int
	err = f.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &long, &folded)
	if err != nil {
		return 0, fmt.Errorf("fold write-ahead log: %w", err)
	}
	return long, nil
}

func (f *folding) close() error {
	if f == nil {
		return nil
	}
	f.end()
	return f.db.Close()
}
