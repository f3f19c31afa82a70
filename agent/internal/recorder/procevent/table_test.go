package procevent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"
	"unicode/utf16"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/recorder/entry"
)

// pc is a Windows whose processes come and go.
type pc struct {
	procs []winbytes.Process
	told  map[int]winscan.Told
	errs  map[int]error
	reads int
}

func (p *pc) Processes() (winbytes.Answer, error) {
	p.reads++
	var b []byte
	for i, x := range p.procs {
		r := make([]byte, 0x100)
		if i < len(p.procs)-1 {
			r[1] = 1
		}
		binary.LittleEndian.PutUint64(r[0x20:], uint64(x.Created))
		binary.LittleEndian.PutUint64(r[0x50:], uint64(x.PID))
		binary.LittleEndian.PutUint64(r[0x58:], uint64(x.PPID))
		b = append(b, r...)
	}
	if b == nil {
		return winbytes.Answer{}, errors.New("no table")
	}
	return winbytes.Answer{Bytes: b}, nil
}

func (p *pc) Process(pid int, created int64) (winscan.Told, error) { return p.told[pid], p.errs[pid] }

func (p *pc) Sockets(winbytes.Table) ([]byte, error) { return nil, errors.ErrUnsupported }

func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestProcessTableOfWindows(t *testing.T) {
	const t0 = 134000000000000000
	sys := &pc{
		procs: []winbytes.Process{{PID: 0}, {PID: 4}, {PID: 40, PPID: 4, Created: t0}, {PID: 12, PPID: 40, Created: t0 + 10}, {PID: 16, Created: t0}, {PID: 20, Created: t0}},
		told:  map[int]winscan.Told{12: {CommandLine: utf16le(`"C:\悪 い.exe" -x`), Image: utf16.Encode([]rune(`C:\悪 い.exe`))}},
		errs:  map[int]error{16: fmt.Errorf("open: %w", fs.ErrPermission), 20: winscan.ErrGone},
	}
	clock := time.Unix(1, 0)
	r := newTableReader(sys, func() time.Time { return clock })
	pids, err := r.PIDs()
	if err != nil || !slices.Equal(pids, []int{4, 12, 16, 20, 40}) {
		t.Fatal(pids, err)
	}
	e := entry.Event{PID: 12}
	r.Read(&e)
	if e.PPID != 40 || e.StartTicks != winbytes.Ticks(t0+10) || string(e.Exe) != `C:\悪 い.exe` || !bytes.Equal(e.Cmdline, []byte("C:\\悪 い.exe\x00-x\x00")) || e.Unread != 0 || e.UID != -1 || e.CmdlineCut {
		t.Errorf("%+v", e)
	}
	e = entry.Event{PID: 12}
	if r.Plain(&e); e.Cmdline != nil || len(e.Exe) == 0 {
		t.Errorf("%+v", e)
	}
	for pid, want := range map[int]entry.Unread{
		16: entry.UnreadExe | entry.UnreadCmdline | entry.UnreadDenied,
		20: entry.UnreadExe | entry.UnreadCmdline | entry.UnreadGone,
		99: entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadGone,
		4:  0,
	} {
		e = entry.Event{PID: pid}
		if r.Read(&e); e.Unread != want || e.Kernel != (pid == 4) {
			t.Errorf("%d: %b, want %b", pid, e.Unread, want)
		}
	}
	if sys.reads != 1 {
		t.Errorf("the table was read %d times within the same moment", sys.reads)
	}
	sys.procs = append(sys.procs, winbytes.Process{PID: 99, Created: t0})
	clock = clock.Add(time.Second)
	e = entry.Event{PID: 99}
	if s := r.Stat(&e); s != 'S' || e.StartTicks == 0 {
		t.Errorf("one that came later: %c %+v", s, e)
	}
	sys.procs = nil
	if _, err := r.PIDs(); err == nil {
		t.Error("no table and no error")
	}
}
