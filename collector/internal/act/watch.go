package act

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/watch"
	"hozen/internal/capability"
)

// Watch says whether the watch itself is alive: what of the endpoints and of the collector
// somebody should see to, what is urgent first.
func (s *Acts) Watch(ctx context.Context, a Actor) ([]watch.Concern, error) {
	return read(ctx, s, a, mayWatch, func(q sqldb.Queryer, a Actor) ([]watch.Concern, error) {
		pcs, c, err := s.watched(ctx, q, a.OrganisationID)
		if err != nil {
			return nil, err
		}
		return watch.Look(s.now(), pcs, c), nil
	})
}

// watched is what there is to look at of one organisation, and of the collector.
func (s *Acts) watched(ctx context.Context, q sqldb.Queryer, organisationID string) (pcs []watch.PC, c watch.Collector, err error) {
	list, err := endpoint.List(ctx, q, organisationID)
	if err != nil {
		return nil, c, err
	}
	for _, e := range list {
		if e = s.asOfNow(e); !e.RevokedAt.IsZero() || e.Origin == endpoint.ByKit {
			continue
		}
		name := e.Label
		if name == "" {
			name = e.Hostname
		}
		pcs = append(pcs, watch.PC{ID: e.ID, Name: name, Enrolled: e.EnrolledAt, LastSeen: e.LastSeenAt, Online: e.Online,
			Outdated: e.Capability < uint32(capability.Current), Offset: e.ClockOffset,
			Incapable: !e.Isolation.ReceivedAt.IsZero() && !e.Isolation.Capable,
			NoWayHome: e.Isolation.Observed == endpoint.Isolated && !e.Isolation.WayHome})
	}
	if s.care != nil {
		c = s.care()
	}
	c.OwnSteps = s.own.problem
	return pcs, c, nil
}

// BackUpByClock is [Acts.Backup] on nobody's behalf.
func (s *Acts) BackUpByClock(ctx context.Context, dir string) error {
	return s.Backup(ctx, Actor{Kind: BySystem}, dir)
}

// ProveBackupByClock is [Acts.ProveBackup] on nobody's behalf.
func (s *Acts) ProveBackupByClock(ctx context.Context, dir string) (fsck.Report, error) {
	return s.ProveBackup(ctx, Actor{Kind: BySystem}, dir)
}

// ProveBackup restores the backup in a folder as far as that goes without a place to put it.
// That it was tried, and what was found, is in the ledger.
func (s *Acts) ProveBackup(ctx context.Context, a Actor, dir string) (fsck.Report, error) {
	if _, err := s.identify(ctx, s.db.Read(), a, mayBackUp); err != nil {
		return fsck.Report{}, err
	}
	if s.restored == nil {
		return fsck.Report{}, fmt.Errorf("prove backup: %w", errors.ErrUnsupported)
	}
	r, err := s.restored(ctx, dir)
	if err != nil {
		return fsck.Report{}, err
	}
	err = s.write(ctx, a, mayBackUp, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, "collector.prove_backup", d.actor.OrganisationID, map[string]string{"dir": dir, "problems": strconv.Itoa(len(r.Problems)),
			"entries": strconv.FormatInt(r.Entries, 10), "blobs": strconv.Itoa(r.Blobs)})
		return err
	})
	return r, err
}
