package console

import (
	"context"
	"errors"
	"io"

	"hozen/collector/internal/act"
	"hozen/collector/internal/console/records"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
)

// evidenceFrame is what stands above every view of a piece of evidence.
type evidenceFrame struct {
	Item     evidence.Item
	Endpoint string // name
	Incident string // number; empty when untied
	File     *records.File
	Missing  int64 // records that the manifest counts and the view does not show
	Siblings []evidence.Item
}

// readEvidence opens a piece of evidence for showing. The ledger gets an entry for
// each viewing by each person; turning pages within a quarter of an hour is one viewing.
func (s *server) readEvidence(v *visit, idOrNumber string) (evidenceFrame, error) {
	item, err := s.evidence.EvidenceItem(v.ctx(), v.actor, idOrNumber)
	if err != nil {
		return evidenceFrame{}, err
	}
	file, err := s.readRecords(v, item)
	if err != nil {
		return evidenceFrame{}, err
	}
	f := evidenceFrame{Item: item, File: file, Missing: max(item.Records-int64(file.Rows()), 0)}
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, item.EndpointID)
	if err != nil && !errors.Is(err, act.ErrNotFound) {
		return evidenceFrame{}, err
	}
	f.Endpoint = viewEndpoint(e, v.now).Name
	if item.IncidentID == "" {
		return f, nil
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, item.IncidentID)
	if err != nil {
		return evidenceFrame{}, err
	}
	f.Incident = i.Number
	all, err := s.evidence.Evidence(v.ctx(), v.actor, item.IncidentID)
	if err != nil {
		return evidenceFrame{}, err
	}
	for _, other := range all {
		if other.AcquisitionID == item.AcquisitionID {
			f.Siblings = append(f.Siblings, other)
		}
	}
	return f, nil
}

func (s *server) readRecords(v *visit, item evidence.Item) (*records.File, error) {
	key := v.operator.ID + " " + item.ID
	open := func() (io.ReadCloser, error) {
		_, r, err := s.evidence.OpenEvidence(v.ctx(), v.actor, item.ID, act.ToView)
		if err == nil {
			s.viewed.add(key, v.now)
		}
		return r, err
	}
	if !s.viewed.has(key, v.now) {
		// Opened for the right to look and for its ledger entry, even if the decoded
		// records are still kept for somebody else.
		r, err := open()
		if err != nil {
			return nil, err
		}
		first := r
		open = func() (io.ReadCloser, error) { return first, nil }
		defer r.Close()
	}
	f, err := s.records.Get(v.ctx(), item, open)
	if errors.Is(err, records.ErrScheme) {
		code := "scheme"
		if item.Kind.Form() != artifact.FormLines {
			code = "bytes"
		}
		return nil, &badRequest{status: 501, code: code}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, context.DeadlineExceeded
	}
	return f, err
}

// sibling returns the records of another kind from the same acquisition; nil when
// there are none, or when they may not be read: the page then says so.
func (s *server) sibling(v *visit, f evidenceFrame, kind artifact.Kind) (*evidence.Item, *records.File, error) {
	for _, item := range f.Siblings {
		if item.Kind == kind {
			file, err := s.readRecords(v, item)
			return &item, file, err
		}
	}
	return nil, nil, nil
}
