package record

import "time"

// SchemaKernLog is the kernel's own log.
const SchemaKernLog = "hozen.kernlog/1"

// KernelLine is a line of the kernel's log of this boot, as far as it still has it.
type KernelLine struct {
	Priority int `json:"priority"` // 0 emergency to 7 debug (syslog(3)); -1 when not known
	Facility int `json:"facility"` // 0 the kernel itself, 1 and more: a program wrote it
	// BootNS is nanoseconds since the kernel began to count, sleep not included, and At the
	// time by the clock as it stands now.
	BootNS  uint64    `json:"boot_ns,omitempty"`
	At      time.Time `json:"at_derived,omitzero"`
	Text    string    `json:"text"`
	TextRaw []byte    `json:"text_b64,omitempty"`
}

// AppendJSON appends l as one JSON object.
func (l *KernelLine) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "priority", l.Priority)
	b = numAlways(b, "facility", l.Facility)
	b = unum(b, "boot_ns", l.BootNS)
	b = when(b, "at_derived", l.At)
	b = strAlways(b, "text", l.Text)
	return append(b64(b, "text_b64", l.TextRaw), '}')
}
