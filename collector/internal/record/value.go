package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// Field names one thing that is said in an answer. The names are stable.
type Field string

// The fields.
const (
	Name   Field = "name"   // item 2: the business operator
	Client Field = "client" // item 2: for whom the work was done (委託元)
	Others Field = "others" // item 2: further parties

	Responsible      Field = "responsible"       // item 3: department and name
	ResponsiblePhone Field = "responsible_phone" // that works without a PC
	Deputy           Field = "deputy"
	Handlers         Field = "handlers" // one a line

	How Field = "how" // items 4 and 5: how it was noticed, or from what it is concluded; also item 6
	Who Field = "who"

	What   Field = "what"
	When   Field = "when"
	Where  Field = "where"
	Why    Field = "why"
	Damage Field = "damage"
	Impact Field = "impact"
	Counts Field = "counts" // how many endpoints, accounts, records; as far as known

	Category Field = "category" // item 8: one of [Causes]
	Text     Field = "text"

	Devices  Field = "devices" // item 9, one a line
	Software Field = "software"
	Services Field = "services"

	Antivirus Field = "antivirus" // item 10, one a line
	Gateway   Field = "gateway"   // UTM, firewall, VPN
	OtherTool Field = "other_tool"
)

// Fields returns the fields of an item in the order in which a form has them.
func (i Item) Fields() []Field {
	switch i {
	case BusinessOperator:
		return []Field{Name, Client, Others}
	case People:
		return []Field{Responsible, ResponsiblePhone, Deputy, Handlers}
	case DiscoveredAt:
		return []Field{Who, How}
	case KnownAt, OccurredAt:
		return []Field{How}
	case Symptoms:
		return []Field{What, When, Where, Who, Why, How, Damage, Impact, Counts}
	case Cause:
		return []Field{Category, Text}
	case Assets:
		return []Field{Devices, Software, Services}
	case Tools:
		return []Field{Antivirus, Gateway, OtherTool}
	}
	return nil
}

// Long reports whether a field takes several lines.
func (f Field) Long() bool {
	switch f {
	case Name, Client, Responsible, ResponsiblePhone, Deputy, Category:
		return false
	}
	return true
}

// Max is how long a field may be, in bytes.
func (f Field) Max() int {
	if f.Long() {
		return MaxText
	}
	return MaxName
}

// Causes returns the categories of the cause that is presumed at the moment (item 8). They follow the routes
// that the notification forms of IPA ask for, and what else stops systems or loses data.
func Causes() []string {
	return []string{"mail", "web", "download", "media", "vulnerability", "credentials", "misconfiguration", "insider", "mistake", "loss_theft", "supplier", "equipment", "other"}
}

// The degrees of confidence in an interval (item 5).
const (
	High   = "high"
	Middle = "middle"
	Low    = "low"
)

// Confidences returns the degrees.
func Confidences() []string { return []string{High, Middle, Low} }

// The kinds of facts.
const (
	FactDevice   = "device"
	FactSoftware = "software"
	FactTool     = "tool"
)

// Fact is one thing that was taken over from evidence as it was then (items 9 and 10).
type Fact struct {
	Kind       string    `json:"kind"`
	EndpointID string    `json:"endpoint_id"`
	Host       string    `json:"host"`             // as the evidence names it
	Name       string    `json:"name"`             // such as the operating system, or a security tool
	State      string    `json:"state,omitempty"`  // of a tool: running, installed, disabled, absent, unknown
	Detail     string    `json:"detail,omitempty"` // in the words of the system
	Evidence   string    `json:"evidence"`         // number, or identifier where it has none
	At         time.Time `json:"at"`               // when it was captured, by the endpoint's clock
}

// Value is what an answer says. Which parts it has depends on the item.
type Value struct {
	Types      []string         `json:"types,omitempty"`      // item 1: classifications, the primary first
	At         time.Time        `json:"at,omitzero"`          // item 4: the moment; item 5: not before
	Until      time.Time        `json:"until,omitzero"`       // item 5: not after
	Confidence string           `json:"confidence,omitempty"` // item 5
	Fields     map[Field]string `json:"fields,omitempty"`
	Facts      []Fact           `json:"facts,omitempty"` // items 9 and 10
}

// Get returns what a field says; empty when it says nothing.
func (v Value) Get(f Field) string { return v.Fields[f] }

// Empty reports whether the answer says nothing at all.
func (v Value) Empty() bool {
	return len(v.Types) == 0 && v.At.IsZero() && v.Until.IsZero() && len(v.Fields) == 0 && len(v.Facts) == 0
}

// Equal reports whether two answers say the same.
func (v Value) Equal(w Value) bool { return v.Encode() == w.Encode() }

// Encode writes the value as it is stored and as it stands in the ledger: one JSON object
// whose keys are in one order.
func (v Value) Encode() string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("record: %v", err)) // nothing in a Value can fail
	}
	return string(b)
}

// DecodeValue reads what [Value.Encode] wrote.
func DecodeValue(s string) (Value, error) {
	var v Value
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return Value{}, fmt.Errorf("decode an answer: %w", err)
	}
	return v, nil
}

// Clean returns the value as the database can hold it: without spaces around texts, without
// empty ones, and with times in UTC.
func (v Value) Clean() Value {
	out := Value{Confidence: v.Confidence, Facts: slices.Clone(v.Facts), At: utc(v.At), Until: utc(v.Until)}
	for _, t := range v.Types {
		if !slices.Contains(out.Types, t) {
			out.Types = append(out.Types, t)
		}
	}
	for f, text := range v.Fields {
		if text = sqldb.CleanText(strings.TrimSpace(text)); text != "" {
			if out.Fields == nil {
				out.Fields = map[Field]string{}
			}
			out.Fields[f] = text
		}
	}
	for n, f := range out.Facts {
		f.Kind, f.Host, f.Name, f.State, f.Detail = sqldb.CleanText(f.Kind), sqldb.CleanText(f.Host), sqldb.CleanText(f.Name), sqldb.CleanText(f.State), sqldb.CleanText(f.Detail)
		f.At = utc(f.At)
		out.Facts[n] = f
	}
	return out
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}

// The errors of [Check], each about one part.
var (
	ErrMissing   = errors.New("nothing is said")
	ErrForeign   = errors.New("the item has no such part")
	ErrTooLong   = errors.New("it is too long")
	ErrNoSuch    = errors.New("there is no such choice")
	ErrBackwards = errors.New("the end lies before the beginning")
)

// Refusal is what is wrong with an answer.
type Refusal struct {
	Part string // name of a field, "types", "at", "until", "confidence", "facts" or "value"
	Err  error
}

func (f *Refusal) Error() string { return f.Part + ": " + f.Err.Error() }

// Unwrap returns which of the errors it is.
func (f *Refusal) Unwrap() error { return f.Err }

// Check reports what is wrong with a value as an answer of an item in a state, or nil.
// Whether a classification exists is not looked at.
func Check(i Item, s State, v Value) error {
	fault := func(part string, err error) error { return &Refusal{part, err} }
	if !i.Answerable() {
		return fault("item", ErrNoSuch)
	}
	if !s.Valid() {
		return fault("state", ErrNoSuch)
	}
	for part, t := range map[string]time.Time{"at": v.At, "until": v.Until} {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1990 || y > 9999) {
			return fault(part, ErrNoSuch)
		}
	}
	moment, interval := i == DiscoveredAt || i == KnownAt, i == OccurredAt
	switch {
	case len(v.Types) > 0 && i != Type:
		return fault("types", ErrForeign)
	case !v.At.IsZero() && !moment && !interval:
		return fault("at", ErrForeign)
	case (!v.Until.IsZero() || v.Confidence != "") && !interval:
		return fault("until", ErrForeign)
	case len(v.Facts) > 0 && i != Assets && i != Tools:
		return fault("facts", ErrForeign)
	}
	fields := i.Fields()
	for f, text := range v.Fields {
		if !slices.Contains(fields, f) {
			return fault(string(f), ErrForeign)
		}
		if len(text) > f.Max() {
			return fault(string(f), ErrTooLong)
		}
	}
	if c := v.Get(Category); c != "" && !slices.Contains(Causes(), c) {
		return fault(string(Category), ErrNoSuch)
	}
	if v.Confidence != "" && !slices.Contains(Confidences(), v.Confidence) {
		return fault("confidence", ErrNoSuch)
	}
	if !v.At.IsZero() && !v.Until.IsZero() && v.Until.Before(v.At) {
		return fault("until", ErrBackwards)
	}
	if len(v.Encode()) > MaxValue {
		return fault("value", ErrTooLong)
	}
	if s == Unknown {
		// What is unknown may still have been looked for: fields may say how. A moment would
		// be read as an answer.
		if !v.At.IsZero() || !v.Until.IsZero() || len(v.Types) > 0 {
			return fault("state", ErrForeign)
		}
		return nil
	}
	switch {
	case i == Type && len(v.Types) == 0:
		return fault("types", ErrMissing)
	case moment && v.At.IsZero():
		return fault("at", ErrMissing)
	case interval && v.At.IsZero() && v.Until.IsZero():
		return fault("at", ErrMissing)
	case v.Empty():
		return fault("value", ErrMissing)
	}
	return nil
}
