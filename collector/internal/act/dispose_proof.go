package act

import (
	"context"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// DisposalProof is what the ledger says of the disposal of an exhibit: that it was ordered, with
// every digest, and that the bytes are gone.
type DisposalProof struct {
	IncidentID string
	Ordered    time.Time
	Entry      int64 // index of the entry of the order
	By         string
	Reason     string
	Bytes      []string  // a line of each file: SHA-256, size, number, name; of a file that a person sent its SHA-256
	Finished   time.Time // zero: not all bytes are known to be gone
	EndEntry   int64
	Removed    int      // files whose bytes were removed
	Kept       []string // SHA-256 of bytes that stayed because other evidence has them too
}

// DisposalProof returns the proof of the disposal of an exhibit; [ErrNotFound] while there is none.
func (s *Acts) DisposalProof(ctx context.Context, a Actor, idOrNumber string) (DisposalProof, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (DisposalProof, error) {
		var p DisposalProof
		x, _, err := s.exhibit(ctx, q, a.OrganisationID, idOrNumber)
		if err != nil {
			return p, err
		}
		p.IncidentID = x.IncidentID
		found := false
		for _, act := range []string{exhibit.Dispose.Act(), evidence.ActDisposed} {
			list, err := ledger.Entries(ctx, q, ledger.Filter{OrganisationID: a.OrganisationID, Subject: x.ID, Act: act, Limit: 1})
			if err != nil || len(list) == 0 {
				if err != nil {
					return p, err
				}
				continue
			}
			switch e := list[0]; act {
			case evidence.ActDisposed:
				p.Finished, p.EndEntry = e.At, e.Index
				p.Removed, _ = strconv.Atoi(e.Details["removed"]) // the ledger writes it
				p.Kept = strings.Fields(e.Details["kept"])
			default:
				found = true
				p.Ordered, p.Entry, p.By, p.Reason = e.At, e.Index, e.ActorName, e.Details["purpose"]
				lines := strings.Split(strings.TrimSuffix(e.Details[evidence.DisposalBlobs], "\n"), "\n")
				p.Bytes = lines[1:]
				if h := e.Details["hash_before"]; h != "" && x.Upload != nil {
					p.Bytes = []string{h}
				}
			}
		}
		if !found {
			return p, ErrNotFound
		}
		return p, nil
	})
}
