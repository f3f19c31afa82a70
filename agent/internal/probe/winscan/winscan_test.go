package winscan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/internal/artifact/record"
)

// recorded is a Windows whose answers were recorded.
type recorded struct {
	Table   winbytes.Answer
	Told    map[int]winscan.Told
	Refuse  map[int]error `json:"-"`
	Tables  map[string][]byte
	asked   int
	sockets []string
}

func (r *recorded) Processes() (winbytes.Answer, error) { r.asked++; return r.Table, nil }

func (r *recorded) Process(pid int, _ int64) (winscan.Told, error) {
	if err := r.Refuse[pid]; err != nil {
		return winscan.Told{}, err
	}
	t, ok := r.Told[pid]
	if !ok {
		return t, winscan.ErrGone
	}
	return t, nil
}

func (r *recorded) Sockets(t winbytes.Table) ([]byte, error) {
	name := fmt.Sprintf("%v module=%t", t, t.Module)
	r.sockets = append(r.sockets, name)
	b, ok := r.Tables[name]
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return b, nil
}

// wine is what a PC told: one under Wine 10, where a marked program had opened a connection.
func wine(t *testing.T) *recorded {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wine10.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(recorded)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func marked(t *testing.T, list []*record.Process) *record.Process {
	t.Helper()
	for _, p := range list {
		if slices.Contains(p.Args, "--marked") {
			return p
		}
	}
	t.Fatal("the marked process is missing")
	return nil
}

func TestRecordedPC(t *testing.T) {
	r := wine(t)
	s := winscan.New(r)
	list, err := s.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(list, func(a, b *record.Process) int { return a.PID - b.PID }) {
		t.Error("not by PID")
	}
	p := marked(t, list)
	if p.Comm == "" || p.Exe == "" || p.StartTicks == 0 || p.StartedAt.Year() < 2026 || p.Threads == 0 || p.RSSBytes == 0 {
		t.Errorf("%+v", p)
	}
	w := p.Windows
	if w.CommandLineFrom != record.CommandLinePEB || w.UserSID == "" || w.Integrity == "" || w.Handles == 0 || len(p.Unread) > 0 {
		t.Errorf("%+v", w)
	}
	socks, err := s.Sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, k := range socks {
		if len(k.Owners) == 1 && k.Owners[0].PID == p.PID && k.State == "ESTABLISHED" {
			found++
			if k.RemoteAddr != "127.0.0.1" || k.RemotePort == 0 || k.LocalPort == 0 || k.Owners[0].StartTicks != p.StartTicks || k.Owners[0].Comm != p.Comm || k.Owners[0].FD != record.Unknown {
				t.Errorf("%+v", k)
			}
		}
	}
	if found == 0 {
		t.Errorf("the connection of the marked process is missing among %d", len(socks))
	}
	if r.asked != 1 {
		t.Errorf("the table was read %d times: that is not one moment", r.asked)
	}
}

func TestRefusalsAreNotEmptiness(t *testing.T) {
	r := wine(t)
	list, err := winscan.New(r).Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := marked(t, list)
	r.Refuse = map[int]error{p.PID: fmt.Errorf("open: %w", fs.ErrPermission)}
	again, err := winscan.New(r).Processes(t.Context())
	m := probe.AsMissing(err)
	if m == nil || m.Skipped != 1 || !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("%v", err)
	}
	i := slices.IndexFunc(again, func(q *record.Process) bool { return q.PID == p.PID })
	if q := again[i]; q.Comm != p.Comm || q.StartTicks != p.StartTicks || !slices.Equal(q.Unread, []string{"cmdline", "exe", "token"}) {
		t.Errorf("%+v", q)
	}
	// One that ended in between ran all the same, and nothing was refused.
	r.Refuse = map[int]error{p.PID: winscan.ErrGone}
	again, err = winscan.New(r).Processes(t.Context())
	if err != nil || len(again) != len(list) || again[i].Comm != p.Comm || len(again[i].Unread) != 3 {
		t.Errorf("%v, %+v", err, again[i])
	}
	// An empty command line is one.
	told := r.Told[p.PID]
	told.CommandLine = nil
	r.Told[p.PID], r.Refuse = told, nil
	again, err = winscan.New(r).Processes(t.Context())
	if q := again[i]; err != nil || q.Windows.CommandLine != "" || q.Windows.CommandLineFrom == "" || slices.Contains(q.Unread, "cmdline") {
		t.Errorf("%v, %+v", err, q)
	}
}

func TestTimeIsUp(t *testing.T) {
	r := wine(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s := winscan.New(r)
	list, err := s.Processes(over)
	if m := probe.AsMissing(err); m == nil || m.Skipped != int64(len(list)) || !errors.Is(err, context.Canceled) || len(list) == 0 {
		t.Errorf("%d, %v", len(list), err)
	}
	if list, err = s.Processes(t.Context()); err != nil { // the next one goes on
		t.Error(err)
	}
	marked(t, list)
	if _, err := s.Sockets(over); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTablesWithoutTimes(t *testing.T) {
	r := wine(t)
	tcp := r.Tables["TCP over IPv4 module=true"]
	if len(tcp) == 0 {
		t.Fatal("the record has no table of TCP")
	}
	delete(r.Tables, "TCP over IPv4 module=true")
	socks, err := winscan.New(r).Sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(socks, func(k record.Socket) bool { return k.Source == record.SourceOwnerPID }); i < 0 || !socks[i].CreatedAt.IsZero() {
		t.Errorf("no sockets by the second way: %+v", socks)
	}
	delete(r.Tables, "TCP over IPv4 module=false")
	if _, err = winscan.New(r).Sockets(t.Context()); probe.AsMissing(err) == nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a table is missing and nothing says so: %v", err)
	}
}

// rows makes a table of processes without names.
func rows(list ...winbytes.Process) winbytes.Answer {
	var b []byte
	for i, p := range list {
		r := make([]byte, 0x100)
		if i < len(list)-1 {
			r[1] = 1
		}
		put := func(at int, v uint64) {
			for k := range 8 {
				r[at+k] = byte(v >> (8 * k))
			}
		}
		put(0x20, uint64(p.Created))
		put(0x50, uint64(p.PID))
		put(0x58, uint64(p.PPID))
		b = append(b, r...)
	}
	return winbytes.Answer{Bytes: b}
}

// A PID is used again: whoever has the number of the parent need not be it, nor whoever has
// that of the maker of a socket.
func TestNumbersAreUsedAgain(t *testing.T) {
	const t0 = 134000000000000000
	tcp := make([]byte, 8+160)
	tcp[0], tcp[8], tcp[8+20] = 1, 2, 8
	for k := range 8 {
		tcp[8+24+k] = byte(uint64(t0-1) >> (8 * k))
	}
	r := &recorded{
		Table:  rows(winbytes.Process{PID: 0}, winbytes.Process{PID: 4}, winbytes.Process{PID: 8, PPID: 4, Created: t0}, winbytes.Process{PID: 12, PPID: 8, Created: t0 - 1}, winbytes.Process{PID: 16, PPID: 8, Created: t0}, winbytes.Process{PID: 20, PPID: 999, Created: t0}),
		Tables: map[string][]byte{"TCP over IPv4 module=true": tcp},
	}
	s := winscan.New(r)
	list, err := s.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Windows.PPIDReused != (p.PID == 12) {
			t.Errorf("%d of parent %d: %v", p.PID, p.PPID, p.Windows.PPIDReused)
		}
		if p.KernelOnly != (p.PID < 8) {
			t.Errorf("%d: kernel %v", p.PID, p.KernelOnly)
		}
	}
	socks, _ := s.Sockets(t.Context())
	if o := socks[0].Owners; len(o) != 1 || o[0].PID != 8 || o[0].StartTicks != 0 {
		t.Errorf("a process that began after its socket: %+v", o)
	}
	if !socks[0].CreatedAt.Equal(winbytes.Time(t0-1)) || socks[0].CreatedAt.Before(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error(socks[0].CreatedAt)
	}
}
