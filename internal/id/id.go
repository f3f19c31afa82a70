// Package id makes and checks the identifiers of things: a prefix that says what
// the thing is and 26 characters that sort by the time of making (UUIDv7, RFC 9562,
// in lower-case Crockford base32). It knows nothing of where they are stored.
package id

import (
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Prefix names a kind of thing; it is part of every identifier of that kind.
type Prefix string

// The prefixes in use. They are stable for ever: identifiers stand in evidence.
const (
	Organisation Prefix = "org"
	Endpoint     Prefix = "end"
	Incident     Prefix = "inc"
	Acquisition  Prefix = "acq"
	Evidence     Prefix = "evd"
	Command      Prefix = "cmd"
	Operator     Prefix = "opr"
	Token        Prefix = "tok"
	Alert        Prefix = "alt"
	Enrollment   Prefix = "enr"
	Timeline     Prefix = "tml"
	Certificate  Prefix = "crt"
	// Release is a release that waits for a second person.
	Release Prefix = "rel"
	// Group is an order to many endpoints.
	Group Prefix = "grp"
	// IsolationEvent is what happened to an isolation without an order.
	IsolationEvent Prefix = "iev"
	// Export is an evidence package.
	Export Prefix = "exp"
	// Exhibit is a piece of evidence as people hold it and pass it on.
	Exhibit Prefix = "exh"
	// EvidenceSearch is a search in the contents of evidence.
	EvidenceSearch Prefix = "srh"
	// Upload is a file that a person sends as evidence.
	Upload Prefix = "upl"
	// Kit is a USB kit.
	Kit Prefix = "kit"
	// Notice is a message to people, and Channel is by what they get it.
	Notice  Prefix = "ntc"
	Channel Prefix = "chn"
	// Report is a document of an incident, whatever version.
	Report Prefix = "rep"
	// PlaybookMark is one word about an item of a playbook.
	PlaybookMark Prefix = "pbm"
	// Contact is somebody whom an organisation calls.
	Contact Prefix = "ctc"
	// DrillStep is one thing that was simulated or said in a drill.
	DrillStep Prefix = "drs"
	// Link is by what people without an account report or send photographs.
	Link Prefix = "lnk"
	// APIToken is a token with which a program acts on a person's behalf.
	APIToken Prefix = "apt"
)

const bodyLen = 26

var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New returns a fresh identifier such as "acq_06g3…". It panics only when the
// system's random source fails, which the Go runtime treats as fatal too.
func New(p Prefix) string {
	u := uuid.Must(uuid.NewV7())
	return string(p) + "_" + encoding.EncodeToString(u[:])
}

// Check reports why s is not an identifier of kind p, or nil. It accepts nothing
// but the canonical spelling, so an identifier is safe as a file name.
func Check(p Prefix, s string) error {
	body, ok := strings.CutPrefix(s, string(p)+"_")
	if !ok || len(body) != bodyLen {
		return fmt.Errorf("%.60q is not an identifier of the form %s_…", s, p)
	}
	raw, err := encoding.DecodeString(body)
	if err != nil || encoding.EncodeToString(raw) != body {
		return fmt.Errorf("%.60q is not an identifier of the form %s_…", s, p)
	}
	return nil
}
