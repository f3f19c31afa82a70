package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hozen/internal/crashpoint"
)

// Tx is a transaction that may write.
type Tx struct {
	tx      *sql.Tx
	dialect Dialect
	stmts   *statements // nil: none are kept
	texts   texts
	notes   map[any]any
	bound   map[any]any

	firsts   []first
	gathered []gathered // rows that wait
	lasts    []last
	writing  bool  // what waited
	failed   error // of writing them: the transaction is lost
}

// Note keeps what was read or written in this transaction under a key that a package
// made for itself, so that it need not be read again. Nothing of it outlives the
// transaction, or a part of it that is taken back.
func (t *Tx) Note(key, value any) {
	if t.notes == nil {
		t.notes = map[any]any{}
	}
	t.notes[key] = value
}

// Noted returns what [Tx.Note] kept, or nil.
func (t *Tx) Noted(key any) any { return t.notes[key] }

// Bound returns what [DB.Bind] gave, or nil.
func (t *Tx) Bound(key any) any { return t.bound[key] }

// ExecContext runs a statement.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.settle(ctx, query)
	if s := t.stmts.in(ctx, t.tx, query); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext runs a query; its rows must be closed before the next statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.settle(ctx, query)
	if s := t.stmts.in(ctx, t.tx, query); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query for one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.settle(ctx, query)
	if s := t.stmts.in(ctx, t.tx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
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

// What one commit carries, at most: so many transactions, or those that began within so
// long. Whoever waits for the first of them waits for all.
const (
	maxTogether  = 256
	togetherTime = 20 * time.Millisecond
)

// job is one transaction that somebody waits for.
type job struct {
	ctx   context.Context
	fn    func(ctx context.Context, tx *Tx) error
	taken bool // it runs or has run; guarded by DB.jobs
	done  chan struct{}

	// Valid after done.
	err      error
	panicked any
}

// Tx runs fn in a transaction and commits it, unless fn fails. Writing
// transactions are serialised: fn sees everything that went before it and
// nothing changes under it, so it must be short and wait for nothing but the
// database. On PostgreSQL it is run again when the server asks for it
// (serialization failure, deadlock): fn must have no effect outside of tx that
// can't be repeated. A failed commit may have committed; who needs to know asks.
//
// Transactions that wait for the same writer are committed together, each taken back
// alone if it fails: what a thousand endpoints say at once needs a few syncs of the disk
// and not a thousand. None is reported as done before the commit.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if ctx.Value(inTx{}) != nil {
		return ErrNested
	}
	j := &job{ctx: context.WithValue(ctx, inTx{}, true), fn: fn, done: make(chan struct{})}
	db.jobs.add(j)
	select {
	case db.writer <- struct{}{}:
		db.work(j)
		<-db.writer
	case <-j.done:
	case <-ctx.Done():
		if db.jobs.drop(j) {
			return fmt.Errorf("wait for the writer: %w", ctx.Err())
		}
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

// queue holds the transactions that nobody has begun yet, in the order of arrival.
type queue struct {
	mu   sync.Mutex
	jobs []*job
}

func (q *queue) add(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, j)
}

// drop takes a job out, unless it was begun.
func (q *queue) drop(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.taken {
		return false
	}
	q.jobs = slices.DeleteFunc(q.jobs, func(o *job) bool { return o == j })
	return true
}

// take returns the next job, nil when there is none.
func (q *queue) take() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return nil
	}
	j := q.jobs[0]
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	j.taken = true
	return j
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

// begun reports whether somebody has taken the job.
func (q *queue) begun(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return j.taken
}

// work carries out what waits, from the front, until it has come to own. The caller holds
// the writer.
func (db *DB) work(own *job) {
	for !db.jobs.begun(own) {
		first := db.jobs.take()
		if db.jobs.len() == 0 {
			db.alone(first)
			continue
		}
		db.together(first)
	}
}

// alone runs one job in a transaction of its own.
func (db *DB) alone(j *job) {
	defer close(j.done)
	defer func() { j.panicked = recover() }() // the writer goes on, whose goroutine this may not be
	j.err = db.again(j.ctx, func() error { return db.once(j.ctx, j.fn) })
}

// again repeats what PostgreSQL wants repeated.
func (db *DB) again(ctx context.Context, once func() error) error {
	for try := 1; ; try++ {
		err := once()
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

// errApart means that a transaction was taken back because one of its jobs failed.
var errApart = errors.New("one of several transactions failed")

// together runs first and what waits behind it in one transaction. Whoever stops waiting
// meanwhile stops nobody else: its job is carried out.
//
// Mostly all of them succeed, and savepoints cost as much as what is done between them;
// so there are none at first. When one fails all are taken back and run once more, each
// within its own.
func (db *DB) together(first *job) {
	jobs := []*job{first}
	ctx := context.WithoutCancel(first.ctx)
	err := db.again(ctx, func() error {
		begun := time.Now()
		return db.once(ctx, func(ctx context.Context, tx *Tx) error {
			for i := 0; i < maxTogether; i++ {
				if i == len(jobs) {
					if time.Since(begun) > togetherTime {
						break
					}
					j := db.jobs.take()
					if j == nil {
						break
					}
					jobs = append(jobs, j)
				}
				if !tx.run(jobs[i]) {
					continue
				}
				if err := jobs[i].err; retryable(err) {
					return err
				} else if err != nil || jobs[i].panicked != nil {
					return errApart
				}
			}
			if err := tx.Flush(ctx); err != nil && !retryable(err) {
				return errApart
			} else if err != nil {
				return err
			}
			return nil
		})
	})
	if errors.Is(err, errApart) {
		err = db.again(ctx, func() error {
			return db.once(ctx, func(_ context.Context, tx *Tx) error {
				for _, j := range jobs {
					if err := tx.within(j); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	for _, j := range jobs {
		if err != nil && j.err == nil && j.panicked == nil {
			j.err = err
		}
		close(j.done)
	}
}

// run runs a job and reports that it did: not if nobody waits for it any more.
func (t *Tx) run(j *job) (ran bool) {
	j.err, j.panicked = nil, nil
	if err := j.ctx.Err(); err != nil {
		j.err = fmt.Errorf("wait for the writer: %w", err)
		return false
	}
	ran = true
	defer func() { j.panicked = recover() }()
	j.err = t.cause(j.fn(context.WithoutCancel(j.ctx), t))
	return ran
}

// cause returns what fn failed of. When rows that waited could not be written, every later
// statement fails on PostgreSQL for that alone (25P02, in_failed_sql_transaction), and
// whether to run it again is told by the first fault.
func (t *Tx) cause(err error) error {
	if err == nil || t.failed == nil || errors.Is(err, errApart) {
		return err
	}
	return t.failed
}

// within runs a job so that it can be taken back alone. The error is of the whole
// transaction, that of the job is kept in it.
func (t *Tx) within(j *job) error {
	ctx := context.WithoutCancel(j.ctx)
	if _, err := t.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if t.run(j) && j.err == nil && j.panicked == nil {
		j.err = t.Flush(ctx)
	}
	if retryable(j.err) {
		return j.err
	}
	if j.err != nil || j.panicked != nil {
		t.forget()
		if _, err := t.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
			// Some faults, such as a full disk, take all of it back (sqlite.org/lang_transaction.html).
			return fmt.Errorf("roll back: %w", errors.Join(j.err, err))
		}
	}
	if _, err := t.ExecContext(ctx, "RELEASE job"); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	return nil
}

func (db *DB) once(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	db.stmts.prepare(ctx, db.write)
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer db.stmts.leave()
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
	t := &Tx{tx: tx, dialect: db.dialect, stmts: db.stmts, texts: db.texts, bound: db.bound}
	if err := fn(ctx, t); err != nil {
		return t.cause(err)
	}
	if err := t.Flush(ctx); err != nil {
		return err
	}
	crashpoint.Hit(crashpoint.DatabaseCommit + ".before")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	db.fold.committed()
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
