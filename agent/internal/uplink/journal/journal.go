// Package journal keeps what an agent has promised and must not forget: commands that
// it acknowledged, their results, and the PC user's alerts, until the collector has
// them. It knows nothing of gRPC nor of how a command is carried out.
//
// It is one file of lines, each a checksum and a JSON object. A line is synced before
// the promise is given. A last line that is not whole was never promised and is cut
// off; a damaged line further up is passed over and counted.
package journal

import (
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
	keepFinished   = 256 // confirmed results that are still told when the command comes again
	keepAlerts     = 64
	maxFile        = 64 << 20
	compactAt      = 1 << 20
	compactSurplus = 4 // times what must be kept
)

// Config is the manual of the journal.
type Config struct {
	// Path is the file; its folder is made with mode 0700 when absent.
	Path string
	// Log hears of damage. Optional.
	Log *slog.Logger
}

// Journal is safe for concurrent use. Only one process may have it open.
type Journal struct {
	cfg Config

	mu     sync.Mutex
	s      state
	file   *os.File
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
	j := &Journal{cfg: cfg, s: newState()}
	if bad := j.s.replay(b); bad > 0 {
		cfg.Log.Error("journal is damaged", slog.Int("lines", bad))
		// What cannot be read may still be evidence of what happened.
		if err := durable.WriteFile(cfg.Path+".damaged", b, 0o600); err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
	}
	if err := j.rewrite(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return j, nil
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

// Accept keeps a command durably and returns it with the name of its evidence. A
// command that is known already is returned as it stands, with fresh false. The
// error wraps ErrCounter for a command that may not be carried out any more.
func (j *Journal) Accept(c Command) (e Entry, fresh bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.s.commands[c.ID]; old != nil {
		return *old, false, nil
	}
	if c.Counter <= j.s.counter {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, ErrCounter)
	}
	if j.s.unfinished() >= maxUnfinished {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, ErrFull)
	}
	c.AcquisitionID = id.New(id.Acquisition)
	if err := j.append(crashpoint.JournalCommand, line{Command: &c}); err != nil {
		return Entry{}, false, fmt.Errorf("accept command %s: %w", c.ID, err)
	}
	return *j.s.commands[c.ID], true, nil
}

// Start notes that a command is about to be carried out.
func (j *Journal) Start(commandID string) error {
	return j.about(commandID, crashpoint.JournalStart, line{Started: commandID})
}

// Finish keeps the result of a command durably. The first result counts.
func (j *Journal) Finish(r Result) error {
	j.mu.Lock()
	e := j.s.commands[r.CommandID]
	finished := e != nil && e.Result != nil
	j.mu.Unlock()
	if finished {
		return nil
	}
	return j.about(r.CommandID, crashpoint.JournalResult, line{Result: &r})
}

// Confirm notes that the collector has the result of a command.
func (j *Journal) Confirm(commandID string) error {
	j.mu.Lock()
	e := j.s.commands[commandID]
	j.mu.Unlock()
	if e == nil || e.Confirmed {
		return nil // a result that was never kept, or a second confirmation
	}
	return j.about(commandID, crashpoint.JournalConfirm, line{Confirmed: commandID})
}

func (j *Journal) about(commandID, point string, l line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.s.commands[commandID] == nil {
		return fmt.Errorf("note command %.60q: %w", commandID, ErrUnknown)
	}
	if err := j.append(point, l); err != nil {
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
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.s.alerts[a.ID] != nil {
		return nil
	}
	if j.s.openAlerts() >= maxAlerts {
		return fmt.Errorf("keep alert: %w", ErrFull)
	}
	if err := j.append(crashpoint.JournalAlert, line{Alert: &a}); err != nil {
		return fmt.Errorf("keep alert: %w", err)
	}
	return nil
}

// ConfirmAlert notes that the collector has an alert.
func (j *Journal) ConfirmAlert(r AlertReceipt) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := j.s.alerts[r.AlertID]
	if a == nil || a.receipt != nil {
		return nil
	}
	if err := j.append(crashpoint.JournalConfirm, line{AlertReceipt: &r}); err != nil {
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

// append writes one line, syncs it and then believes it. Holds j.mu.
func (j *Journal) append(point string, l line) error {
	if j.closed {
		return os.ErrClosed
	}
	crashpoint.Hit(point + ".before")
	if j.broken || j.size > compactAt && j.size > compactSurplus*j.s.size() {
		if err := j.rewrite(); err != nil {
			return err
		}
	}
	b, err := l.encode()
	if err != nil {
		return err
	}
	_, err = j.file.Write(b)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// The line may be there or not, whole or not, and it was not promised. After a
		// failed sync a file is written anew, never synced again.
		j.broken = true
		return err
	}
	j.size += int64(len(b))
	j.s.apply(l)
	crashpoint.Hit(point + ".after")
	return nil
}

// rewrite replaces the file by one that holds just what must be kept. Holds j.mu.
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
	f, err := os.OpenFile(j.cfg.Path, os.O_WRONLY|os.O_APPEND, 0o600)
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
