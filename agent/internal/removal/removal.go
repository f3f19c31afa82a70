// Package removal takes away what an agent kept on its PC when it is uninstalled: keys,
// settings and state. Evidence, reports and results that the collector did not confirm stay in
// a folder beside them, unless that is to go too. It knows nothing of services, of networks, nor of what the
// evidence says.
package removal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/durable"
)

// ErrNotOurs means that a folder is not an agent's: nothing in it is touched.
var ErrNotOurs = errors.New("it holds neither an agent's identity nor its evidence")

// aside is how the name goes on of what was moved away from a place of the agent's.
const aside = ".set-aside-"

// Config is what goes and what stays.
type Config struct {
	// Home is the folder that holds the others. Nothing outside of it is touched.
	Home string
	// State is the name in Home of the folder with keys and evidence.
	State string
	// Also are further names in Home that go.
	Also []string
	// Kept is the name in Home of the folder for evidence and reports that the collector did not
	// confirm; it is there and only administrators can use it.
	Kept string
	// Everything lets that evidence go too, and what an earlier removal kept.
	Everything bool
	// Log hears of what the spool finds odd. Optional.
	Log *slog.Logger
}

// Check fails with an error that wraps [ErrNotOurs] when a folder exists that is no
// agent's folder of state.
func Check(state string) error {
	list, err := os.ReadDir(state)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at folder of state: %w", err)
	}
	for _, e := range list {
		if e.IsDir() && (e.Name() == "identity" || e.Name() == spoolName) {
			return nil
		}
	}
	return fmt.Errorf("look at %s: %w", state, ErrNotOurs)
}

const (
	spoolName   = "spool"
	journalName = "journal" // the folder and the file in it
)

// Clear takes everything away and returns the names, in Config.Kept, of what stays. It moves
// that first: until all of it is there, nothing is deleted. The error wraps [spool.ErrInUse]
// while an agent runs. What could not be taken away is named in the error, and the rest is
// gone.
func Clear(cfg Config) (kept []string, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	move, err := cfg.unconfirmed()
	if err != nil {
		return nil, fmt.Errorf("look for evidence: %w", err)
	}
	for _, name := range move {
		from := filepath.Join(cfg.Home, cfg.State, spoolName, name)
		if err := durable.RenameNew(from, filepath.Join(cfg.Home, cfg.Kept, name)); err != nil {
			return kept, fmt.Errorf("keep evidence: %w", err)
		}
		kept = append(kept, name)
		if err := cfg.asEvidence(name); err != nil {
			return kept, fmt.Errorf("keep evidence: %w", err)
		}
	}
	name, err := cfg.keepJournal()
	if err != nil {
		return kept, fmt.Errorf("keep reports: %w", err)
	}
	if name != "" {
		kept = append(kept, name)
	}
	home, err := os.OpenRoot(cfg.Home)
	if err != nil {
		return kept, fmt.Errorf("open folder: %w", err)
	}
	defer home.Close()
	list, err := fs.ReadDir(home.FS(), ".")
	if err != nil {
		return kept, fmt.Errorf("list folder: %w", err)
	}
	var errs []error
	for _, e := range list {
		if cfg.goes(e.Name()) {
			errs = append(errs, home.RemoveAll(e.Name()))
		}
	}
	return kept, errors.Join(errs...)
}

// keepJournal puts the journal, if it holds reports, results or news of an isolation that the
// collector did not confirm, into a new folder in Config.Kept and returns its name. One that
// cannot be read stays too.
func (c Config) keepJournal() (name string, err error) {
	file := filepath.Join(c.Home, c.State, journalName, journalName)
	if _, err := os.Lstat(file); c.Everything || errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if j, err := journal.Open(journal.Config{Path: file, Log: c.Log}); err == nil {
		n := len(j.Alerts()) + len(j.Unconfirmed()) + len(j.Events())
		if err := j.Close(); err != nil || n == 0 {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(filepath.Join(c.Home, c.Kept), journalName+"-")
	if err != nil {
		return "", err
	}
	if err := durable.RenameNew(file, filepath.Join(dir, journalName)); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return filepath.Base(dir), nil
}

// asEvidence takes out of what is kept, if it is sealed, what only the spool needed: what
// remains has the format of evidence, but for artifacts that wait encrypted. Why a collector
// refused it is put beside it.
func (c Config) asEvidence(name string) error {
	dir := filepath.Join(c.Home, c.Kept, name)
	if _, err := os.Lstat(filepath.Join(dir, artifact.SignatureFile)); err != nil {
		return nil
	}
	err := os.Remove(filepath.Join(dir, "acquisition.json"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if rerr := durable.Rename(filepath.Join(dir, "refused.json"), dir+".refused.json"); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// goes reports whether a name in Home is to be taken away.
func (c Config) goes(name string) bool {
	if name == c.Kept {
		return c.Everything
	}
	return slices.ContainsFunc(append([]string{c.State}, c.Also...), func(n string) bool {
		return name == n || strings.HasPrefix(name, n+aside)
	})
}

// unconfirmed lists what in the spool is not known to be with the collector, what nobody
// understands included. Opening the spool shows whether an agent uses it.
func (c Config) unconfirmed() (names []string, err error) {
	dir := filepath.Join(c.Home, c.State, spoolName)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, KeepAfterReceipt: -1, Log: c.Log})
	if err != nil {
		return nil, err
	}
	received := map[string]bool{}
	for _, a := range s.List() {
		received[a.AcquisitionID] = a.State == spool.Received
	}
	if err := s.Close(); err != nil || c.Everything {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.IsDir() && !received[e.Name()] { // files in it are no evidence
			names = append(names, e.Name())
		}
	}
	return names, nil
}
