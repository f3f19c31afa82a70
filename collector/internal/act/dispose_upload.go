package act

import (
	"context"
	"log/slog"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// exceptUploads takes bytes out of those that go which a file has that a person sent and that
// is kept.
func exceptUploads(ctx context.Context, q sqldb.Queryer, gone, shared []digest.Digest) (goes, stays []digest.Digest, err error) {
	for _, d := range gone {
		kept, err := keptUpload(ctx, q, d.String(), "")
		if err != nil {
			return nil, nil, err
		}
		if kept {
			shared = append(shared, d)
		} else {
			goes = append(goes, d)
		}
	}
	return goes, shared, nil
}

// keptUpload reports whether another file that a person sent has these bytes and keeps them:
// because it is not disposed of, or because a legal hold stopped its disposal.
func keptUpload(ctx context.Context, q sqldb.Queryer, sha256, except string) (bool, error) {
	list, err := record.SameUploads(ctx, q, sha256)
	if err != nil {
		return false, err
	}
	for _, u := range list {
		if u.ID == except {
			continue
		}
		if u.DisposedAt.IsZero() {
			return true, nil
		}
		if held, err := heldNow(ctx, q, u.OrganisationID, u.IncidentID); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

// uploadGone tells which bytes go with a file that a person sent, and whether other evidence
// has the same, so that they stay.
func uploadGone(ctx context.Context, q sqldb.Queryer, u record.Upload) (digest.Digest, bool, error) {
	d, err := digest.Parse(u.SHA256)
	if err != nil {
		return d, false, err
	}
	kept, err := keptUpload(ctx, q, u.SHA256, u.ID)
	if kept || err != nil {
		return d, kept, err
	}
	kept, err = evidence.HasBytes(ctx, q, u.SHA256)
	return d, kept, err
}

// removeUpload removes the bytes of a file within the transaction that confirms it; see
// [Acts.remove].
func (s *Acts) removeUpload(ctx context.Context, store blob.Remover, u record.Upload) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: u.OrganisationID}
		held, err := heldNow(ctx, d.tx, u.OrganisationID, u.IncidentID)
		if err != nil {
			return err
		}
		if held { // it came after the order
			s.log.WarnContext(ctx, "a disposal waits for the end of a legal hold; the file stays", slog.String("exhibit", u.Exhibit))
			return nil
		}
		sum, shared, err := uploadGone(ctx, d.tx, u)
		if err != nil {
			return err
		}
		facts := map[string]string{"number": u.Exhibit, "upload": u.ID, "removed": "1"}
		if shared {
			facts["removed"], facts["kept"] = "0", sum.String() // other evidence has the same bytes
		} else if err := store.Remove(ctx, sum); err != nil {
			return err
		}
		if _, err := d.record(ctx, evidence.ActDisposed, u.ExhibitID, facts); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventIncident, IncidentID: u.IncidentID})
		return record.RemovedUpload(ctx, d.tx, u.ID, d.now)
	})
}
