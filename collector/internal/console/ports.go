package console

import (
	"context"
	"io"
	"net/netip"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/export"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/playbook"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/timestamp"
	"hozen/collector/internal/watch"
	"hozen/internal/envelope"
	"hozen/internal/i18n"
)

// ports are the acts as the pages use them, one interface per concern, so that each
// page shows what it can touch.
type ports struct {
	people    people
	endpoints endpoints
	enrolment enrolment
	orders    orders
	incidents incidents
	evidence  evidenceActs
	ledger    ledgerActs
	outside   outside
	live      live
	isolation isolation
	settings  settings
	groups    groups
	exports   exports
	custody   custody
	disposals disposals
	record    recordActs
	logs      logs
	life      lifecycle
	uploads   uploads
	sticks    sticks
	reports   reports
	forms     forms
	workbench workbench
	accounts  accounts
	factors   factors
	guests    guests
	staff     staff
	links     links
	phones    phones
	notices   notices
	weekly    weekly
	watch     watching
	drills    drills
	tokens    apiTokens
	uncut     uncutting
	finds     finds
	scans     scans
}

type drills interface {
	DrillOf(ctx context.Context, a act.Actor, incidentID string) (act.Drill, error)
	StepDrill(ctx context.Context, a act.Actor, incidentID string, n act.DrillStep) error
	NotADrill(ctx context.Context, a act.Actor, drillID string, n act.RealSign) (incident.Incident, error)
	DrillMark(ctx context.Context, a act.Actor, ref string) (act.Marked, error)
}

type people interface {
	SignIn(ctx context.Context, name, password, remoteAddr string) (operator.Operator, error)
	ConfirmSignIn(ctx context.Context, operatorID, proof, code, remoteAddr string) (operator.Operator, error)
	MustSetFactor(ctx context.Context, o operator.Operator) (bool, error)
	ChangePassword(ctx context.Context, a act.Actor, old, new string) error
	OperatorByID(ctx context.Context, id string) (operator.Operator, error)
	Operators(ctx context.Context, a act.Actor) ([]operator.Operator, error)
}

type endpoints interface {
	Endpoints(ctx context.Context, a act.Actor) ([]endpoint.Endpoint, error)
	Endpoint(ctx context.Context, a act.Actor, id string) (endpoint.Endpoint, error)
	LabelEndpoint(ctx context.Context, a act.Actor, id, label string) error
	Boots(ctx context.Context, a act.Actor, endpointID string) ([]endpoint.Boot, error)
	EndpointAcquisitions(ctx context.Context, a act.Actor, endpointID string) ([]evidence.Acquisition, error)
}

type enrolment interface {
	MintToken(ctx context.Context, a act.Actor, n act.NewToken) (act.MintedToken, error)
	Tokens(ctx context.Context, a act.Actor) ([]enroll.Token, error)
	RevokeToken(ctx context.Context, a act.Actor, tokenID string) error
	requests
}

type requests interface {
	EnrollmentRequests(ctx context.Context, a act.Actor) ([]enroll.Request, error)
	ApproveEnrollment(ctx context.Context, a act.Actor, requestID string) error
	RejectEnrollment(ctx context.Context, a act.Actor, requestID, reason string) error
}

type orders interface {
	Acquire(ctx context.Context, a act.Actor, endpointID string, o act.Order) (dispatch.Command, error)
	Isolate(ctx context.Context, a act.Actor, endpointID string, o act.Order) (dispatch.Command, error)
	Release(ctx context.Context, a act.Actor, endpointID string, o act.Order) (dispatch.Command, error)
	Commands(ctx context.Context, a act.Actor, f act.CommandFilter) ([]dispatch.Command, error)
	preserving
}

type preserving interface {
	PowerOffGate(ctx context.Context, a act.Actor, endpointID string) (act.Gate, error)
	Preserve(ctx context.Context, a act.Actor, endpointID string, o act.Order) (dispatch.Command, error)
	Command(ctx context.Context, a act.Actor, id string) (dispatch.Command, error)
	Withdraw(ctx context.Context, a act.Actor, commandID, reason string) error
}

type incidents interface {
	Incidents(ctx context.Context, a act.Actor) ([]incident.Incident, error)
	Incident(ctx context.Context, a act.Actor, idOrNumber string) (incident.Incident, error)
	OpenIncident(ctx context.Context, a act.Actor, n act.NewIncident) (incident.Incident, error)
	timeline
}

type timeline interface {
	Timeline(ctx context.Context, a act.Actor, incidentID string) ([]incident.Entry, error)
	TimelinePage(ctx context.Context, a act.Actor, incidentID string, skip, n int) (list []incident.Entry, total int, err error)
	AddNote(ctx context.Context, a act.Actor, incidentID, text string) error
}

type evidenceActs interface {
	Acquisitions(ctx context.Context, a act.Actor, incidentID string) ([]evidence.Acquisition, error)
	Evidence(ctx context.Context, a act.Actor, incidentID string) ([]evidence.Item, error)
	EvidenceItem(ctx context.Context, a act.Actor, idOrNumber string) (evidence.Item, error)
	OpenEvidence(ctx context.Context, a act.Actor, evidenceID string, p act.Purpose) (evidence.Item, io.ReadCloser, error)
	acquired
}

type acquired interface {
	AcquisitionItems(ctx context.Context, a act.Actor, acquisitionID string) ([]evidence.Item, error)
	ManifestOf(ctx context.Context, a act.Actor, acquisitionID string) (manifest, sig []byte, err error)
}

type ledgerActs interface {
	LedgerEntries(ctx context.Context, a act.Actor, f act.LedgerFilter) ([]ledger.Recorded, error)
	LedgerDiffers(ctx context.Context, a act.Actor) (*checkpoint.Difference, error)
}

type outside interface {
	OutsideStatus(ctx context.Context) (act.OutsideStatus, error)
	LedgerTimestamp(ctx context.Context, a act.Actor) (timestamp.Token, error)
	LedgerTimestamps(ctx context.Context, a act.Actor, before int64, limit int) ([]timestamp.Token, error)
	LedgerCosign(ctx context.Context, a act.Actor, carried string) (act.Cosigned, error)
}

// weekly is how things are, once a week.
type weekly interface {
	WeeklySettings(ctx context.Context, a act.Actor) (notify.Weekly, error)
	SetWeeklySettings(ctx context.Context, a act.Actor, w notify.Weekly) error
	WeeklyPreview(ctx context.Context, a act.Actor, l i18n.Language) (notify.Message, error)
}

type watching interface {
	Watch(ctx context.Context, a act.Actor) ([]watch.Concern, error)
}

type apiTokens interface {
	APITokens(ctx context.Context, a act.Actor) ([]act.APIToken, error)
	MakeAPITokenProved(ctx context.Context, a act.Actor, password string, n act.NewAPIToken) (operator.Token, string, error)
	EndAPIToken(ctx context.Context, a act.Actor, tokenID string) error
}

type finds interface {
	Search(ctx context.Context, a act.Actor, text string, kind act.HitKind) (act.Findings, error)
}

// scans are searches in the contents of evidence.
type scans interface {
	SearchEvidence(ctx context.Context, a act.Actor, n act.NewEvidenceSearch) (act.EvidenceSearch, error)
	EvidenceSearch(ctx context.Context, a act.Actor, searchID string) (act.EvidenceSearch, error)
	EvidenceSearches(ctx context.Context, a act.Actor) ([]act.EvidenceSearch, error)
	CancelEvidenceSearch(ctx context.Context, a act.Actor, searchID string) error
}

type live interface {
	Listen(ctx context.Context, a act.Actor) (<-chan act.Event, func(), error)
	Running(ctx context.Context, a act.Actor, commandID string) (*act.Progress, error)
}

type accounts interface {
	OwnAccount(ctx context.Context, a act.Actor) (act.Account, error)
	SetOwnAddress(ctx context.Context, a act.Actor, address string) error
	EndOwnSession(ctx context.Context, a act.Actor, sessionID string) error
	EndOtherSessions(ctx context.Context, a act.Actor, keep string) error
	Person(ctx context.Context, a act.Actor, operatorID string) (act.Person, error)
}

type factors interface {
	BeginFactor(ctx context.Context, a act.Actor, password string) (key, url string, err error)
	FactorBegun(ctx context.Context, a act.Actor) (key string, err error)
	ConfirmFactor(ctx context.Context, a act.Actor, code, remoteAddr, keep string) (recovery []string, err error)
	NewRecoveryCodes(ctx context.Context, a act.Actor, code, remoteAddr string) ([]string, error)
	RemoveFactor(ctx context.Context, a act.Actor, code, remoteAddr string) error
}

type guests interface {
	GrantIncident(ctx context.Context, a act.Actor, operatorID, incidentID string, until time.Time) error
	EndGrant(ctx context.Context, a act.Actor, operatorID, incidentID string) error
	peopleRules
}

type staff interface {
	AddOperator(ctx context.Context, a act.Actor, n act.NewOperator) (op operator.Operator, oneTimePassword string, err error)
	SetRole(ctx context.Context, a act.Actor, operatorID string, to operator.Role) error
	ResetPassword(ctx context.Context, a act.Actor, operatorID string) (oneTimePassword string, err error)
	DisableOperator(ctx context.Context, a act.Actor, operatorID string) error
	SessionCounts(ctx context.Context, a act.Actor) (map[string]int, error)
}

type links interface {
	Links(ctx context.Context, a act.Actor, incidentID string) ([]phone.Link, error)
	ShowLink(ctx context.Context, a act.Actor, linkID string) (act.ShownLink, error)
	MakeLink(ctx context.Context, a act.Actor, n act.NewLink) (phone.Link, error)
	RevokeLink(ctx context.Context, a act.Actor, linkID string) error
}

// phones is what people without an account do who have a link.
type phones interface {
	OpenLink(ctx context.Context, token string) (act.LinkPage, error)
	ReportByLink(ctx context.Context, token string, r act.LinkReport, remoteAddr string) (number string, err error)
	PhotoByLink(ctx context.Context, token string, p act.LinkPhoto, body io.Reader, remoteAddr string) (record.Upload, error)
}

type peopleRules interface {
	EndSessionsOf(ctx context.Context, a act.Actor, operatorID string) error
	ResetFactor(ctx context.Context, a act.Actor, operatorID, reason string) error
	PeopleSettings(ctx context.Context, a act.Actor) (organisation.People, error)
	SetPeopleSettings(ctx context.Context, a act.Actor, p organisation.People) error
}

type notices interface {
	Channels(ctx context.Context, a act.Actor) ([]notify.Channel, error)
	Channel(ctx context.Context, a act.Actor, channelID string) (notify.Channel, error)
	SaveChannel(ctx context.Context, a act.Actor, n act.NewChannel) (c notify.Channel, key string, err error)
	sending
}

type sending interface {
	Deliveries(ctx context.Context, a act.Actor, n int) ([]notify.Delivery, error)
	TestChannel(ctx context.Context, a act.Actor, channelID string) error
	RemoveChannel(ctx context.Context, a act.Actor, channelID string) error
}

type isolation interface {
	IsolationEvents(ctx context.Context, a act.Actor, endpointID string, n int) ([]endpoint.IsolationEvent, error)
	ReleaseWaiting(ctx context.Context, a act.Actor, endpointID string) (dispatch.ReleaseAsked, error)
	RefuseRelease(ctx context.Context, a act.Actor, endpointID, reason string) error
	ShowReleaseCode(ctx context.Context, a act.Actor, endpointID, number, reason string) (act.ShownCode, error)
	Permits(ctx context.Context, calls []act.PermitCall) ([]dispatch.Permit, error)
}

type settings interface {
	IsolationSettings(ctx context.Context, a act.Actor) (organisation.Isolation, error)
	SetIsolationSettings(ctx context.Context, a act.Actor, i organisation.Isolation) error
	TriageScope(ctx context.Context, a act.Actor) (t organisation.Triage, said bool, err error)
	SetTriageScope(ctx context.Context, a act.Actor, t organisation.Triage) error
	PlaceEndpoint(ctx context.Context, a act.Actor, id string, p act.Place) error
}

type groups interface {
	PreviewGroup(ctx context.Context, a act.Actor, sel act.Selection, o act.GroupOrder) (act.GroupPreview, error)
	OrderGroup(ctx context.Context, a act.Actor, sel act.Selection, o act.GroupOrder) (group.Order, error)
	Groups(ctx context.Context, a act.Actor, n int) ([]group.Order, error)
	Group(ctx context.Context, a act.Actor, id string) (group.Order, []act.GroupMember, error)
	groupsAsked
}

type groupsAsked interface {
	Drill() dispatch.Isolation
	GroupsWaiting(ctx context.Context, a act.Actor) ([]group.Asked, error)
	GroupWaiting(ctx context.Context, a act.Actor, askedID string, from netip.Addr) (act.GroupWaiting, error)
	AgreeGroup(ctx context.Context, a act.Actor, askedID, glass string, from netip.Addr) (group.Order, error)
	RefuseGroup(ctx context.Context, a act.Actor, askedID, reason string) error
}

type exports interface {
	Exports(ctx context.Context, a act.Actor, incidentID string) ([]export.Record, error)
	Export(ctx context.Context, a act.Actor, idOrNumber string) (export.Record, error)
	OrderExport(ctx context.Context, a act.Actor, n act.NewExport) (export.Record, error)
	WriteExport(ctx context.Context, a act.Actor, idOrNumber string, w io.Writer) (export.Record, error)
	WriteExportTo(ctx context.Context, a act.Actor, idOrNumber string, to []envelope.Recipient, w io.Writer) (export.Record, error)
}

type workbench interface {
	Guides() act.Guides
	playbooks
	ownSteps
	deadlines
	contacts
}

type ownSteps interface {
	OwnSteps(ctx context.Context, a act.Actor) ([]playbook.OwnItem, error)
	SaveOwnStep(ctx context.Context, a act.Actor, i playbook.OwnItem) error
	RaiseOwnStep(ctx context.Context, a act.Actor, stepID string) error
	RetireOwnStep(ctx context.Context, a act.Actor, stepID string, retired bool) error
}

type playbooks interface {
	Workplan(ctx context.Context, a act.Actor, incidentID string) (act.Workplan, error)
	MarkItem(ctx context.Context, a act.Actor, incidentID, item string, m act.ItemMark) error
	GateText(gate string) playbook.Text
}

type deadlines interface {
	Deadlines(ctx context.Context, a act.Actor, incidentID string) (act.Deadlines, error)
	NextDeadlines(ctx context.Context, a act.Actor) ([]act.NextDeadline, error)
	AnswerReportable(ctx context.Context, a act.Actor, incidentID string, answers deadline.Answers, note string) (deadline.Verdict, error)
	MeetDeadline(ctx context.Context, a act.Actor, incidentID, clock string, m act.DeadlineMet) error
	WithdrawDone(ctx context.Context, a act.Actor, incidentID, clock, reason string) error
}

type contacts interface {
	OwnContacts(ctx context.Context, a act.Actor) ([]contact.Own, error)
	OwnContact(ctx context.Context, a act.Actor, contactID string) (contact.Own, []contact.Own, error)
	SaveContact(ctx context.Context, a act.Actor, o contact.Own) (contact.Own, error)
	RemoveContact(ctx context.Context, a act.Actor, contactID string) error
}

type custody interface {
	Custody(ctx context.Context, a act.Actor, incidentID string) (act.Custody, error)
	AddExhibit(ctx context.Context, a act.Actor, n act.NewExhibit) (exhibit.Item, error)
	RecordCustody(ctx context.Context, a act.Actor, idOrNumber string, e exhibit.Event) (exhibit.Event, error)
	VerifyExhibit(ctx context.Context, a act.Actor, idOrNumber, purpose string) (act.Verified, error)
	describing
}

type disposals interface {
	DisposalOf(ctx context.Context, a act.Actor, idOrNumber string) (act.Disposal, error)
	DisposeExhibit(ctx context.Context, a act.Actor, idOrNumber, reason, confirmed string) (act.Disposal, error)
	DisposalProof(ctx context.Context, a act.Actor, idOrNumber string) (act.DisposalProof, error)
}

type describing interface {
	DescribeExhibit(ctx context.Context, a act.Actor, idOrNumber string, fields map[exhibit.Field]string) error
	HoldIncident(ctx context.Context, a act.Actor, incidentID, reason string) error
	ReleaseHold(ctx context.Context, a act.Actor, incidentID, reason string) error
}

type recordActs interface {
	Record(ctx context.Context, a act.Actor, incidentID string) (record.Sheet, error)
	SetAnswer(ctx context.Context, a act.Actor, incidentID string, n act.NewAnswer) (record.Version, error)
	Suggestions(ctx context.Context, a act.Actor, incidentID string) ([]act.Suggestion, error)
	AcceptSuggestion(ctx context.Context, a act.Actor, incidentID string, item record.Item, fingerprint string) (record.Version, error)
	LogSizes(ctx context.Context, a act.Actor, incidentID string) (decisions, enquiries int, err error)
}

type lifecycle interface {
	CloseIncidentAs(ctx context.Context, a act.Actor, incidentID string, code incident.CloseCode, reason string) error
	ReopenIncident(ctx context.Context, a act.Actor, incidentID, reason string) error
	MergeIncident(ctx context.Context, a act.Actor, incidentID, intoID, reason string) (incident.Incident, error)
	SplitIncident(ctx context.Context, a act.Actor, incidentID string, endpointIDs []string, title, reason string) (incident.Incident, error)
}

type uploads interface {
	Uploads(ctx context.Context, a act.Actor, incidentID string) ([]record.Upload, error)
	OpenUpload(ctx context.Context, a act.Actor, uploadID string) (record.Upload, io.ReadCloser, error)
	arriving
}

type sticks interface {
	BeginStick(ctx context.Context, a act.Actor, n act.NewStick) (record.Upload, error)
	Sticks(ctx context.Context, a act.Actor) ([]record.Upload, error)
	ImportStick(ctx context.Context, a act.Actor, uploadID string, o act.ImportOrder) (act.Imported, error)
}

type arriving interface {
	BeginUpload(ctx context.Context, a act.Actor, n act.NewUpload) (record.Upload, error)
	UploadState(ctx context.Context, a act.Actor, uploadID string) (record.Upload, int64, error)
	AppendUpload(ctx context.Context, a act.Actor, uploadID string, offset int64, piece io.Reader) (int64, error)
	FinishUpload(ctx context.Context, a act.Actor, uploadID string) (record.Upload, error)
	DropUpload(ctx context.Context, a act.Actor, uploadID string) error
}

type logs interface {
	Decisions(ctx context.Context, a act.Actor, incidentID string) ([]record.Decision, error)
	RecordDecision(ctx context.Context, a act.Actor, incidentID string, n record.Decision) (record.Decision, error)
	Enquiries(ctx context.Context, a act.Actor, incidentID string) ([]record.Enquiry, error)
	RecordEnquiry(ctx context.Context, a act.Actor, incidentID string, n record.Enquiry) (record.Enquiry, error)
}

type reports interface {
	Reports(ctx context.Context, a act.Actor, incidentID string) ([]report.Report, error)
	DraftReport(ctx context.Context, a act.Actor, n act.NewReport) (report.Document, error)
	IssueReport(ctx context.Context, a act.Actor, n act.NewReport) (report.Report, report.Version, error)
	issued
}

type forms interface {
	FormValues(ctx context.Context, a act.Actor, n act.NewForm) (map[string]string, error)
	FillForm(ctx context.Context, a act.Actor, n act.NewForm) ([]byte, error)
}

type issued interface {
	IssuedDocument(ctx context.Context, a act.Actor, idOrNumber string, version int) (report.Document, report.Report, error)
	IssuedFile(ctx context.Context, a act.Actor, idOrNumber string, version int, name string) ([]byte, report.Report, error)
	RecordSending(ctx context.Context, a act.Actor, idOrNumber string, n act.SentReport) error
	CustodyForm(ctx context.Context, a act.Actor, incidentID string, w io.Writer) error
}
