package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/fsck"
)

// Fsck proves again, from bytes, everything that is kept: ledger, evidence, receipts
// and blobs, and against what was signed of the ledger, here and in the checkpoints that
// somebody kept elsewhere. progress is optional. An error means that it could not look; what it
// found wrong is in the report. That somebody looked, and what was found, is recorded
// if the ledger still takes entries.
func (s *Acts) Fsck(ctx context.Context, a Actor, kept []checkpoint.Known, progress func(step string, done, total int)) (fsck.Report, error) {
	if _, err := s.identify(ctx, s.db.Read(), a, mayCheck); err != nil {
		return fsck.Report{}, err
	}
	problems, notes, outside, err := s.auditOutside(ctx)
	if err != nil {
		return fsck.Report{}, err
	}
	if s.checkpoints != nil {
		kept = append(slices.Clip(kept), outside...)
	}
	s.kept.RLock()
	r, err := fsck.Run(ctx, fsck.Config{DB: s.db, Blobs: s.evidence.Blobs, CA: s.ca.Certificate(), Verifier: s, Checkpoints: s.checkpoints, Sessions: &s.seals, Now: s.now, Kept: kept}, progress)
	s.kept.RUnlock()
	if err != nil {
		return fsck.Report{}, err
	}
	r.Problems, r.Notes = append(r.Problems, problems...), append(r.Notes, notes...)
	err = s.write(ctx, a, mayCheck, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "collector.fsck", d.actor.OrganisationID, map[string]string{"problems": strconv.Itoa(len(r.Problems)),
			"entries": strconv.FormatInt(r.Entries, 10), "blobs": strconv.Itoa(r.Blobs)})
		if err != nil {
			return err
		}
		return s.rechecked(ctx, d, r)
	})
	if err != nil {
		// The report matters more than its record, most of all when the ledger is broken.
		s.log.ErrorContext(ctx, "check not recorded", slog.Any("error", err))
	}
	return r, nil
}

// Backup copies everything into a folder that does not exist or holds an earlier
// backup. That it was made is in the ledger, and in the copy's ledger too.
func (s *Acts) Backup(ctx context.Context, a Actor, dir string) error {
	err := s.write(ctx, a, mayBackUp, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "collector.backup", d.actor.OrganisationID, map[string]string{"dir": dir})
		return err
	})
	if err != nil {
		return err
	}
	if s.backup == nil {
		return fmt.Errorf("back up: %w", errors.ErrUnsupported)
	}
	s.kept.RLock() // rows are copied before bytes; nothing may go between
	defer s.kept.RUnlock()
	return s.backup(ctx, dir)
}
