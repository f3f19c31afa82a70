package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// Measured is what an agent measured of its isolation beyond the state. All times are
// the agent's.
type Measured struct {
	Mode         string        `json:"mode,omitempty"`        // "standard", "selective", "full"; empty: not said
	Until        time.Time     `json:"until,omitzero"`        // it ends by itself then; zero: never
	LeaseUntil   time.Time     `json:"lease_until,omitzero"`  // until then the collector need not be heard
	Confirmation *Confirmation `json:"confirmation,omitzero"` // nil: none was asked for
	Severed      *Severed      `json:"severed,omitzero"`      // nil: nobody looked
	Held         string        `json:"held,omitempty"`        // who may change the rules: "here", "elsewhere", "nobody", or empty for every administrator
	Trials       []Trial       `json:"trials,omitempty"`
	Drill        bool          `json:"drill,omitempty"`
	Limits       []string      `json:"limits,omitempty"` // English
	Persisted    bool          `json:"persisted,omitempty"`
	Tunnels      []Tunnel      `json:"tunnels,omitempty"` // that lead to the collector; their outer ends stay open
	// Others says whether packet filter rules of others are after a release what they were
	// before the cut: "same", "differs", "unknown"; empty but after a release.
	// OthersDifferences are which tables differ, or why nothing is known, English.
	Others            string   `json:"others,omitempty"`
	OthersDifferences []string `json:"others_differences,omitempty"`
}

// Tunnel is the outer end of a tunnel that leads to the collector.
type Tunnel struct {
	Address  string    `json:"address"`
	Protocol uint8     `json:"protocol"`       // of IP: 4, 6 (TCP), 17 (UDP), 41, 47
	Port     uint16    `json:"port,omitempty"` // with TCP and UDP
	Link     string    `json:"link,omitempty"` // the tunnel's device
	Why      string    `json:"why,omitempty"`  // how it was found, English
	Since    time.Time `json:"since,omitzero"` // when it was opened; zero: not known
}

// Confirmation is how far an order was confirmed by a connection through the rules.
type Confirmation struct {
	By       time.Time `json:"by,omitzero"`
	RollBack bool      `json:"roll_back,omitempty"` // else it stays closed
	At       time.Time `json:"at,omitzero"`         // zero: not confirmed
	Missed   time.Time `json:"missed,omitzero"`     // zero: the fallback was not taken
}

// Severed is what came of the connections that existed at the cut.
type Severed struct {
	At          time.Time     `json:"at,omitzero"`
	Took        time.Duration `json:"took_ns,omitempty"`
	Destroyed   uint32        `json:"destroyed,omitempty"`
	Gone        uint32        `json:"gone,omitempty"`
	Failed      uint32        `json:"failed,omitempty"`
	Unsupported bool          `json:"unsupported,omitempty"`
	Detail      string        `json:"detail,omitempty"` // what could not be done, English
	// First are the first of them with their process, as the agent says; all are evidence.
	First []string `json:"first,omitempty"`
}

// Trial is one thing that was tried through the rules.
type Trial struct {
	Name    string       `json:"name"` // a stable code such as "tcp4"
	Outcome TrialOutcome `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	Target  string       `json:"target,omitempty"`
	At      time.Time    `json:"at,omitzero"`
	Dropped uint64       `json:"dropped,omitempty"`
}

// The collector's own trial: one TCP connection from there to the endpoint.
const (
	InboundTCP4 = InboundPrefix + "tcp4"
	InboundTCP6 = InboundPrefix + "tcp6"
	// InboundPrefix begins the names of what the collector tries; no agent may use it.
	InboundPrefix = "in_"
)

// The reasons why the collector's own trial shows nothing, beside those of agents.
const (
	ReasonUnseen   = "unseen"    // the address that it sees is not known to be the endpoint's own
	ReasonPermits  = "permits"   // a permit may let it pass
	ReasonNotTried = "not_tried" // too many were ordered at once
)

// MustPass reports whether what a trial tries is to pass in an isolation of a mode.
func (t Trial) MustPass(mode string) bool {
	for _, open := range []string{"loopback", "own", "permit"} {
		if strings.HasPrefix(t.Name, open) {
			return true
		}
	}
	return t.Name == "collector" && mode != "full"
}

// Leak reports whether something passed that must not, in an isolation of a mode. What
// must pass and does not is contrary too, and is none.
func (t Trial) Leak(mode string) bool { return t.Outcome == Contrary && !t.MustPass(mode) }

// TrialOutcome is what came of a trial.
type TrialOutcome string

// The outcomes.
const (
	AsOrdered TrialOutcome = "as_ordered"
	Contrary  TrialOutcome = "contrary"
	NotShown  TrialOutcome = "unknown"
)

// same reports whether two measurements say the same but for when and how many.
func (m Measured) same(o Measured) bool {
	at := func(m Measured) Measured {
		m.LeaseUntil = time.Time{} // moves with every word of the collector
		m.Trials = slices.Clone(m.Trials)
		for i := range m.Trials {
			m.Trials[i].At, m.Trials[i].Dropped = time.Time{}, 0
		}
		return m
	}
	a, errA := json.Marshal(at(m))
	b, errB := json.Marshal(at(o))
	return errA == nil && errB == nil && string(a) == string(b)
}

// Same reports whether two measurements say the same of the network but for when they
// were made and what they counted.
func (s IsolationStatus) Same(o IsolationStatus) bool {
	return s.Desired == o.Desired && s.Observed == o.Observed && s.WayHome == o.WayHome && s.RulesDigest == o.RulesDigest &&
		s.Detail == o.Detail && s.CommandID == o.CommandID && s.Capable == o.Capable && s.More.same(o.More)
}

func (m Measured) text() (string, error) {
	m.Held = sqldb.CleanText(m.Held)
	m.Trials, m.Limits = slices.Clone(m.Trials), cleanedLines(m.Limits)
	for i := range m.Trials {
		t := &m.Trials[i]
		t.Name, t.Reason, t.Target = sqldb.CleanText(t.Name), sqldb.CleanText(t.Reason), sqldb.CleanText(t.Target)
	}
	m.Others, m.OthersDifferences = sqldb.CleanText(m.Others), cleanedLines(m.OthersDifferences)
	if m.Severed != nil {
		s := *m.Severed
		s.Detail, s.First = sqldb.CleanText(s.Detail), cleanedLines(s.First)
		m.Severed = &s
	}
	m.Tunnels = slices.Clone(m.Tunnels)
	for i := range m.Tunnels {
		t := &m.Tunnels[i]
		t.Address, t.Link, t.Why = sqldb.CleanText(t.Address), sqldb.CleanText(t.Link), sqldb.CleanText(t.Why)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode isolation: %w", err)
	}
	return string(b), nil
}

func cleanedLines(lines []string) []string {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i] = sqldb.CleanText(lines[i])
	}
	return lines
}

// scanMeasured reads what text wrote.
type scanMeasured struct{ m *Measured }

func (s scanMeasured) Scan(v any) error {
	*s.m = Measured{}
	return scanJSON(v, s.m)
}

func scanJSON(v, into any) error {
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("read isolation: %T", v)
	}
	if len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read isolation: %w", err)
	}
	return nil
}

// IsolationEvent is something about isolation that happened at an endpoint without an
// order of that moment.
type IsolationEvent struct {
	ID             string // made by the agent
	OrganisationID string
	EndpointID     string
	Kind           IsolationEventKind
	At             time.Time // agent clock
	ReceivedAt     time.Time // collector clock
	CommandID      string
	By             string   // who at the endpoint, as the agent says
	Detail         string   // English
	Differences    []string // English
	Seen           []string // English
	Count          uint32   // how many times the same happened since the one before
}

// IsolationEventKind is what happened.
type IsolationEventKind string

// The kinds.
const (
	EventDrift               IsolationEventKind = "drift"
	EventNotInForce          IsolationEventKind = "not_in_force"
	EventReleasedByCode      IsolationEventKind = "released_by_code"
	EventCodeRefused         IsolationEventKind = "code_refused"
	EventReleasedByTime      IsolationEventKind = "released_by_time"
	EventRolledBack          IsolationEventKind = "rolled_back"
	EventLeaseLapsed         IsolationEventKind = "lease_lapsed"
	EventRecordLost          IsolationEventKind = "record_lost"
	EventLeak                IsolationEventKind = "leak"
	EventReleasedByUninstall IsolationEventKind = "released_by_uninstall"
	EventPermitEnded         IsolationEventKind = "permit_ended"
	EventTunnelChanged       IsolationEventKind = "tunnel_changed"
	EventOthersRules         IsolationEventKind = "others_rules"
)

// InsertIsolationEvent stores an event and reports whether it was new.
func InsertIsolationEvent(ctx context.Context, tx *sqldb.Tx, e IsolationEvent) (bool, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO endpoint_isolation_event (id, organisation_id, endpoint_id, kind, at, received_at, command_id,
		told_by, detail, differences, seen, times) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING`,
		e.ID, e.OrganisationID, e.EndpointID, string(e.Kind), sqldb.FormatTime(e.At), sqldb.FormatTime(e.ReceivedAt), sqldb.CleanText(e.CommandID),
		sqldb.CleanText(e.By), sqldb.CleanText(e.Detail), encodeLines(e.Differences), encodeLines(e.Seen), int64(e.Count))
	if err != nil {
		return false, fmt.Errorf("store isolation event: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("store isolation event: %w", err)
	}
	return n == 1, nil
}

// IsolationEvents returns the newest events of an endpoint, newest first.
func IsolationEvents(ctx context.Context, q sqldb.Queryer, endpointID string, limit int) ([]IsolationEvent, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, organisation_id, endpoint_id, kind, at, received_at, command_id, told_by, detail, differences, seen, times
		FROM endpoint_isolation_event WHERE endpoint_id = $1 ORDER BY received_at DESC, id DESC LIMIT $2`, endpointID, limit)
	if err != nil {
		return nil, fmt.Errorf("list isolation events: %w", err)
	}
	defer rows.Close()
	var list []IsolationEvent
	for rows.Next() {
		var e IsolationEvent
		if err := rows.Scan(&e.ID, &e.OrganisationID, &e.EndpointID, &e.Kind, sqldb.ScanTime(&e.At), sqldb.ScanTime(&e.ReceivedAt), &e.CommandID,
			&e.By, &e.Detail, scanLines{&e.Differences}, scanLines{&e.Seen}, &e.Count); err != nil {
			return nil, fmt.Errorf("read isolation event: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

type scanLines struct{ ls *[]string }

func (s scanLines) Scan(v any) error { return scanJSON(v, s.ls) }
