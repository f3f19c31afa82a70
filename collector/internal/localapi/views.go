package localapi

import (
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
)

// The views are the stable JSON of `--json`: names in snake_case, times in RFC 3339,
// absent when there is none. Fields are only ever added.

// Operator is a person.
type Operator struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	DisplayName        string    `json:"display_name"`
	Role               string    `json:"role"`
	MustChangePassword bool      `json:"must_change_password"`
	DisabledAt         time.Time `json:"disabled_at,omitzero"`
	CreatedAt          time.Time `json:"created_at"`
	LastSignInAt       time.Time `json:"last_sign_in_at,omitzero"`
}

func viewOperator(o operator.Operator) Operator {
	return Operator{o.ID, o.Name, o.DisplayName, string(o.Role), o.MustChangePassword, o.DisabledAt, o.CreatedAt, o.LastSignInAt}
}

// Token is an enrolment token; Text only when it was just made.
type Token struct {
	ID        string    `json:"id"`
	Text      string    `json:"token,omitempty"`
	Auto      bool      `json:"auto"`
	Note      string    `json:"note,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	MaxUses   int       `json:"max_uses"`
	Uses      int       `json:"uses"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

func viewToken(t enroll.Token, words string) Token {
	return Token{t.ID, words, t.Auto, t.Note, t.CreatedAt, t.ExpiresAt, max(t.MaxUses, 1), t.Uses, t.RevokedAt}
}

// Request is a PC that waits for an operator.
type Request struct {
	ID          string    `json:"id"`
	Code        string    `json:"code"`
	Hostname    string    `json:"hostname"`
	OS          string    `json:"os"`
	Platform    string    `json:"platform,omitempty"`
	RemoteAddr  string    `json:"remote_addr"`
	RequestedAt time.Time `json:"requested_at"`
}

func viewRequest(r enroll.Request) Request {
	return Request{r.ID, r.Code, r.Hostname, r.OS, r.Platform, r.RemoteAddr, r.RequestedAt}
}

// Endpoint is a PC or server.
type Endpoint struct {
	ID            string    `json:"id"`
	Label         string    `json:"label,omitempty"`
	Hostname      string    `json:"hostname"`
	OS            string    `json:"os"`
	Arch          string    `json:"arch"`
	Platform      string    `json:"platform,omitempty"`
	AgentVersion  string    `json:"agent_version,omitempty"`
	BootID        string    `json:"boot_id,omitempty"`
	Online        bool      `json:"online"`
	EnrolledAt    time.Time `json:"enrolled_at"`
	LastSeenAt    time.Time `json:"last_seen_at,omitzero"`
	ClockOffsetMS int64     `json:"clock_offset_ms"`
	RevokedAt     time.Time `json:"revoked_at,omitzero"`
	Spooled       uint32    `json:"spooled"`
	Isolation     Isolation `json:"isolation"`
	Origin        string    `json:"origin,omitempty"` // "kit": known by a USB kit alone; else enrolled
}

func viewEndpoint(e endpoint.Endpoint) Endpoint {
	return Endpoint{e.ID, e.Label, e.Hostname, e.OS, e.Arch, e.Platform, e.AgentVersion, e.BootID, e.Online, e.EnrolledAt, e.LastSeenAt,
		e.ClockOffset.Milliseconds(), e.RevokedAt, e.Spooled,
		viewIsolation(e, time.Now()), string(e.Origin)}
}

// Command is an order to an endpoint.
type Command struct {
	ID            string    `json:"id"`
	EndpointID    string    `json:"endpoint_id"`
	Counter       uint64    `json:"counter"`
	Verb          string    `json:"verb"`
	Profile       string    `json:"profile,omitempty"`
	IncidentID    string    `json:"incident_id,omitempty"`
	Issuer        string    `json:"issuer"`
	Reason        string    `json:"reason,omitempty"`
	Status        string    `json:"status"`
	IssuedAt      time.Time `json:"issued_at"`
	AcceptedAt    time.Time `json:"accepted_at,omitzero"`
	FinishedAt    time.Time `json:"finished_at,omitzero"`
	ReceivedAt    time.Time `json:"received_at,omitzero"`
	Detail        string    `json:"detail,omitempty"`
	AcquisitionID string    `json:"acquisition_id,omitempty"`
	Then          string    `json:"then,omitempty"`
	ExpiresAt     time.Time `json:"expires_at,omitzero"`
}

func viewCommand(c dispatch.Command) Command {
	return Command{c.ID, c.EndpointID, c.Counter, string(c.Verb), c.Profile, c.IncidentID, c.Issuer, c.Reason, string(c.Status),
		c.IssuedAt, c.AcceptedAt, c.FinishedAt, c.ReceivedAt, c.Detail, c.AcquisitionID, string(c.Then), c.ExpiresAt}
}

// Boot is how a boot of an endpoint ended, as its own record says. Lengths of time are
// in nanoseconds and negative when not known.
type Boot struct {
	AcquisitionID  string               `json:"acquisition_id"`
	EvidenceID     string               `json:"evidence_id"`
	BootID         string               `json:"boot_id,omitempty"`
	PreviousBootID string               `json:"previous_boot_id,omitempty"`
	Verdict        string               `json:"verdict"` // one of the known words
	VerdictRaw     string               `json:"verdict_raw"`
	Reason         string               `json:"reason,omitempty"`
	AskedBy        string               `json:"asked_by,omitempty"`
	AskedType      string               `json:"asked_type,omitempty"`
	AskedWho       string               `json:"asked_who,omitempty"`
	EndedAfter     time.Time            `json:"ended_after,omitzero"`
	EndedBefore    time.Time            `json:"ended_before,omitzero"`
	LastEvidenceAt time.Time            `json:"last_evidence_at,omitzero"`
	GapMinNS       int64                `json:"gap_min_ns"`
	GapMaxNS       int64                `json:"gap_max_ns"`
	AddedDelayNS   int64                `json:"added_delay_ns"`
	Basis          []endpoint.BootBasis `json:"basis"`
	ReceivedAt     time.Time            `json:"received_at"`
}

func viewBoot(b endpoint.Boot) Boot {
	basis := b.Basis
	if basis == nil {
		basis = []endpoint.BootBasis{}
	}
	return Boot{b.AcquisitionID, b.EvidenceID, b.BootID, b.PreviousBootID, b.Known(), b.Verdict, b.Reason, b.Asked.By, b.Asked.Type, b.Asked.Who,
		b.EndedAfter, b.EndedBefore, b.LastEvidenceAt, int64(b.GapMin), int64(b.GapMax), int64(b.AddedDelay), basis, b.ReceivedAt}
}

// Incident is a case; Timeline and Evidence only when one was asked for.
type Incident struct {
	ID             string        `json:"id"`
	Number         string        `json:"number"`
	Title          string        `json:"title"`
	Classification string        `json:"classification"`
	Reporter       string        `json:"reporter"`
	DiscoveredAt   time.Time     `json:"discovered_at"`
	OpenedAt       time.Time     `json:"opened_at"`
	ClosedAt       time.Time     `json:"closed_at,omitzero"`
	EndpointIDs    []string      `json:"endpoint_ids,omitempty"`
	Timeline       []Entry       `json:"timeline,omitempty"`
	Acquisitions   []Acquisition `json:"acquisitions,omitempty"`
}

func viewIncident(i incident.Incident) Incident {
	return Incident{ID: i.ID, Number: i.Number, Title: i.Title, Classification: string(i.Classification), Reporter: i.Reporter,
		DiscoveredAt: i.DiscoveredAt, OpenedAt: i.OpenedAt, ClosedAt: i.ClosedAt, EndpointIDs: i.EndpointIDs}
}

// Entry is a line of a timeline.
type Entry struct {
	At        time.Time         `json:"at"`
	AgentAt   time.Time         `json:"agent_at,omitzero"`
	Kind      string            `json:"kind"`
	Actor     string            `json:"actor"`
	Text      string            `json:"text,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	LedgerIdx int64             `json:"ledger_idx"`
}

func viewEntry(e incident.Entry) Entry {
	return Entry{e.At, e.AgentAt, string(e.Kind), e.Actor, e.Text, e.Params, e.LedgerIdx}
}

// Acquisition is one run on one endpoint.
type Acquisition struct {
	ID             string    `json:"id"`
	EndpointID     string    `json:"endpoint_id"`
	IncidentID     string    `json:"incident_id,omitempty"`
	CommandID      string    `json:"command_id,omitempty"`
	AlertID        string    `json:"alert_id,omitempty"`
	Trigger        string    `json:"trigger"`
	Profile        string    `json:"profile"`
	Outcome        string    `json:"outcome"`
	StartedAt      time.Time `json:"started_at"`
	FinishedAt     time.Time `json:"finished_at"`
	ReceivedAt     time.Time `json:"received_at"`
	ManifestSHA256 string    `json:"manifest_sha256"`
	Items          int       `json:"items"`
	Records        int64     `json:"records"`
	StoredBytes    int64     `json:"stored_bytes"`
}

func viewAcquisition(a evidence.Acquisition) Acquisition {
	return Acquisition{a.ID, a.EndpointID, a.IncidentID, a.CommandID, a.AlertID, string(a.Trigger), a.Profile, string(a.Outcome),
		a.StartedAt, a.FinishedAt, a.ReceivedAt, a.ManifestSHA256, a.Items, a.Records, a.StoredBytes}
}

// Item is one piece of evidence.
type Item struct {
	ID            string    `json:"id"`
	Number        string    `json:"number,omitempty"`
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
	StoredSHA256  string    `json:"stored_sha256"`
	StoredSize    int64     `json:"stored_size"`
	ReceivedAt    time.Time `json:"received_at"`
	LedgerIdx     int64     `json:"ledger_idx"`
}

func viewItem(i evidence.Item) Item {
	return Item{i.ID, i.Number, i.AcquisitionID, i.EndpointID, i.IncidentID, i.Name, string(i.Kind), i.Schema, string(i.Outcome), i.Records,
		i.PlainSHA256, i.PlainSize, i.StoredSHA256, i.StoredSize, i.ReceivedAt, i.LedgerIdx}
}

// LedgerEntry is an entry of the custody ledger.
type LedgerEntry struct {
	Index     int64             `json:"index"`
	At        time.Time         `json:"at"`
	ActorKind string            `json:"actor_kind"`
	ActorID   string            `json:"actor_id,omitempty"`
	ActorName string            `json:"actor_name,omitempty"`
	Act       string            `json:"act"`
	Subject   string            `json:"subject"`
	Details   map[string]string `json:"details,omitempty"`
	Leaf      string            `json:"leaf"`
}

func viewLedger(r ledger.Recorded) LedgerEntry {
	return LedgerEntry{r.Index, r.At, r.ActorKind, r.ActorID, r.ActorName, r.Act, r.Subject, r.Details, r.Leaf.String()}
}

// Problem is one thing that fsck found.
type Problem struct {
	Code    string `json:"code"`
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
}

// Check is what fsck found.
type Check struct {
	Clean        bool      `json:"clean"`
	Problems     []Problem `json:"problems"`
	Notes        []Problem `json:"notes"`
	Entries      int64     `json:"ledger_entries"`
	Acquisitions int       `json:"acquisitions"`
	Items        int       `json:"items"`
	Blobs        int       `json:"blobs"`
	Bytes        int64     `json:"bytes"`
	Disposed     int       `json:"disposed"` // acquisitions whose bytes were disposed of
}

// ViewCheck is what fsck found, as JSON.
func ViewCheck(r fsck.Report) Check {
	c := Check{r.Clean(), []Problem{}, []Problem{}, r.Entries, r.Acquisitions, r.Items, r.Blobs, r.Bytes, r.Disposed}
	for _, p := range r.Problems {
		c.Problems = append(c.Problems, Problem{string(p.Code), p.Subject, p.Detail})
	}
	for _, p := range r.Notes {
		c.Notes = append(c.Notes, Problem{string(p.Code), p.Subject, p.Detail})
	}
	return c
}
