package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
)

// Place is where an endpoint stands, what it is, and what people call it together with
// others.
type Place struct {
	Site    string // empty: not said
	Purpose endpoint.Purpose
	Tags    []string
}

// PlaceEndpoint says where an endpoint stands and what it is.
func (s *Acts) PlaceEndpoint(ctx context.Context, a Actor, id string, p Place) error {
	if p.Purpose != "" && p.Purpose != endpoint.PC && p.Purpose != endpoint.Server {
		return &Invalid{Field: "purpose", Code: "unknown", Err: fmt.Errorf("there is no purpose %.20q", p.Purpose)}
	}
	if err := text("site", p.Site, endpoint.MaxSite, false); err != nil {
		return err
	}
	if len(p.Tags) > endpoint.MaxTags {
		return &Invalid{Field: "tags", Code: "too_many", Err: errors.New("too many tags")}
	}
	for _, t := range p.Tags {
		if err := text("tags", strings.TrimSpace(t), endpoint.MaxTag, true); err != nil {
			return err
		}
	}
	return s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, id)
		if err != nil {
			return err
		}
		e.Site, e.Purpose, e.Tags = strings.TrimSpace(p.Site), p.Purpose, nil
		for _, t := range p.Tags {
			e.Tags = append(e.Tags, sqldb.CleanText(strings.TrimSpace(t)))
		}
		slices.Sort(e.Tags)
		e.Tags = slices.Compact(e.Tags)
		if err := endpoint.SetPlace(ctx, d.tx, e); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: id})
		_, err = d.record(ctx, endpoint.ActPlace, id, map[string]string{"site": e.Site, "purpose": string(e.Purpose), "tags": strings.Join(e.Tags, ", ")})
		return err
	})
}
