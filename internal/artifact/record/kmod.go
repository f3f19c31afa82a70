package record

// SchemaKmod is the kernel's modules and taint.
const SchemaKmod = "hozen.kmod/1"

// KernelModule is one loaded module, or, with an empty name, the kernel itself.
type KernelModule struct {
	Name    string   `json:"name"` // empty: the kernel as a whole
	NameRaw []byte   `json:"name_b64,omitempty"`
	Size    uint64   `json:"size,omitempty"` // bytes of memory
	Refs    int      `json:"refs,omitempty"` // -1 when it cannot be unloaded
	UsedBy  []string `json:"used_by,omitempty"`
	State   string   `json:"state,omitempty"` // live, coming, going
	// Tainted are the letters of the taint that the module brought, or of the kernel's own;
	// Why says what they mean.
	Tainted string   `json:"tainted,omitempty"`
	Taint   uint64   `json:"taint,omitempty"` // of the kernel: the number of /proc/sys/kernel/tainted
	Why     []string `json:"why,omitempty"`
	Version string   `json:"version,omitempty"`
	// Source is the digest of the source that the build put into the module.
	Source string `json:"srcversion,omitempty"`
	// Path is the file of a driver of Windows, as its kernel names it; in the PC's own 8-bit
	// characters where they are not UTF-8.
	Path    string `json:"path,omitempty"`
	PathRaw []byte `json:"path_b64,omitempty"`
	// InProc and InSys say whether /proc/modules and /sys/module show it. Both do, unless
	// it is being loaded or one of them is lied to. Windows has neither.
	InProc bool `json:"in_proc"`
	InSys  bool `json:"in_sys"`
}

// AppendJSON appends m as one JSON object.
func (m *KernelModule) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "name", m.Name)
	b = b64(b, "name_b64", m.NameRaw)
	b = unum(b, "size", m.Size)
	b = num(b, "refs", m.Refs)
	b = strs(b, "used_by", m.UsedBy)
	b = str(b, "state", m.State)
	b = str(b, "tainted", m.Tainted)
	b = unum(b, "taint", m.Taint)
	b = strs(b, "why", m.Why)
	b = str(b, "version", m.Version)
	b = str(b, "srcversion", m.Source)
	b = str(b, "path", m.Path)
	b = b64(b, "path_b64", m.PathRaw)
	b = flagAlways(b, "in_proc", m.InProc)
	return append(flagAlways(b, "in_sys", m.InSys), '}')
}
