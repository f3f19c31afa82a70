package act_test

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
)

// may says who may do an act of package act: o owner, r responsible, h handler, v viewer,
// a auditor, x vendor. A new act needs a line here, and package act needs no other place
// for it than its own table.
func may() map[string]string {
	const (
		all     = "orhvax"  // who looks; a vendor sees what was granted
		staff   = "orh"     // who handles incidents
		lead    = "or"      // who decides
		note    = "orhx"    // who opens evidence and writes notes
		audit   = "orha"    // who reads the ledger
		check   = "ora"     // who checks it
		own     = "account" // everybody, on the own account alone
		machine = "local"   // what the collector's own programs do under somebody's name
	)
	return map[string]string{
		// Looking.
		"Acquisitions": all, "AcquisitionItems": all, "Boots": all, "Command": all, "Commands": all, "Custody": all, "Endpoint": all, "EndpointAcquisitions": all, "Endpoints": all,
		"EnrollmentRequests": all, "Evidence": all, "EvidenceItem": all, "Exhibit": all, "Export": all, "Exports": all, "Group": all, "Groups": all, "Incident": all, "Incidents": all,
		"IsolationEvents": all, "IsolationSettings": all, "LedgerDiffers": all, "Listen": all, "ManifestOf": all, "Operators": all, "ReleaseWaiting": all, "Retention": all, "Sealed": all, "Timeline": all, "TimelinePage": all,
		"DrillOf": all, "DrillMark": all, "Decisions": audit, "Enquiries": staff, "LogSizes": all, "Record": all, "Workplan": all, "Deadlines": all, "NextDeadlines": all, "UncutOrders": all, "OwnContact": all, "OwnContacts": all,
		"DraftReport": staff, "Report": audit, "Reports": audit, "IssuedDocument": audit, "IssuedFile": audit, "FormValues": staff, "Watch": "orhva",
		// Handling.
		"Acquire": staff, "Isolate": staff, "Release": staff, "RefuseRelease": staff, "ShowReleaseCode": staff, "Preserve": staff, "PowerOffGate": staff, "Withdraw": staff,
		"PreviewGroup": staff, "OrderGroup": staff, "AgreeGroup": staff, "RefuseGroup": staff, "GroupWaiting": staff, "GroupsWaiting": staff,
		"OpenIncident": staff, "CloseIncident": staff, "CloseIncidentAs": staff, "ReopenIncident": staff, "MergeIncident": staff, "SplitIncident": staff, "LabelEndpoint": staff, "PlaceEndpoint": staff,
		"StepDrill": staff, "NotADrill": staff, "AddNote": note, "OpenEvidence": note,
		"MintToken": staff, "Tokens": staff, "RevokeToken": staff, "ApproveEnrollment": staff, "RejectEnrollment": staff, "RevokeEndpoint": lead,
		"BuildKit": staff, "ImportKit": staff, "BeginStick": staff, "Sticks": staff, "ImportStick": staff,
		"AcceptSuggestion": staff, "SetAnswer": staff, "RecordDecision": staff, "RecordEnquiry": staff, "Suggestions": staff,
		"MarkItem": staff, "MeetDeadline": staff, "WithdrawDone": staff, "AnswerReportable": staff, "SaveContact": staff, "RemoveContact": staff, "IssueReport": staff, "RecordSending": staff, "FillForm": staff,
		// Custody.
		"AddExhibit": staff, "DescribeExhibit": staff, "RecordCustody": staff, "VerifyExhibit": staff, "CustodyForm": staff, "OrderExport": staff, "WriteExport": staff, "WriteExportTo": staff,
		"BeginUpload": staff, "UploadState": staff, "AppendUpload": staff, "FinishUpload": staff, "DropUpload": staff, "Uploads": all, "OpenUpload": note, "MakeLink": staff, "Links": staff, "ShowLink": staff, "RevokeLink": staff,
		"HoldIncident": lead, "ReleaseHold": lead, "DisposalOf": lead, "DisposalProof": all, "DisposeExhibit": lead, "SetRetention": lead,
		// The ledger.
		"LedgerEntries": audit, "LedgerProof": audit, "LedgerSigned": audit, "LedgerConsistency": audit, "LedgerTimestamp": audit, "LedgerTimestamps": audit, "LedgerCosign": audit,
		"LedgerExport": check, "Fsck": check, "DeclareFork": "o",
		// People and settings.
		"AddOperator": lead, "SetRole": lead, "SessionCounts": lead, "ResetPassword": lead, "DisableOperator": lead, "ResetFactor": lead, "EndSessionsOf": lead, "Person": lead, "GrantIncident": lead, "EndGrant": lead,
		"PeopleSettings": lead, "SetPeopleSettings": lead, "SetIsolationSettings": lead, "Backup": lead, "ProveBackup": lead,
		"SearchEvidence": note, "EvidenceSearch": note, "EvidenceSearches": note, "CancelEvidenceSearch": note, "Search": all, "Running": all, "TriageScope": all, "SetTriageScope": lead, "OwnSteps": all, "SaveOwnStep": lead, "RaiseOwnStep": lead, "RetireOwnStep": lead, "MakeAPIToken": lead, "MakeAPITokenProved": lead, "APITokens": lead, "EndAPIToken": lead,
		"Channel": lead, "Channels": lead, "Deliveries": lead, "SaveChannel": lead, "RemoveChannel": lead, "TestChannel": lead, "WeeklySettings": lead, "SetWeeklySettings": lead, "WeeklyPreview": lead,
		"KnowStorageKeys": machine, "StorageEncrypted": machine, "StorageKeysLost": machine, "StorageRotated": machine, "UseRecoveryKey": machine,
		// One's own account.
		"OwnAccount": own, "SetOwnAddress": own, "EndOwnSession": own, "EndOtherSessions": own, "BeginFactor": own, "FactorBegun": own, "ConfirmFactor": own, "RemoveFactor": own,
		"NewRecoveryCodes": own, "ChangePassword": own,
	}
}

// TestEveryActByEveryRole calls every exported act that somebody does, as its method set
// has them, in every role. Whoever may not is refused before anything is looked at or
// changed; whoever may gets any other answer.
func TestEveryActByEveryRole(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc-1")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		people := map[string]act.Actor{}
		for _, role := range operator.Roles() {
			letter := string(role[0])
			if role == operator.Vendor {
				letter = "x"
			}
			people[letter] = x.person("p-"+string(role), role)
		}
		x.person("taken", operator.Viewer)
		outside := act.Actor{Kind: act.ByEndpoint, ID: p.id, OrganisationID: "org_x", Role: operator.Owner}
		table, seen := may(), map[string]bool{}
		acts := reflect.ValueOf(x.Acts)
		for i := range acts.NumMethod() {
			name, m := acts.Type().Method(i).Name, acts.Method(i)
			if m.Type().NumIn() < 2 || m.Type().In(1) != reflect.TypeFor[act.Actor]() {
				continue
			}
			seen[name] = true
			who, ok := table[name]
			if !ok {
				t.Errorf("%s has no line in the table of who may do it", name)
				continue
			}
			if err := call(x, name, m, outside, inc.ID); !errors.Is(err, act.ErrForbidden) && !errors.Is(err, act.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s by an endpoint that claims to be an owner: %v", name, err)
			}
			if who == "account" || who == "local" {
				continue // see TestOwnAccountIsOnesOwn
			}
			// This collector has no kits, signs nothing and takes in no files.
			lacks := []string{"BeginStick", "ImportStick", "BuildKit", "ImportKit", "LedgerExport", "BeginUpload", "UploadState", "AppendUpload", "FinishUpload", "DropUpload"}
			proven := len(who) == len(people) || slices.Contains(lacks, name)
			for letter, a := range people {
				before := len(x.acts(""))
				err := call(x, name, m, a, inc.ID)
				allowed := strings.Contains(who, letter)
				refused := errors.Is(err, act.ErrForbidden)
				proven = proven || refused
				switch {
				case refused == allowed && !errors.Is(err, act.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported):
					t.Errorf("%s by %s: %v", name, letter, err)
				case !allowed && err == nil:
					t.Errorf("%s by %s was done", name, letter)
				}
				if !allowed && len(x.acts("")) != before {
					t.Errorf("%s by %s left something in the ledger", name, letter)
				}
			}
			if !proven {
				t.Errorf("%s refused nobody for the role: its inputs here are no good, give it better ones", name)
			}
		}
		for name := range table {
			if !seen[name] {
				t.Errorf("%s stands in the table and is no act", name)
			}
		}
		x.ledgerStands()
	})
}

// call calls an act with something for each of its inputs.
func call(x *fixture, name string, m reflect.Value, a act.Actor, incidentID string) error {
	in := []reflect.Value{reflect.ValueOf(x.t.Context()), reflect.ValueOf(a)}
	for i := 2; i < m.Type().NumIn(); i++ {
		typ := m.Type().In(i)
		v := reflect.Zero(typ)
		switch {
		case typ.Kind() == reflect.String && i == 2:
			v = reflect.ValueOf(incidentID).Convert(typ)
		case typ.Kind() == reflect.String:
			v = reflect.ValueOf("because").Convert(typ)
		case typ == reflect.TypeFor[time.Time]():
			v = reflect.ValueOf(x.clock.Add(time.Hour))
		case typ == reflect.TypeFor[io.Writer]():
			v = reflect.ValueOf(io.Discard)
		case typ == reflect.TypeFor[io.Reader]():
			v = reflect.ValueOf(io.Reader(strings.NewReader("")))
		}
		if better, ok := inputs(x)[name]; ok && better[i-2] != nil {
			v = reflect.ValueOf(better[i-2]).Convert(typ)
		}
		in = append(in, v)
	}
	out := m.Call(in)
	for _, v := range out {
		if c, ok := v.Interface().(io.Closer); ok && !v.IsNil() {
			_ = c.Close()
		}
		if stop, ok := v.Interface().(func()); ok && stop != nil {
			stop()
		}
	}
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

// inputs are those of acts that look at them before at who asks; nil: any will do.
func inputs(x *fixture) map[string][]any {
	why := act.Order{Reason: "because"}
	return map[string][]any{
		"StepDrill":       {nil, act.DrillStep{What: drill.Isolate}},
		"NotADrill":       {nil, act.RealSign{Seen: "s"}},
		"MeetDeadline":    {nil, "client", nil},
		"WithdrawDone":    {nil, "client", nil},
		"SetRole":         {"opr_none", operator.Viewer},
		"AddOperator":     {act.NewOperator{Name: "taken", Role: operator.Viewer}},
		"CloseIncidentAs": {"inc_none", incident.Resolved, nil},
		"MarkItem":        {nil, nil, act.ItemMark{State: playbook.Done}},
		"FillForm":        {act.NewForm{IncidentID: "inc_none", Cells: "Sheet1!A1 = number"}},
		"DraftReport":     {act.NewReport{IncidentID: "inc_none", Kind: report.Owner, Language: "ja"}},
		"IssueReport":     {act.NewReport{IncidentID: "inc_none", Kind: report.Owner, Language: "ja"}},
		"RecordSending":   {nil, act.SentReport{Recipient: "r", Channel: report.ByHand}},
		"MakeLink":        {act.NewLink{Kind: phone.Reports, Note: "n", Life: phone.Reports.Lives()[0]}},
		"OpenEvidence":    {nil, act.ToView},
		"OpenIncident":    {act.NewIncident{Title: "t"}},
		"OrderExport":     {act.NewExport{IncidentID: "inc_none", Recipient: "r", Purpose: "p"}},
		"OrderGroup":      {act.Selection{All: true}, act.GroupOrder{Order: why, Verb: dispatch.Release}},
		"AddExhibit":      {act.NewExhibit{IncidentID: "inc_none", Kind: exhibit.Device, Place: "p", Fields: map[exhibit.Field]string{exhibit.Description: "d"}}},
		"RecordCustody":   {nil, exhibit.Event{Type: exhibit.Seal, At: x.clock, Place: "p", Medium: exhibit.Medium{SealNo: "1"}}},
		"RecordDecision":  {nil, record.Decision{Kind: record.DecideOther, Options: "o", Facts: "f", Decision: "d", Reason: "r", Decider: "s"}},
		"RecordEnquiry":   {nil, record.Enquiry{Channel: record.ByPhone, Who: "w", Question: "q"}},
		"SaveContact":     {contact.Own{Kind: contact.Vendor, Name: "保守", Tel: "03-1234-5678"}},
		"SetAnswer":       {nil, act.NewAnswer{Item: record.KnownAt, State: record.Unknown, After: act.AnyVersion}},
		"ShowReleaseCode": {nil, "123456789012", nil},
		"SplitIncident":   {nil, []string{"end_none"}, nil, nil},
	}
}
