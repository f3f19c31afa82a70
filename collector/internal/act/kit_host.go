package act

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// hostIDs returns the endpoints whose newest evidence says that they have a machine
// identifier, those with an agent first. Whoever may write evidence may say any identifier:
// it is a claim. Evidence that cannot be read says nothing.
func (s *Acts) hostIDs(ctx context.Context, organisationID, hostID string) ([]string, error) {
	if hostID == "" {
		return nil, nil
	}
	all, err := endpoint.List(ctx, s.db.Read(), organisationID)
	if err != nil {
		return nil, err
	}
	var agents, kits []string
	for _, e := range all {
		said, err := s.hostID(ctx, e)
		if err != nil {
			return nil, err
		}
		switch {
		case said != hostID:
		case e.Origin == endpoint.ByKit:
			kits = append(kits, e.ID)
		default:
			agents = append(agents, e.ID)
		}
	}
	return append(agents, kits...), nil
}

// hostID returns the machine identifier that the newest evidence of an endpoint says.
func (s *Acts) hostID(ctx context.Context, e endpoint.Endpoint) (string, error) {
	a, err := s.evidence.Counted(ctx, e.OrganisationID, e.ID, artifact.KindHostInfo)
	if errors.Is(err, evidence.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: e.OrganisationID, AcquisitionID: a.ID})
	if err != nil {
		return "", err
	}
	for _, it := range items {
		if it.Kind != artifact.KindHostInfo {
			continue
		}
		b, err := s.evidence.Head(ctx, it, 1<<20)
		if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) {
			return "", nil // fsck tells of that
		}
		if err != nil {
			return "", err
		}
		var h record.HostInfo
		line, _, _ := bytes.Cut(b, []byte("\n"))
		if json.Unmarshal(line, &h) == nil {
			return h.HostID, nil
		}
	}
	return "", nil
}
