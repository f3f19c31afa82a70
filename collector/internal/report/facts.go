package report

import "time"

// Facts are everything that documents are written from. All of it is optional: what is not
// there is printed as 不明.
type Facts struct {
	At         time.Time // when they were gathered
	LedgerSize int64     // entries of the ledger then
	Drill      bool

	Organisation Organisation
	Incident     Incident
	// Answers are what is known, by the keys of the ten items and of what forms ask beyond.
	Answers   map[Key]Answer
	Endpoints []Endpoint
	Timeline  []Line // oldest first
	Evidence  []Evidence
	Exhibits  []Exhibit
	Decisions []Decision
	Deadlines []Deadline
	Next      *Deadline // when people hear again; nil: not known
	Contacts  []Contact
}

// Organisation is whose incident it is.
type Organisation struct {
	Name string
	// Client is on whose behalf work was done (委託元); empty: not said.
	Client string
	Desk   string // where those concerned can ask: name, telephone, hours
}

// Incident is the case itself.
type Incident struct {
	Number, Title string
	Types         []string // malware, ransomware, outage, leak; empty: not known
	Reporter      string
	DiscoveredAt  time.Time
	OpenedAt      time.Time
	ClosedAt      time.Time // zero while open
	LedgerIdx     int64     // of its opening; negative: not known
}

// Key names an answer.
type Key string

// The ten items of the record, in the order of the guide.
const (
	Type         Key = "type"
	Business     Key = "business_operator"
	People       Key = "people"
	DiscoveredAt Key = "discovered_at"
	OccurredAt   Key = "occurred_at"
	Symptoms     Key = "symptoms"
	Course       Key = "timeline"
	Cause        Key = "cause"
	Assets       Key = "assets"
	Tools        Key = "tools"
)

// Items returns the keys of the ten items in their order.
func Items() []Key {
	return []Key{Type, Business, People, DiscoveredAt, OccurredAt, Symptoms, Course, Cause, Assets, Tools}
}

// What forms ask beyond the ten items.
const (
	KnownAt       Key = "known_at"       // when a department of the business knew
	Impact        Key = "impact"         // what works and what does not
	NextUpdate    Key = "next_update"    // when the owner hears again
	MyNumber      Key = "my_number"      // whether it is about 特定個人情報
	Delegated     Key = "delegated"      // an industry whose ministry takes the report
	DataItems     Key = "data_items"     // which items of personal data
	PersonsCount  Key = "persons_count"  // of how many persons
	SecondaryHarm Key = "secondary_harm" // or its risk
	PersonsNotice Key = "persons_notice" // what was done towards the persons
	Publication   Key = "publication"    // whether and how it was made public
	Prevention    Key = "prevention"     // against recurrence
	FoundBy       Key = "found_by"       // how it was noticed
	DeviceKind    Key = "device_kind"    // as IPA's forms name them
	Location      Key = "location"       // on-premises, cloud, …
	Route         Key = "route"          // by which way it came in
	Damage        Key = "damage"         // what was harmed
	Secrecy       Key = "disclosure"     // how far others may pass it on
	Ask           Key = "ask"            // what is asked of the one who reads it
)

// State is how sure an answer is.
type State string

// The states. The zero State is that of what nobody recorded.
const (
	Known     State = "known"
	Estimated State = "estimated"
	Unknown   State = "unknown"
)

// Answer is the newest version of what is known of one thing.
type Answer struct {
	// Value is what people wrote; empty where From and To, or Parts, say it.
	Value    string
	Parts    []Part
	From, To time.Time // of what is a moment or a period
	State    State
	Basis    []Basis
	By       string
	At       time.Time
	Version  int
	// LedgerIdx is the entry that recorded it; negative or zero: not known.
	LedgerIdx int64
}

// Part is one thing that an answer says.
type Part struct {
	// Name is the name of its field in the record, "types" of classifications, or "fact." and
	// the kind of what was taken over from evidence.
	Name string
	// Text is what people or machines wrote; of classifications and categories a code.
	Text  string
	State string    // of a tool: running, installed, disabled, absent, unknown
	At    time.Time // when it was captured
}

// Basis is what an answer stands on.
type Basis struct {
	Number string // of evidence or of an exhibit; empty of a person
	Person string
	Alert  bool // the user of a PC reported it
	Gone   bool // the evidence was disposed of, or is not there
}

// Endpoint is a PC of the incident as it is now.
type Endpoint struct {
	Name, System string
	State        string // isolated, released, isolating, releasing, failed, unknown
	MeasuredAt   time.Time
}

// Line is one line of the course of things, in words.
type Line struct {
	At        time.Time // collector's clock
	AgentAt   time.Time // zero when no agent was involved
	Actor     string
	Text      string // the sentence, and what a person wrote
	LedgerIdx int64
	Deed      Deed   // what it means for a summary; empty: nothing
	Endpoint  string // name
}

// Deed is what a line of the timeline means for those who read only a summary.
type Deed string

// The deeds that a summary tells.
const (
	DeedReported Deed = "reported"
	DeedIsolated Deed = "isolated"
	DeedReleased Deed = "released"
	DeedAcquired Deed = "acquired"
	DeedHanded   Deed = "handed_over"
	DeedExported Deed = "exported"
)

// Evidence is one acquisition.
type Evidence struct {
	Number     string // of its exhibit
	Host       string
	Profile    string // its name
	Outcome    string // code
	Pieces     int
	Records    int64
	SHA256     string // of the manifest
	ReceivedAt time.Time
	LedgerIdx  int64
	Gone       bool // its bytes were disposed of
}

// Exhibit is one thing under custody.
type Exhibit struct {
	Number, Kind, Description string
	Holder                    string // who has it; empty: not known
	Gaps, Events              int
	LedgerIdx                 int64
	Gone                      bool
}

// Decision is one that was made, or that waits.
type Decision struct {
	// Kind is a code such as stop_business; Question says it in words where there is no kind.
	Kind                              string
	Question, Choice, Reason, Decider string
	Options, Known                    string
	At                                time.Time // zero: it waits
	By                                time.Time // until when; zero: not said
	LedgerIdx                         int64
}

// Deadline is a day by which something must be done.
type Deadline struct {
	Name, Rule, Basis string
	From, Until       time.Time // Until is the earliest reading; zero: not known
	DoneAt            time.Time // zero: not done
	DoneNote          string    // such as a receipt number
	// Provisional says that nobody answered yet whether it applies: it counts all the same.
	Provisional bool
}

// Contact is somebody to call.
type Contact struct {
	Kind                           string // such as police
	Name, Role, Phone, Hours, Note string
	// CheckedAt is when somebody looked whether it still holds; zero: never. Stale says that
	// this is too long ago.
	CheckedAt time.Time
	Stale     bool
	// Unchecked says that the number is as printed in the guide, and must not be dialled
	// unseen.
	Unchecked bool
}
