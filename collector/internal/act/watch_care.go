package act

import (
	"context"
	"fmt"
	"time"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/watch"
)

// cares are the urgent concerns of the collector itself that people are told of, by the word
// of the message. Who only opens the console in an incident would read of them too late.
func cares() map[watch.Code]string {
	return map[watch.Code]string{
		watch.Disk: "disk", watch.DiskUnknown: "disk",
		watch.BackupFailed: "backup", watch.BackupLateCode: "backup", watch.BackupMissing: "backup", watch.BackupBad: "backup",
		watch.Certificate: "certificate", watch.CA: "certificate",
	}
}

// tellCare tells that the disk is nearly full, that backups failed, are late or cannot be read
// back, and that a certificate ends soon: once a day for each while it is so, of certificates
// once a week.
func (s *Acts) tellCare(ctx context.Context, w *noticeWatch, organisationID string) error {
	if s.care == nil {
		return nil
	}
	now := s.now()
	for _, c := range watch.Look(now, nil, s.care()) {
		word, ok := cares()[c.Code]
		if !ok || !c.Urgent {
			continue
		}
		period := now.In(jst()).Format("2006-01-02")
		if word == "certificate" {
			year, week := now.In(jst()).ISOWeek()
			period = fmt.Sprintf("%d-W%02d", year, week)
		}
		key := string(notify.CollectorCare) + " " + word + " " + period
		if mark := organisationID + " " + key; !w.care[mark] {
			err := s.announceAlone(ctx, notify.Event{Kind: notify.CollectorCare, OrganisationID: organisationID, Path: "/watch", Key: key, Care: word})
			if err != nil {
				return err
			}
			w.care[mark] = true
		}
	}
	return nil
}

// jst is the zone in which days are counted; Japan has no summer time.
func jst() *time.Location { return time.FixedZone("JST", 9*60*60) }
