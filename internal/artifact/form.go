package artifact

// The kinds of the profile memory.
const (
	KindMemory    Kind = "memory"    // the contents of physical memory
	KindMemRange  Kind = "memrange"  // of each part of memory: when it was read, and what could not be
	KindKernel    Kind = "kernel"    // which kernel it is, for whoever reads the memory
	KindKallsyms  Kind = "kallsyms"  // the kernel's symbols with their addresses of this boot
	KindBTF       Kind = "btf"       // the kernel's types
	KindSystemMap Kind = "systemmap" // the kernel's symbols as it was built
	KindKconfig   Kind = "kconfig"   // with which options the kernel was built
)

// The kinds of the profile process.
const (
	KindProcDump   Kind = "procdump"   // the memory of one process
	KindProcDumped Kind = "procdumped" // which process it is of, and how it was taken
)

// Form says what the plain bytes of an artifact are. It is the end of the artifact's
// name, before ".zst".
type Form string

// The forms of this version.
const (
	FormLines Form = "jsonl" // records, one JSON object on each line
	FormLiME  Form = "lime"  // physical memory in the format of LiME, version 1
	FormRaw   Form = "raw"   // a file of the system, or one that it made, as it is
)

// Form returns the form in which the kind is written.
func (k Kind) Form() Form {
	switch k {
	case KindMemory:
		return FormLiME
	case KindKallsyms, KindBTF, KindSystemMap, KindKconfig, KindProcDump:
		return FormRaw
	}
	return FormLines
}
