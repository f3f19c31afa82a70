package record

import "strconv"

// SchemaProcMap is the memory maps of processes.
const SchemaProcMap = "hozen.procmap/1"

// The values of Mapping.Mark: executable memory that comes from no file that a person
// could look at.
const (
	MarkAnonymous = "anonymous_exec" // no file behind it, as injected and just-in-time code has it
	MarkWritable  = "writable_exec"  // may be written and run at once
	MarkDeleted   = "deleted_exec"   // its file has no name any more
	MarkMemFD     = "memfd_exec"     // its file never was on a disk (memfd_create(2))
)

// ProcMap is the memory of one process: what is mapped where, not what stands in it.
type ProcMap struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // with PID, the identity of the process (see [Process])
	Comm       string `json:"comm,omitempty"`
	// Objects are the files that are mapped, each once, in the order of their first
	// mapping: the program, its libraries, data.
	Objects []MapObject `json:"objects,omitempty"`
	Maps    []Mapping   `json:"maps"`
	// Marked is how many of Maps have a mark.
	Marked int `json:"marked,omitempty"`
	// Cut says that there were more mappings than were read.
	Cut bool `json:"cut,omitempty"`
}

// MapObject is one mapped file.
type MapObject struct {
	Dev   string `json:"dev"` // "major:minor" in hexadecimal, as the kernel writes it
	Inode uint64 `json:"inode"`
	// Path is as the kernel writes it, without " (deleted)"; a newline stands as \012.
	Path    string `json:"path,omitempty"`
	PathRaw []byte `json:"path_b64,omitempty"`
	Deleted bool   `json:"deleted,omitempty"` // the kernel's mark " (deleted)" stood behind the path
	MemFD   bool   `json:"memfd,omitempty"`
	Exec    bool   `json:"exec,omitempty"` // some of it is mapped executable: a program or a library
}

// Hex is an address or an offset. It stands as a hexadecimal text, because JSON numbers
// lose digits above 2⁵³ in many programs.
type Hex uint64

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(h), 16), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 16, 64)
	*h = Hex(v)
	return err
}

// Mapping is one range of memory.
type Mapping struct {
	Start  Hex    `json:"start"`
	End    Hex    `json:"end"`
	Perms  string `json:"perms"`            // such as "r-xp" (proc_pid_maps(5))
	Offset Hex    `json:"offset,omitempty"` // in the object
	Object int    `json:"object,omitempty"` // which one of Objects, from 1; absent when there is no file
	Name   string `json:"name,omitempty"`   // of a range without a file, such as "[heap]"
	Mark   string `json:"mark,omitempty"`   // see above; absent for most
}

// AppendJSON appends p as one JSON object.
func (p *ProcMap) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", p.PID)
	b = unumAlways(b, "start_ticks", p.StartTicks)
	b = str(b, "comm", p.Comm)
	if len(p.Objects) > 0 {
		b = append(key(b, "objects"), '[')
		for i := range p.Objects {
			if i > 0 {
				b = append(b, ',')
			}
			o := &p.Objects[i]
			b = append(b, '{')
			b = strAlways(b, "dev", o.Dev)
			b = unumAlways(b, "inode", o.Inode)
			b = str(b, "path", o.Path)
			b = b64(b, "path_b64", o.PathRaw)
			b = flag(b, "deleted", o.Deleted)
			b = flag(b, "memfd", o.MemFD)
			b = flag(b, "exec", o.Exec)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = append(key(b, "maps"), '[')
	for i := range p.Maps {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.Maps[i].appendJSON(b)
	}
	b = append(b, ']')
	b = num(b, "marked", p.Marked)
	b = flag(b, "cut", p.Cut)
	return append(b, '}')
}

func (m *Mapping) appendJSON(b []byte) []byte {
	b = hex(append(b, '{'), "start", m.Start)
	b = hex(b, "end", m.End)
	b = strAlways(b, "perms", m.Perms)
	if m.Offset > 0 {
		b = hex(b, "offset", m.Offset)
	}
	b = num(b, "object", m.Object)
	b = str(b, "name", m.Name)
	b = str(b, "mark", m.Mark)
	return append(b, '}')
}

func hex(b []byte, name string, v Hex) []byte {
	return append(strconv.AppendUint(append(key(b, name), '"'), uint64(v), 16), '"')
}
