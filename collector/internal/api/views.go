package api

import (
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/watch"
	"hozen/internal/digest"
)

// OpenState says whether an incident is open.
type OpenState string

// The states.
const (
	StateOpen   OpenState = "open"
	StateClosed OpenState = "closed"
)

// Incident is a case.
type Incident struct {
	ID             string                  `json:"id"`
	Number         string                  `json:"number" doc:"for people, such as INC-2026-0007; taken wherever an identifier is"`
	Title          string                  `json:"title"`
	State          OpenState               `json:"state"`
	Classification incident.Classification `json:"classification"`
	Reporter       string                  `json:"reporter"`
	DiscoveredAt   time.Time               `json:"discovered_at"`
	OpenedAt       time.Time               `json:"opened_at"`
	ClosedAt       time.Time               `json:"closed_at,omitzero"`
	EndpointIDs    []string                `json:"endpoint_ids"`
	MergedInto     string                  `json:"merged_into,omitempty" doc:"identifier of the incident in which it goes on"`
}

func viewIncident(i incident.Incident) Incident {
	v := Incident{ID: i.ID, Number: i.Number, Title: i.Title, State: StateOpen, Classification: i.Classification, Reporter: i.Reporter,
		DiscoveredAt: i.DiscoveredAt, OpenedAt: i.OpenedAt, ClosedAt: i.ClosedAt, EndpointIDs: append([]string{}, i.EndpointIDs...), MergedInto: i.MergedInto}
	if !i.ClosedAt.IsZero() {
		v.State = StateClosed
	}
	return v
}

// Entry is a line of a timeline.
type Entry struct {
	ID          string            `json:"id,omitempty"`
	At          time.Time         `json:"at" doc:"clock of the collector"`
	AgentAt     time.Time         `json:"agent_at,omitzero" doc:"clock of the endpoint"`
	Kind        string            `json:"kind" doc:"note: a person or program wrote it; older: stands for entries that are too many to list"`
	Actor       string            `json:"actor"`
	Text        string            `json:"text,omitempty" doc:"as somebody wrote it, never ours"`
	Params      map[string]string `json:"params,omitempty"`
	LedgerIndex int64             `json:"ledger_index"`
}

func viewEntry(e incident.Entry) Entry {
	return Entry{e.ID, e.At, e.AgentAt, string(e.Kind), e.Actor, e.Text, e.Params, e.LedgerIdx}
}

// Endpoint is a PC or server.
type Endpoint struct {
	ID            string    `json:"id"`
	Label         string    `json:"label,omitempty" doc:"given by people"`
	Hostname      string    `json:"hostname" doc:"as it says itself"`
	OS            string    `json:"os"`
	Arch          string    `json:"arch"`
	Platform      string    `json:"platform,omitempty"`
	AgentVersion  string    `json:"agent_version,omitempty"`
	RemoteAddr    string    `json:"remote_addr,omitempty"`
	Online        bool      `json:"online"`
	EnrolledAt    time.Time `json:"enrolled_at"`
	LastSeenAt    time.Time `json:"last_seen_at,omitzero"`
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	ClockOffsetMS int64     `json:"clock_offset_ms" doc:"clock of the endpoint minus that of the collector"`
	Spooled       uint32    `json:"spooled" doc:"sealed acquisitions that wait on it"`
	Isolation     Isolation `json:"isolation"`
}

func viewEndpoint(e endpoint.Endpoint) Endpoint {
	return Endpoint{e.ID, e.Label, e.Hostname, e.OS, e.Arch, e.Platform, e.AgentVersion, e.RemoteAddr, e.Online, e.EnrolledAt, e.LastSeenAt, e.RevokedAt,
		e.ClockOffset.Milliseconds(), e.Spooled, viewIsolation(e, time.Now())}
}

// Command is an order to an endpoint.
type Command struct {
	ID            string    `json:"id"`
	EndpointID    string    `json:"endpoint_id"`
	IncidentID    string    `json:"incident_id,omitempty"`
	Verb          string    `json:"verb"`
	Profile       string    `json:"profile,omitempty"`
	Issuer        string    `json:"issuer"`
	Reason        string    `json:"reason,omitempty"`
	Status        string    `json:"status" doc:"queued: stored, the endpoint has not confirmed it; accepted: it has; done, failed, expired, unsupported, refused, withdrawn, not_down: how it ended"`
	IssuedAt      time.Time `json:"issued_at"`
	AcceptedAt    time.Time `json:"accepted_at,omitzero"`
	FinishedAt    time.Time `json:"finished_at,omitzero" doc:"clock of the endpoint"`
	ReceivedAt    time.Time `json:"received_at,omitzero"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
	Detail        string    `json:"detail,omitempty"`
	AcquisitionID string    `json:"acquisition_id,omitempty"`
}

func viewCommand(c dispatch.Command) Command {
	return Command{c.ID, c.EndpointID, c.IncidentID, string(c.Verb), c.Profile, c.Issuer, c.Reason, string(c.Status), c.IssuedAt, c.AcceptedAt, c.FinishedAt,
		c.ReceivedAt, c.ExpiresAt, c.Detail, c.AcquisitionID}
}

// ReleaseState says what came of asking for a release, or of taking an isolation back.
type ReleaseState string

// The states.
const (
	ReleaseOrdered ReleaseState = "ordered"
	ReleaseWaits   ReleaseState = "waits_for_second_person"
	// ReleaseWithdrawn is of an order to isolate that was taken back before its endpoint had it.
	ReleaseWithdrawn ReleaseState = "withdrawn"
)

// Released is what came of asking for a release, or of taking an isolation back.
type Released struct {
	State   ReleaseState `json:"state"`
	Command *Command     `json:"command,omitempty" doc:"of one that was ordered"`
	AskedBy string       `json:"asked_by,omitempty" doc:"of one that waits: who asked first. A person agrees at the console"`
	AskedAt time.Time    `json:"asked_at,omitzero"`
}

// Acquisition is one run on one endpoint.
type Acquisition struct {
	ID             string    `json:"id"`
	EndpointID     string    `json:"endpoint_id"`
	IncidentID     string    `json:"incident_id,omitempty"`
	CommandID      string    `json:"command_id,omitempty"`
	Trigger        string    `json:"trigger"`
	Profile        string    `json:"profile"`
	Outcome        string    `json:"outcome"`
	StartedAt      time.Time `json:"started_at" doc:"clock of the endpoint"`
	FinishedAt     time.Time `json:"finished_at" doc:"clock of the endpoint"`
	ReceivedAt     time.Time `json:"received_at"`
	ManifestSHA256 string    `json:"manifest_sha256"`
	Items          int       `json:"items"`
	StoredBytes    int64     `json:"stored_bytes"`
}

func viewAcquisition(a evidence.Acquisition) Acquisition {
	return Acquisition{a.ID, a.EndpointID, a.IncidentID, a.CommandID, string(a.Trigger), a.Profile, string(a.Outcome), a.StartedAt, a.FinishedAt, a.ReceivedAt,
		a.ManifestSHA256, a.Items, a.StoredBytes}
}

// Evidence is one piece of evidence.
type Evidence struct {
	ID            string    `json:"id"`
	Number        string    `json:"number,omitempty" doc:"for people; taken wherever an identifier is"`
	AcquisitionID string    `json:"acquisition_id"`
	EndpointID    string    `json:"endpoint_id"`
	IncidentID    string    `json:"incident_id,omitempty"`
	Name          string    `json:"name"`
	Kind          string    `json:"kind"`
	Schema        string    `json:"schema"`
	Outcome       string    `json:"outcome"`
	Records       int64     `json:"records"`
	PlainSHA256   string    `json:"plain_sha256"`
	PlainSize     int64     `json:"plain_size"`
	StoredSHA256  string    `json:"stored_sha256" doc:"of the bytes that content answers"`
	StoredSize    int64     `json:"stored_size"`
	ReceivedAt    time.Time `json:"received_at"`
	LedgerIndex   int64     `json:"ledger_index"`
	DisposedAt    time.Time `json:"disposed_at,omitzero"`
}

func viewEvidence(i evidence.Item) Evidence {
	return Evidence{i.ID, i.Number, i.AcquisitionID, i.EndpointID, i.IncidentID, i.Name, string(i.Kind), i.Schema, string(i.Outcome), i.Records,
		i.PlainSHA256, i.PlainSize, i.StoredSHA256, i.StoredSize, i.ReceivedAt, i.LedgerIdx, i.DisposedAt}
}

// Checkpoint is a signed state of the custody ledger.
type Checkpoint struct {
	Note        string    `json:"note" doc:"C2SP signed note: keep it elsewhere, and a rewritten ledger shows"`
	VerifierKey string    `json:"verifier_key"`
	Origin      string    `json:"origin"`
	Size        int64     `json:"size"`
	RootSHA256  string    `json:"root_sha256"`
	SignedAt    time.Time `json:"signed_at"`
}

func viewCheckpoint(s checkpoint.Signed) Checkpoint {
	return Checkpoint{s.Note, s.Key.Text(s.Origin), s.Origin, s.Size, digest.Digest(s.Root).String(), s.SignedAt}
}

// Watch says whether the watch itself is alive.
type Watch struct {
	Urgent   int       `json:"urgent" doc:"how many concerns are urgent"`
	Concerns []Concern `json:"concerns" doc:"what somebody should see to, what is urgent first"`
}

// Concern is one thing that somebody should see to.
type Concern struct {
	Code       string    `json:"code"`
	Urgent     bool      `json:"urgent" doc:"evidence or the way back is at stake"`
	EndpointID string    `json:"endpoint_id,omitempty" doc:"absent: it is the collector's"`
	Endpoint   string    `json:"endpoint,omitempty" doc:"its name"`
	Since      time.Time `json:"since,omitzero" doc:"or until when, of what ends"`
	Detail     string    `json:"detail,omitempty"`
}

func viewWatch(list []watch.Concern) Watch {
	w := Watch{Concerns: []Concern{}}
	for _, c := range list {
		v := Concern{Code: string(c.Code), Urgent: c.Urgent, Since: c.Since, Detail: c.Detail}
		if c.PC != nil {
			v.EndpointID, v.Endpoint = c.PC.ID, c.PC.Name
		}
		if c.Urgent {
			w.Urgent++
		}
		w.Concerns = append(w.Concerns, v)
	}
	return w
}

// Search is what was found.
type Search struct {
	Hits []Hit         `json:"hits" doc:"by kind, the newest first"`
	More []act.HitKind `json:"more" doc:"kinds of which there is more than was listed"`
	Cut  bool          `json:"cut" doc:"the time was over before everything was searched: what is not here may be there"`
}

// Hit is one thing that was found.
type Hit struct {
	Kind       act.HitKind `json:"kind"`
	ID         string      `json:"id" doc:"identifier; of exhibits, uploads, answers and documents what they are told apart by in their incident"`
	Name       string      `json:"name"`
	Text       string      `json:"text,omitempty"`
	IncidentID string      `json:"incident_id,omitempty"`
	EndpointID string      `json:"endpoint_id,omitempty"`
	At         time.Time   `json:"at,omitzero"`
}

func viewSearch(f act.Findings) Search {
	s := Search{Hits: []Hit{}, More: []act.HitKind{}, Cut: f.Cut}
	for _, h := range f.Hits {
		if h.More {
			s.More = append(s.More, h.Kind)
		}
		for _, x := range h.List {
			s.Hits = append(s.Hits, Hit{h.Kind, x.ID, x.Name, x.Text, x.IncidentID, x.EndpointID, x.At})
		}
	}
	return s
}

// EvidenceSearch is a search in the contents of evidence.
type EvidenceSearch struct {
	ID          string        `json:"id"`
	State       act.ScanState `json:"state" doc:"running until it ends"`
	Pieces      int           `json:"pieces" doc:"of evidence in the scope"`
	Done        int           `json:"done" doc:"pieces that were looked into"`
	Hits        []EvidenceHit `json:"hits"`
	NotSearched []NotSearched `json:"not_searched" doc:"what was not searched, or not all of it: what is not found may be there"`
	Gone        int           `json:"gone" doc:"hits that are not told, for the evidence was disposed of"`
}

// EvidenceHit is one record in which all words stand.
type EvidenceHit struct {
	EvidenceID string       `json:"evidence_id"`
	Record     int          `json:"record" doc:"from 1"`
	Values     []FoundValue `json:"values" doc:"parts of the values in which words stand"`
}

// FoundValue is a part of a value.
type FoundValue struct {
	Field string `json:"field"`
	Text  string `json:"text"`
}

// NotSearched is a piece of evidence that was not searched wholly, and why.
type NotSearched struct {
	EvidenceID string       `json:"evidence_id"`
	Why        act.ScanLack `json:"why"`
}

func viewEvidenceSearch(f act.EvidenceSearch) EvidenceSearch {
	s := EvidenceSearch{ID: f.ID, State: f.State, Pieces: f.Pieces, Done: f.Done, Hits: []EvidenceHit{}, NotSearched: []NotSearched{}, Gone: f.Gone}
	for _, h := range f.Hits {
		hit := EvidenceHit{EvidenceID: h.Item.ID, Record: h.Line, Values: []FoundValue{}}
		for _, v := range h.Values {
			hit.Values = append(hit.Values, FoundValue{v.Field, v.Text})
		}
		s.Hits = append(s.Hits, hit)
	}
	for _, l := range act.ScanLacks() {
		for _, it := range f.Lacks[l] {
			s.NotSearched = append(s.NotSearched, NotSearched{it.ID, l})
		}
	}
	return s
}

// Me is on whose behalf a token acts.
type Me struct {
	TokenID   string    `json:"token_id"`
	TokenName string    `json:"token_name"`
	Person    string    `json:"person" doc:"who made the token, and on whose behalf it acts"`
	Role      string    `json:"role"`
	Scopes    []string  `json:"scopes"`
	ExpiresAt time.Time `json:"expires_at"`
}

func views[T, V any](list []T, view func(T) V) []V {
	out := make([]V, 0, len(list))
	for _, x := range list {
		out = append(out, view(x))
	}
	return out
}
