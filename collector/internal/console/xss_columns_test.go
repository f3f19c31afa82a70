package console

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	rec "hozen/internal/artifact/record"
)

// strangersWords are the columns with words of PCs, of people and of others' programs, in whatever
// way they came. Each row gets a hostile text there.
var strangersWords = map[string]string{
	"checkpoint_conflicts":     "detail",
	"checkpoint_lines":         "reason",
	"contact_version":          "name person tel mail hours reference note actor_name",
	"deadline_answer":          "note actor_name",
	"deadline_done":            "receipt_no note actor_name",
	"deadline_version":         "reason",
	"dispatch_command":         "reason detail",
	"dispatch_release":         "reason asked_name decided_name",
	"drill_result":             "actor_name",
	"drill_step":               "actor_name note",
	"endpoint_boot":            "verdict reason asked_by asked_type asked_who",
	"endpoint_endpoint":        "label hostname os arch platform agent_version remote_addr isolation_detail isolation_rules_digest site",
	"endpoint_isolation_event": "told_by detail",
	"endpoint_tag":             "tag",
	"enroll_request":           "hostname os arch platform agent_version remote_addr reason",
	"enroll_token":             "note",
	"evidence_acquisitions":    "profile outcome trigger_kind",
	"evidence_items":           "name schema_name outcome",
	"exhibit_change":           "value",
	"exhibit_event":            "from_person from_org to_person to_org place medium_type medium_serial seal_no carrier tracking_no purpose hash_before hash_after result note actor_name witness",
	"export_package":           "actor_name recipient purpose",
	"group_asked":              "reason asked_name decided_name",
	"group_order":              "reason break_glass",
	"incident_alert":           "message reporter",
	"incident_entry":           "text",
	"incident_incident":        "title reporter",
	"kit_import":               "place reason acquired_by witness",
	"notify_channel":           "name",
	"notify_delivery":          "recipient detail",
	"operator_operator":        "display_name address",
	"operator_token":           "name used_from",
	"organisation_profile":     "name",
	"phone_link":               "note",
	"phone_use":                "address",
	"playbook_mark":            "note gate_reason actor_name",
	"record_decision":          "options facts decision reason decider",
	"record_enquiry":           "who contact question answer",
	"record_version":           "reason",
	"report_sending":           "recipient note actor_name",
	"report_version":           "actor_name title",
	"timestamp_tokens":         "authority policy reason",
	"cosign_signatures":        "witness",
}

// strangersData are columns of data in which such words stand among others: the acts by which they
// came have written hostile ones there.
var strangersData = map[string]string{
	"dispatch_command":         "isolation",
	"endpoint_boot":            "basis",
	"endpoint_endpoint":        "isolation_more",
	"endpoint_isolation_event": "differences seen",
	"incident_entry":           "actor params",
	"playbook_own":             "steps",
	"ledger_entries":           "entry_json",
	"record_upload":            "file",
	"record_version":           "value basis",
}

// ourWords are columns that nobody but the product writes, beside those whose names say so: words
// of a list, numbers, keys, digests, sealed or signed bytes, settings that are checked one by one.
var ourWords = map[string]string{
	"checkpoint_conflicts":  "known_note shown_note",
	"checkpoint_lines":      "origin verifier_key known_note",
	"checkpoint_notes":      "note",
	"cosign_signatures":     "origin note witness_key signature",
	"contact_version":       "url", // refused unless it leads to a web site, see spread
	"deadline_answer":       "answers outcome rule",
	"deadline_done":         "clock",
	"deadline_reminder":     "clock",
	"deadline_version":      "clock window_from counted",
	"dispatch_command":      "profile issuer after_seal",
	"dispatch_release":      "asked_by decision",
	"drill_result":          "result",
	"drill_step":            "what",
	"endpoint_boot":         "ended_after ended_before",
	"endpoint_endpoint":     "isolation_desired isolation_observed purpose origin",
	"enroll_certificate":    "serial der not_before not_after",
	"enroll_request":        "public_key code",
	"evidence_acquisitions": "manifest_signature signer_certificate receipt_payload receipt_signature receipt_certificate",
	"exhibit_change":        "field",
	"exhibit_event":         "type clock",
	"exhibit_item":          "parent",
	"export_package":        "hosts profiles ledger_root frozen checkpoint",
	"group_asked":           "said asked_by decision",
	"group_member":          "left_out result ended",
	"group_order":           "phase isolation issuer",
	"incident_incident":     "classification close_code merged_into split_from found_in",
	"kit_import":            "public_key receipt_code",
	"kit_kit":               "profile",
	"ledger_entries":        "act subject salt",
	"notify_channel":        "language settings secret kinds",
	"notify_delivery":       "event_key event",
	"notify_weekly":         "told_for",
	"operator_grant":        "until",
	"operator_operator":     "name factor_secret factor_since roles_before",
	"operator_session":      "data",
	"operator_token":        "scopes",
	"organisation_profile":  "isolation recovery_key people triage",
	"phone_link":            "token_sealed",
	"playbook_mark":         "item gates",
	"record_decision":       "",
	"record_enquiry":        "channel",
	"record_upload":         "exhibit",
	"record_version":        "item",
	"report_report":         "language",
	"report_sending":        "channel",
	"report_version":        "stage files",
	"timestamp_tokens":      "note response chain serial",
}

// withoutRows are tables of which an office has no rows: nothing can be shown of them here.
var withoutRows = []string{"checkpoint_conflicts", "checkpoint_lines", "cosign_signatures", "timestamp_tokens"}

var oursByName = regexp.MustCompile(`(^|_)(id|at|sha256|idx|kind|state|status|number|digest|hash|mac|role|verb)$|^(begun|changed|created|decided|entered|factor|granted|imported|issued|made|password|revoked|selected)_by$`)

func has(m map[string]string, table, column string) bool {
	return slices.Contains(strings.Fields(m[table]), column)
}

// spread writes hostile texts into what is kept as data with words in it, and makes rows of tables
// of which an office has none.
func (x *office) spread() {
	x.t.Helper()
	ctx, texts := x.t.Context(), hostile()
	for _, to := range append(texts, "javascript:alert(1)", "//evil.example/x", "data:text/html,<script>alert(1)</script>", "https:evil.example", "vbscript:x") {
		if _, err := x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Vendor, Name: "x", URL: to}); err == nil {
			x.t.Errorf("a contact leads to %q", to)
		}
	}
	_, err := x.OrderExport(ctx, x.owner, act.NewExport{IncidentID: x.incidentID, Recipient: texts[1], Purpose: texts[0]})
	must(x.t, err)
	_, _, err = x.MakeAPIToken(ctx, x.owner, act.NewAPIToken{Name: texts[2], Scopes: []act.Scope{act.ScopeRead}, Life: 24 * time.Hour})
	must(x.t, err)
	files, _, _ := x.acquiredByKit(x.incidentID)
	_, err = x.ImportKit(ctx, x.owner, act.ImportOrder{}, strings.NewReader(zipped(x.t, files)))
	must(x.t, err)
	permits, err := x.Permits(ctx, []act.PermitCall{{Target: "192.0.2.0/28", Protocol: "udp", Ports: "5000-5010", Reason: texts[0], Expires: x.now().Add(time.Hour)}})
	must(x.t, err)
	p := x.modern(texts[3], "192.0.2.108")
	_, err = x.Isolate(ctx, x.owner, p.ID, act.Order{Reason: texts[1], IncidentID: x.incidentID, Isolation: dispatch.Isolation{Mode: dispatch.Selective, Permits: permits, Until: x.now().Add(5 * time.Hour)}})
	must(x.t, err)
	p.happened(endpoint.IsolationEvent{Kind: endpoint.EventDrift, By: texts[0], Detail: texts[1], Differences: texts, Seen: texts, Count: 1})
	p.send(func(m *artifact.Manifest) { m.Trigger = artifact.TriggerBoot }, map[artifact.Kind][]string{artifact.KindBoot: bootLine(rec.Boot{Verdict: texts[0], Reason: texts[1], PreviousBootID: texts[2], BootID: texts[3],
		Basis: []rec.BootBasis{{Source: texts[0], Witness: texts[1], Read: texts[2], Leans: texts[3], Detail: texts[4]}}})})
	_, err = x.SetAnswer(ctx, x.owner, x.incidentID, act.NewAnswer{Item: record.Symptoms, State: record.Known, After: act.AnyVersion, Basis: record.Basis{Person: texts[1]},
		Value: record.Value{Fields: map[record.Field]string{record.What: texts[0], record.Where: texts[1], record.Impact: texts[2]}}, Reason: texts[3]})
	must(x.t, err)
}

// overwrite puts a hostile text into every column that has words of strangers, and fails unless it
// is decided of each column of the database whose words it has.
func (x *office) overwrite() {
	x.t.Helper()
	ctx := x.t.Context()
	list := func(q sqldb.Queryer, query string) (out []string) {
		rows, err := q.QueryContext(ctx, query)
		must(x.t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			must(x.t, rows.Scan(&s))
			out = append(out, s)
		}
		must(x.t, rows.Err())
		return out
	}
	tables := list(x.db.Read(), `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose%' ORDER BY name`)
	decided := map[string]bool{}
	for _, table := range tables {
		rows := list(x.db.Read(), `SELECT CAST(rowid AS TEXT) FROM `+table)
		for _, column := range list(x.db.Read(), `SELECT name FROM pragma_table_info('`+table+`') WHERE type = 'TEXT'`) {
			words, data, ours := has(strangersWords, table, column), has(strangersData, table, column), has(ourWords, table, column)
			decided[table+"."+column] = true
			switch {
			case words && !data && !ours:
				must(x.t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					for n, row := range rows {
						if _, err := tx.ExecContext(ctx, `UPDATE `+table+` SET `+column+` = ? WHERE rowid = ?`, fmt.Sprintf("%s %d", hostile()[n%len(hostile())], n), row); err != nil {
							return fmt.Errorf("%s.%s: %w", table, column, err)
						}
					}
					return nil
				}))
			case data && !words && !ours:
				if len(list(x.db.Read(), `SELECT '' FROM `+table+` WHERE `+column+` LIKE '%alert(%' LIMIT 1`)) == 0 && len(rows) > 0 {
					x.t.Errorf("nothing hostile came into %s.%s", table, column)
				}
			case words || data:
				x.t.Errorf("%s.%s is decided twice", table, column)
			case !ours && !oursByName.MatchString(column):
				x.t.Errorf("nobody decided whose words %s.%s has", table, column)
			}
			if (words || data) && (len(rows) == 0) != slices.Contains(withoutRows, table) {
				x.t.Errorf("%s has %d rows", table, len(rows))
			}
		}
	}
	for _, m := range []map[string]string{strangersWords, strangersData, ourWords} {
		for table, columns := range m {
			for column := range strings.FieldsSeq(columns) {
				if !decided[table+"."+column] {
					x.t.Errorf("there is no column %s.%s", table, column)
				}
			}
		}
	}
}
