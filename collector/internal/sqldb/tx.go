package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hozen/internal/crashpoint"
)

// Tx is a transaction that may write.
type Tx struct {
	tx      *sql.Tx
	dialect Dialect
}

// ExecContext runs a statement.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a query; its rows must be closed before the next statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query for one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// ForUpdate ends a SELECT whose rows are to be locked: " FOR UPDATE" on
// PostgreSQL, nothing on SQLite, where the whole database is locked by then.
func (t *Tx) ForUpdate() string {
	if t.dialect == Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// writerLock is the key of the advisory lock that all writing transactions take on
// PostgreSQL, so that transactions follow one another there as they do on SQLite
// and an act may read, decide and write without a race. ("hozen" in ASCII)
const writerLock = 0x686f7a656e

// maxTries bounds how often a transaction is run again after another one's fault.
const maxTries = 10

type inTx struct{}

// Tx runs fn in a transaction and commits it, unless fn fails. Writing
// transactions are serialised: fn sees everything that committed before it and
// nothing changes under it, so it must be short and wait for nothing but the
// database. On PostgreSQL it is run again when the server asks for it
// (serialization failure, deadlock): fn must have no effect outside of tx that
// can't be repeated. A failed commit may have committed; who needs to know asks.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if ctx.Value(inTx{}) != nil {
		return ErrNested
	}
	ctx = context.WithValue(ctx, inTx{}, true)
	select {
	case db.writer <- struct{}{}:
		defer func() { <-db.writer }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	}
	for try := 1; ; try++ {
		err := db.once(ctx, fn)
		if err == nil || try == maxTries || !retryable(err) {
			return err
		}
		wait := time.NewTimer(rand.N(time.Duration(try) * 5 * time.Millisecond))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

func (db *DB) once(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() {
		// Also when fn panics. After a commit it does nothing.
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
	}()
	if db.dialect == Postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(writerLock)); err != nil {
			return fmt.Errorf("wait for the writer: %w", err)
		}
	}
	if err := fn(ctx, &Tx{tx: tx, dialect: db.dialect}); err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.DatabaseCommit + ".before")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	crashpoint.Hit(crashpoint.DatabaseCommit + ".after")
	return nil
}

// retryable reports PostgreSQL's class 40 (serialization_failure,
// deadlock_detected); appendix A of its manual.
func retryable(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "40001" || pe.Code == "40P01")
}

// ReadTx runs fn with one unchanging view of everything that is committed, for
// reading that takes several queries.
func (db *DB) ReadTx(ctx context.Context, fn func(ctx context.Context, q Queryer) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.dialect == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := db.read.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	err = fn(ctx, tx)
	if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
		err = errors.Join(err, rerr)
	}
	return err
}
