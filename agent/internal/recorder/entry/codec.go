package entry

import (
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"
)

// ErrDamaged says that bytes are no events.
var ErrDamaged = errors.New("read flight recorder entry: not its format")

// The numbers of the fields. They stand on disk and stay for ever.
const (
	fSource = iota + 1
	fHow
	fBootNS // how long before the entry, zigzag
	fPID
	fPPID
	fStart
	fUID // plus one
	fEUID
	fComm
	fExe
	fCmdline
	fFlags
	fUnread
	fStatus // plus one
	fTracer
	fProto
	fState
	fLocal
	fRemote
	fInode
	fCookie
	fIfIndex
	fSent // plus one
	fReceived
	fAfter // how long before the entry, zigzag
	fProcesses
	fConnections
	fInterval
	fCPU
	fLost
	fStep // zigzag
	fName
	fDetail
)

// The bits of fFlags.
const (
	flagCmdlineCut = 1 << iota
	flagKernel
)

// lengthRoom is what an event's length takes at most; see [Append].
const lengthRoom = 3

// Append appends e to a payload whose entry is made at baseNS nanoseconds since boot.
// Texts that are too long are cut.
func Append(b []byte, baseNS int64, e *Event) []byte {
	// The length stands first and is not known yet: three bytes are kept for it, for an
	// event is far below 2 MiB. A varint may be longer than it must be.
	start := len(b)
	b = append(b, 0, 0, 0, byte(e.Type))
	b = num(b, fSource, uint64(e.Source))
	b = num(b, fHow, uint64(e.How))
	if e.BootNS != 0 {
		b = numAlways(b, fBootNS, zigzag(baseNS-e.BootNS))
	}
	b = num(b, fPID, uint64(e.PID))
	b = num(b, fPPID, uint64(e.PPID))
	b = num(b, fStart, e.StartTicks)
	b = num(b, fUID, uint64(e.UID+1))
	b = num(b, fEUID, uint64(e.EUID+1))
	b = text(b, fComm, e.Comm, MaxPath)
	b = text(b, fExe, e.Exe, MaxPath)
	b = text(b, fCmdline, e.Cmdline, MaxCmdline)
	var flags uint64
	if e.CmdlineCut || len(e.Cmdline) > MaxCmdline {
		flags |= flagCmdlineCut
	}
	if e.Kernel {
		flags |= flagKernel
	}
	b = num(b, fFlags, flags)
	b = num(b, fUnread, uint64(e.Unread))
	if e.HasStatus {
		b = numAlways(b, fStatus, uint64(e.Status)+1)
	}
	b = num(b, fTracer, uint64(e.TracerPID))
	b = num(b, fProto, uint64(e.Proto))
	b = num(b, fState, uint64(e.State))
	b = addr(b, fLocal, e.Local)
	b = addr(b, fRemote, e.Remote)
	b = num(b, fInode, e.Inode)
	b = num(b, fCookie, e.Cookie)
	b = num(b, fIfIndex, uint64(e.IfIndex))
	if e.HasBytes {
		b = numAlways(b, fSent, e.BytesSent)
		b = numAlways(b, fReceived, e.BytesReceived)
	}
	if e.AfterNS != 0 {
		b = numAlways(b, fAfter, zigzag(baseNS-e.AfterNS))
	}
	b = num(b, fProcesses, uint64(e.Processes))
	b = num(b, fConnections, uint64(e.Connections))
	b = num(b, fInterval, uint64(e.IntervalNS))
	b = num(b, fCPU, uint64(e.CPUNS))
	b = num(b, fLost, e.Lost)
	if e.StepNS != 0 {
		b = numAlways(b, fStep, zigzag(e.StepNS))
	}
	b = text(b, fName, []byte(e.Name), MaxPath)
	b = text(b, fDetail, e.Detail, MaxMark)
	n := len(b) - start - lengthRoom
	b[start], b[start+1], b[start+2] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)
	return b
}

func num(b []byte, field byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return numAlways(b, field, v)
}

func numAlways(b []byte, field byte, v uint64) []byte {
	return binary.AppendUvarint(append(b, field<<1), v)
}

func text(b []byte, field byte, v []byte, most int) []byte {
	if len(v) == 0 {
		return b
	}
	v = v[:min(len(v), most)]
	b = binary.AppendUvarint(append(b, field<<1|1), uint64(len(v)))
	return append(b, v...)
}

func addr(b []byte, field byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	ip := a.Addr().AsSlice()
	b = append(b, field<<1|1, byte(len(ip)+2))
	b = append(b, ip...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Events yields the events of a payload whose entry was made at baseNS. They alias the
// payload. Bytes that are no events end it with [ErrDamaged]; what came before is valid.
func Events(payload []byte, baseNS int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for b := payload; len(b) > 0; {
			n, k := binary.Uvarint(b)
			if k <= 0 || n == 0 || n > uint64(len(b)-k) {
				yield(Event{}, ErrDamaged)
				return
			}
			e, err := decode(b[k:k+int(n)], baseNS)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			b = b[k+int(n):]
		}
	}
}

func decode(b []byte, baseNS int64) (Event, error) {
	e := Event{Type: Type(b[0]), UID: -1, EUID: -1}
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		v, k := binary.Uvarint(b[1:])
		if k <= 0 {
			return e, ErrDamaged
		}
		b = b[1+k:]
		if tag&1 == 0 {
			e.number(tag>>1, v, baseNS)
			continue
		}
		if v > uint64(len(b)) {
			return e, ErrDamaged
		}
		if err := e.bytes(tag>>1, b[:v:v]); err != nil {
			return e, err
		}
		b = b[v:]
	}
	return e, nil
}

func (e *Event) number(field byte, v uint64, baseNS int64) {
	switch field {
	case fSource:
		e.Source = Source(v)
	case fHow:
		e.How = How(v)
	case fBootNS:
		e.BootNS = baseNS - unzigzag(v)
	case fPID:
		e.PID = int(v)
	case fPPID:
		e.PPID = int(v)
	case fStart:
		e.StartTicks = v
	case fUID:
		e.UID = int64(v) - 1
	case fEUID:
		e.EUID = int64(v) - 1
	case fFlags:
		e.CmdlineCut, e.Kernel = v&flagCmdlineCut != 0, v&flagKernel != 0
	case fUnread:
		e.Unread = Unread(v)
	case fStatus:
		e.HasStatus, e.Status = true, uint32(v-1)
	case fTracer:
		e.TracerPID = int(v)
	case fProto:
		e.Proto = uint8(v)
	case fState:
		e.State = uint8(v)
	case fInode:
		e.Inode = v
	case fCookie:
		e.Cookie = v
	case fIfIndex:
		e.IfIndex = uint32(v)
	case fSent:
		e.HasBytes, e.BytesSent = true, v
	case fReceived:
		e.HasBytes, e.BytesReceived = true, v
	case fAfter:
		e.AfterNS = baseNS - unzigzag(v)
	case fProcesses:
		e.Processes = int(v)
	case fConnections:
		e.Connections = int(v)
	case fInterval:
		e.IntervalNS = int64(v)
	case fCPU:
		e.CPUNS = int64(v)
	case fLost:
		e.Lost = v
	case fStep:
		e.StepNS = unzigzag(v)
	}
}

func (e *Event) bytes(field byte, v []byte) error {
	switch field {
	case fComm:
		e.Comm = v
	case fExe:
		e.Exe = v
	case fCmdline:
		e.Cmdline = v
	case fLocal, fRemote:
		if len(v) < 2 {
			return ErrDamaged
		}
		ip, ok := netip.AddrFromSlice(v[:len(v)-2])
		if !ok {
			return ErrDamaged
		}
		a := netip.AddrPortFrom(ip, binary.BigEndian.Uint16(v[len(v)-2:]))
		if field == fLocal {
			e.Local = a
		} else {
			e.Remote = a
		}
	case fName:
		e.Name = string(v)
	case fDetail:
		e.Detail = v
	}
	return nil
}
