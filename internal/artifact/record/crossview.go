package record

// SchemaCrossView is what different views of one thing say.
const SchemaCrossView = "hozen.crossview/1"

// The values of the member "check".
const (
	CheckProcesses = "processes" // the list of /proc against asking the kernel for every number
	CheckCovered   = "covered"   // what is mounted over parts of /proc
	CheckSockets   = "sockets"   // sock_diag(7) against /proc/net
	CheckModules   = "modules"   // /proc/modules against /sys/module
)

// The values of CrossFinding.Finding.
const (
	FindUnlisted   = "unlisted_process"   // the kernel knows a process that /proc does not list
	FindUnanswered = "unanswered_process" // /proc lists a process that the kernel does not know
	FindCovered    = "covered_process"    // something is mounted over the folder of a process
	FindMounted    = "mounted_over"       // something is mounted over another part of /proc that tools read
	FindOnlyDiag   = "only_sock_diag"     // a socket that /proc/net does not show
	FindOnlyText   = "only_proc_net"      // a socket that sock_diag does not show
	FindOnlyProc   = "only_proc_modules"  // a module that /sys/module does not show
	FindOnlySys    = "only_sys_module"    // a module that /proc/modules does not show
)

// CrossCheck says that a check was made and what came of it, so that "nothing hidden" can
// be told from "not looked".
type CrossCheck struct {
	Check     string `json:"check"`
	Views     []View `json:"views,omitempty"` // and how many things each of them shows
	Differed  int    `json:"differed"`        // things on which the views did not agree at first
	Confirmed int    `json:"confirmed"`       // and still not when they were asked again: these are findings
	Detail    string `json:"detail,omitempty"`
}

// AppendJSON appends c as one JSON object.
func (c *CrossCheck) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "check", c.Check)
	b = views(b, c.Views)
	b = numAlways(b, "differed", c.Differed)
	b = numAlways(b, "confirmed", c.Confirmed)
	return append(str(b, "detail", c.Detail), '}')
}

// CrossFinding is one thing on which the views did not agree, twice.
type CrossFinding struct {
	Check   string `json:"check"`
	Finding string `json:"finding"`
	// Views is what each view says, in the order in which they were asked.
	Views []View `json:"views,omitempty"`

	PID int `json:"pid,omitempty"`
	// What is known of a hidden process, from a /proc of our own that nobody can mount
	// anything over.
	PPID       int      `json:"ppid,omitempty"`
	StartTicks uint64   `json:"start_ticks,omitempty"`
	Comm       string   `json:"comm,omitempty"`
	CommRaw    []byte   `json:"comm_b64,omitempty"`
	Args       []string `json:"args,omitempty"`
	CmdlineRaw []byte   `json:"cmdline_b64,omitempty"`
	Exe        string   `json:"exe,omitempty"`
	ExeRaw     []byte   `json:"exe_b64,omitempty"`
	// Of a mount: where it is, what of and of which kind.
	MountPoint string `json:"mount_point,omitempty"`
	MountRoot  string `json:"mount_root,omitempty"`
	FSType     string `json:"fs_type,omitempty"`
	Source     string `json:"source,omitempty"`
	// Of a socket or a module.
	Table string `json:"table,omitempty"` // such as "tcp6"
	Inode uint64 `json:"inode,omitempty"`
	Name  string `json:"name,omitempty"`

	Detail string `json:"detail,omitempty"`
}

// View is what one view says of the thing.
type View struct {
	View string `json:"view"` // such as "getdents"
	Says string `json:"says"` // "there", "absent", a number of things, or an error
}

// AppendJSON appends c as one JSON object.
func (c *CrossFinding) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "check", c.Check)
	b = strAlways(b, "finding", c.Finding)
	b = views(b, c.Views)
	b = num(b, "pid", c.PID)
	b = num(b, "ppid", c.PPID)
	b = unum(b, "start_ticks", c.StartTicks)
	b = str(b, "comm", c.Comm)
	b = b64(b, "comm_b64", c.CommRaw)
	b = strs(b, "args", c.Args)
	b = b64(b, "cmdline_b64", c.CmdlineRaw)
	b = str(b, "exe", c.Exe)
	b = b64(b, "exe_b64", c.ExeRaw)
	b = str(b, "mount_point", c.MountPoint)
	b = str(b, "mount_root", c.MountRoot)
	b = str(b, "fs_type", c.FSType)
	b = str(b, "source", c.Source)
	b = str(b, "table", c.Table)
	b = unum(b, "inode", c.Inode)
	b = str(b, "name", c.Name)
	return append(str(b, "detail", c.Detail), '}')
}

func views(b []byte, list []View) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(key(b, "views"), '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strAlways(append(b, '{'), "view", v.View)
		b = append(strAlways(b, "says", v.Says), '}')
	}
	return append(b, ']')
}
