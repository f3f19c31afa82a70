package procevent

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozen/agent/internal/recorder/entry"
)

// told makes a datagram as the kernel does.
func told(what, cpu, seq uint32, mono uint64, words ...uint32) []byte {
	ne := binary.NativeEndian
	body := ne.AppendUint32(nil, what)
	body = ne.AppendUint32(body, cpu)
	body = ne.AppendUint64(body, mono)
	for _, w := range words {
		body = ne.AppendUint32(body, w)
	}
	for len(body) < eventLen+24 {
		body = append(body, 0)
	}
	b := ne.AppendUint32(nil, uint32(headerLen+cnLen+len(body)))
	b = ne.AppendUint16(b, typeDone)
	b = append(b, make([]byte, 10)...)
	for _, w := range []uint32{idxProc, valProc, seq, 0} {
		b = ne.AppendUint32(b, w)
	}
	b = ne.AppendUint16(b, uint16(len(body)))
	b = ne.AppendUint16(b, 0)
	return append(b, body...)
}

func TestWhatTheKernelTells(t *testing.T) {
	const mono, offset = 1000, 7_000_000
	base := entry.Event{Source: entry.SourceConnector, BootNS: mono + offset, UID: -1, EUID: -1}
	with := func(f func(e *entry.Event)) entry.Event { e := base; f(&e); return e }
	// "renamed" with its NULs, in the machine's order.
	comm := []byte("renamed\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(comm[4*i:]) }
	for name, c := range map[string]struct {
		msg  []byte
		want entry.Event
		ok   bool
	}{
		"fork": {told(whatFork, 1, 0, mono, 10, 10, 20, 20), with(func(e *entry.Event) {
			e.Type, e.How, e.PPID, e.PID = entry.ProcessStarted, entry.HowFork, 10, 20
		}), true},
		"fork by a thread": {told(whatFork, 1, 0, mono, 11, 10, 20, 20), with(func(e *entry.Event) {
			e.Type, e.How, e.PPID, e.PID = entry.ProcessStarted, entry.HowFork, 10, 20
		}), true},
		"new thread":       {msg: told(whatFork, 1, 0, mono, 10, 10, 12, 10)},
		"exec":             {told(whatExec, 0, 0, mono, 20, 20), with(func(e *entry.Event) { e.Type, e.How, e.PID = entry.ProcessStarted, entry.HowExec, 20 }), true},
		"exec by a thread": {told(whatExec, 0, 0, mono, 21, 20), with(func(e *entry.Event) { e.Type, e.How, e.PID = entry.ProcessStarted, entry.HowExec, 20 }), true},
		"exit": {told(whatExit, 0, 0, mono, 20, 20, 3<<8, 17, 10, 10), with(func(e *entry.Event) {
			e.Type, e.PID, e.PPID, e.HasStatus, e.Status = entry.ProcessEnded, 20, 10, true, 3<<8
		}), true},
		"end of a thread": {msg: told(whatExit, 0, 0, mono, 21, 20, 0, 17, 10, 10)},
		"setuid":          {told(whatUID, 0, 0, mono, 20, 20, 0xfffffffe, 0), with(func(e *entry.Event) { e.Type, e.PID, e.UID, e.EUID = entry.ProcessIDs, 20, 0xfffffffe, 0 }), true},
		"rename":          {told(whatComm, 0, 0, mono, 20, 20, word(0), word(1), word(2), word(3)), with(func(e *entry.Event) { e.Type, e.PID, e.Comm = entry.ProcessRenamed, 20, []byte("renamed") }), true},
		"trace":           {told(whatPtrace, 0, 0, mono, 21, 20, 30, 30), with(func(e *entry.Event) { e.Type, e.PID, e.TracerPID = entry.ProcessTraced, 20, 30 }), true},
		"core":            {told(whatDump, 0, 0, mono, 20, 20), with(func(e *entry.Event) { e.Type, e.PID = entry.ProcessDumped, 20 }), true},
		"session":         {msg: told(0x80, 0, 0, mono, 20, 20)},
		"of a later day":  {msg: told(0x1000000, 0, 0, mono, 20, 20)},
	} {
		n := 0
		err := messages(c.msg, func(m *message) {
			n++
			var e entry.Event
			ok, err := turn(new(sequence), m, offset, &e, func(uint64) { t.Errorf("%s: a gap", name) })
			if err != nil || ok != c.ok {
				t.Errorf("%s: %t, %v", name, ok, err)
			}
			if ok {
				if diff := cmp.Diff(c.want, e, cmpopts.EquateComparable(c.want.Local)); diff != "" {
					t.Errorf("%s: want (-), got (+):\n%s", name, diff)
				}
			}
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d messages, %v", name, n, err)
		}
	}
}

func TestShortMessagesAreRefused(t *testing.T) {
	whole := told(whatFork, 0, 0, 1, 1, 1, 2, 2)
	for n := 1; n < len(whole); n++ {
		if err := messages(whole[:n], func(*message) { t.Errorf("%d bytes made a message", n) }); !errors.Is(err, errWire) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestSequenceFindsWhatIsMissing(t *testing.T) {
	var s sequence
	for i, step := range []struct{ cpu, seq, lost uint32 }{
		{0, 0xfffffffd, 0}, // the first of a CPU says nothing
		{0, 0xfffffffe, 0},
		{1, 5, 0},
		{0, 0, 1}, // over the end, one missing
		{1, 9, 3},
		{0, 1, 0},
		{0, 0xffffffff, 0}, // the missing one, late: was counted
		{0, 2, 0},
		{1, 10, 0},
	} {
		if got := s.lost(step.cpu, step.seq); got != step.lost {
			t.Errorf("step %d: CPU %d, number %#x: %d lost, want %d", i, step.cpu, step.seq, got, step.lost)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(told(whatFork, 1, 0, 5, 10, 10, 20, 20))
	f.Add(told(whatExit, 1, 0, 5, 10, 10, 20, 20))
	f.Add(append(told(whatExec, 1, 0, 5, 10, 10), told(whatComm, 1, 1, 6, 10, 10)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s sequence
		_ = messages(b, func(m *message) {
			var e entry.Event
			if ok, err := turn(&s, m, 0, &e, func(uint64) {}); ok && (err != nil || e.Type == 0) {
				t.Fatalf("%+v, %v", e, err)
			}
		})
	})
}

func FuzzNames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x0412\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { names(b, func([]byte) {}) })
}
