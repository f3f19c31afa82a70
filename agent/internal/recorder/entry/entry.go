// Package entry is what the flight recorder writes into the entries of its ring: the
// events of one payload, packed and unpacked. It knows nothing of files, nor of how an
// operating system is asked.
//
// A payload is a sequence of events. An event is its length (unsigned varint) and so
// many bytes: one byte for its type, then its fields. A field is one byte, twice its
// number plus one if bytes follow, and then either an unsigned varint or a length and
// so many bytes. A field that is absent is zero, unknown where unknown is possible.
// Fields and types that are not known are stepped over, so that an older program reads
// the ring of a newer one. Signed numbers are zigzag-coded as in encoding/binary.
package entry

import "net/netip"

// MaxPayload is the most that one payload may be, in bytes; the ring takes as much.
const MaxPayload = 64 << 10

// The bounds of texts, in bytes. What is longer is cut, and the event says so.
const (
	MaxCmdline = 4 << 10
	MaxPath    = 4 << 10 // PATH_MAX
	MaxMark    = 8 << 10
)

// The kinds of the entries: what stands in the payload is always a sequence of events,
// but who looks for marks or for the newest heartbeat need not open the rest.
const (
	KindEvents    = 1 // starts, ends, openings, closings, gaps
	KindHeartbeat = 2 // one per interval, whatever happened
	KindSnapshot  = 3 // a list of all processes and connections, in several entries where one is too small
	KindMark      = 4 // what somebody else wanted to be on record
)

// Type says what happened. The numbers stand on disk and stay for ever.
type Type uint8

// The types of events.
const (
	ProcessStarted    Type = 1  // fork or exec, or found in /proc
	ProcessEnded      Type = 2  // exit, or missing in /proc
	ProcessRenamed    Type = 3  // gave itself another name (PR_SET_NAME)
	ProcessIDs        Type = 4  // runs under another user now
	ProcessTraced     Type = 5  // is traced by TracerPID from now on, by none when that is 0
	ProcessDumped     Type = 6  // dumped core
	ProcessListed     Type = 7  // stands in the snapshot
	ConnectionOpened  Type = 8  // was not there when looked before
	ConnectionClosed  Type = 9  //
	ConnectionListed  Type = 10 // stands in the snapshot
	ConnectionChanged Type = 11 // another state, peer or owner than said before
	Snapshot          Type = 12 // a snapshot begins: Processes and Connections follow
	Heartbeat         Type = 13 //
	Gap               Type = 14 // something was lost, or is not watched: Detail says what, Lost how much
	ClockStep         Type = 15 // somebody set the wall clock by StepNS
	Slept             Type = 16 // the PC slept for StepNS
	Mark              Type = 17 // Name and Detail are the caller's
	Throttled         Type = 18 // the recorder looks less often: every IntervalNS
)

// Source says who told the recorder.
type Source uint8

// The sources.
const (
	SourceNone      Source = iota
	SourceConnector        // the kernel's process events
	SourceProcFS           // /proc, looked at from time to time
	SourceDestroy          // the kernel's notice of a socket's end
	SourceSockDiag         // the kernel's list of sockets, looked at from time to time
	SourceRecorder         // the recorder itself
)

// How says what kind of start a ProcessStarted is.
type How uint8

// The starts.
const (
	HowNone How = iota
	HowFork     // a copy of its parent
	HowExec     // runs another program from now on
	HowSeen     // was found running
)

// Unread is a set of things that could not be read in time.
type Unread uint8

// The things that may be unread.
const (
	UnreadExe Unread = 1 << iota
	UnreadCmdline
	UnreadStat
	UnreadIDs
	// UnreadGone says why: the process had ended already.
	UnreadGone
	// UnreadBudget says why: too much happened at once, and the recorder did not try.
	UnreadBudget
	// UnreadDenied says why: the system refused.
	UnreadDenied
	// UnreadStuck says why: the process hangs in the system and did not answer.
	UnreadStuck
)

// NewGap is the event that says what is missing; lost is how much, 0 when not known.
func NewGap(source Source, bootNS int64, lost uint64, detail string) *Event {
	return &Event{Type: Gap, Source: source, BootNS: bootNS, UID: -1, EUID: -1, Lost: lost, Detail: []byte(detail)}
}

// Event is one thing that happened, or was found, or is missing. Which fields have a
// meaning depends on Type.
type Event struct {
	Type   Type
	Source Source
	How    How
	BootNS int64 // when, nanoseconds since boot, sleep included; 0: when its entry was made

	PID        int
	PPID       int
	StartTicks uint64 // since boot, 1/100 s; 0 when not known
	UID, EUID  int64  // -1 when not known
	Comm       []byte
	Exe        []byte // as the kernel says it, mark " (deleted)" included
	Cmdline    []byte // as in /proc/PID/cmdline
	CmdlineCut bool
	Kernel     bool // a thread of the kernel
	Unread     Unread
	HasStatus  bool
	Status     uint32 // as wait(2) gives it
	TracerPID  int

	Proto         uint8 // IPPROTO_TCP or IPPROTO_UDP
	State         uint8 // as in the kernel's include/net/tcp_states.h
	Local, Remote netip.AddrPort
	Inode         uint64
	Cookie        uint64 // the kernel's number of the socket, never used again in a boot
	IfIndex       uint32
	HasBytes      bool
	BytesSent     uint64 // acknowledged by the peer (tcp_info)
	BytesReceived uint64
	AfterNS       int64 // it was not so yet, this many nanoseconds since boot

	Processes, Connections int
	IntervalNS, CPUNS      int64
	Lost                   uint64 // how many; 0 when not known
	StepNS                 int64
	Name                   string
	Detail                 []byte
}
