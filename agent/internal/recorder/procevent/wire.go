package procevent

import (
	"encoding/binary"
	"errors"

	"hozen/agent/internal/recorder/entry"
)

// What is used of linux/netlink.h, linux/connector.h and linux/cn_proc.h.
const (
	headerLen  = 16 // struct nlmsghdr
	cnLen      = 20 // struct cn_msg
	eventLen   = 16 // struct proc_event without its union
	typeDone   = 3  // NLMSG_DONE, which every connector message is
	idxProc    = 1
	valProc    = 1
	opListen   = 1 // PROC_CN_MCAST_LISTEN
	opIgnore   = 2 // PROC_CN_MCAST_IGNORE
	ackMark    = 0x486f7a65
	whatNone   = 0 // the answer to opListen
	whatFork   = 1
	whatExec   = 2
	whatUID    = 4
	whatPtrace = 0x100
	whatComm   = 0x200
	whatDump   = 0x40000000
	whatExit   = 0x80000000
)

var errWire = errors.New("read process event: not its format")

// message is one event as the kernel tells it.
type message struct {
	Seq    uint32 // counts the events of one CPU
	Ack    uint32
	What   uint32
	CPU    uint32
	MonoNS int64 // CLOCK_MONOTONIC
	Body   []byte
}

// messages calls f with each process event of a datagram.
func messages(b []byte, f func(m *message)) error {
	ne := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < headerLen {
			return errWire
		}
		n := int64(ne.Uint32(b))
		if n < headerLen || n > int64(len(b)) {
			return errWire
		}
		body := b[headerLen:n]
		b = b[min(int64(len(b)), (n+3)&^3):]
		if len(body) < cnLen || ne.Uint32(body) != idxProc || ne.Uint32(body[4:]) != valProc {
			continue // another connector's
		}
		size := int(ne.Uint16(body[16:]))
		if size < eventLen || size > len(body)-cnLen {
			return errWire
		}
		e := body[cnLen : cnLen+size]
		f(&message{
			Seq: ne.Uint32(body[8:]), Ack: ne.Uint32(body[12:]),
			What: ne.Uint32(e), CPU: ne.Uint32(e[4:]), MonoNS: int64(ne.Uint64(e[8:])), Body: e[eventLen:],
		})
	}
	return nil
}

// event reads what m says. ok is false for what is not recorded: threads, groups,
// sessions, and kinds that are not known. A number that is not a process's own is a
// thread's: the kernel's "pid" is a thread, its "tgid" the process.
func (m *message) event(e *entry.Event) (ok bool, err error) {
	u := func(i int) int { return int(int32(binary.NativeEndian.Uint32(m.Body[4*i:]))) }
	need := map[uint32]int{whatFork: 16, whatExec: 8, whatUID: 16, whatPtrace: 16, whatComm: 24, whatDump: 8, whatExit: 16}[m.What]
	if need == 0 {
		return false, nil
	}
	if len(m.Body) < need {
		return false, errWire
	}
	*e = entry.Event{Source: entry.SourceConnector, PID: u(1), UID: -1, EUID: -1}
	if m.What == whatFork {
		e.Type, e.How, e.PPID, e.PID = entry.ProcessStarted, entry.HowFork, u(1), u(3)
		return u(2) == u(3), nil
	}
	switch m.What {
	case whatExec:
		e.Type, e.How = entry.ProcessStarted, entry.HowExec
		return true, nil // whichever thread asked for it, the process is another now
	case whatUID:
		e.Type, e.UID, e.EUID = entry.ProcessIDs, int64(uint32(u(2))), int64(uint32(u(3)))
	case whatPtrace:
		e.Type, e.TracerPID = entry.ProcessTraced, u(3)
		return true, nil // any thread of it
	case whatComm:
		comm := m.Body[8:24]
		for i, c := range comm {
			if c == 0 {
				comm = comm[:i]
				break
			}
		}
		e.Type, e.Comm = entry.ProcessRenamed, comm
	case whatDump:
		e.Type = entry.ProcessDumped
		return true, nil
	case whatExit:
		e.Type, e.HasStatus, e.Status = entry.ProcessEnded, true, uint32(u(2))
		if len(m.Body) >= 24 { // since Linux 4.18
			e.PPID = u(5)
		}
	}
	return u(0) == u(1), nil
}

// sequence finds what is missing from the kernel's count.
type sequence struct{ next map[uint32]uint32 }

// lost takes the number of the newest event of cpu and returns how many before it are
// missing.
func (s *sequence) lost(cpu, seq uint32) uint32 {
	if s.next == nil {
		s.next = make(map[uint32]uint32)
	}
	want, known := s.next[cpu]
	n := seq - want // wraps as the kernel's count does
	if known && n > 1<<31 {
		return 0 // an older one, out of turn: it was counted as missing before
	}
	s.next[cpu] = seq + 1
	if !known {
		return 0
	}
	return n
}
