package flight

import (
	"net/netip"
	"runtime"
	"strconv"
	"time"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact/record"
)

// fill says in f what v of entry e means.
func fill(f *record.Flight, e *ring.Entry, v *entry.Event) {
	*f = record.Flight{
		Event: eventName(v.Type), Seq: e.Seq, Source: sourceName(v.Source), At: e.At.Wall, BootNS: e.At.BootNS, BootID: e.BootID,
		AfterBootNS: v.AfterNS, How: howName(v.How), PID: v.PID, PPID: v.PPID, StartTicks: v.StartTicks, UID: v.UID, EUID: v.EUID,
		CmdlineCut: v.CmdlineCut, KernelOnly: v.Kernel, ExitCode: record.Unknown, TracerPID: v.TracerPID,
		Inode: v.Inode, Cookie: v.Cookie, IfIndex: v.IfIndex, BytesKnown: v.HasBytes, BytesAcked: v.BytesSent, BytesRecvd: v.BytesReceived,
		Processes: v.Processes, Connections: v.Connections, IntervalNS: v.IntervalNS, SpentNS: v.CPUNS, Lost: v.Lost, StepNS: v.StepNS,
	}
	if v.BootNS != 0 {
		f.BootNS = v.BootNS
		if e.At.BootNS != 0 {
			f.At = e.At.Wall.Add(time.Duration(v.BootNS - e.At.BootNS))
		}
	}
	f.Comm, f.CommRaw = record.Text(v.Comm)
	name, deleted := procfs.CutDeleted(v.Exe)
	f.Exe, f.ExeRaw = record.Text(name)
	f.ExeDeleted, f.ExeMemFD = deleted, deleted && procfs.IsMemFD(name)
	f.Args, f.CmdlineRaw = procfs.Cmdline(v.Cmdline)
	f.Name, _ = record.TextOf(v.Name)
	f.Detail, f.DetailRaw = record.Text(v.Detail)
	if f.Event == record.FlightUnknown {
		f.Name = strconv.Itoa(int(v.Type))
	}
	f.Unread, f.UnreadWhy = unread(v.Unread)
	if v.HasStatus {
		ending(f, v.Status)
	}
	if v.Proto != 0 {
		connection(f, v)
	}
}

// ending reads a status as wait(2) gives it.
func ending(f *record.Flight, status uint32) {
	const signal, core = 0x7f, 0x80
	if s := int(status & signal); s != 0 {
		f.ExitSignal, f.CoreDumped = s, status&core != 0
		return
	}
	f.ExitCode = int64(status >> 8 & 0xff)
}

func connection(f *record.Flight, v *entry.Event) {
	const protoTCP, protoUDP = 6, 17
	switch v.Proto {
	case protoTCP:
		f.Proto = record.ProtoTCP
	case protoUDP:
		f.Proto = record.ProtoUDP
	default:
		f.Proto = strconv.Itoa(int(v.Proto))
	}
	f.State = procfs.StateName(v.State)
	f.Family = record.FamilyInet
	if v.Local.Addr().Is6() {
		f.Family = record.FamilyInet6
	}
	f.LocalAddr, f.LocalPort = side(v.Local)
	f.RemoteAddr, f.RemotePort = side(v.Remote)
}

func side(a netip.AddrPort) (string, uint16) {
	if !a.IsValid() {
		return "", 0
	}
	return a.Addr().String(), a.Port()
}

func unread(u entry.Unread) (what, why []string) {
	for _, x := range []struct {
		bit  entry.Unread
		name string
	}{{entry.UnreadExe, "exe"}, {entry.UnreadCmdline, "cmdline"}, {entry.UnreadStat, "stat"}, {entry.UnreadIDs, "ids"}} {
		if u&x.bit != 0 {
			what = append(what, x.name)
		}
	}
	for _, x := range []struct {
		bit  entry.Unread
		name string
	}{{entry.UnreadGone, "gone"}, {entry.UnreadBudget, "budget"}, {entry.UnreadDenied, "denied"}, {entry.UnreadStuck, "stuck"}} {
		if u&x.bit != 0 {
			why = append(why, x.name)
		}
	}
	return what, why
}

func eventName(t entry.Type) string {
	switch t {
	case entry.ProcessStarted:
		return record.FlightProcessStarted
	case entry.ProcessEnded:
		return record.FlightProcessEnded
	case entry.ProcessRenamed:
		return record.FlightProcessRenamed
	case entry.ProcessIDs:
		return record.FlightProcessIDs
	case entry.ProcessTraced:
		return record.FlightProcessTraced
	case entry.ProcessDumped:
		return record.FlightProcessDumped
	case entry.ProcessListed:
		return record.FlightProcessListed
	case entry.ConnectionOpened:
		return record.FlightConnectionOpened
	case entry.ConnectionClosed:
		return record.FlightConnectionClosed
	case entry.ConnectionChanged:
		return record.FlightConnectionChanged
	case entry.ConnectionListed:
		return record.FlightConnectionListed
	case entry.Snapshot:
		return record.FlightSnapshot
	case entry.Heartbeat:
		return record.FlightHeartbeat
	case entry.Gap:
		return record.FlightGap
	case entry.Mark:
		return record.FlightMark
	case entry.ClockStep:
		return record.FlightClockStep
	case entry.Slept:
		return record.FlightSlept
	case entry.Throttled:
		return record.FlightThrottled
	}
	return record.FlightUnknown
}

func sourceName(s entry.Source) string { return nameOn(runtime.GOOS, s) }

// nameOn names a source as it is on a system: what is looked at from time to time is
// another thing on Windows.
func nameOn(goos string, s entry.Source) string {
	if goos == "windows" {
		switch s {
		case entry.SourceProcFS:
			return record.SourceProcessTable
		case entry.SourceSockDiag:
			return record.SourceSocketTable
		}
	}
	switch s {
	case entry.SourceConnector:
		return record.SourceConnector
	case entry.SourceProcFS:
		return record.SourceProcFS
	case entry.SourceDestroy:
		return record.SourceDestroy
	case entry.SourceSockDiag:
		return record.SourceSockDiag
	case entry.SourceRecorder:
		return record.SourceRecorder
	}
	return ""
}

func howName(h entry.How) string {
	switch h {
	case entry.HowFork:
		return record.FlightFork
	case entry.HowExec:
		return record.FlightExec
	case entry.HowSeen:
		return record.FlightSeen
	}
	return ""
}
