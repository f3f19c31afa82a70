// Package journal keeps what an agent has promised and must not forget: commands that
// it acknowledged, their results, the PC user's alerts and what happened to an
// isolation, until the collector has them. It knows nothing of gRPC nor of how a command is carried out.
//
// It is one file of lines, each a checksum and a JSON object. A line is written before
// its promise is given, so that no crash of the agent undoes it, and synced before
// anything is done on the strength of it, so that a power cut does not either. The
// one thing that a power cut can undo, for the milliseconds between the two, is a
// command that was acknowledged and not begun; the collector sends such a command
// again at the next connection. Waiting for the disk before each acknowledgement
// would put an operator's click behind the evidence that is being written.
//
// A last line that is not whole was never promised and is cut off; a damaged line
// further up is passed over and counted. Command counters that such a line may have held
// count as not passed, so that a command that a power cut took is done when it comes again,
// but for an order about the network that a later one has overtaken.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"hozen/internal/crashpoint"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// The errors on which callers act.
var (
	// ErrCounter means that the command's counter was passed by another command.
	ErrCounter = errors.New("the counter of this command was passed already")
	// ErrFull means that too many commands or alerts wait.
	ErrFull = errors.New("too many commands or alerts wait")
	// ErrUnknown means that no such command or alert is known.
	ErrUnknown = errors.New("not in the journal")
)

// Limits, in things and bytes.
const (
	maxUnfinished  = 10_000
	maxAlerts      = 1_000
	maxEvents      = 1_000
	maxEventBytes  = 1 << 20
	maxWaiting     = 16 << 20 // of unfinished commands; beyond it none is taken in
	keepFinished   = 256      // confirmed results that are still told when the command comes again
	keepAlerts     = 64
	maxFile        = 64 << 20
	compactAt      = 1 << 20
	compactSurplus = 4 // times what must be kept

	ballastSuffix = ".reserve"
	ballastSize   = 512 << 10
)

// Config is the manual of the journal.
type Config struct {
	// Path is the file; its folder is made with mode 0700 when absent.
	Path string
	// Log hears of damage. Optional.
	Log *slog.Logger
}

// file is what the journal needs of an open file.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err // not a file that is a nil pointer
	}
	return f, nil
}

// Journal is safe for concurrent use. Only one process may have it open.
type Journal struct {
	cfg Config

	accept  sync.Mutex   // held while a command or an alert is taken in
	replace sync.RWMutex // held for writing while the file is replaced

	mu     sync.Mutex
	s      state
	file   file
	open   func(path string) (file, error)
	size   int64
	broken bool // the file holds what was not promised, or lacks what was: rewrite it first
	closed bool
}

// Open reads the journal, repairs it and makes it ready. Damage is logged and never
// an error: a PC in trouble must not lose its agent over an old file.
func Open(cfg Config) (*Journal, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	b, err := read(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{cfg: cfg, s: newState(), open: openFile}
	bad := j.s.replay(b)
	if bad > 0 {
		cfg.Log.Error("journal is damaged", slog.Int("lines", bad))
	}
	err = j.renew(b, bad) // nobody else knows of j yet
	if err != nil && (j.jettison() && j.renew(b, bad) == nil || j.goOn(b) == nil) {
		cfg.Log.Error("journal could not be written anew", slog.Any("error", err))
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.ballast()
	return j, nil
}

// renew replaces the file that holds b, bad lines of which are damaged.
func (j *Journal) renew(b []byte, bad int) error {
	if bad > 0 {
		// What cannot be read may still be evidence of what happened.
		if err := durable.WriteFile(j.cfg.Path+".damaged", b, 0o600); err != nil {
			return err
		}
	}
	return j.rewrite()
}

// goOn uses the file that holds b as it is, without its torn end. It needs no room:
// an isolated PC whose disk is full must not lose its agent at the next boot.
func (j *Journal) goOn(b []byte) error {
	whole := int64(bytes.LastIndexByte(b, '\n') + 1)
	if err := os.Truncate(j.cfg.Path, whole); err != nil {
		return err
	}
	f, err := j.open(j.cfg.Path)
	if err != nil {
		return err
	}
	j.file, j.size, j.broken = f, whole, false
	return nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// Close lets go of the file. What was promised stays.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return j.file.Close()
}

// Accept keeps a command and returns it with the name of its evidence. A
// command that is known already is returned as it stands, with fresh false. The
// error wraps ErrCounter for a command that may not be carried out any more.
func (j *Journal) Accept(c Command) (e Entry, fresh bool, err error) {
	j.accept.Lock()
	defer j.accept.Unlock()
	old, passed, full := j.look(c)
	if old != nil {
		return *old, false, nil
	}
	if passed {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, ErrCounter)
	}
	if full {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, ErrFull)
	}
	c.AcquisitionID = id.New(id.Acquisition)
	if err := j.append(crashpoint.JournalCommand, line{Command: &c}, false); err != nil {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, err)
	}
	return Entry{Command: c}, true, nil
}

// look returns what is known of a command, whether its counter was passed, and whether
// there is no room for a further command.
func (j *Journal) look(c Command) (known *Entry, passed, full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.s.commands[c.ID]; e != nil {
		known = &Entry{}
		*known = *e
	}
	n, size := j.s.unfinished()
	return known, j.s.passed(c.Counter), n >= maxUnfinished || size >= maxWaiting
}

// Counter returns the highest counter that was ever accepted.
func (j *Journal) Counter() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s.counter
}

// Start notes durably that a command is about to be carried out, and with it the
// command.
func (j *Journal) Start(commandID string) error {
	return j.about(commandID, crashpoint.JournalStart, line{Started: commandID}, true)
}

// Finish keeps the result of a command durably. The first result counts.
func (j *Journal) Finish(r Result) error {
	if e, _, _ := j.look(Command{ID: r.CommandID}); e != nil && e.Result != nil {
		return nil
	}
	return j.about(r.CommandID, crashpoint.JournalResult, line{Result: &r}, true)
}

// Confirm notes that the collector has the result of a command. A power cut may undo
// it; then the result is sent once more.
func (j *Journal) Confirm(commandID string) error {
	if e, _, _ := j.look(Command{ID: commandID}); e == nil || e.Confirmed {
		return nil // a result that was never kept, or a second confirmation
	}
	return j.about(commandID, crashpoint.JournalConfirm, line{Confirmed: commandID}, false)
}

func (j *Journal) about(commandID, point string, l line, durable bool) error {
	if e, _, _ := j.look(Command{ID: commandID}); e == nil {
		return fmt.Errorf("note command %.60q: %w", commandID, ErrUnknown)
	}
	if err := j.append(point, l, durable); err != nil {
		return fmt.Errorf("note command %s: %w", commandID, err)
	}
	return nil
}

// Unfinished returns the commands without result, in the order of their counters.
func (j *Journal) Unfinished() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s.list(func(e *Entry) bool { return e.Result == nil })
}

// Unconfirmed returns the results that the collector does not have, in the order of
// the counters.
func (j *Journal) Unconfirmed() []Result {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Result
	for _, e := range j.s.list(func(e *Entry) bool { return e.Result != nil && !e.Confirmed }) {
		out = append(out, *e.Result)
	}
	return out
}

// AddAlert keeps an alert durably; when it returns nil it will be sent.
func (j *Journal) AddAlert(a Alert) error {
	j.accept.Lock()
	defer j.accept.Unlock()
	j.mu.Lock()
	known, open := j.s.alerts[a.ID] != nil, j.s.openAlerts()
	j.mu.Unlock()
	if known {
		return nil
	}
	if open >= maxAlerts {
		return fmt.Errorf("keep alert: %w", ErrFull)
	}
	if err := j.append(crashpoint.JournalAlert, line{Alert: &a}, true); err != nil {
		return fmt.Errorf("keep alert: %w", err)
	}
	return nil
}

// ConfirmAlert notes that the collector has an alert.
func (j *Journal) ConfirmAlert(r AlertReceipt) error {
	j.mu.Lock()
	a := j.s.alerts[r.AlertID]
	settled := a == nil || a.receipt != nil
	j.mu.Unlock()
	if settled {
		return nil
	}
	if err := j.append(crashpoint.JournalConfirm, line{AlertReceipt: &r}, false); err != nil {
		return fmt.Errorf("note receipt of alert: %w", err)
	}
	return nil
}

// Alerts returns the alerts that the collector does not have, oldest first.
func (j *Journal) Alerts() []Alert {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s.listAlerts()
}

// AlertReceipt returns the collector's word about an alert, or nil while there is
// none. The error wraps ErrUnknown for an alert that was never kept.
func (j *Journal) AlertReceipt(alertID string) (*AlertReceipt, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := j.s.alerts[alertID]
	if a == nil {
		return nil, fmt.Errorf("alert %.60q: %w", alertID, ErrUnknown)
	}
	return a.receipt, nil
}

// append writes one line and believes it; when durable, it is synced before. Syncs
// run beside each other, so that a command never waits for the record of another.
// It must be called without j.mu.
func (j *Journal) append(point string, l line, durable bool) error {
	crashpoint.Hit(point + ".before")
	if err := j.write(l, durable); err != nil {
		return err
	}
	crashpoint.Hit(point + ".after")
	return nil
}

func (j *Journal) write(l line, durable bool) error {
	b, err := l.encode()
	if err != nil {
		return err
	}
	for {
		if err := j.ready(); err != nil {
			return err
		}
		done, err := j.tryWrite(l, b, durable)
		if done && err != nil && j.jettison() {
			continue
		}
		if done {
			return err
		}
	}
}

// jettison takes the ballast away and reports whether there was any. A full disk must
// not keep a PC from being cut off the network.
func (j *Journal) jettison() bool { return os.Remove(j.cfg.Path+ballastSuffix) == nil }

// ballast takes up room on the disk that the journal can fall back on. Without room
// for it there is none, which is no trouble yet.
func (j *Journal) ballast() {
	path := j.cfg.Path + ballastSuffix
	if fi, err := os.Stat(path); err == nil && fi.Size() == ballastSize {
		return
	}
	if err := durable.WriteFile(path, make([]byte, ballastSize), 0o600); err != nil {
		j.cfg.Log.Warn("no room for the journal's reserve", slog.Any("error", err))
	}
}

// tryWrite reports done false when the file was found broken before anything was
// written: then it has to be replaced first.
func (j *Journal) tryWrite(l line, b []byte, durable bool) (done bool, err error) {
	j.replace.RLock() // until the sync is over the file is not replaced
	defer j.replace.RUnlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return true, os.ErrClosed
	}
	if j.broken {
		return false, nil
	}
	_, err = j.file.Write(b)
	j.size += int64(len(b))
	if err == nil && durable {
		j.mu.Unlock()
		err = j.file.Sync()
		j.mu.Lock()
		if err == nil && j.broken {
			err = errBroken // the system tells one of two that wait for a sync that it failed
		}
	}
	if err != nil {
		// The line may be there or not, whole or not, and it was not promised. After a
		// failed sync a file is written anew, never synced again.
		j.broken = true
		return true, err
	}
	j.s.apply(l, len(b))
	return true, nil
}

var errBroken = errors.New("another line could not be written")

// ready replaces the file if it is broken or holds too much that is settled.
func (j *Journal) ready() error {
	due := func() bool {
		return !j.closed && (j.broken || j.size > compactAt && j.size > compactSurplus*j.s.size())
	}
	j.mu.Lock()
	now := due()
	j.mu.Unlock()
	if !now {
		return nil
	}
	j.replace.Lock()
	defer j.replace.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !due() {
		return nil
	}
	if err := j.rewrite(); err != nil && (!j.jettison() || j.rewrite() != nil) {
		return err
	}
	return nil
}

// rewrite replaces the file by one that holds just what must be kept. Holds j.replace
// and j.mu.
func (j *Journal) rewrite() error {
	j.s.forget()
	b, err := j.s.encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(j.cfg.Path, b, 0o600); err != nil {
		j.broken = true
		return err
	}
	f, err := j.open(j.cfg.Path)
	if err != nil {
		j.broken = true
		return err
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			j.cfg.Log.Warn("close replaced journal", slog.Any("error", err))
		}
	}
	j.file, j.size, j.broken = f, int64(len(b)), false
	return nil
}
