package record

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the incident.
const (
	ActDecide  = "record.decide"
	ActEnquire = "record.enquire"
)

// DecisionKind is what a decision is about.
type DecisionKind string

// The kinds of decisions.
const (
	DecidePay      DecisionKind = "pay"           // whether to pay what is demanded
	DecideStop     DecisionKind = "stop_business" // whether to stop systems or services that the business needs
	DecidePublish  DecisionKind = "publish"
	DecidePowerOff DecisionKind = "power_off"
	DecideOther    DecisionKind = "other"
)

// DecisionKinds returns all kinds.
func DecisionKinds() []DecisionKind {
	return []DecisionKind{DecidePay, DecideStop, DecidePublish, DecidePowerOff, DecideOther}
}

// Valid reports whether k is one of the kinds.
func (k DecisionKind) Valid() bool { return slices.Contains(DecisionKinds(), k) }

// Decision is one entry of the decision log. It is never changed, only followed by another.
type Decision struct {
	OrganisationID string
	IncidentID     string
	No             int64 // within the incident, from 1
	Kind           DecisionKind
	Options        string // what could have been done, one a line
	Facts          string // what was known then
	Decision       string // what was decided
	Reason         string
	Decider        string    // who decided: anybody, with or without an account
	DecidedAt      time.Time // as a person says
	EnteredID      string
	EnteredBy      string
	EnteredAt      time.Time // collector clock
	LedgerIdx      int64
}

// Details are what the ledger's entry of a decision says.
func (d Decision) Details() map[string]string {
	return map[string]string{"no": strconv.FormatInt(d.No, 10), "kind": string(d.Kind), "options": d.Options, "facts": d.Facts, "decision": d.Decision,
		"reason": d.Reason, "decider": d.Decider, "decided_at": sqldb.FormatTime(d.DecidedAt)}
}

const decisionColumns = `incident_id, decision_no, organisation_id, kind, options, facts, decision, reason, decider, decided_at, entered_id, entered_by, entered_at, ledger_idx`

// NextDecision returns the number that the next decision of an incident gets.
func NextDecision(ctx context.Context, q sqldb.Queryer, incidentID string) (int64, error) {
	var no int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(decision_no), 0) + 1 FROM record_decision WHERE incident_id = $1`, incidentID).Scan(&no); err != nil {
		return 0, fmt.Errorf("number a decision: %w", err)
	}
	return no, nil
}

// InsertDecision adds a decision.
func InsertDecision(ctx context.Context, tx *sqldb.Tx, d Decision) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_decision (`+decisionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		d.IncidentID, d.No, d.OrganisationID, string(d.Kind), d.Options, d.Facts, d.Decision, d.Reason, d.Decider, sqldb.FormatTime(d.DecidedAt),
		d.EnteredID, d.EnteredBy, sqldb.FormatTime(d.EnteredAt), d.LedgerIdx); err != nil {
		return fmt.Errorf("store a decision: %w", err)
	}
	return nil
}

// Decisions returns the decisions of an incident in the order in which they were recorded.
func Decisions(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Decision, error) {
	return queryDecisions(ctx, q, `incident_id = $1 ORDER BY decision_no`, incidentID)
}

func queryDecisions(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Decision, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+decisionColumns+` FROM record_decision WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	defer rows.Close()
	var list []Decision
	for rows.Next() {
		var d Decision
		if err := rows.Scan(&d.IncidentID, &d.No, &d.OrganisationID, &d.Kind, &d.Options, &d.Facts, &d.Decision, &d.Reason, &d.Decider, sqldb.ScanTime(&d.DecidedAt),
			&d.EnteredID, &d.EnteredBy, sqldb.ScanTime(&d.EnteredAt), &d.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read decisions: %w", err)
		}
		list = append(list, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	return list, nil
}

// Channel is how somebody asked.
type Channel string

// The channels.
const (
	ByPhone  Channel = "phone"
	ByMail   Channel = "mail"
	ByForm   Channel = "form"
	ByVisit  Channel = "visit"
	ByLetter Channel = "letter"
	BySocial Channel = "social"
	ByOther  Channel = "other"
)

// Channels returns all channels.
func Channels() []Channel {
	return []Channel{ByPhone, ByMail, ByForm, ByVisit, ByLetter, BySocial, ByOther}
}

// Valid reports whether c is one of the channels.
func (c Channel) Valid() bool { return slices.Contains(Channels(), c) }

// Enquiry is one entry of the log of the customers' desk (専用窓口). A later answer, or
// asking back, is a further entry.
type Enquiry struct {
	OrganisationID string
	IncidentID     string
	No             int64     // within the incident, from 1
	Follows        int64     // number of the entry that it goes on from; 0: none
	AskedAt        time.Time // as a person says
	Who            string
	Contact        string // how to reach them
	Channel        Channel
	Question       string
	Answer         string // empty: not answered yet
	EnteredID      string
	EnteredBy      string
	EnteredAt      time.Time // collector clock
	LedgerIdx      int64
}

// Details are what the ledger's entry of an enquiry says.
func (e Enquiry) Details() map[string]string {
	d := map[string]string{"no": strconv.FormatInt(e.No, 10), "asked_at": sqldb.FormatTime(e.AskedAt), "who": e.Who, "contact": e.Contact, "channel": string(e.Channel),
		"question": e.Question, "answer": e.Answer}
	if e.Follows > 0 {
		d["follows"] = strconv.FormatInt(e.Follows, 10)
	}
	return d
}

const enquiryColumns = `incident_id, enquiry_no, organisation_id, follows, asked_at, who, contact, channel, question, answer, entered_id, entered_by, entered_at, ledger_idx`

// NextEnquiry returns the number that the next enquiry of an incident gets.
func NextEnquiry(ctx context.Context, q sqldb.Queryer, incidentID string) (int64, error) {
	var no int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(enquiry_no), 0) + 1 FROM record_enquiry WHERE incident_id = $1`, incidentID).Scan(&no); err != nil {
		return 0, fmt.Errorf("number an enquiry: %w", err)
	}
	return no, nil
}

// InsertEnquiry adds an enquiry.
func InsertEnquiry(ctx context.Context, tx *sqldb.Tx, e Enquiry) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_enquiry (`+enquiryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.IncidentID, e.No, e.OrganisationID, e.Follows, sqldb.FormatTime(e.AskedAt), e.Who, e.Contact, string(e.Channel), e.Question, e.Answer,
		e.EnteredID, e.EnteredBy, sqldb.FormatTime(e.EnteredAt), e.LedgerIdx); err != nil {
		return fmt.Errorf("store an enquiry: %w", err)
	}
	return nil
}

// MaxEnquiries is how many enquiries [Enquiries] returns at most: the newest.
const MaxEnquiries = 1000

// Enquiries returns the enquiries of an incident, newest first.
func Enquiries(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Enquiry, error) {
	return queryEnquiries(ctx, q, `incident_id = $1 ORDER BY enquiry_no DESC LIMIT $2`, incidentID, MaxEnquiries)
}

func queryEnquiries(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Enquiry, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+enquiryColumns+` FROM record_enquiry WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read enquiries: %w", err)
	}
	defer rows.Close()
	var list []Enquiry
	for rows.Next() {
		var e Enquiry
		if err := rows.Scan(&e.IncidentID, &e.No, &e.OrganisationID, &e.Follows, sqldb.ScanTime(&e.AskedAt), &e.Who, &e.Contact, &e.Channel, &e.Question, &e.Answer,
			&e.EnteredID, &e.EnteredBy, sqldb.ScanTime(&e.EnteredAt), &e.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read enquiries: %w", err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read enquiries: %w", err)
	}
	return list, nil
}

// Count returns how many decisions and enquiries an incident has.
func Count(ctx context.Context, q sqldb.Queryer, incidentID string) (decisions, enquiries int, err error) {
	if err := q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM record_decision WHERE incident_id = $1), (SELECT COUNT(*) FROM record_enquiry WHERE incident_id = $1)`,
		incidentID).Scan(&decisions, &enquiries); err != nil {
		return 0, 0, fmt.Errorf("count the record: %w", err)
	}
	return decisions, enquiries, nil
}
