package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries by which incidents change; their subject is the incident,
// and of an alert of a PC's user the alert.
const (
	ActOpen   = "incident.open"
	ActClose  = "incident.close"
	ActReopen = "incident.reopen"
	ActMerge  = "incident.merge"
	ActSplit  = "incident.split"
	ActJoin   = "incident.join"
	ActAlert  = "incident.alert"
	ActExpect = "incident.expect_alert" // its evidence came first
	// actAnswer is of an answer to an item of the record, of which an incident carries two.
	actAnswer = "record.answer"
)

// Audit holds every incident, what belongs to it, every alert, and the counters of numbers
// against the ledger, and the ledger against them, by organisation. q is one unchanging view.
// The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	found := map[string][]ledger.Difference{}
	add := func(more map[string][]ledger.Difference, err error) error {
		for org, list := range more {
			found[org] = append(found[org], list...)
		}
		return err
	}
	err := cmp.Or(
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, id, number, title, classification, reporter, discovered_at, opened_at, closed_at, close_code,
			merged_into, split_from, drill, found_in FROM incident_incident`, []string{ActOpen, ActClose, ActReopen, ActMerge, ActSplit, actAnswer}, replay)),
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, incident_id || ' ' || endpoint_id, added_at FROM incident_endpoint`,
			[]string{ActOpen, ActJoin, ActSplit}, replayEndpoints)),
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, number, counter FROM (
			SELECT organisation_id, 'INC-' || year AS number, counter FROM incident_counter
			UNION ALL SELECT organisation_id, '`+drillPrefix+`' || year, counter FROM incident_drill_counter) c`, []string{ActOpen}, replayCounters)),
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, alert_id, endpoint_id, incident_id, message, reporter, reported_at, received_at FROM incident_alert`,
			[]string{ActExpect, ActAlert}, replayAlerts)),
	)
	if err != nil {
		return nil, fmt.Errorf("audit incidents: %w", err)
	}
	return found, nil
}

func replay(s ledger.States, e ledger.Recorded) {
	with := e.Details
	switch e.Act {
	case ActOpen:
		s.Set(e.Subject, "number", with["number"], "title", with["title"], "classification", with["classification"], "reporter", with["reporter"],
			"discovered_at", with["discovered_at"], "opened_at", sqldb.FormatTime(e.Told), "closed_at", "", "close_code", "", "merged_into", "", "split_from", "",
			"drill", number(with["drill"] == "true"), "found_in", with["found_in"])
	case ActClose:
		s.Change(e.Subject, "closed_at", sqldb.FormatTime(e.Told), "close_code", with["code"])
	case ActReopen:
		s.Change(e.Subject, "closed_at", "", "close_code", "")
	case ActMerge:
		s.Change(e.Subject, "closed_at", sqldb.FormatTime(e.Told), "close_code", string(Merged), "merged_into", with["into"])
	case ActSplit:
		s.Change(with["into"], "split_from", e.Subject)
	case actAnswer:
		var v struct {
			Types []string  `json:"types"`
			At    time.Time `json:"at"`
		}
		if err := json.Unmarshal([]byte(with["value"]), &v); err != nil {
			return
		}
		switch item := with["item"]; {
		case item == "type" && with["state"] == "unknown":
			s.Change(e.Subject, "classification", string(NotYet))
		case item == "type" && len(v.Types) > 0:
			s.Change(e.Subject, "classification", v.Types[0])
		case item == "discovered_at" && !v.At.IsZero():
			s.Change(e.Subject, "discovered_at", sqldb.FormatTime(v.At))
		}
	}
}

func replayEndpoints(s ledger.States, e ledger.Recorded) {
	switch e.Act {
	case ActOpen:
		for _, id := range strings.Fields(e.Details["endpoints"]) {
			s.Set(e.Subject+" "+id, "added_at", sqldb.FormatTime(e.Told))
		}
	case ActJoin:
		s.Set(e.Subject+" "+e.Details["endpoint"], "added_at", sqldb.FormatTime(e.Told))
	case ActSplit:
		for _, id := range strings.Fields(e.Details["endpoints"]) {
			delete(s, e.Subject+" "+id)
		}
	}
}

func replayAlerts(s ledger.States, e ledger.Recorded) {
	with := e.Details
	switch {
	case e.Act == ActExpect:
		s.Set(e.Subject, "endpoint_id", with["endpoint"], "incident_id", with["incident"], "message", "", "reporter", "", "reported_at", "", "received_at", "")
	case with["alert"] != "": // what people report for a PC is a line of the timeline alone
		s.Set(e.Subject, "endpoint_id", with["endpoint"], "incident_id", with["incident"], "message", with["message"], "reporter", with["reporter"],
			"reported_at", with["reported_at"], "received_at", sqldb.FormatTime(e.Told))
	}
}

func replayCounters(s ledger.States, e ledger.Recorded) {
	of, n, ok := cutLast(e.Details["number"])
	if !ok {
		return
	}
	if most, _ := strconv.Atoi(s[of]["counter"]); n > most { // it is a number, made by this function
		s.Set(of, "counter", strconv.Itoa(n))
	}
}

// cutLast cuts the number of an incident into what is counted and the count.
func cutLast(s string) (of string, n int, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(s[i+1:])
	return s[:i], n, err == nil
}

func number(set bool) string { return strconv.FormatInt(sqldb.FormatBool(set), 10) }
