package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/buildinfo"
	"hozen/internal/id"
)

// NewExport is what [Acts.OrderExport] needs.
type NewExport struct {
	IncidentID string   // identifier or number
	Recipient  string   // who gets the package, at most [export.MaxRecipient] bytes
	Purpose    string   // why, at most [export.MaxPurpose] bytes
	Hosts      []string // endpoints that it is about; empty: all of the incident
	Profiles   []string // profiles whose acquisitions are in it; empty: all
	// LeaveUploads leaves out the bytes of files that people sent. They belong to no endpoint
	// and no profile, so that Hosts and Profiles say nothing of them.
	LeaveUploads bool
}

// OrderExport fixes what an evidence package of an incident holds: everything that the
// ledger has until now, the order itself included. [Acts.WriteExport] makes the bytes.
func (s *Acts) OrderExport(ctx context.Context, a Actor, n NewExport) (r export.Record, err error) {
	n.Recipient, n.Purpose = strings.TrimSpace(n.Recipient), strings.TrimSpace(n.Purpose)
	if err := text("recipient", n.Recipient, export.MaxRecipient, true); err != nil {
		return r, err
	}
	if err := text("purpose", n.Purpose, export.MaxPurpose, true); err != nil {
		return r, err
	}
	n.Hosts, n.Profiles = slices.Compact(slices.Sorted(slices.Values(n.Hosts))), slices.Compact(slices.Sorted(slices.Values(n.Profiles)))
	if len(n.Hosts)+len(n.Profiles) > export.MaxScope {
		return r, &Invalid{Field: "hosts", Code: "range", Err: fmt.Errorf("at most %d endpoints and profiles", export.MaxScope)}
	}
	err = s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, n.IncidentID)
		if err != nil {
			return err
		}
		r, err = s.orderExport(ctx, d, inc, n)
		return err
	})
	return r, err
}

func (s *Acts) orderExport(ctx context.Context, d *deed, inc incident.Incident, n NewExport) (export.Record, error) {
	no, number, err := export.NextNumber(ctx, d.tx, inc.OrganisationID, inc.ID, inc.Number)
	if err != nil {
		return export.Record{}, err
	}
	r := export.Record{
		ID: id.New(id.Export), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Number: number, At: d.now.UTC().Round(0),
		ActorKind: string(d.actor.Kind), ActorID: d.actor.ID, ActorName: d.actor.Name,
		Recipient: n.Recipient, Purpose: n.Purpose, Hosts: n.Hosts, Profiles: n.Profiles,
	}
	facts := map[string]string{"number": number, "incident": inc.ID, "recipient": n.Recipient, "purpose": n.Purpose,
		"hosts": strings.Join(n.Hosts, " "), "profiles": strings.Join(n.Profiles, " ")}
	var sent []export.Upload
	if !n.LeaveUploads {
		if sent, err = sentUploads(ctx, d.tx, inc); err != nil {
			return r, err
		}
	}
	// How many files a package has stands in the ledger, so that nobody takes one out unseen.
	with := map[string]string{"incident_number": inc.Number, "uploads": strconv.Itoa(len(sent))}
	for k, v := range facts {
		with[k] = v
	}
	idx, err := d.record(ctx, export.ActOrder, r.ID, with)
	if err != nil {
		return r, err
	}
	head, err := ledger.HeadOf(ctx, d.tx, inc.OrganisationID)
	if err != nil {
		return r, err
	}
	if head.Size != idx+1 {
		return r, fmt.Errorf("%w: the order is entry %d of %d", ledger.ErrBroken, idx, head.Size)
	}
	r.LedgerSize, r.LedgerRoot = head.Size, fmt.Sprintf("%x", head.Root[:])
	if r.Frozen, err = s.freeze(ctx, d, inc, r); err != nil {
		return r, err
	}
	if !n.LeaveUploads {
		r.Frozen.Uploads, r.Frozen.Elsewhere.Files = sent, nil
	}
	frozen, err := export.Insert(ctx, d.tx, no, r)
	if err != nil {
		return r, err
	}
	// It depends on the ledger as it is with the order, so it has an entry of its own.
	if _, err := d.record(ctx, export.ActFrozen, r.ID, map[string]string{"number": number, export.FrozenSHA256: frozen}); err != nil {
		return r, err
	}
	return r, s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryExport, Params: facts, LedgerIdx: idx})
}

// freeze notes what of the incident and its endpoints may change later.
func (s *Acts) freeze(ctx context.Context, d *deed, inc incident.Incident, r export.Record) (export.Frozen, error) {
	own, err := organisationName(ctx, d.tx, inc.OrganisationID)
	if err != nil {
		return export.Frozen{}, err
	}
	b := buildinfo.Get()
	f := export.Frozen{
		Organisation: own, CASHA256: s.ca.Fingerprint(), Tool: export.Tool{Name: "hozen-collector", Version: b.Version, Commit: b.Commit},
		Incident: export.Incident{ID: inc.ID, Number: inc.Number, Title: inc.Title, Classification: string(inc.Classification), Reporter: inc.Reporter,
			DiscoveredAt: inc.DiscoveredAt, OpenedAt: inc.OpenedAt, ClosedAt: inc.ClosedAt},
	}
	all, err := s.evidence.AcceptedBefore(ctx, inc.OrganisationID, inc.ID, r.LedgerSize)
	if err != nil {
		return f, err
	}
	// The evidence of an endpoint stays when the endpoint is split off.
	endpoints := slices.Clone(inc.EndpointIDs)
	for _, a := range all {
		if !slices.Contains(endpoints, a.EndpointID) {
			endpoints = append(endpoints, a.EndpointID)
		}
	}
	for _, e := range r.Hosts {
		if !slices.Contains(endpoints, e) {
			return f, &Invalid{Field: "hosts", Code: "unknown", Err: fmt.Errorf("%.60q is no endpoint of %s", e, inc.Number)}
		}
	}
	folders := map[string]bool{}
	for _, e := range endpoints {
		ep, err := endpoint.ByID(ctx, d.tx, e)
		if err != nil {
			return f, err
		}
		if len(r.Hosts) > 0 && !slices.Contains(r.Hosts, e) {
			f.LeftOut.Hosts = append(f.LeftOut.Hosts, display(ep))
			continue
		}
		folder := export.HostFolder(ep.Hostname, ep.ID)
		if folders[folder] { // two identifiers that end alike
			folder = export.HostFolder(ep.Hostname, "") + ep.ID
		}
		folders[folder] = true
		f.Hosts = append(f.Hosts, export.Host{EndpointID: ep.ID, Folder: folder, Hostname: ep.Hostname, Label: ep.Label, OS: ep.OS, Arch: ep.Arch,
			Platform: ep.Platform, AgentVersion: ep.AgentVersion, EnrolledAt: ep.EnrolledAt, ClockOffsetNS: int64(ep.ClockOffset), ClockAt: ep.LastSeenAt})
	}
	slices.SortFunc(f.Hosts, func(a, b export.Host) int { return strings.Compare(a.Folder, b.Folder) })
	slices.Sort(f.LeftOut.Hosts)
	known := map[string]bool{}
	for _, a := range all {
		known[a.Profile] = true
		if !inScope(r, a) {
			f.LeftOut.Acquisitions++
		}
	}
	for _, p := range r.Profiles {
		if !known[p] {
			return f, &Invalid{Field: "profiles", Code: "unknown", Err: fmt.Errorf("the incident has no acquisition of the profile %.60q", p)}
		}
	}
	f.Elsewhere, err = s.elsewhere(ctx, d.tx, inc, r.LedgerSize)
	return f, err
}

func inScope(r export.Record, a evidence.Acquisition) bool {
	return (len(r.Hosts) == 0 || slices.Contains(r.Hosts, a.EndpointID)) && (len(r.Profiles) == 0 || slices.Contains(r.Profiles, a.Profile))
}

// Exports lists the evidence packages of an incident, newest first.
func (s *Acts) Exports(ctx context.Context, a Actor, incidentID string) ([]export.Record, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]export.Record, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return export.List(ctx, q, a.OrganisationID, inc.ID)
	})
}

// Export finds one evidence package by its identifier or its number.
func (s *Acts) Export(ctx context.Context, a Actor, idOrNumber string) (export.Record, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (export.Record, error) {
		return findExport(ctx, q, a.OrganisationID, idOrNumber)
	})
}

func findExport(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (export.Record, error) {
	r, err := export.Find(ctx, q, organisationID, idOrNumber)
	if errors.Is(err, export.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return r, err
}

// ErrChanged means that a package was made again and came out with other bytes.
var ErrChanged = fmt.Errorf("%w: the package came out with other bytes than the first time", ErrConflict)

// WriteExport writes the bytes of a package to w. That somebody takes them is in the
// ledger before the first byte, and their SHA-256 after the last.
func (s *Acts) WriteExport(ctx context.Context, a Actor, idOrNumber string, w io.Writer) (export.Record, error) {
	var r export.Record
	err := s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		var err error
		if r, err = findExport(ctx, d.tx, d.actor.OrganisationID, idOrNumber); err != nil {
			return err
		}
		_, err = d.record(ctx, "export.open", r.ID, map[string]string{"number": r.Number, "recipient": r.Recipient, "sha256": r.SHA256})
		return err
	})
	if err != nil {
		return r, err
	}
	if r, err = s.withCheckpoint(ctx, a, r); err != nil {
		return r, err
	}
	p, err := s.packageOf(ctx, r)
	if err != nil {
		return r, known(err)
	}
	out := export.NewDigest(w)
	if err := export.Write(ctx, out, p, sealedSource{s, r.OrganisationID}); err != nil {
		return r, err
	}
	err = s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		with := map[string]string{"number": r.Number, "sha256": out.Sum(), "bytes": strconv.FormatInt(out.Size(), 10), export.CheckpointSHA256: r.ShortCheckpoint()}
		if r.SHA256 != "" && r.SHA256 != out.Sum() {
			with["first_sha256"] = r.SHA256
		}
		idx, err := d.record(ctx, export.ActWritten, r.ID, with)
		if err != nil {
			return err
		}
		inc, err := incident.FindBare(ctx, d.tx, r.OrganisationID, r.IncidentID)
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryExport, LedgerIdx: idx, Params: map[string]string{"event": "taken", "number": r.Number, "recipient": r.Recipient}}); err != nil {
			return err
		}
		// Now, and not before: of what was refused or broke off nobody has a copy.
		if err := s.exported(ctx, d, r); err != nil {
			return err
		}
		if r.SHA256 != "" {
			return nil
		}
		r.FinishedAt, r.SHA256, r.Size = d.now.UTC().Round(0), out.Sum(), out.Size()
		d.tell(s, Event{Kind: EventIncident, IncidentID: r.IncidentID})
		return export.Finish(ctx, d.tx, r)
	})
	if err == nil && r.SHA256 != out.Sum() {
		err = ErrChanged
	}
	return r, err
}

// packageOf gathers everything of a package but the bytes of its evidence.
func (s *Acts) packageOf(ctx context.Context, r export.Record) (*export.Package, error) {
	q := s.db.Read()
	p := &export.Package{Record: r}
	about := subjects{r.IncidentID: true, r.ID: true}
	all, err := s.addAcquisitions(ctx, p, about)
	if err != nil {
		return nil, err
	}
	var indexes []int64
	for _, a := range p.Acquisitions {
		indexes = append(indexes, a.LedgerIdx)
	}
	earlier, err := export.List(ctx, q, r.OrganisationID, r.IncidentID)
	if err != nil {
		return nil, err
	}
	for _, e := range earlier {
		if e.LedgerSize < r.LedgerSize {
			about.add(e.ID)
		}
	}
	lines, err := incident.TimelineBefore(ctx, q, r.IncidentID, r.LedgerSize)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if e := l.Params["endpoint"]; e != "" && len(r.Hosts) > 0 && !slices.Contains(r.Hosts, e) {
			continue
		}
		for _, v := range l.Params {
			about.command(v)
		}
		indexes = append(indexes, l.LedgerIdx)
		p.Timeline = append(p.Timeline, timelineOf([]incident.Entry{l})...)
	}
	if err := s.addCustody(ctx, q, p, all, about); err != nil {
		return nil, err
	}
	if err := addUploads(ctx, q, p, about); err != nil {
		return nil, err
	}
	if err := s.prove(ctx, q, p, about.sorted(), indexes); err != nil {
		return nil, err
	}
	return p, s.addOutside(ctx, q, p)
}

// timelineOf are lines of a timeline as packages and forms have them.
func timelineOf(lines []incident.Entry) (out []export.Line) {
	for _, l := range lines {
		out = append(out, export.Line{At: l.At, AgentAt: l.AgentAt, Kind: string(l.Kind), Actor: l.Actor, Text: l.Text, Params: l.Params, LedgerIdx: l.LedgerIdx})
	}
	return out
}

// addAcquisitions adds the acquisitions in scope and returns all that were accepted.
func (s *Acts) addAcquisitions(ctx context.Context, p *export.Package, about subjects) ([]evidence.Acquisition, error) {
	r := p.Record
	all, err := s.evidence.AcceptedBefore(ctx, r.OrganisationID, r.IncidentID, r.LedgerSize)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if !inScope(r, a) {
			continue
		}
		if !slices.ContainsFunc(r.Frozen.Hosts, func(h export.Host) bool { return h.EndpointID == a.EndpointID }) {
			// Nobody would see that it is not there.
			return nil, fmt.Errorf("%w: the package was ordered without the endpoint of %s; order another one", ErrConflict, a.ID)
		}
		about.add(a.ID, a.CommandID, a.AlertID)
		x := export.Acquisition{ID: a.ID, EndpointID: a.EndpointID, Profile: a.Profile, Trigger: string(a.Trigger), Outcome: string(a.Outcome),
			StartedAt: a.StartedAt, FinishedAt: a.FinishedAt, ReceivedAt: a.ReceivedAt, LedgerIdx: a.LedgerIdx, ManifestSHA256: a.ManifestSHA256}
		items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: r.OrganisationID, AcquisitionID: a.ID})
		if err != nil {
			return nil, err
		}
		for _, it := range items {
			about.add(it.ID)
			_, compression, err := evidence.ParsePartName(it.Name)
			if err != nil {
				return nil, err
			}
			x.Items = append(x.Items, export.Item{Number: it.Number, Name: it.Name, Kind: string(it.Kind), Schema: it.Schema, Outcome: string(it.Outcome), Records: it.Records,
				Compression: compression, PlainSHA256: it.PlainSHA256, PlainSize: it.PlainSize, StoredSHA256: it.StoredSHA256, StoredSize: it.StoredSize})
		}
		p.Acquisitions = append(p.Acquisitions, x)
	}
	return all, nil
}

// subjects are the things whose entries go into a package.
type subjects map[string]bool

func (m subjects) add(ids ...string) {
	for _, s := range ids {
		if s != "" {
			m[s] = true
		}
	}
}

// command adds a value of a timeline's line if it is the identifier of an order or alert.
func (m subjects) command(v string) {
	if id.Check(id.Command, v) == nil || id.Check(id.Alert, v) == nil {
		m[v] = true
	}
}

func (m subjects) sorted() []string {
	var out []string
	for s := range m {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// sealedSource is the store of evidence as package export sees it.
type sealedSource struct {
	s   *Acts
	org string
}

// Open implements [export.Source].
func (x sealedSource) Open(ctx context.Context, storedSHA256 string) (io.ReadCloser, error) {
	return x.s.evidence.Open(ctx, evidence.Item{StoredSHA256: storedSHA256})
}

// Sealed implements [export.Source].
func (x sealedSource) Sealed(ctx context.Context, acquisitionID string) (export.Sealed, error) {
	sealed, err := x.s.evidence.Sealed(ctx, x.org, acquisitionID)
	if err != nil {
		return export.Sealed{}, err
	}
	files, err := sealedFiles(sealed, x.s.ca.Certificate().Raw)
	if err != nil {
		return export.Sealed{}, err
	}
	m, err := evidence.DecodeManifest(sealed.Manifest)
	if err != nil {
		return export.Sealed{}, err
	}
	out := export.Sealed{Files: files, Tool: strings.TrimSpace(m.Tool.Name + " " + m.Tool.Version), ToolSHA256: m.Tool.SHA256, CommandID: m.CommandID}
	if !m.StartedAt.Wall.IsZero() && m.StartedAt.BootNS > 0 {
		out.BootedAt = m.StartedAt.Wall.Add(-time.Duration(m.StartedAt.BootNS))
	}
	for _, p := range m.Probes {
		out.Probes = append(out.Probes, export.Probe{Kind: string(p.Kind), Outcome: string(p.Outcome), Detail: p.Detail, Records: p.Records, Skipped: p.Skipped})
	}
	return out, nil
}
