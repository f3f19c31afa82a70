package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"hozen/agent/internal/spool"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// adopt moves the acquisitions that were made without the agent into its spool, before
// that is opened. A rename moves each as a whole, so a crash in between leaves it in
// the one place or in the other.
func adopt(state, into string, log *slog.Logger) error {
	from := aloneFolder(state)
	// Opening finishes what a power cut left half-done, and shows whether somebody is
	// still capturing there.
	s, err := openExisting(from, log)
	if s == nil || err != nil {
		return err
	}
	defer s.Close()
	if err := durable.MkdirAll(into, 0o700); err != nil {
		return err
	}
	var errs []error
	moved := 0
	for _, a := range s.List() {
		if id.Check(id.Acquisition, a.AcquisitionID) != nil {
			continue
		}
		err := durable.RenameNew(filepath.Join(from, a.AcquisitionID), filepath.Join(into, a.AcquisitionID))
		if errors.Is(err, fs.ErrExist) { // a crash came between the two names of a move in two steps
			err = os.RemoveAll(filepath.Join(from, a.AcquisitionID))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("take over %s: %w", a.AcquisitionID, err))
			continue
		}
		moved++
	}
	if moved > 0 {
		log.Info("took over what was captured without the agent", slog.Int("acquisitions", moved))
	}
	return errors.Join(errs...)
}

func openExisting(dir string, log *slog.Logger) (*spool.Spool, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := spool.Open(spool.Config{Dir: dir, Log: log})
	if errors.Is(err, spool.ErrInUse) {
		return nil, nil // next time
	}
	return s, err
}
