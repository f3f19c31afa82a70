package record

import (
	"strconv"
	"time"
)

// The schemas of the profile memory. Those of memory itself and of files of the kernel
// have no records: their artifacts are bytes, see artifact.Form.
const (
	SchemaMemory    = "hozen.memory/1"
	SchemaMemRange  = "hozen.memrange/1"
	SchemaKernel    = "hozen.kernel/1"
	SchemaKallsyms  = "hozen.kallsyms/1"
	SchemaBTF       = "hozen.btf/1"
	SchemaSystemMap = "hozen.systemmap/1"
	SchemaKconfig   = "hozen.kconfig/1"
)

// MemRange is a part of the PC's memory that was, or should have been, read into the
// image: a range that the kernel lists as "System RAM", or 1 GiB of it.
type MemRange struct {
	Start uint64 `json:"start"` // first physical address; text in JSON, hexadecimal with 0x
	End   uint64 `json:"end"`   // last physical address, likewise
	// Image is how many bytes of it the image has, from Start on; Zeroed says how many of
	// these could not be read and are zero there.
	Image     int64     `json:"image"`
	Zeroed    int64     `json:"zeroed,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"` // endpoint's clock, before the first byte was read
	EndedAt   time.Time `json:"ended_at,omitzero"`   // after the last one
	Rate      int64     `json:"bytes_per_s,omitempty"`
	// Holes are where the zeros stand for memory that could not be read; MoreHoles that
	// they were too many to list.
	Holes     []MemHole `json:"holes,omitempty"`
	MoreHoles bool      `json:"more_holes,omitempty"`
	// Problem is why the image has nothing, or not all, of the range.
	Problem string `json:"problem,omitempty"`
}

// MemHole is memory that could not be read.
type MemHole struct {
	Start uint64 `json:"start"` // as in MemRange
	End   uint64 `json:"end"`
	Why   string `json:"why"`
}

// AppendJSON appends r as one JSON object.
func (r *MemRange) AppendJSON(b []byte) []byte {
	b = address(append(b, '{'), "start", r.Start)
	b = address(b, "end", r.End)
	b = numAlways(b, "image", r.Image)
	b = num(b, "zeroed", r.Zeroed)
	b = when(b, "started_at", r.StartedAt)
	b = when(b, "ended_at", r.EndedAt)
	b = num(b, "bytes_per_s", r.Rate)
	if len(r.Holes) > 0 {
		b = append(key(b, "holes"), '[')
		for i, h := range r.Holes {
			if i > 0 {
				b = append(b, ',')
			}
			b = address(append(b, '{'), "start", h.Start)
			b = address(b, "end", h.End)
			b = append(strAlways(b, "why", h.Why), '}')
		}
		b = append(b, ']')
	}
	b = flag(b, "more_holes", r.MoreHoles)
	return append(str(b, "problem", r.Problem), '}')
}

// address appends a physical address as a text: not every reader of JSON keeps 64 bits.
func address(b []byte, name string, v uint64) []byte {
	b = append(key(b, name), `"0x`...)
	return append(strconv.AppendUint(b, v, 16), '"')
}

// Kernel says which kernel ran, for whoever reads its memory.
type Kernel struct {
	Banner   string `json:"banner"` // /proc/version, to be found in the image too
	Release  string `json:"release"`
	Arch     string `json:"arch"` // GOARCH
	PageSize int    `json:"page_size"`
	// BuildID is that of the kernel, hexadecimal, by which its debug symbols are found.
	BuildID string `json:"build_id,omitempty"`
	// Lockdown is the mode of kernel_lockdown(7): none, integrity or confidentiality;
	// empty where the kernel has none.
	Lockdown     string `json:"lockdown,omitempty"`
	KptrRestrict string `json:"kptr_restrict,omitempty"` // kernel.kptr_restrict
	// VMCoreInfo is what the kernel gives to those who read its memory: addresses of tables,
	// sizes of structures, the random offset of this boot (KERNELOFFSET).
	VMCoreInfo string `json:"vmcoreinfo,omitempty"`
	SystemRAM  int64  `json:"system_ram,omitempty"` // bytes that /proc/iomem lists
	// Files are the paths from which the kinds btf, kallsyms, kconfig and systemmap were
	// read, as far as they are there.
	Files []string `json:"files,omitempty"`
}

// AppendJSON appends k as one JSON object.
func (k *Kernel) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "banner", k.Banner)
	b = strAlways(b, "release", k.Release)
	b = strAlways(b, "arch", k.Arch)
	b = numAlways(b, "page_size", k.PageSize)
	b = str(b, "build_id", k.BuildID)
	b = str(b, "lockdown", k.Lockdown)
	b = str(b, "kptr_restrict", k.KptrRestrict)
	b = str(b, "vmcoreinfo", k.VMCoreInfo)
	b = num(b, "system_ram", k.SystemRAM)
	return append(strs(b, "files", k.Files), '}')
}
