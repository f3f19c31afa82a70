package record

import "time"

// SchemaKit is the format of the statement of a person who acquired with a USB kit.
const SchemaKit = "hozen.kit/1"

// Kit is what the person at the PC said, and with which kit. An artifact has one line of
// it. Nothing of it is checked but the PC's own clock.
type Kit struct {
	KitID        string `json:"kit_id"`
	KitSHA256    string `json:"kit_sha256"` // of the exact bytes of kit.json
	Organisation string `json:"organisation"`
	Incident     string `json:"incident_number,omitempty"`
	Place        string `json:"place"`
	Reason       string `json:"reason"`
	By           string `json:"by"`                // who acts
	Witness      string `json:"witness,omitempty"` // empty: there was none
	// Asked tells how it was said: "dialogue" at the PC, or "flags" of the command line.
	Asked string    `json:"asked"`
	At    time.Time `json:"at,omitzero"` // endpoint's wall clock, when all was said
	// Reference is a trusted clock that was compared with the PC's; the zero value: there was none.
	Reference ReferenceTime `json:"reference,omitzero"`
	// Free is how many bytes were free on the kit's medium before; -1: not known.
	Free int64 `json:"free_bytes"`
}

// ReferenceTime is the comparison of the PC's clock with one that is trusted.
type ReferenceTime struct {
	Typed  string    `json:"typed"`                 // as the person typed it
	Source string    `json:"source"`                // which clock, in the person's words
	Time   time.Time `json:"time,omitzero"`         // what was typed, as an instant, read in the PC's zone
	PC     time.Time `json:"pc,omitzero"`           // the PC's wall clock when Enter was pressed
	BootNS int64     `json:"boot_ns"`               // the same moment in nanoseconds since boot
	Offset int64     `json:"offset_ms"`             // PC minus reference, milliseconds
	Within int64     `json:"within_ms"`             // what was typed is no more exact than that
	Zone   int       `json:"pc_zone_s"`             // of the PC, seconds east of UTC
	Day    bool      `json:"day_guessed,omitempty"` // no date was typed: the nearest one was taken
}

// AppendJSON appends k as one JSON object.
func (k *Kit) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "kit_id", k.KitID)
	b = strAlways(b, "kit_sha256", k.KitSHA256)
	b = strAlways(b, "organisation", k.Organisation)
	b = str(b, "incident_number", k.Incident)
	b = strAlways(b, "place", k.Place)
	b = strAlways(b, "reason", k.Reason)
	b = strAlways(b, "by", k.By)
	b = str(b, "witness", k.Witness)
	b = strAlways(b, "asked", k.Asked)
	b = when(b, "at", k.At)
	if k.Reference != (ReferenceTime{}) {
		r := &k.Reference
		b = append(key(b, "reference"), '{')
		b = strAlways(b, "typed", r.Typed)
		b = strAlways(b, "source", r.Source)
		b = when(b, "time", r.Time)
		b = when(b, "pc", r.PC)
		b = numAlways(b, "boot_ns", r.BootNS)
		b = numAlways(b, "offset_ms", r.Offset)
		b = numAlways(b, "within_ms", r.Within)
		b = numAlways(b, "pc_zone_s", r.Zone)
		b = flag(b, "day_guessed", r.Day)
		b = append(b, '}')
	}
	b = numAlways(b, "free_bytes", k.Free)
	return append(b, '}')
}
