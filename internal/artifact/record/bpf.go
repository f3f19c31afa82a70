package record

import "time"

// SchemaBPF is the programs, maps and attachments of eBPF.
const SchemaBPF = "hozen.bpf/1"

// The values of BPF.Type.
const (
	BPFProgram = "program"
	BPFMap     = "map"
	BPFLink    = "link"
	// BPFAttached is a program that a network interface runs without a link.
	BPFAttached = "attached"
)

// BPF is a program, a map, a link (an attachment), or what is attached without one, of eBPF in the kernel (bpf(2)).
type BPF struct {
	Type     string    `json:"type"`
	ID       uint32    `json:"id"`
	Kind     string    `json:"kind"`           // of program, map or link, such as kprobe, hash, tracing; a number when not known
	Name     string    `json:"name,omitempty"` // at most 15 bytes, chosen by who loaded it
	NameRaw  []byte    `json:"name_b64,omitempty"`
	Tag      string    `json:"tag,omitempty"` // of a program: the kernel's digest of its instructions, in hexadecimal
	LoadedAt time.Time `json:"loaded_at,omitzero"`
	// LoadedNS is when a program was loaded, in nanoseconds since boot, sleep included.
	LoadedNS uint64 `json:"loaded_ns,omitempty"`
	UID      int64  `json:"uid"` // who loaded a program; -1 for others
	GPL      bool   `json:"gpl,omitempty"`
	Length   uint32 `json:"instructions_bytes,omitempty"`
	Runs     uint64 `json:"runs,omitempty"`   // where the system is set to count
	RunNS    uint64 `json:"run_ns,omitempty"` // where the system is set to count
	// Maps are the identifiers of a program's maps.
	Maps    []int64 `json:"maps,omitempty"`
	Device  uint32  `json:"ifindex,omitempty"` // that a program or map is offloaded to, or a link or program is attached to
	Key     uint32  `json:"key_bytes,omitempty"`
	Value   uint32  `json:"value_bytes,omitempty"`
	Entries uint32  `json:"max_entries,omitempty"`
	Flags   uint32  `json:"flags,omitempty"`
	Program uint32  `json:"program,omitempty"` // that a link attaches, or that is attached
	// Interface is the name of the interface of what is attached without a link; Hook is where:
	// driver, generic, offloaded, ingress, egress, or the number of a queueing discipline.
	Interface string `json:"interface,omitempty"`
	Hook      string `json:"hook,omitempty"`
	// Priority and Handle name a filter of tc(8).
	Priority uint32 `json:"priority,omitempty"`
	Handle   uint32 `json:"handle,omitempty"`
	// Raw is the kernel's description of a link (struct bpf_link_info), as its form
	// depends on the kind.
	Raw []byte `json:"raw_b64,omitempty"`
}

// AppendJSON appends p as one JSON object.
func (p *BPF) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "type", p.Type)
	b = unumAlways(b, "id", p.ID)
	b = strAlways(b, "kind", p.Kind)
	b = str(b, "name", p.Name)
	b = b64(b, "name_b64", p.NameRaw)
	b = str(b, "tag", p.Tag)
	b = when(b, "loaded_at", p.LoadedAt)
	b = unum(b, "loaded_ns", p.LoadedNS)
	b = numAlways(b, "uid", p.UID)
	b = flag(b, "gpl", p.GPL)
	b = unum(b, "instructions_bytes", p.Length)
	b = unum(b, "runs", p.Runs)
	b = unum(b, "run_ns", p.RunNS)
	b = nums(b, "maps", p.Maps)
	b = unum(b, "ifindex", p.Device)
	b = unum(b, "key_bytes", p.Key)
	b = unum(b, "value_bytes", p.Value)
	b = unum(b, "max_entries", p.Entries)
	b = unum(b, "flags", p.Flags)
	b = unum(b, "program", p.Program)
	b = str(b, "interface", p.Interface)
	b = str(b, "hook", p.Hook)
	b = unum(b, "priority", p.Priority)
	b = unum(b, "handle", p.Handle)
	return append(b64(b, "raw_b64", p.Raw), '}')
}
