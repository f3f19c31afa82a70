// Package record keeps what people write down about an incident: the ten items of its
// record in all their versions, decisions, and the enquiries of the customers' desk. It
// knows nothing of incidents, evidence bytes, HTML or who may do what.
package record

import (
	"errors"
	"slices"
	"time"
)

// Item is one of the things that have to be in order about every incident
// (対応時に整理しておくべき事項). The names are stable: they stand in the ledger.
type Item string

// The ten items, and the moment from which legal periods count where that is another one
// than the discovery.
const (
	Type             Item = "type"              // 1 分類
	BusinessOperator Item = "business_operator" // 2 事業者
	People           Item = "people"            // 3 責任者・担当者
	DiscoveredAt     Item = "discovered_at"     // 4 発覚日時
	OccurredAt       Item = "occurred_at"       // 5 発生日時
	Symptoms         Item = "symptoms"          // 6 発生事象
	Timeline         Item = "timeline"          // 7 対応経過; it writes itself and has no answers
	Cause            Item = "cause"             // 8 想定される原因
	Assets           Item = "assets"            // 9 対象機器・ソフトウェア・サービス
	Tools            Item = "tools"             // 10 セキュリティ対策ツール
	KnownAt          Item = "known_at"          // when a department of the business knew; default [DiscoveredAt]
)

// Items returns the ten items in their order.
func Items() []Item {
	return []Item{Type, BusinessOperator, People, DiscoveredAt, OccurredAt, Symptoms, Timeline, Cause, Assets, Tools}
}

// Answerable returns the items that people answer.
func Answerable() []Item {
	return []Item{Type, BusinessOperator, People, DiscoveredAt, KnownAt, OccurredAt, Symptoms, Cause, Assets, Tools}
}

// Answerable reports whether people answer the item.
func (i Item) Answerable() bool { return slices.Contains(Answerable(), i) }

// Number is the number of the item among the ten; 0 of [KnownAt], which is a part of item 4.
func (i Item) Number() int { return slices.Index(Items(), i) + 1 }

// State says how sure an answer is.
type State string

// The states. Unknown is an answer (不明).
const (
	Known     State = "known"
	Estimated State = "estimated"
	Unknown   State = "unknown"
)

// States returns all states.
func States() []State { return []State{Known, Estimated, Unknown} }

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Basis is what an answer rests on.
type Basis struct {
	// Evidence are numbers of evidence or of exhibits, or the identifier of evidence that has
	// no number.
	Evidence []string `json:"evidence,omitempty"`
	// Alert is the report by the user of a PC that says it.
	Alert string `json:"alert,omitempty"`
	// Person is who says it: anybody, with or without an account.
	Person string `json:"person,omitempty"`
}

// Empty reports whether nothing is named.
func (b Basis) Empty() bool { return len(b.Evidence) == 0 && b.Alert == "" && b.Person == "" }

// Version is one answer to one item. It is never changed, only followed by another.
type Version struct {
	OrganisationID string
	IncidentID     string
	Item           Item
	No             int64 // within item and incident, from 1
	State          State
	Value          Value // empty where State is Unknown
	Basis          Basis
	Reason         string    // why it replaces the version before
	EnteredID      string    // identifier of the operator
	EnteredBy      string    // display name, as it was then
	EnteredAt      time.Time // collector clock
	LedgerIdx      int64
}

// Answer is an item with all that was ever answered.
type Answer struct {
	Item     Item
	Versions []Version // oldest first
}

// Now returns the newest version, and whether there is one. Where there is none the item is
// unknown because nobody has looked, which is not the same as a version that says so.
func (a Answer) Now() (Version, bool) {
	if len(a.Versions) == 0 {
		return Version{State: Unknown, Item: a.Item}, false
	}
	return a.Versions[len(a.Versions)-1], true
}

// Older returns the versions before the newest, the newer first.
func (a Answer) Older() []Version {
	if len(a.Versions) < 2 {
		return nil
	}
	older := slices.Clone(a.Versions[:len(a.Versions)-1])
	slices.Reverse(older)
	return older
}

// Opening is what the report or alert said that opened the incident. It stands in the ledger
// at [Opening.LedgerIdx] and is what counts until a person answers.
type Opening struct {
	At           time.Time // when the incident was opened, by the collector's clock
	DiscoveredAt time.Time
	Reporter     string // who noticed, as written
	Type         string // classification that was chosen then; empty or "unknown": none
	Alert        string // identifier of the alert; empty when a person opened the incident
	LedgerIdx    int64
}

// Sheet is the record of one incident.
type Sheet struct {
	IncidentID string
	Opening    Opening
	Answers    map[Item]Answer // every one of [Answerable] is in it
}

// NewSheet arranges versions, which are of one incident and in the order of their numbers.
func NewSheet(incidentID string, o Opening, versions []Version) Sheet {
	s := Sheet{IncidentID: incidentID, Opening: o, Answers: map[Item]Answer{}}
	for _, i := range Answerable() {
		s.Answers[i] = Answer{Item: i}
	}
	for _, v := range versions {
		a := s.Answers[v.Item]
		a.Item = v.Item
		a.Versions = append(a.Versions, v)
		s.Answers[v.Item] = a
	}
	return s
}

// Get returns the newest version of an item, and whether there is one; see [Answer.Now].
func (s Sheet) Get(i Item) (Version, bool) {
	a := s.Answers[i]
	a.Item = i
	return a.Now()
}

// Moment is a point in time that periods count from, and how it is known.
type Moment struct {
	At    time.Time // zero: a person answered that it is not known, or nothing was ever said
	State State
	// Version is that which says it; 0: the report that opened the incident says it, and no
	// person has confirmed it yet.
	Version int64
	Item    Item // which of [DiscoveredAt] and [KnownAt] says it
}

// DiscoveredAt is when the incident was recognised (発覚日時): by the newest answer, or by
// the report that opened it.
func (s Sheet) DiscoveredAt() Moment {
	if v, ok := s.Get(DiscoveredAt); ok {
		return Moment{At: v.Value.At, State: v.State, Version: v.No, Item: DiscoveredAt}
	}
	m := Moment{At: s.Opening.DiscoveredAt, State: Estimated, Item: DiscoveredAt}
	if m.At.IsZero() {
		m.State = Unknown
	}
	return m
}

// KnownAt is when a department of the business knew, from which the periods of the law
// count. Where nobody answered, or it is unknown, it is [Sheet.DiscoveredAt].
func (s Sheet) KnownAt() Moment {
	if v, ok := s.Get(KnownAt); ok && v.State != Unknown {
		return Moment{At: v.Value.At, State: v.State, Version: v.No, Item: KnownAt}
	}
	return s.DiscoveredAt()
}

// Types are the classifications, the first of which is the primary one; nil when none is
// known.
func (s Sheet) Types() []string {
	if v, ok := s.Get(Type); ok {
		return v.Value.Types
	}
	if s.Opening.Type != "" && s.Opening.Type != string(Unknown) {
		return []string{s.Opening.Type}
	}
	return nil
}

// Client reports whether the work was done for somebody else (委託元), which has periods of
// its own.
func (s Sheet) Client() bool {
	v, _ := s.Get(BusinessOperator)
	return v.Value.Get(Client) != ""
}

// AsOf leaves out what came after the ledger had size entries.
func (s Sheet) AsOf(size int64) Sheet {
	var then []Version
	for _, i := range Answerable() {
		for _, v := range s.Answers[i].Versions {
			if v.LedgerIdx < size {
				then = append(then, v)
			}
		}
	}
	return NewSheet(s.IncidentID, s.Opening, then)
}

// Limits of what people write, in bytes.
const (
	MaxName     = 256
	MaxText     = 4096
	MaxValue    = 32 << 10 // a whole answer as it is stored
	MaxEvidence = 20       // pieces of evidence that one answer names
	MaxVersions = 1000     // of one item
)

// ErrNotFound means that there is no such decision or enquiry.
var ErrNotFound = errors.New("no such entry of the record")
