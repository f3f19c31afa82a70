package winwatch

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
)

var _ procevent.Processes = (*Reader)(nil)

// recorded is a Windows whose answers were recorded under Wine 10.
type recorded struct {
	Table  winbytes.Answer
	Told   map[int]winscan.Told
	Tables map[string][]byte
	refuse error
	tcp    []byte // instead of the recorded table of TCP over IPv4
	broken error
}

func (r *recorded) Processes() (winbytes.Answer, error) { return r.Table, nil }

func (r *recorded) Process(pid int, _ int64) (winscan.Told, error) {
	if r.refuse != nil {
		return winscan.Told{}, r.refuse
	}
	t, ok := r.Told[pid]
	if !ok {
		return t, winscan.ErrGone
	}
	return t, nil
}

func (r *recorded) Sockets(t winbytes.Table) ([]byte, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	if r.tcp != nil {
		switch {
		case t.Module:
			return nil, errors.ErrUnsupported
		case t == winbytes.Table{}:
			return r.tcp, nil
		}
		return make([]byte, 4), nil
	}
	b, ok := r.Tables[fmt.Sprintf("%v module=%t", t, t.Module)]
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return b, nil
}

func wine(t *testing.T) *recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "probe", "winscan", "testdata", "wine10.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(recorded)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProcesses(t *testing.T) {
	sys := wine(t)
	all := NewProcesses(sys)
	pids, err := all.Reader().PIDs()
	if err != nil || len(pids) < 3 || pids[0] == 0 {
		t.Fatalf("%v, %v", pids, err)
	}
	other, marked := all.Reader(), 0 // another reader sees the same look
	for _, pid := range pids {
		e := entry.Event{PID: pid, UID: -1, EUID: -1}
		other.Read(&e)
		if e.StartTicks == 0 || len(e.Comm) == 0 {
			t.Errorf("%+v", e)
		}
		if bytes.Contains(e.Cmdline, []byte("\x00--marked\x00")) {
			marked = pid
			if len(e.Exe) == 0 || e.Unread != 0 || e.PPID == 0 || e.UID != -1 {
				t.Errorf("%+v", e)
			}
		}
		p := entry.Event{PID: pid}
		if other.Plain(&p); p.StartTicks != e.StartTicks || len(p.Cmdline) > 0 {
			t.Errorf("%+v", p)
		}
	}
	if marked == 0 {
		t.Fatal("the marked process is missing")
	}
	gone := entry.Event{PID: 1 << 30}
	if other.Read(&gone); gone.Unread&entry.UnreadGone == 0 || gone.Unread&entry.UnreadStat == 0 {
		t.Errorf("%+v", gone)
	}
	sys.refuse = fmt.Errorf("x: %w", fs.ErrPermission)
	e := entry.Event{PID: marked}
	if other.Read(&e); e.Unread&entry.UnreadDenied == 0 || e.Unread&entry.UnreadGone != 0 || e.StartTicks == 0 {
		t.Errorf("%+v", e)
	}
	sys.Table.Bytes = sys.Table.Bytes[:len(sys.Table.Bytes)/2]
	if _, err := all.Reader().PIDs(); err == nil {
		t.Error("half a table counts as all")
	}
}

// tcp makes a table of TCP over IPv4 (MIB_TCPTABLE_OWNER_PID) of rows state, local port,
// remote port and PID.
func tcp(rows ...[4]int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(rows)))
	port := func(n int) { b = append(b, byte(n>>8), byte(n), 0, 0) }
	for _, r := range rows {
		b = binary.LittleEndian.AppendUint32(b, uint32(r[0]))
		b = append(b, 192, 0, 2, 1)
		port(r[1])
		b = append(b, 198, 51, 100, 9)
		port(r[2])
		b = binary.LittleEndian.AppendUint32(b, uint32(r[3]))
	}
	return b
}

// The states of Windows (MIB_TCP_STATE).
const (
	winListen      = 2
	winSynSent     = 3
	winEstablished = 5
	winTimeWait    = 11
)

func TestSockets(t *testing.T) {
	sys := &recorded{}
	now := int64(0)
	w := Open(Config{System: sys, Boot: func() int64 { now += 1000; return now }, Most: 3})
	look := func() (got []string) {
		w.look(func(e *entry.Event) {
			got = append(got, fmt.Sprintf("%d cookie %d state %d %s>%s pid %d after %d lost %d", e.Type, e.Cookie, e.State, e.Local, e.Remote, e.PID, e.AfterNS, e.Lost))
		})
		return got
	}
	want := func(what string, got []string, lines ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(lines) {
			t.Errorf("%s:\n%q, want\n%q", what, got, lines)
		}
	}
	sys.tcp = tcp([4]int{winListen, 445, 0, 4}, [4]int{winSynSent, 50001, 443, 77})
	want("first", look(), "8 cookie 1 state 10 192.0.2.1:445>invalid AddrPort pid 4 after 0 lost 0", "8 cookie 2 state 2 192.0.2.1:50001>198.51.100.9:443 pid 77 after 0 lost 0")
	sys.tcp = tcp([4]int{winListen, 445, 0, 4}, [4]int{winEstablished, 50001, 443, 77})
	want("connected", look(), "11 cookie 2 state 1 192.0.2.1:50001>198.51.100.9:443 pid 77 after 1000 lost 0")
	want("nothing new", look())
	sys.broken = errors.New("busy")
	if got := look(); len(got) != 1 || w.Count() != 2 {
		t.Errorf("%q: a table that cannot be read ends nothing", got)
	}
	want("told once", look())
	sys.broken = nil
	sys.tcp = tcp([4]int{winListen, 445, 0, 4}, [4]int{winTimeWait, 50001, 443, 77})
	want("closed", look(), "9 cookie 2 state 1 192.0.2.1:50001>198.51.100.9:443 pid 77 after 3000 lost 0")
	sys.tcp = tcp([4]int{winListen, 1, 0, 4}, [4]int{winListen, 2, 0, 4}, [4]int{winListen, 3, 0, 4}, [4]int{winListen, 445, 0, 4})
	if got := look(); len(got) != 3 || got[2][:3] != "14 " {
		t.Errorf("more than can be kept: %q", got)
	}
	n := 0
	w.List(func(e *entry.Event) {
		if n++; e.Type != entry.ConnectionListed || e.Source != entry.SourceSockDiag {
			t.Errorf("%+v", e)
		}
	})
	if n != 3 || w.Count() != 3 {
		t.Errorf("%d listed, %d counted", n, w.Count())
	}
}

func TestRecordedSockets(t *testing.T) {
	w := Open(Config{System: wine(t), Boot: func() int64 { return 1 }})
	opened := 0
	w.look(func(e *entry.Event) {
		if e.Type == entry.ConnectionOpened && e.State == established && e.PID > 0 {
			opened++
		}
	})
	if opened == 0 || w.Count() == 0 {
		t.Errorf("%d connections of %d sockets", opened, w.Count())
	}
}
