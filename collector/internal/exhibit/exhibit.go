// Package exhibit keeps what is known of each piece of evidence as a thing that people hold
// and pass on: its number, its description, every event of its custody, legal hold and the
// period of keeping. It knows nothing of evidence bytes, HTML or who may do what.
package exhibit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Kind is what sort of thing an exhibit is.
type Kind string

// The kinds.
const (
	Volatile Kind = "volatile" // what was in memory: processes, connections, sessions
	Memory   Kind = "memory"   // an image of the main memory
	Files    Kind = "files"
	Log      Kind = "log"
	Photo    Kind = "photo"
	Device   Kind = "device" // a PC, a disk, a telephone
	Paper    Kind = "paper"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Volatile, Memory, Files, Log, Photo, Device, Paper} }

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// Field names one thing that is said of an exhibit.
type Field string

// The fields. Their names are stable: they stand in the ledger and in packages.
const (
	Host             Field = "host"
	AssetNo          Field = "asset_no"
	Maker            Field = "maker"
	Model            Field = "model"
	Serial           Field = "serial"
	OS               Field = "os"
	User             Field = "user"
	Owner            Field = "owner"
	Location         Field = "location"
	Description      Field = "description"
	Reason           Field = "reason" // why it was acquired
	AcquiredBy       Field = "acquired_by"
	AcquiredByOrg    Field = "acquired_by_organisation"
	AcquiredByRole   Field = "acquired_by_role"
	AuthorisedBy     Field = "authorised_by"
	AuthorisedByRole Field = "authorised_by_role"
	AuthorisedBasis  Field = "authorised_basis" // such as a regulation or a written consent
	Witness          Field = "witness"
	ClockZone        Field = "clock_zone"   // the time zone that it was set to
	ClockOffset      Field = "clock_offset" // how far its clock was ahead, and of which clock
	ClockSync        Field = "clock_sync"   // whether its clock was kept by a time server
	Network          Field = "network_state"
)

// Fields returns all fields in the order in which a form has them.
func Fields() []Field {
	return []Field{Description, Host, AssetNo, Maker, Model, Serial, OS, User, Owner, Location,
		AcquiredBy, AcquiredByOrg, AcquiredByRole, AuthorisedBy, AuthorisedByRole, AuthorisedBasis, Witness, Reason,
		ClockZone, ClockOffset, ClockSync, Network}
}

// Valid reports whether f is one of the fields.
func (f Field) Valid() bool { return slices.Contains(Fields(), f) }

// Change is one thing that was said of an exhibit. The newest of a field counts; none is
// ever changed or removed. An empty value takes back what was said.
type Change struct {
	Field     Field
	Value     string
	At        time.Time // collector clock
	By        string    // display name, as it was then
	LedgerIdx int64
}

// Item is one exhibit (証拠物件).
type Item struct {
	ID             string // "exh_…"
	OrganisationID string
	IncidentID     string
	No             int64  // within the incident, from 1
	Number         string // "INC-2026-0007-E03"
	Parent         string // number of the exhibit that it came out of; empty: of none
	Kind           Kind
	AcquisitionID  string // empty for what is kept outside the collector, such as a device
	EndpointID     string // empty when not known
	CreatedAt      time.Time
	CreatedBy      string
	LedgerIdx      int64    // entry that added it
	Changes        []Change // oldest first
}

// Get returns what a field says now.
func (i Item) Get(f Field) string {
	for _, c := range slices.Backward(i.Changes) {
		if c.Field == f {
			return c.Value
		}
	}
	return ""
}

// FormatNumber writes the number of an exhibit: INC-2026-0007-E03.
func FormatNumber(incidentNumber string, no int64) string {
	return fmt.Sprintf("%s-E%02d", incidentNumber, no)
}

// Short is the part of the number that tells the exhibits of one incident apart: E03.
func (i Item) Short() string { return fmt.Sprintf("E%02d", i.No) }

// ParseShort reads the number within an incident as [Item.Short] writes it.
func ParseShort(s string) (no int64, ok bool) {
	if len(s) < 3 || s[0] != 'E' || len(s) > 8 {
		return 0, false
	}
	no, err := strconv.ParseInt(s[1:], 10, 64)
	return no, err == nil && no > 0 && Item{No: no}.Short() == s
}

// EventType says what was done with an exhibit.
type EventType string

// The types of events.
const (
	Collect     EventType = "collect" // it was acquired; custody begins
	Seal        EventType = "seal"
	Receive     EventType = "receive"
	Verify      EventType = "verify" // its digests were computed again
	View        EventType = "view"
	Copy        EventType = "copy" // bytes were copied out
	Export      EventType = "export"
	HandOver    EventType = "hand_over" // from hand to hand
	Ship        EventType = "ship"      // given to a carrier
	Return      EventType = "return"
	Store       EventType = "store" // put somewhere, by its custodian
	Dispose     EventType = "dispose"
	Hold        EventType = "hold" // nothing of the incident is disposed of until released
	ReleaseHold EventType = "release_hold"
	Note        EventType = "note"
)

// EventTypes returns all types.
func EventTypes() []EventType {
	return []EventType{Collect, Seal, Receive, Verify, View, Copy, Export, HandOver, Ship, Return, Store, Dispose, Hold, ReleaseHold, Note}
}

// Recordable returns the types that a person records by hand; the collector does the rest.
func Recordable() []EventType {
	return []EventType{HandOver, Ship, Receive, Return, Store, Seal, Verify, View, Copy, Note}
}

// Party is who gives or takes: anybody, with or without an account.
type Party struct {
	Person       string
	Organisation string
}

// Empty reports whether nobody is named.
func (p Party) Empty() bool { return p == Party{} }

// String is the party for people.
func (p Party) String() string {
	switch {
	case p.Person == "":
		return p.Organisation
	case p.Organisation == "":
		return p.Person
	}
	return p.Person + " / " + p.Organisation
}

// Medium is what evidence was carried on.
type Medium struct {
	Type   string // such as "USB memory"
	Serial string
	SealNo string
}

// Clocks by which an event's time was taken.
const (
	ClockCollector = ""         // the collector's, or what a person said
	ClockEndpoint  = "endpoint" // as the endpoint had it, never corrected
)

// Results of a [Verify].
const (
	ResultMatch    = "match"
	ResultMismatch = "mismatch"
)

// Event is one line of the custody record. Lines are only ever added.
type Event struct {
	Seq            int64 // within the incident, from 1
	OrganisationID string
	IncidentID     string
	ItemID         string // empty: it is about everything of the incident
	Type           EventType
	At             time.Time // when it happened
	Clock          string    // whose clock At is of
	From, To       Party
	Place          string
	Medium         Medium
	Carrier        string
	TrackingNo     string
	Purpose        string
	HashBefore     string // SHA-256, hexadecimal
	HashAfter      string // SHA-256, hexadecimal
	Result         string
	Witness        string // who was present, as told
	Text           string // what else there is to say; of a view or copy, the number of the evidence
	RecordedAt     time.Time
	ActorKind      string // of the ledger: "operator", "endpoint", "system", "local"
	ActorID        string
	ActorName      string // as it was then
	LedgerIdx      int64
}

// Limits of what people write, in bytes.
const (
	MaxName  = 256  // persons, organisations, places, numbers
	MaxText  = 4096 // purposes, descriptions, notes
	MaxItems = 1000 // exhibits of one incident that are made by hand
)

// ErrNotFound means that there is no such exhibit.
var ErrNotFound = errors.New("no such exhibit")

// AsOf leaves out what came after the ledger had size entries.
func AsOf(items []Item, events []Event, size int64) ([]Item, []Event) {
	var then []Item
	for _, i := range items {
		if i.LedgerIdx >= size {
			continue
		}
		var changes []Change
		for _, c := range i.Changes {
			if c.LedgerIdx < size {
				changes = append(changes, c)
			}
		}
		i.Changes = changes
		then = append(then, i)
	}
	var seen []Event
	for _, e := range events {
		if e.LedgerIdx < size {
			seen = append(seen, e)
		}
	}
	return then, seen
}

// Of returns the events of one exhibit, with those of its whole incident.
func Of(events []Event, itemID string) []Event {
	var some []Event
	for _, e := range events {
		if e.ItemID == itemID || e.ItemID == "" {
			some = append(some, e)
		}
	}
	return some
}

// Held returns the hold that is in force, and whether there is one.
func Held(events []Event) (Event, bool) {
	for _, e := range slices.Backward(events) {
		switch e.Type {
		case Hold:
			return e, true
		case ReleaseHold:
			return Event{}, false
		}
	}
	return Event{}, false
}
