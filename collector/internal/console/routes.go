package console

import "net/http"

// routes is the whole map of the console: every address, who may ask, which page
// answers. What a person may do there is decided by the acts.
func (s *server) routes() http.Handler {
	pages := http.NewServeMux()
	add := func(pattern string, h http.Handler) { pages.Handle(pattern, timed(h)) }

	add("GET /sign-in", s.public(s.signInForm))
	add("POST /sign-in", s.public(s.signIn))
	add("POST /sign-out", s.public(s.signOut))
	add("POST /language", s.public(s.setLanguage))
	add("GET /about", s.public(s.about))
	add("GET /password", s.signedIn(s.passwordForm))
	add("POST /password", s.signedIn(s.changePassword))

	add("GET /{$}", s.private(s.dashboard))
	add("GET /endpoints/add", s.private(s.endpointAddForm))
	add("POST /endpoints/add", s.private(s.endpointAdd))
	add("POST /tokens/{id}/revoke", s.private(s.tokenRevoke))
	add("POST /enrolments/{id}/approve", s.private(s.enrolmentApprove))
	add("POST /enrolments/{id}/reject", s.private(s.enrolmentReject))
	add("GET /endpoints/{id}", s.private(s.endpointShow))
	add("POST /endpoints/{id}/label", s.private(s.endpointLabel))
	add("POST /endpoints/{id}/place", s.private(s.endpointPlace))
	add("POST /endpoints/{id}/release/refuse", s.private(s.releaseRefuse))
	add("GET /endpoints/{id}/release-code", s.private(s.releaseCodeForm))
	add("POST /endpoints/{id}/release-code", s.private(s.releaseCode))
	add("GET /endpoints/{id}/order/preserve", s.private(s.endpointPreserveForm))
	add("POST /endpoints/{id}/order/preserve", s.private(s.endpointPreserve))
	add("GET /endpoints/{id}/order/{verb}", s.private(s.endpointOrderForm))
	add("POST /endpoints/{id}/order/{verb}", s.private(s.endpointOrder))

	add("POST /commands/{id}/withdraw", s.private(s.commandWithdraw))

	add("GET /groups", s.private(s.groupList))
	add("GET /groups/new/{deed}", s.private(s.groupNewForm))
	add("POST /groups/new/{deed}", s.private(s.groupPreview))
	add("POST /groups/order/{deed}", s.private(s.groupOrder))
	add("GET /groups/{id}", s.private(s.groupShow))

	add("GET /settings/isolation", s.private(s.isolationSettingsForm))
	add("POST /settings/isolation", s.private(s.isolationSettings))

	add("GET /incidents", s.private(s.incidentList))
	add("GET /incidents/new", s.private(s.incidentNewForm))
	add("POST /incidents/new", s.private(s.incidentNew))
	add("GET /incidents/{id}", s.private(s.incidentShow))
	add("POST /incidents/{id}/notes", s.private(s.incidentNote))
	add("GET /incidents/{id}/export", s.private(s.incidentExportForm))
	add("POST /incidents/{id}/export", s.private(s.incidentExport))
	add("POST /incidents/{id}/hold", s.private(s.incidentHold))
	add("GET /incidents/{id}/custody/new", s.private(s.exhibitNewForm))
	add("POST /incidents/{id}/custody/new", s.private(s.exhibitNew))
	add("GET /incidents/{id}/custody/{no}", s.private(s.exhibitShow))
	add("POST /incidents/{id}/custody/{no}/record", s.private(s.exhibitRecord))
	add("POST /incidents/{id}/custody/{no}/describe", s.private(s.exhibitDescribe))
	add("GET /incidents/{id}/reports", s.private(s.reportList))
	add("GET /incidents/{id}/reports/new/{kind}", s.private(s.reportNewForm))
	add("POST /incidents/{id}/reports/new/{kind}", s.private(s.reportNew))
	add("POST /incidents/{id}/reports/custody-form", s.private(s.custodyForm))
	add("GET /incidents/{id}/reports/{no}", s.private(s.reportShow))
	add("POST /incidents/{id}/reports/{no}/sent/new", s.private(s.reportSent))
	add("GET /incidents/{id}/reports/{no}/{version}/{format}", s.private(s.reportDownload))

	add("GET /incidents/{id}/playbook", s.private(s.incidentPlaybook))
	add("POST /incidents/{id}/playbook/{item}", s.private(s.playbookMark))
	add("GET /incidents/{id}/deadlines", s.private(s.incidentDeadlines))
	add("POST /incidents/{id}/deadlines/answers", s.private(s.deadlineAnswer))
	add("POST /incidents/{id}/deadlines/{clock}/done", s.private(s.deadlineDone))
	add("GET /incidents/{id}/close", s.private(s.incidentCloseForm))
	add("POST /incidents/{id}/close", s.private(s.incidentClose))

	add("GET /incidents/{id}/record", s.private(s.incidentRecord))
	add("GET /incidents/{id}/record/{item}", s.private(s.incidentAnswerForm))
	add("POST /incidents/{id}/record/{item}", s.private(s.incidentAnswer))
	add("POST /incidents/{id}/record/{item}/accept", s.private(s.answerAccept))
	add("GET /incidents/{id}/lifecycle", s.private(s.incidentLifecycleForm))
	add("POST /incidents/{id}/reopen", s.private(s.incidentReopen))
	add("POST /incidents/{id}/merge", s.private(s.incidentMerge))
	add("POST /incidents/{id}/split", s.private(s.incidentSplit))
	add("GET /incidents/{id}/decisions", s.private(s.incidentDecisionsForm))
	add("POST /incidents/{id}/decisions", s.private(s.incidentDecide))
	add("GET /incidents/{id}/enquiries", s.private(s.incidentEnquiriesForm))
	add("POST /incidents/{id}/enquiries", s.private(s.incidentEnquire))

	add("GET /contacts", s.private(s.contactList))
	add("GET /contacts/new", s.private(s.contactNewForm))
	add("POST /contacts/new", s.private(s.contactSave))
	add("GET /contacts/{id}", s.private(s.contactEditForm))
	add("POST /contacts/{id}", s.private(s.contactSave))
	add("POST /contacts/{id}/remove", s.private(s.contactRemove))

	add("GET /evidence/{id}", s.private(s.evidenceShow))
	add("GET /evidence/{id}/records", s.private(s.evidenceRecords))
	add("GET /evidence/{id}/findings", s.private(s.findingList))
	add("GET /evidence/{id}/tree", s.private(s.processTree))
	add("GET /evidence/{id}/processes/{process}", s.private(s.processShow))
	add("GET /acquisitions/{id}/manifest.json", s.private(s.manifestDownload))
	add("GET /acquisitions/{id}/manifest.json.sig", s.private(s.signatureDownload))

	add("GET /ledger", s.private(s.ledgerList))
	add("GET /operators", s.private(s.operatorList))
	add("/", s.public(s.notFound))

	// As long as they take.
	pages.Handle("GET /evidence/{id}/download", s.private(s.evidenceDownload))
	pages.Handle("POST /incidents/{id}/custody/{no}/verify", s.private(s.exhibitVerify))
	pages.Handle("GET /exports/{id}/download", s.private(s.exportDownload))
	pages.Handle("POST /exports/{id}/download", s.private(s.exportDownload))
	pages.Handle("GET /live", s.private(s.liveStream))

	all := http.NewServeMux()
	all.Handle("GET /static/", s.assets)
	all.Handle("/", bounded(s.sameOrigin(s.sessions.LoadAndSave(s.recovered(pages)))))
	return headers(s.asked(all))
}
