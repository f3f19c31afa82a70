package act

import (
	"slices"

	"hozen/collector/internal/operator"
)

// permission is one right that roles have or have not.
type permission string

const (
	mayLook         permission = "look"          // inventory, incidents, timelines, commands, what evidence there is
	mayOpenEvidence permission = "open_evidence" // the bytes: personal data of whoever uses the PC
	mayExport       permission = "export"        // evidence packages, which leave the collector
	mayAcquire      permission = "acquire"
	mayIsolate      permission = "isolate"
	mayRelease      permission = "release"
	mayPreserve     permission = "preserve" // also switching the PC off
	mayNote         permission = "note"
	mayRunIncident  permission = "run_incident" // open, close, label endpoints
	mayEnrol        permission = "enrol"        // tokens and requests
	mayRevoke       permission = "revoke"       // endpoints
	mayManagePeople permission = "manage_people"
	mayReadLedger   permission = "read_ledger"
	mayCheck        permission = "check"  // fsck
	mayWatch        permission = "watch"  // whether the watch itself is alive
	mayBackUp       permission = "backup" // a copy of everything
	maySettle       permission = "settle" // how the organisation isolates
	mayFork         permission = "fork"   // declare a new line of the ledger
	mayExportLedger permission = "export_ledger"
	mayKeepCustody  permission = "keep_custody" // add, describe, verify exhibits; record what is done with them
	mayRecord       permission = "record"       // answer the items of the record, note decisions and enquiries; read the enquiries
	// mayReadReasons is to read why was decided what, such as whether a ransom is paid, and the
	// documents, which print it.
	mayReadReasons  permission = "read_decisions"
	mayHold         permission = "hold"    // legal hold, and releasing it
	mayDispose      permission = "dispose" // of evidence; also how long it is kept
	mayNotify       permission = "notify"  // by which channels people are told
	mayReport       permission = "report"  // issue documents, and record to whom they were sent
	mayMarkPlaybook permission = "mark_playbook"
	mayMeetDeadline permission = "meet_deadline" // also answer whether something must be reported
	mayKeepContacts permission = "keep_contacts"
	mayLink         permission = "link"        // make links by which people without an account report and send photographs
	mayMakeTokens   permission = "make_tokens" // with which programs act on one's behalf
)

// table is role × act, the one place that says who may do what. What a vendor may do is
// held to the incidents that were granted, see confine.
func table() map[permission][]operator.Role {
	const (
		owner, responsible, handler = operator.Owner, operator.Responsible, operator.Handler
		viewer, auditor, vendor     = operator.Viewer, operator.Auditor, operator.Vendor
	)
	return map[permission][]operator.Role{
		mayLook:         {owner, responsible, handler, viewer, auditor, vendor},
		mayOpenEvidence: {owner, responsible, handler, vendor},
		mayExport:       {owner, responsible, handler},
		mayAcquire:      {owner, responsible, handler},
		mayIsolate:      {owner, responsible, handler},
		mayRelease:      {owner, responsible, handler},
		mayPreserve:     {owner, responsible, handler},
		mayNote:         {owner, responsible, handler, vendor},
		mayRunIncident:  {owner, responsible, handler},
		mayEnrol:        {owner, responsible, handler},
		mayRevoke:       {owner, responsible},
		mayManagePeople: {owner, responsible},
		mayReadLedger:   {owner, responsible, handler, auditor},
		mayCheck:        {owner, responsible, auditor},
		mayWatch:        {owner, responsible, handler, viewer, auditor},
		mayBackUp:       {owner, responsible},
		maySettle:       {owner, responsible},
		mayFork:         {owner},
		mayExportLedger: {owner, responsible, auditor},
		mayKeepCustody:  {owner, responsible, handler},
		mayRecord:       {owner, responsible, handler},
		mayHold:         {owner, responsible},
		mayReadReasons:  {owner, responsible, handler, auditor},
		mayDispose:      {owner, responsible},
		mayNotify:       {owner, responsible},
		mayReport:       {owner, responsible, handler},
		mayMarkPlaybook: {owner, responsible, handler},
		mayMeetDeadline: {owner, responsible, handler},
		mayKeepContacts: {owner, responsible, handler},
		mayLink:         {owner, responsible, handler},
		mayMakeTokens:   {owner, responsible},
	}
}

func permitted(r operator.Role, p permission) bool { return slices.Contains(table()[p], r) }

// mayGrant reports whether somebody with one role may make, reset or disable
// somebody with another: nobody reaches above their own.
func mayGrant(by, to operator.Role) bool {
	return by == operator.Owner || permitted(by, mayManagePeople) && to != operator.Owner
}
