package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxStatements bounds the statements that are kept; texts beyond it are read anew each
// time.
const maxStatements = 256

// statements keeps what the writer of SQLite has made of the texts of statements, for
// reading them takes longer than carrying them out. PostgreSQL's driver does so itself.
// Only the goroutine that holds the writer's token uses it. All methods work on nil.
type statements struct {
	kept   map[string]*sql.Stmt
	bound  map[string]*sql.Stmt // to the transaction that runs
	missed []string             // texts that were met and are not kept yet
}

func newStatements() *statements {
	return &statements{kept: map[string]*sql.Stmt{}, bound: map[string]*sql.Stmt{}}
}

// prepare keeps what an earlier transaction missed: that cannot be done within one,
// which has the only connection.
func (s *statements) prepare(ctx context.Context, db *sql.DB) {
	if s == nil {
		return
	}
	for _, query := range s.missed {
		if s.kept[query] != nil || len(s.kept) >= maxStatements {
			continue
		}
		// A text that cannot be prepared fails again where it is used.
		if stmt, err := db.PrepareContext(ctx, query); err == nil {
			s.kept[query] = stmt
		}
	}
	s.missed = s.missed[:0]
}

// in returns the kept statement, bound to the transaction, or nil when there is none.
func (s *statements) in(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	if s == nil {
		return nil
	}
	if stmt := s.bound[query]; stmt != nil {
		return stmt
	}
	kept := s.kept[query]
	if kept == nil {
		if len(s.kept) < maxStatements && len(s.missed) < maxStatements {
			s.missed = append(s.missed, query)
		}
		return nil
	}
	stmt := tx.StmtContext(ctx, kept)
	s.bound[query] = stmt
	return stmt
}

// leave forgets what was bound to a transaction, which closed it.
func (s *statements) leave() {
	if s != nil {
		clear(s.bound)
	}
}

// close closes all.
func (s *statements) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, stmt := range s.kept {
		errs = append(errs, stmt.Close())
	}
	clear(s.kept)
	return errors.Join(errs...)
}

// reads is a pool for reading that keeps the statements it has met. It is safe for
// concurrent use.
type reads struct {
	db   *sql.DB
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

func newReads(db *sql.DB) *reads { return &reads{db: db, kept: map[string]*sql.Stmt{}} }

// QueryContext implements [Queryer].
func (r *reads) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := r.statement(ctx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return r.db.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [Queryer].
func (r *reads) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := r.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return r.db.QueryRowContext(ctx, query, args...)
}

// statement returns the kept statement, or nil when there is none.
func (r *reads) statement(ctx context.Context, query string) *sql.Stmt {
	r.mu.RLock()
	s, full := r.kept[query], len(r.kept) >= maxStatements
	r.mu.RUnlock()
	if s != nil || full {
		return s
	}
	made, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil // it fails again where it is used
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.kept[query]; s != nil || r.kept == nil {
		_ = made.Close() // somebody else was faster
		return s
	}
	r.kept[query] = made
	return made
}

func (r *reads) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.kept {
		errs = append(errs, s.Close())
	}
	r.kept = nil
	return errors.Join(errs...)
}
