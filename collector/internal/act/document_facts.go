package act

import (
	"context"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
)

// documentFacts gathers everything that documents of an incident are written from.
func (s *Acts) documentFacts(ctx context.Context, q sqldb.Queryer, a Actor, inc incident.Incident, l i18n.Language) (report.Facts, error) {
	f := report.Facts{At: s.now().UTC().Round(0), Drill: inc.Drill, Answers: map[report.Key]report.Answer{}}
	head, err := ledger.HeadOf(ctx, q, inc.OrganisationID)
	if err != nil {
		return f, err
	}
	f.LedgerSize = head.Size
	if f.Organisation.Name, err = organisationName(ctx, q, inc.OrganisationID); err != nil {
		return f, err
	}
	f.Incident = report.Incident{Number: inc.Number, Title: inc.Title, Reporter: inc.Reporter, DiscoveredAt: inc.DiscoveredAt, OpenedAt: inc.OpenedAt, ClosedAt: inc.ClosedAt, LedgerIdx: -1}
	if inc.Classification != incident.NotYet && inc.Classification != "" {
		f.Incident.Types = []string{string(inc.Classification)}
	}
	names, err := s.documentEndpoints(ctx, q, inc, &f)
	if err != nil {
		return f, err
	}
	if err := s.documentTimeline(ctx, q, inc, l, names, &f); err != nil {
		return f, err
	}
	if err := s.documentEvidence(ctx, q, a, inc, &f); err != nil {
		return f, err
	}
	if err := s.documentRecord(ctx, q, inc, &f); err != nil {
		return f, err
	}
	return f, s.documentGuides(ctx, q, inc, l, &f)
}

// documentEndpoints adds the PCs as they are now, and returns the names of all that the
// incident has.
func (s *Acts) documentEndpoints(ctx context.Context, q sqldb.Queryer, inc incident.Incident, f *report.Facts) (map[string]string, error) {
	found, err := endpoint.ByIDs(ctx, q, inc.EndpointIDs)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, id := range inc.EndpointIDs {
		e, ok := found[id]
		if !ok {
			continue
		}
		e = s.asOfNow(e)
		names[id] = display(e)
		system := e.Platform
		if system == "" {
			system = e.OS
		}
		f.Endpoints = append(f.Endpoints, report.Endpoint{Name: display(e), System: system, State: string(e.Isolation.Observed), MeasuredAt: e.Shown(s.now()).MeasuredAt})
	}
	return names, nil
}

func (s *Acts) documentTimeline(ctx context.Context, q sqldb.Queryer, inc incident.Incident, l i18n.Language, names map[string]string, f *report.Facts) error {
	lines, err := incident.Timeline(ctx, q, inc.ID)
	if err != nil {
		return err
	}
	for _, e := range lines {
		if e.Kind == incident.EntryOpened {
			f.Incident.LedgerIdx = e.LedgerIdx
		}
		f.Timeline = append(f.Timeline, report.Line{At: e.At, AgentAt: e.AgentAt, Actor: e.Actor, Text: s.say(l, e, names), LedgerIdx: e.LedgerIdx,
			Deed: deedOf(e), Endpoint: names[e.Params["endpoint"]]})
	}
	return nil
}

// deedOf is what a line of a timeline means for a summary.
func deedOf(e incident.Entry) report.Deed {
	p := e.Params
	state := p["observed"]
	if e.Kind == incident.EntryIsolation {
		state = p["to"]
	}
	switch e.Kind {
	case incident.EntryAlert:
		if p["reporter"] != agentItself {
			return report.DeedReported
		}
	case incident.EntryIsolation, incident.EntryResult:
		if e.Kind == incident.EntryResult && p["command"] != string(dispatch.Isolate) && p["command"] != string(dispatch.Release) {
			return ""
		}
		switch endpoint.State(state) {
		case endpoint.Isolated:
			return report.DeedIsolated
		case endpoint.Released:
			return report.DeedReleased
		}
	case incident.EntryEvidence:
		return report.DeedAcquired
	case incident.EntryCustody:
		if p["event"] == string(exhibit.HandOver) {
			return report.DeedHanded
		}
	case incident.EntryExport:
		if p["event"] == "" { // neither a form that was printed nor a package that was fetched
			return report.DeedExported
		}
	}
	return ""
}

// documentEvidence adds the evidence of an incident, and of those that were merged into it: it
// stays where it was received, under the numbers that it got there. Whoever was granted the one
// alone reads nothing of the others.
func (s *Acts) documentEvidence(ctx context.Context, q sqldb.Queryer, a Actor, inc incident.Incident, f *report.Facts) error {
	merged, err := incident.AllMergedFrom(ctx, q, inc.ID)
	if err != nil {
		return err
	}
	for _, i := range append([]incident.Incident{inc}, merged...) {
		if a.within(i.ID) != nil {
			continue
		}
		if err := s.documentEvidenceOf(ctx, q, i, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Acts) documentEvidenceOf(ctx context.Context, q sqldb.Queryer, inc incident.Incident, f *report.Facts) error {
	c, err := s.custody(ctx, q, inc)
	if err != nil {
		return err
	}
	for _, x := range c.Items {
		holder := x.Trail.Holder.String()
		if holder == "" && x.Trail.Carrier != "" {
			holder = x.Trail.Carrier
		}
		gone := x.Trail.Disposed
		if a := x.Acquisition; a != nil {
			gone = gone || !a.DisposedAt.IsZero()
			f.Evidence = append(f.Evidence, report.Evidence{Number: x.Number, Host: x.Get(exhibit.Host), Profile: a.Profile, Outcome: string(a.Outcome), Pieces: a.Items, Records: a.Records,
				SHA256: a.ManifestSHA256, ReceivedAt: a.ReceivedAt, LedgerIdx: a.LedgerIdx, Gone: gone})
		}
		f.Exhibits = append(f.Exhibits, report.Exhibit{Number: x.Number, Kind: string(x.Kind), Description: x.Get(exhibit.Description), Holder: holder,
			Gaps: len(x.Trail.Gaps), Events: len(x.Events), LedgerIdx: x.LedgerIdx, Gone: gone})
	}
	return nil
}
