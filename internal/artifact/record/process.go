package record

import (
	"strconv"
	"time"
)

// Process is one process as the kernel described it. PID, StartTicks and BootID
// together name it for ever; a PID alone is used again.
type Process struct {
	PID        int    `json:"pid"`
	PPID       int    `json:"ppid"`
	PGID       int    `json:"pgid,omitempty"`          // process group
	SID        int    `json:"sid,omitempty"`           // session, as in setsid(2)
	StartTicks uint64 `json:"start_ticks"`             // since boot, in 1/100 s (proc_pid_stat(5), field 22); Windows: µs since 1970
	BootID     string `json:"boot_id,omitempty"`       // /proc/sys/kernel/random/boot_id
	Comm       string `json:"comm,omitempty"`          // at most 15 bytes; the process can set it
	CommRaw    []byte `json:"comm_b64,omitempty"`      //
	State      string `json:"state,omitempty"`         // one letter, proc_pid_stat(5), field 3
	TTY        string `json:"tty,omitempty"`           // such as "pts/0"; "major:minor" when the driver is not known
	Threads    int    `json:"threads,omitempty"`       //
	TracerPID  int    `json:"tracer_pid,omitempty"`    // who traces it with ptrace(2)
	RSSBytes   int64  `json:"rss_bytes,omitempty"`     // resident memory
	CPUTicks   uint64 `json:"cpu_ticks,omitempty"`     // user and system time, in 1/100 s
	CapEff     string `json:"cap_eff,omitempty"`       // effective capabilities, hexadecimal
	InnerPIDs  []int  `json:"inner_pids,omitempty"`    // its PID in each nested PID namespace, outermost first; absent when there is none
	KernelOnly bool   `json:"kernel_thread,omitempty"` // a thread of the kernel: no command line, no executable

	// StartedAt is derived: boot time, read from the wall clock during the acquisition,
	// plus StartTicks. It moves when somebody sets the clock; StartTicks does not. On Windows it
	// is the kernel's own word, to 100 ns, and nothing is derived.
	StartedAt time.Time `json:"started_at_derived,omitzero"`

	// Args are the NUL-terminated strings of the command line without trailing empty
	// ones. The process can overwrite them. On Windows they are split from
	// Windows.CommandLine.
	Args []string `json:"args,omitempty"`
	// CmdlineRaw are the exact bytes, present only where Args (on Windows, where they are
	// UTF-16, Windows.CommandLine) cannot give them back.
	CmdlineRaw []byte `json:"cmdline_b64,omitempty"`
	// CmdlineCut says that the command line was longer than what was read.
	CmdlineCut bool `json:"cmdline_cut,omitempty"`

	// Exe is the path of the executable as seen by the process, without the kernel's
	// mark " (deleted)", which stands in ExeDeleted.
	Exe        string `json:"exe,omitempty"`
	ExeRaw     []byte `json:"exe_b64,omitempty"`
	ExeDeleted bool   `json:"exe_deleted,omitempty"` // no longer reachable under that name
	ExeMemFD   bool   `json:"exe_memfd,omitempty"`   // never was on a disk (memfd_create(2))
	Cwd        string `json:"cwd,omitempty"`         // as the kernel says it, mark " (deleted)" included
	CwdRaw     []byte `json:"cwd_b64,omitempty"`

	// The real and effective user and group, -1 when not known, and their names in
	// the host's /etc/passwd and /etc/group, which a container need not share.
	UID    int64  `json:"uid"`
	User   string `json:"user,omitempty"`
	EUID   int64  `json:"euid"`
	EUser  string `json:"euser,omitempty"`
	GID    int64  `json:"gid"`
	Group  string `json:"group,omitempty"`
	EGID   int64  `json:"egid"`
	EGroup string `json:"egroup,omitempty"`

	Cgroup           string `json:"cgroup,omitempty"`            // path in the unified hierarchy, else systemd's, else the first that is not "/"
	CgroupRaw        []byte `json:"cgroup_b64,omitempty"`        //
	ContainerID      string `json:"container_id,omitempty"`      // found in the cgroup path
	ContainerRuntime string `json:"container_runtime,omitempty"` // docker, containerd, crio, podman, lxc, nspawn, kubernetes; a guess from the path

	// Inode numbers of the namespaces (namespaces(7)), 0 when not known.
	NetNS  uint64 `json:"ns_net,omitempty"`
	PIDNS  uint64 `json:"ns_pid,omitempty"`
	MntNS  uint64 `json:"ns_mnt,omitempty"`
	UserNS uint64 `json:"ns_user,omitempty"`

	// Windows is there for a process of Windows only.
	Windows WinProcess `json:"windows,omitzero"`

	// Unread names the fields that the system did not let the agent read, such as
	// "exe" or "cmdline". Absent fields that are not listed are absent in truth.
	Unread []string `json:"unread,omitempty"`
}

// AppendJSON appends p as one JSON object.
func (p *Process) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", p.PID)
	b = numAlways(b, "ppid", p.PPID)
	b = num(b, "pgid", p.PGID)
	b = num(b, "sid", p.SID)
	b = unumAlways(b, "start_ticks", p.StartTicks)
	b = str(b, "boot_id", p.BootID)
	b = str(b, "comm", p.Comm)
	b = b64(b, "comm_b64", p.CommRaw)
	b = str(b, "state", p.State)
	b = str(b, "tty", p.TTY)
	b = num(b, "threads", p.Threads)
	b = num(b, "tracer_pid", p.TracerPID)
	b = num(b, "rss_bytes", p.RSSBytes)
	b = unum(b, "cpu_ticks", p.CPUTicks)
	b = str(b, "cap_eff", p.CapEff)
	if len(p.InnerPIDs) > 0 {
		b = append(key(b, "inner_pids"), '[')
		for i, n := range p.InnerPIDs {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(n), 10)
		}
		b = append(b, ']')
	}
	b = flag(b, "kernel_thread", p.KernelOnly)
	b = when(b, "started_at_derived", p.StartedAt)
	b = strs(b, "args", p.Args)
	b = b64(b, "cmdline_b64", p.CmdlineRaw)
	b = flag(b, "cmdline_cut", p.CmdlineCut)
	b = str(b, "exe", p.Exe)
	b = b64(b, "exe_b64", p.ExeRaw)
	b = flag(b, "exe_deleted", p.ExeDeleted)
	b = flag(b, "exe_memfd", p.ExeMemFD)
	b = str(b, "cwd", p.Cwd)
	b = b64(b, "cwd_b64", p.CwdRaw)
	b = numAlways(b, "uid", p.UID)
	b = str(b, "user", p.User)
	b = numAlways(b, "euid", p.EUID)
	b = str(b, "euser", p.EUser)
	b = numAlways(b, "gid", p.GID)
	b = str(b, "group", p.Group)
	b = numAlways(b, "egid", p.EGID)
	b = str(b, "egroup", p.EGroup)
	b = str(b, "cgroup", p.Cgroup)
	b = b64(b, "cgroup_b64", p.CgroupRaw)
	b = str(b, "container_id", p.ContainerID)
	b = str(b, "container_runtime", p.ContainerRuntime)
	b = unum(b, "ns_net", p.NetNS)
	b = unum(b, "ns_pid", p.PIDNS)
	b = unum(b, "ns_mnt", p.MntNS)
	b = unum(b, "ns_user", p.UserNS)
	if p.Windows != (WinProcess{}) {
		b = p.Windows.append(key(b, "windows"))
	}
	b = strs(b, "unread", p.Unread)
	return append(b, '}')
}
