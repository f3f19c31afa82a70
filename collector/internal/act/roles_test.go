package act_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/report"
	"hozen/internal/i18n"
)

// TestRolesByActs goes through every role and every act of operators. A letter is a
// role that may: o owner, r responsible, h handler, v viewer, a auditor, x vendor.
func TestRolesByActs(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc-1")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := x.Acquire(t.Context(), x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		only := func(_ any, err error) error { return err }
		table := []struct {
			act string
			may string
			do  func(ctx context.Context, a act.Actor) error
		}{
			{"Operators", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Operators(ctx, a)) }},
			{"Watch", "orhva", func(ctx context.Context, a act.Actor) error { return only(x.Watch(ctx, a)) }},
			{"ProveBackup", "or", func(ctx context.Context, a act.Actor) error { return only(x.ProveBackup(ctx, a, "/none")) }},
			{"Endpoints", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Endpoints(ctx, a)) }},
			{"Endpoint", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Endpoint(ctx, a, p.id)) }},
			{"EnrollmentRequests", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.EnrollmentRequests(ctx, a)) }},
			{"Commands", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Commands(ctx, a, act.CommandFilter{})) }},
			{"Command", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Command(ctx, a, cmd.ID)) }},
			{"Incidents", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Incidents(ctx, a)) }},
			{"Incident", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Incident(ctx, a, inc.Number)) }},
			{"Timeline", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Timeline(ctx, a, inc.ID)) }},
			{"Acquisitions", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Acquisitions(ctx, a, inc.ID)) }},
			{"EndpointAcquisitions", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.EndpointAcquisitions(ctx, a, p.id)) }},
			{"Evidence", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Evidence(ctx, a, inc.ID)) }},
			{"AcquisitionItems", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.AcquisitionItems(ctx, a, "acq_none")) }},
			{"EvidenceItem", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.EvidenceItem(ctx, a, "evd_none")) }},
			{"ManifestOf", "orhvax", func(ctx context.Context, a act.Actor) error {
				_, _, err := x.ManifestOf(ctx, a, "acq_none")
				return err
			}},
			{"OpenEvidence", "orhx", func(ctx context.Context, a act.Actor) error {
				_, _, err := x.OpenEvidence(ctx, a, "evd_none", act.ToView)
				return err
			}},
			{"Acquire", "orh", func(ctx context.Context, a act.Actor) error { return only(x.Acquire(ctx, a, p.id, act.Order{})) }},
			{"Isolate", "orh", func(ctx context.Context, a act.Actor) error { return only(x.Isolate(ctx, a, p.id, act.Order{})) }},
			{"Release", "orh", func(ctx context.Context, a act.Actor) error { return only(x.Release(ctx, a, p.id, act.Order{})) }},
			{"ReleaseWaiting", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.ReleaseWaiting(ctx, a, p.id)) }},
			{"RefuseRelease", "orh", func(ctx context.Context, a act.Actor) error { return x.RefuseRelease(ctx, a, p.id, "") }},
			{"ShowReleaseCode", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.ShowReleaseCode(ctx, a, p.id, "123456789012", "why"))
			}},
			{"IsolationEvents", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.IsolationEvents(ctx, a, p.id, 1)) }},
			{"IsolationSettings", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.IsolationSettings(ctx, a)) }},
			{"SetIsolationSettings", "or", func(ctx context.Context, a act.Actor) error {
				return x.SetIsolationSettings(ctx, a, organisation.Isolation{})
			}},
			{"AddNote", "orhx", func(ctx context.Context, a act.Actor) error { return x.AddNote(ctx, a, inc.ID, "n") }},
			{"Reports", "orha", func(ctx context.Context, a act.Actor) error { return only(x.Reports(ctx, a, inc.ID)) }},
			{"Report", "orha", func(ctx context.Context, a act.Actor) error { return only(x.Report(ctx, a, "rep_none")) }},
			{"DraftReport", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.DraftReport(ctx, a, act.NewReport{IncidentID: inc.ID, Kind: report.Owner, Language: i18n.Japanese}))
			}},
			{"IssueReport", "orh", func(ctx context.Context, a act.Actor) error {
				_, _, err := x.IssueReport(ctx, a, act.NewReport{IncidentID: inc.ID, Kind: report.Owner, Language: i18n.Japanese})
				return err
			}},
			{"FormValues", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.FormValues(ctx, a, act.NewForm{IncidentID: inc.ID, Language: i18n.Japanese}))
			}},
			{"FillForm", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.FillForm(ctx, a, act.NewForm{IncidentID: inc.ID, Language: i18n.Japanese, Cells: "S!A1 = title"}))
			}},
			{"IssuedFile", "orha", func(ctx context.Context, a act.Actor) error {
				_, _, err := x.IssuedFile(ctx, a, "rep_none", 1, report.FormatPDF)
				return err
			}},
			{"RecordSending", "orh", func(ctx context.Context, a act.Actor) error {
				return x.RecordSending(ctx, a, "rep_none", act.SentReport{Version: 1, Recipient: "r", Channel: report.ByHand})
			}},
			{"Workplan", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Workplan(ctx, a, inc.ID)) }},
			{"MarkItem", "orh", func(ctx context.Context, a act.Actor) error {
				return x.MarkItem(ctx, a, inc.ID, "none", act.ItemMark{State: playbook.Done})
			}},
			{"OwnContacts", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.OwnContacts(ctx, a)) }},
			{"SaveContact", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.SaveContact(ctx, a, contact.Own{Kind: contact.Vendor, Name: "n"}))
			}},
			{"RemoveContact", "orh", func(ctx context.Context, a act.Actor) error { return x.RemoveContact(ctx, a, "ctc_none") }},
			{"Deadlines", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.Deadlines(ctx, a, inc.ID)) }},
			{"NextDeadlines", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.NextDeadlines(ctx, a)) }},
			{"AnswerReportable", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.AnswerReportable(ctx, a, inc.ID, nil, ""))
			}},
			{"MeetDeadline", "orh", func(ctx context.Context, a act.Actor) error {
				return x.MeetDeadline(ctx, a, inc.ID, "owner_update", act.DeadlineMet{})
			}},
			{"OpenIncident", "orh", func(ctx context.Context, a act.Actor) error {
				return only(x.OpenIncident(ctx, a, act.NewIncident{Title: "t"}))
			}},
			{"CloseIncident", "orh", func(ctx context.Context, a act.Actor) error { return x.CloseIncident(ctx, a, "inc_none", "") }},
			{"LabelEndpoint", "orh", func(ctx context.Context, a act.Actor) error { return x.LabelEndpoint(ctx, a, p.id, "l") }},
			{"MintToken", "orh", func(ctx context.Context, a act.Actor) error { return only(x.MintToken(ctx, a, act.NewToken{})) }},
			{"Tokens", "orh", func(ctx context.Context, a act.Actor) error { return only(x.Tokens(ctx, a)) }},
			{"RevokeToken", "orh", func(ctx context.Context, a act.Actor) error { return x.RevokeToken(ctx, a, "tok_none") }},
			{"ApproveEnrollment", "orh", func(ctx context.Context, a act.Actor) error { return x.ApproveEnrollment(ctx, a, "enr_none") }},
			{"RejectEnrollment", "orh", func(ctx context.Context, a act.Actor) error { return x.RejectEnrollment(ctx, a, "enr_none", "") }},
			{"LedgerEntries", "orha", func(ctx context.Context, a act.Actor) error {
				return only(x.LedgerEntries(ctx, a, act.LedgerFilter{}))
			}},
			{"Fsck", "ora", func(ctx context.Context, a act.Actor) error { return only(x.Fsck(ctx, a, nil, nil)) }},
			{"LedgerSigned", "orha", func(ctx context.Context, a act.Actor) error { return only(x.LedgerSigned(ctx, a)) }},
			{"LedgerProof", "orha", func(ctx context.Context, a act.Actor) error { return only(x.LedgerProof(ctx, a, 0)) }},
			{"DeclareFork", "o", func(ctx context.Context, a act.Actor) error { return only(x.DeclareFork(ctx, a, "why")) }},
			{"LedgerDiffers", "orhvax", func(ctx context.Context, a act.Actor) error { return only(x.LedgerDiffers(ctx, a)) }},
			{"Backup", "or", func(ctx context.Context, a act.Actor) error { return x.Backup(ctx, a, "dir") }},
			{"RevokeEndpoint", "or", func(ctx context.Context, a act.Actor) error { return x.RevokeEndpoint(ctx, a, "end_none", "") }},
			{"AddOperator", "or", func(ctx context.Context, a act.Actor) error {
				_, _, err := x.AddOperator(ctx, a, act.NewOperator{Name: "taken", Role: operator.Viewer})
				return err
			}},
			{"ResetPassword", "or", func(ctx context.Context, a act.Actor) error { return only(x.ResetPassword(ctx, a, "opr_none")) }},
			{"SetRole", "or", func(ctx context.Context, a act.Actor) error { return x.SetRole(ctx, a, "opr_none", operator.Viewer) }},
			{"SessionCounts", "or", func(ctx context.Context, a act.Actor) error { return only(x.SessionCounts(ctx, a)) }},
			{"DisableOperator", "or", func(ctx context.Context, a act.Actor) error { return x.DisableOperator(ctx, a, "opr_none") }},
		}
		x.person("taken", operator.Viewer)
		for _, role := range operator.Roles() {
			letter := string(role[0])
			if role == operator.Vendor {
				letter = "x"
			}
			a := x.person("p-"+string(role), role)
			for _, row := range table {
				before := len(x.acts(""))
				err := row.do(t.Context(), a)
				if may, did := strings.Contains(row.may, letter), !errors.Is(err, act.ErrForbidden); may != did {
					t.Errorf("%s by %s: allowed is %t, want %t (%v)", row.act, role, did, may, err)
				}
				if err != nil && len(x.acts("")) != before {
					t.Errorf("%s by %s failed and left a ledger entry", row.act, role)
				}
			}
			x.clock = x.clock.Add(time.Second)
		}
		x.ledgerStands()
	})
}
