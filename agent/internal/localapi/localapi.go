// Package localapi is the agent's socket on its own PC: whoever uses the PC can report
// trouble, see how the agent is and whether the network is cut, end that by a code, and
// keep the evidence before switching off. It knows nothing of how a report is delivered,
// a network is cut or a PC is switched off.
//
// A client sends one line of JSON and gets lines of JSON back, the last of which has
// "done" set. Who the client is, the kernel says (SO_PEERCRED, unix(7); on Windows
// ImpersonateNamedPipeClient).
package localapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits in bytes.
const (
	// MaxMessage is the longest report.
	MaxMessage = 4 << 10
	maxRequest = 32 << 10 // each byte of a message may need six in JSON
	maxReply   = 256 << 10
)

// The verbs of a request.
const (
	VerbReport = "report"
	VerbStatus = "status"
	// VerbWake asks the agent to look for its enrolment and its collector now.
	VerbWake = "wake"
	// VerbGate asks what would be lost if the PC were switched off now.
	VerbGate = "gate"
	// VerbPreserve keeps the evidence and then does what Then says.
	VerbPreserve = "preserve"
	// VerbShutdown says that the PC is going down, and is answered when it may; root's alone.
	VerbShutdown = "shutdown"
	// VerbSession says that a session ends; for the agent's own helper in it.
	VerbSession = "session"
	// VerbSelfTest keeps the results of a self-test as evidence; root's alone.
	VerbSelfTest = "selftest"
	// VerbDrill cuts the network for a minute, to see whether that works; root's alone.
	VerbDrill = "drill"
	// VerbIsolation asks how isolated the PC is.
	VerbIsolation = "isolation"
	// VerbRelease gives the network back to whoever knows the code.
	VerbRelease = "release"
	// VerbUninstall gives the network back because the agent goes away; root's alone.
	VerbUninstall = "uninstall"
)

// What comes after the evidence is kept.
const (
	ThenNothing  = "nothing"
	ThenPowerOff = "power_off"
	ThenReboot   = "reboot"
)

// Request is what a client sends.
type Request struct {
	Verb    string `json:"verb"`
	Message string `json:"message,omitempty"` // of report; the reason of preserve
	// WaitSeconds is how long a report may take to be delivered before the answer says
	// that it is stored, or the evidence of preserve before the PC goes down without it
	// being delivered; at most 60.
	WaitSeconds int `json:"wait_seconds,omitempty"`
	// Then is what comes after preserve.
	Then string `json:"then,omitempty"`
	// Shown are the codes of the losses that the person was shown before deciding.
	Shown []string `json:"shown,omitempty"`
	// Ending says how the session of verb session ends.
	Ending string `json:"ending,omitempty"`
	// Checks are the results of verb selftest.
	Checks []Check `json:"checks,omitempty"`
	// Code is the release code, as the person typed it. It is nowhere logged.
	Code string `json:"code,omitempty"`
}

// Reply is one line of an answer.
type Reply struct {
	Done     bool      `json:"done"`
	Code     string    `json:"code,omitempty"`  // of an error, see below
	Error    string    `json:"error,omitempty"` // English
	Report   *Report   `json:"report,omitempty"`
	Status   *Status   `json:"status,omitempty"`
	Gate     *Gate     `json:"gate,omitempty"`
	Preserve *Preserve `json:"preserve,omitempty"`
	// Network is what was measured, Release what came of an order to release.
	Network *NetworkStatus `json:"network,omitempty"`
	Release *Release       `json:"release,omitempty"`
}

// The codes of errors.
const (
	CodeInvalid  = "invalid"
	CodeDenied   = "denied"
	CodeTooMany  = "too_many"
	CodeInternal = "internal"
	// Of releases: there is no code to release by, it is the wrong one, it cannot be one,
	// or this system cannot cut networks.
	CodeNoCode   = "no_code"
	CodeWrong    = "wrong_code"
	CodeMistyped = "mistyped"
	CodeUnable   = "unable"
)

// Report is how a report stands. The first line says that it is stored; the last one
// whether it arrived.
type Report struct {
	AlertID        string `json:"alert_id"`
	Delivered      bool   `json:"delivered"`
	IncidentNumber string `json:"incident_number,omitempty"`
	Connected      bool   `json:"connected"`
}

// Status is the state of the agent. Its JSON form is stable.
type Status struct {
	Format             string    `json:"format"` // hozen-agent-status/1
	Version            string    `json:"version"`
	StartedAt          time.Time `json:"started_at"`
	EndpointID         string    `json:"endpoint_id,omitempty"` // empty before enrolment
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	Connected          bool      `json:"connected"`
	Collector          string    `json:"collector,omitempty"` // address, while connected
	LastContact        time.Time `json:"last_contact,omitzero"`
	Problem            string    `json:"problem,omitempty"` // why not connected, English
	Isolation          Isolation `json:"isolation"`
	Spool              Spool     `json:"spool"`
	// Ledger is what this PC saw of its collector's custody ledger; absent before it saw any.
	Ledger             *Ledger `json:"ledger,omitempty"`
	UnsentAlerts       int     `json:"unsent_alerts"`
	UnsentResults      int     `json:"unsent_results"`
	UnfinishedCommands int     `json:"unfinished_commands"`
}

// Ledger is what this PC saw, as a witness, of the custody ledger.
type Ledger struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"` // entries of the newest state that goes on from what was seen before
	// Conflicts are the states that it was shown and that did not go on from that, oldest first.
	Conflicts []LedgerConflict `json:"conflicts,omitempty"`
}

// LedgerConflict is one of them.
type LedgerConflict struct {
	Kind   string    `json:"kind"` // shorter, rewritten, other_key, other_origin or bad_note
	At     time.Time `json:"at"`   // the PC's clock
	Detail string    `json:"detail,omitempty"`
	Told   bool      `json:"told"` // the collector has it
}

// Isolation is what was measured of the network.
type Isolation struct {
	Capable    bool      `json:"capable"`
	Desired    string    `json:"desired"`
	Observed   string    `json:"observed"`
	MeasuredAt time.Time `json:"measured_at,omitzero"`
	WayHome    bool      `json:"way_home"`
	Detail     string    `json:"detail,omitempty"`
}

// Spool is what waits for the collector.
type Spool struct {
	// Encrypted says that what is acquired from now on waits encrypted to the organisation.
	Encrypted bool  `json:"encrypted"`
	UsedBytes int64 `json:"used_bytes"`
	MaxBytes  int64 `json:"max_bytes"`
	Waiting   int   `json:"waiting"`
	Received  int   `json:"received"`
	Refused   int   `json:"refused"`
	Full      bool  `json:"full"`
	// Unsealed says that what a failed acquisition left is not sealed yet, such as on a full
	// disk; it is tried again at least every minute.
	Unsealed bool `json:"unsealed,omitempty"`
	Problems int  `json:"problems"`
}

// parseRequest reads a request strictly.
func parseRequest(b []byte) (Request, error) {
	if len(b) > maxRequest {
		return Request{}, fmt.Errorf("request has %d bytes, at most %d are read", len(b), maxRequest)
	}
	if !utf8.Valid(b) {
		return Request{}, errors.New("request is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var r Request
	if err := d.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("read request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Request{}, errors.New("something follows the request")
	}
	switch r.Verb {
	case VerbReport:
		if r.Message == "" {
			return Request{}, errors.New("message is empty")
		}
		if len(r.Message) > MaxMessage {
			return Request{}, fmt.Errorf("message has %d bytes, at most %d are allowed", len(r.Message), MaxMessage)
		}
	case VerbStatus, VerbWake, VerbGate, VerbShutdown, VerbIsolation, VerbUninstall, VerbRelease, VerbSession, VerbSelfTest, VerbDrill:
		if r.Message != "" || r.WaitSeconds != 0 {
			return Request{}, fmt.Errorf("%s takes nothing else", r.Verb)
		}
		if r.Verb == VerbRelease {
			if err := checkRelease(r); err != nil {
				return Request{}, err
			}
		}
	case VerbPreserve:
		if err := checkPreserve(r); err != nil {
			return Request{}, err
		}
	default:
		return Request{}, fmt.Errorf("verb %.40q is not known", r.Verb)
	}
	if r.Verb != VerbPreserve && (r.Then != "" || len(r.Shown) > 0) {
		return Request{}, fmt.Errorf("%s takes neither then nor shown", r.Verb)
	}
	if ends := slices.Contains([]string{EndingDown, EndingLogoff, EndingCancelled}, r.Ending); ends != (r.Verb == VerbSession) || !ends && r.Ending != "" {
		return Request{}, fmt.Errorf("ending %.40q does not go with %s", r.Ending, r.Verb)
	}
	if err := checkChecks(r); err != nil {
		return Request{}, err
	}
	if r.Verb != VerbRelease && r.Code != "" {
		return Request{}, fmt.Errorf("%s takes no code", r.Verb)
	}
	if r.WaitSeconds < 0 || r.WaitSeconds > 60 {
		return Request{}, fmt.Errorf("wait_seconds: %d, want 0 to 60", r.WaitSeconds)
	}
	return r, nil
}
