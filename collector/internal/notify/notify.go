// Package notify tells people what happened: by mail, by webhooks, by chat. What goes out
// waits in the database until it has arrived. It knows nothing of endpoints, evidence or
// who may do what, and a message holds nothing but an incident's number and a link.
package notify

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is what an event is about.
type Kind string

// The kinds of events.
const (
	IncidentOpened  Kind = "incident_opened"  // by an alert of a PC's user
	IsolationFailed Kind = "isolation_failed" // an order to isolate was not carried out
	IsolationDrift  Kind = "isolation_drift"  // an isolation is not as it was ordered
	EndpointSilent  Kind = "endpoint_silent"  // nothing was heard of an endpoint for long
	DeadlineNear    Kind = "deadline"         // half of a time is over, a day is left, or it is overdue
	CollectorCare   Kind = "collector_care"   // the collector itself needs somebody: its disk, its backups, its certificates
	GroupResult     Kind = "group_result"     // what became of an order to many endpoints
	WeeklySummary   Kind = "weekly"           // how things are, once a week
	Test            Kind = "test"             // somebody pressed the button
)

// Kinds returns the kinds that a channel can be asked to carry.
func Kinds() []Kind {
	return []Kind{IncidentOpened, IsolationFailed, IsolationDrift, EndpointSilent, CollectorCare, DeadlineNear, GroupResult, WeeklySummary}
}

// Event is something that people are told of. It holds nothing that a person or a PC
// wrote: it passes through systems of others, and an intruder may read them.
type Event struct {
	// OrganisationID is whose channels carry it. Required.
	OrganisationID string `json:"-"`
	// Kind says what it is about. Required.
	Kind Kind `json:"kind"`
	// Key makes a second event with the same key vanish, up to MaxKey bytes. Optional:
	// without one every event is told.
	Key string `json:"-"`
	// IncidentNumber is how people call the incident. Optional.
	IncidentNumber string `json:"incident,omitempty"`
	// Path is where the console shows it, such as "/incidents/inc_…". Optional; default "/".
	Path string `json:"path,omitempty"`
	// At is when it happened. Required.
	At time.Time `json:"at"`
	// Joined is of IncidentOpened: the incident was there already, and a further report of
	// somebody by a link joined it.
	Joined bool `json:"joined,omitempty"`
	// Due and Stage are of DeadlineNear: the time, and "half", "day" or "overdue". Clock names
	// the deadline by a word of the texts ("deadline.clock." and this). Optional.
	Due   time.Time `json:"due,omitzero"`
	Stage string    `json:"stage,omitempty"`
	Clock string    `json:"clock,omitempty"`
	// Care is of CollectorCare: "disk", "backup" or "certificate".
	Care string `json:"care,omitempty"`
	// Verb, Done and Of are of GroupResult: "isolate" or "release", and how many of how many
	// endpoints did it.
	Verb string `json:"verb,omitempty"`
	Done int    `json:"done,omitempty"`
	Of   int    `json:"of,omitempty"`
	// Drill means that it happened in a drill: the message says so, and only people of the
	// organisation get it by mail, nobody whose address a channel names, no webhook and no chat.
	Drill bool `json:"drill,omitempty"`
	// Week is of WeeklySummary. Optional.
	Week *Week `json:"week,omitempty"`
}

// Limits of what is stored.
const (
	MaxKey        = 200 // bytes
	MaxName       = 64  // bytes of a channel's name
	MaxRecipients = 20  // addresses of a mail channel
	MaxAddress    = 254 // bytes of a mail address (RFC 5321, 4.5.3.1.3 less the brackets)
	MaxURL        = 1024
	MaxChannels   = 20 // of an organisation
)

// ChannelKind is by what a channel tells people.
type ChannelKind string

// The kinds of channels.
const (
	Mail     ChannelKind = "mail"
	Webhook  ChannelKind = "webhook"  // JSON, signed
	Slack    ChannelKind = "slack"    // incoming webhook
	Teams    ChannelKind = "teams"    // webhook of a workflow
	Chatwork ChannelKind = "chatwork" // a room, by a person's token
)

// ChannelKinds returns all kinds of channels.
func ChannelKinds() []ChannelKind { return []ChannelKind{Mail, Webhook, Slack, Teams, Chatwork} }

// Security is how a mail server is talked to.
type Security string

// The kinds of security. Plain is refused unless somebody chose it by name.
const (
	StartTLS    Security = "starttls" // required, not tried (RFC 3207)
	ImplicitTLS Security = "tls"      // RFC 8314
	PlainText   Security = "none"
)

// Settings are what a channel needs to know and may show.
type Settings struct {
	// Host, Port, Security, User, From and To are of mail. Port 0 means 587, or 465 for
	// ImplicitTLS, or 25. User empty: no sign-in.
	Host     string   `json:"host,omitempty"`
	Port     int      `json:"port,omitempty"`
	Security Security `json:"security,omitempty"`
	User     string   `json:"user,omitempty"`
	From     string   `json:"from,omitempty"`
	To       []string `json:"to,omitempty"`
	// People adds everybody who gave an address, to mail.
	People bool `json:"people,omitempty"`
	// Room is of chatwork, digits.
	Room string `json:"room,omitempty"`
	// Inside means that the owner allowed this very host to lie in a network of one's own.
	Inside bool `json:"inside,omitempty"`
}

// Channel is one way to tell people.
type Channel struct {
	ID             string
	OrganisationID string
	Kind           ChannelKind
	Name           string
	Language       string // "ja" or "en"
	Settings       Settings
	// Sealed is the secret: a mail server's password, a webhook's URL and key, a token. Only
	// [Config.Open] can read it.
	Sealed    string
	Kinds     []Kind // that it carries
	Enabled   bool
	CreatedAt time.Time
	ChangedAt time.Time
}

// Secret is what a channel keeps sealed.
type Secret struct {
	URL      string `json:"url,omitempty"`      // of webhook, slack and teams: whoever has it can write there
	Key      string `json:"key,omitempty"`      // of webhook, for the signature
	Password string `json:"password,omitempty"` // of mail
	Token    string `json:"token,omitempty"`    // of chatwork
}

// State is how far a delivery is.
type State string

// The states of a delivery.
const (
	Waiting State = "waiting"
	Sent    State = "sent"
	Failed  State = "failed"  // given up
	Dropped State = "dropped" // its channel was switched off or removed first
)

// Delivery is one event on its way by one channel to one recipient.
type Delivery struct {
	ID             string
	OrganisationID string
	ChannelID      string
	Recipient      string // mail address; empty otherwise
	Event          Event
	State          State
	Tries          int
	CreatedAt      time.Time
	NextAt         time.Time
	EndedAt        time.Time
	Detail         string // why it was not sent, in English, without secrets
}

// The errors that callers act on.
var (
	ErrNotFound = errors.New("no such channel")
	// ErrInside means that a host lies where the collector must not be led.
	ErrInside = errors.New("the address lies in a network of one's own")
)

// CheckChannel reports the field and the reason for which a channel can't be stored.
func CheckChannel(c Channel, s Secret) (field string, err error) {
	if c.Name == "" || len(c.Name) > MaxName {
		return "name", fmt.Errorf("want 1 to %d bytes", MaxName)
	}
	if c.Language != "ja" && c.Language != "en" {
		return "language", fmt.Errorf("there is no language %.10q", c.Language)
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			return "kinds", fmt.Errorf("there is no kind %.40q", k)
		}
	}
	switch c.Kind {
	case Mail:
		return checkMail(c.Settings)
	case Webhook, Slack, Teams:
		return "url", checkURL(s.URL, c.Settings.Inside && c.Kind == Webhook)
	case Chatwork:
		if c.Settings.Room == "" || len(c.Settings.Room) > 20 || !digits(c.Settings.Room) {
			return "room", errors.New("want the number of a room")
		}
		if s.Token == "" || len(s.Token) > 128 || !printable(s.Token) {
			return "token", errors.New("want a token")
		}
		return "", nil
	}
	return "kind", fmt.Errorf("there is no kind of channel %.20q", c.Kind)
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// printable reports whether s can stand in a header: ASCII without blanks and controls.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
