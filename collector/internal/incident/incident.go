// Package incident keeps the case: the incident, the endpoints it touches and its
// timeline (対応経過). It knows nothing of evidence bytes, commands or HTML.
package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// JoinWithin is how long after opening a further alert from the same endpoint
// joins the incident instead of opening another.
const JoinWithin = 30 * time.Minute

// Classification is item 1 of the record (分類).
type Classification string

// The classifications; each has a playbook in the guide.
const (
	Malware    Classification = "malware"
	Ransomware Classification = "ransomware"
	Outage     Classification = "outage"
	Leak       Classification = "leak"
	NotYet     Classification = "unknown" // 不明 is an answer
)

// Classifications returns all classifications.
func Classifications() []Classification {
	return []Classification{Malware, Ransomware, Outage, Leak, NotYet}
}

// Valid reports whether c is one of the classifications.
func (c Classification) Valid() bool { return slices.Contains(Classifications(), c) }

// Incident is one case.
type Incident struct {
	ID             string
	OrganisationID string
	Number         string // "INC-2026-0007", counts per organisation and year (JST)
	Title          string
	Classification Classification
	Reporter       string    // who noticed, as written
	DiscoveredAt   time.Time // 発覚日時
	OpenedAt       time.Time
	ClosedAt       time.Time // zero while open
	EndpointIDs    []string
	CloseCode      CloseCode // how it ended; empty while open, and of those closed before there were codes
	MergedInto     string    // identifier of the incident in which it goes on; empty: of none
	SplitFrom      string    // identifier of the incident out of which it came; empty: of none
	// Drill means that nothing of it is real (訓練). It is said when the incident is opened and never
	// changes: neither does a drill become real, nor the reverse.
	Drill bool
	// FoundIn is the identifier of the drill in which the sign was found that this real incident
	// is about; empty: in none.
	FoundIn string
}

// EntryKind says where a timeline entry comes from.
type EntryKind string

// The kinds of entries.
const (
	EntryNote           EntryKind = "note"            // a person wrote it
	EntryOpened         EntryKind = "opened"          // the incident was opened
	EntryJoined         EntryKind = "joined"          // an endpoint was added
	EntryClosed         EntryKind = "closed"          // the incident was closed
	EntryAlert          EntryKind = "alert"           // the PC's user reported
	EntryCommand        EntryKind = "command"         // an order was given
	EntryResult         EntryKind = "result"          // what came of an order
	EntryEvidence       EntryKind = "evidence"        // evidence was received
	EntryRefused        EntryKind = "refused"         // evidence was refused
	EntryIsolation      EntryKind = "isolation"       // measured isolation changed
	EntryIsolationEvent EntryKind = "isolation_event" // something happened to an isolation without an order
	EntrySevered        EntryKind = "severed"         // connections were ended by a cut
	EntryBoot           EntryKind = "boot"            // how the boot before the present one ended
	EntryLedgerDiffers  EntryKind = "ledger_differs"  // the ledger does not go on from what was signed before
	EntryExport         EntryKind = "export"          // an evidence package was ordered
	EntryCustody        EntryKind = "custody"         // something was done with an exhibit
	EntryAccess         EntryKind = "access"          // somebody from outside was let in, or is no more
	EntryReopened       EntryKind = "reopened"        // the incident was opened again
	EntryMerged         EntryKind = "merged"          // the incident goes on in another
	EntryMergedIn       EntryKind = "merged_in"       // another incident goes on in this one
	EntrySplit          EntryKind = "split"           // endpoints went into another incident
	EntrySplitFrom      EntryKind = "split_from"      // the incident came out of another
	EntryAnswer         EntryKind = "answer"          // an item of the record was answered
	EntryDecision       EntryKind = "decision"        // somebody decided
	EntryEnquiry        EntryKind = "enquiry"         // somebody asked at the customers' desk
	EntryReport         EntryKind = "report"          // a document was issued, or sent to somebody
	EntryPlaybook       EntryKind = "playbook"        // something was said of an item of the playbook
	EntryDeadline       EntryKind = "deadline"        // a deadline was set, changed, met or reminded of
	EntryUpload         EntryKind = "upload"          // a person sent a file as evidence
	EntryDrill          EntryKind = "drill"           // something of a drill: simulated, told, measured
	EntrySearch         EntryKind = "search"          // somebody looks for words in the contents of evidence
	EntryOlder          EntryKind = "older"           // stands for older entries that are not shown; see [Timeline]
)

// Entry is one line of the timeline; it is never changed, only followed by another.
type Entry struct {
	ID         string
	IncidentID string
	At         time.Time // collector clock
	AgentAt    time.Time // agent clock, zero when no agent was involved
	Kind       EntryKind
	Actor      string            // display name or host name
	Text       string            // what a person wrote; never translated
	Params     map[string]string // for the translated sentence of the kind, such as {"command":"isolate","endpoint":"end_…"}
	LedgerIdx  int64             // index of its ledger entry
}

// Limits of what people write, in bytes.
const (
	MaxTitle    = 256
	MaxReporter = 256
	MaxText     = 8192
)

// ErrNotFound means that there is no such incident.
var ErrNotFound = errors.New("no such incident")

// jst is the zone in which incidents are numbered; Japan has no summer time.
func jst() *time.Location { return time.FixedZone("JST", 9*60*60) }

// Year returns the year by which an incident opened at that moment is numbered.
func Year(opened time.Time) int { return opened.In(jst()).Year() }

// Number spells the number for people. Numbers beyond 9999 get longer.
func Number(year, n int) string { return fmt.Sprintf("INC-%04d-%04d", year, n) }

// DrillNumber spells the number of a drill. Drills count for themselves, and their numbers say
// so: evidence, documents, packages and ledger entries all carry the number of their incident.
func DrillNumber(year, n int) string { return fmt.Sprintf("%s%04d-%04d", drillPrefix, year, n) }

const drillPrefix = "DRILL-"

// OfDrill reports whether a number, of a drill itself or of something of it, is a drill's.
func OfDrill(number string) bool { return strings.HasPrefix(number, drillPrefix) }

// DrillMark begins the title of every drill, in any language: a title is shown wherever its
// incident is.
const DrillMark = "【訓練】"

// MarkDrill writes the title of a drill.
func MarkDrill(title string) string {
	if strings.HasPrefix(title, DrillMark) {
		return title
	}
	return DrillMark + title
}
