package record

import "time"

// The schemas of the profile process. That of the memory itself has no records: its artifact
// is bytes, see artifact.Form.
const (
	SchemaProcDump   = "hozen.procdump/1"
	SchemaProcDumped = "hozen.procdumped/1"
)

// ProcDumped says which process a dump is of, and how it was taken.
type ProcDumped struct {
	PID        int       `json:"pid"`
	StartTicks uint64    `json:"start_ticks"`         // as in Process: with PID it names the process
	StartedAt  time.Time `json:"started_at,omitzero"` // the same as a time
	Path       string    `json:"path,omitempty"`      // of its program
	Committed  int64     `json:"committed"`           // bytes of its memory that could be read, before the dump was begun
	Size       int64     `json:"size"`                // bytes of the dump that are in the artifact
	Method     string    `json:"method,omitempty"`    // what wrote it
	Dumped     time.Time `json:"dumped_at,omitzero"`  // endpoint's clock, before it was begun
	Took       int64     `json:"took_ms,omitempty"`   // until it was written
	Problem    string    `json:"problem,omitempty"`   // why there is no dump, or not all of it
}

// AppendJSON appends p as one JSON object.
func (p *ProcDumped) AppendJSON(b []byte) []byte {
	b = numAlways(append(b, '{'), "pid", int64(p.PID))
	b = numAlways(b, "start_ticks", int64(p.StartTicks))
	b = when(b, "started_at", p.StartedAt)
	b = str(b, "path", p.Path)
	b = numAlways(b, "committed", p.Committed)
	b = numAlways(b, "size", p.Size)
	b = str(b, "method", p.Method)
	b = when(b, "dumped_at", p.Dumped)
	b = num(b, "took_ms", p.Took)
	return append(str(b, "problem", p.Problem), '}')
}
