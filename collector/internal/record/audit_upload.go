package record

import (
	"context"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries on the disposal of a file; see package evidence.
const (
	actDispose  = "custody.dispose"  // subject: the exhibit
	actDisposed = "custody.disposed" // with the file's identifier
)

// AuditUploads holds the files that people sent or began to send against the ledger, by
// organisation. q is one unchanging view. The error is only about not being able to look.
func AuditUploads(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "record_upload", []string{"organisation_id", "id", "incident_id", "file", "announced", "begun_id", "begun_by", "begun_at", "exhibit_id", "exhibit", "size", "sha256",
		"received_at", "ledger_idx", "disposed_at", "removed_at"}, func(r map[string]string) (string, string) { return r["id"], r["id"] })
	if err != nil {
		return nil, fmt.Errorf("audit files that people sent: %w", err)
	}
	of, err := ledger.ByOrganisation(ctx, q, rows, func(r ledger.Row) string { return r.OrganisationID })
	found := map[string][]ledger.Difference{}
	for org, rows := range of {
		uploads := map[string]string{} // by exhibit
		if err == nil {
			err = ledger.Walk(ctx, q, org, []string{ActUpload}, func(e ledger.Recorded) { uploads[e.Details["exhibit_id"]] = e.Subject })
		}
		if err == nil {
			found[org], err = ledger.Standing(ctx, q, org, []string{ActBegin, ActUpload, ActForget, actDispose, actDisposed}, rows, func(e ledger.Recorded) []ledger.Told {
				return toldOfUploads(e, uploads)
			})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit files that people sent: %w", err)
	}
	return found, nil
}

func toldOfUploads(e ledger.Recorded, uploads map[string]string) []ledger.Told {
	t := ledger.Told{Key: e.Subject}
	switch at := sqldb.FormatTime(e.Told); e.Act {
	case ActBegin:
		t.Made = true
		t.Is = map[string]string{"id": e.Subject, "incident_id": e.Details["incident_id"], "file": e.Details["file"], "announced": e.Details["announced"], "begun_id": e.ActorID, "begun_by": e.ActorName,
			"begun_at": at, "exhibit_id": "", "exhibit": "", "received_at": "", "ledger_idx": "0", "disposed_at": "", "removed_at": ""}
		t.Some = []string{"sha256", "size"} // they are noted before the file is received
	case ActUpload:
		t.Is = map[string]string{"received_at": at, "ledger_idx": fmt.Sprint(e.Index)}
		for _, column := range []string{"incident_id", "file", "exhibit_id", "exhibit", "size", "sha256"} {
			t.Is[column] = e.Details[column]
		}
	case ActForget:
		t.Gone = true
	case actDispose:
		t.Key, t.Is = uploads[e.Subject], map[string]string{"disposed_at": at}
	case actDisposed:
		t.Key, t.Is = e.Details["upload"], map[string]string{"removed_at": at}
	}
	if t.Key == "" {
		return nil
	}
	return []ledger.Told{t}
}
