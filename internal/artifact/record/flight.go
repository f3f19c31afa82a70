package record

import "time"

// SchemaFlight is the schema of [Flight].
const SchemaFlight = "hozen.flight/1"

// The values of Flight.Event.
const (
	FlightProcessStarted    = "process_started"    // see How
	FlightProcessEnded      = "process_ended"      // its first thread ended, or it is not in /proc any more
	FlightProcessRenamed    = "process_renamed"    // gave itself the name Comm
	FlightProcessIDs        = "process_ids"        // runs as UID and EUID from now on
	FlightProcessTraced     = "process_traced"     // TracerPID traces it from now on; nobody when that is 0
	FlightProcessDumped     = "process_dumped"     // dumped core
	FlightProcessListed     = "process_listed"     // ran when the snapshot before it was taken
	FlightConnectionOpened  = "connection_opened"  // or began to listen
	FlightConnectionClosed  = "connection_closed"  //
	FlightConnectionChanged = "connection_changed" // has another state or peer, or its holder is known now
	FlightConnectionListed  = "connection_listed"  // was open when the snapshot before it was taken
	FlightSnapshot          = "snapshot"           // Processes and Connections that follow were there at once, nearly
	FlightHeartbeat         = "heartbeat"          // the recorder lived
	FlightGap               = "gap"                // something is not on record
	FlightMark              = "mark"               // Name and Detail were put on record by the agent
	FlightClockStep         = "clock_step"         // the wall clock was set by StepNS
	FlightSlept             = "slept"              // the PC slept for StepNS
	FlightThrottled         = "throttled"          // /proc is compared with the events every IntervalNS only
	FlightUnknown           = "unknown"            // of a newer agent; Name is its number
)

// The values of Flight.Source that [Socket] has not.
const (
	SourceConnector = "proc_connector" // the kernel's process events, linux/cn_proc.h
	// On Windows both are tables that are looked at from time to time.
	SourceProcessTable = "process_table" // NtQuerySystemInformation(SystemProcessInformation)
	SourceSocketTable  = "socket_table"  // GetExtendedTcpTable, GetExtendedUdpTable
	SourceDestroy      = "sock_destroy"  // the kernel's notice of a socket's end, linux/sock_diag.h
	SourceRecorder     = "recorder"      // the agent's memory or clocks
	SourceRing         = "ring"          // the file on disk
)

// The values of Flight.How.
const (
	FlightFork = "fork" // a copy of its parent; an exec may follow
	FlightExec = "exec" // runs another program from now on
	FlightSeen = "seen" // was found running; it started after AfterBootNS
)

// Flight is one event of the flight recorder. Which fields have a meaning depends on
// Event.
type Flight struct {
	Event  string `json:"event"`
	Seq    uint64 `json:"seq"`            // of the entry on disk; one entry may hold several events
	Item   int    `json:"item,omitempty"` // number of the event in its entry, from 0
	Source string `json:"source,omitempty"`

	// At is derived: the wall clock when the entry was made, moved by the difference of
	// BootNS, which the kernel or the agent read when it happened.
	At     time.Time `json:"at,omitzero"`
	BootNS int64     `json:"boot_ns"`           // nanoseconds since boot, sleep included
	BootID string    `json:"boot_id,omitempty"` // of the boot that the numbers belong to
	// AfterBootNS bounds what was found by looking: it was not so yet at that time, and
	// was so at BootNS.
	AfterBootNS int64 `json:"after_boot_ns,omitempty"`

	How        string   `json:"how,omitempty"`
	PID        int      `json:"pid,omitempty"` // of a connection: who held it when last looked
	PPID       int      `json:"ppid,omitempty"`
	StartTicks uint64   `json:"start_ticks,omitempty"` // as in [Process]; 0 when nobody looked
	UID        int64    `json:"uid"`                   // real user, of a connection its maker; -1 when not known or there is none
	EUID       int64    `json:"euid"`                  // effective user; -1 likewise
	Comm       string   `json:"comm,omitempty"`
	CommRaw    []byte   `json:"comm_b64,omitempty"`
	Exe        string   `json:"exe,omitempty"` // as in [Process]
	ExeRaw     []byte   `json:"exe_b64,omitempty"`
	ExeDeleted bool     `json:"exe_deleted,omitempty"`
	ExeMemFD   bool     `json:"exe_memfd,omitempty"`
	Args       []string `json:"args,omitempty"` // as in [Process]
	CmdlineRaw []byte   `json:"cmdline_b64,omitempty"`
	CmdlineCut bool     `json:"cmdline_cut,omitempty"`
	KernelOnly bool     `json:"kernel_thread,omitempty"`
	// Unread names what could not be read in time ("exe", "cmdline", "stat", "ids");
	// UnreadWhy says why: "gone" when the process had ended already, "budget" when too
	// much happened at once, "denied", "stuck" when the process hung in the system.
	Unread     []string `json:"unread,omitempty"`
	UnreadWhy  []string `json:"unread_why,omitempty"`
	ExitCode   int64    `json:"exit_code"`             // of _exit(2); -1 when not known or ended by a signal
	ExitSignal int      `json:"exit_signal,omitempty"` // that ended it
	CoreDumped bool     `json:"core_dumped,omitempty"` //
	TracerPID  int      `json:"tracer_pid,omitempty"`  //
	Family     string   `json:"family,omitempty"`      // as in [Socket], as the next ones
	Proto      string   `json:"proto,omitempty"`       //
	State      string   `json:"state,omitempty"`       // CLOSE for udp: not connected
	LocalAddr  string   `json:"local_addr,omitempty"`  //
	LocalPort  uint16   `json:"local_port,omitempty"`  //
	RemoteAddr string   `json:"remote_addr,omitempty"` //
	RemotePort uint16   `json:"remote_port,omitempty"` //
	Inode      uint64   `json:"inode,omitempty"`       //
	Cookie     uint64   `json:"cookie,omitempty"`      // the kernel's number of the socket, used once in a boot
	IfIndex    uint32   `json:"ifindex,omitempty"`     //
	BytesKnown bool     `json:"bytes_known,omitempty"` // the next two were told (tcp_info)
	BytesAcked uint64   `json:"bytes_acked,omitempty"` // sent and acknowledged by the peer
	BytesRecvd uint64   `json:"bytes_received,omitempty"`

	Processes   int    `json:"processes,omitempty"`
	Connections int    `json:"connections,omitempty"`
	IntervalNS  int64  `json:"interval_ns,omitempty"`
	SpentNS     int64  `json:"spent_ns,omitempty"` // time that the recorder used since the heartbeat before
	Lost        uint64 `json:"lost,omitempty"`     // how many; absent when not known
	StepNS      int64  `json:"step_ns,omitempty"`
	Name        string `json:"name,omitempty"`
	Detail      string `json:"detail,omitempty"`
	DetailRaw   []byte `json:"detail_b64,omitempty"`
}

// AppendJSON appends f as one JSON object.
func (f *Flight) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "event", f.Event)
	b = unumAlways(b, "seq", f.Seq)
	b = num(b, "item", f.Item)
	b = str(b, "source", f.Source)
	b = when(b, "at", f.At)
	b = numAlways(b, "boot_ns", f.BootNS)
	b = str(b, "boot_id", f.BootID)
	b = num(b, "after_boot_ns", f.AfterBootNS)
	b = str(b, "how", f.How)
	b = num(b, "pid", f.PID)
	b = num(b, "ppid", f.PPID)
	b = unum(b, "start_ticks", f.StartTicks)
	b = numAlways(b, "uid", f.UID)
	b = numAlways(b, "euid", f.EUID)
	b = str(b, "comm", f.Comm)
	b = b64(b, "comm_b64", f.CommRaw)
	b = str(b, "exe", f.Exe)
	b = b64(b, "exe_b64", f.ExeRaw)
	b = flag(b, "exe_deleted", f.ExeDeleted)
	b = flag(b, "exe_memfd", f.ExeMemFD)
	b = strs(b, "args", f.Args)
	b = b64(b, "cmdline_b64", f.CmdlineRaw)
	b = flag(b, "cmdline_cut", f.CmdlineCut)
	b = flag(b, "kernel_thread", f.KernelOnly)
	b = strs(b, "unread", f.Unread)
	b = strs(b, "unread_why", f.UnreadWhy)
	b = numAlways(b, "exit_code", f.ExitCode)
	b = num(b, "exit_signal", f.ExitSignal)
	b = flag(b, "core_dumped", f.CoreDumped)
	b = num(b, "tracer_pid", f.TracerPID)
	b = str(b, "family", f.Family)
	b = str(b, "proto", f.Proto)
	b = str(b, "state", f.State)
	b = str(b, "local_addr", f.LocalAddr)
	b = unum(b, "local_port", f.LocalPort)
	b = str(b, "remote_addr", f.RemoteAddr)
	b = unum(b, "remote_port", f.RemotePort)
	b = unum(b, "inode", f.Inode)
	b = unum(b, "cookie", f.Cookie)
	b = unum(b, "ifindex", f.IfIndex)
	b = flag(b, "bytes_known", f.BytesKnown)
	b = unum(b, "bytes_acked", f.BytesAcked)
	b = unum(b, "bytes_received", f.BytesRecvd)
	b = num(b, "processes", f.Processes)
	b = num(b, "connections", f.Connections)
	b = num(b, "interval_ns", f.IntervalNS)
	b = num(b, "spent_ns", f.SpentNS)
	b = unum(b, "lost", f.Lost)
	b = num(b, "step_ns", f.StepNS)
	b = str(b, "name", f.Name)
	b = str(b, "detail", f.Detail)
	b = b64(b, "detail_b64", f.DetailRaw)
	return append(b, '}')
}
