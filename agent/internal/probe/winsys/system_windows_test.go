package winsys_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

const childEnv = "HOZEN_WINSYS_CHILD"

// TestMain is also the marked program: it connects to where it is told and waits.
func TestMain(m *testing.M) {
	if to := os.Getenv(childEnv); to != "" {
		c, err := net.Dial("tcp4", to)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.LocalAddr())
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// scene starts the marked program and returns its process, and both ends of its connection.
func scene(t *testing.T) (pid int, local, remote string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cmd := exec.Command(os.Args[0], "--marked", "日本語 の 引数", `quote"d`, "")
	cmd.Env = append(os.Environ(), childEnv+"="+l.Addr().String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if local, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, local[:len(local)-1], l.Addr().String()
}

func TestMarkedProcessAndItsFlow(t *testing.T) {
	begun := time.Now()
	pid, local, remote := scene(t)
	s := winscan.New(winsys.System{})
	list, err := s.Processes(t.Context())
	if err != nil {
		t.Log(err) // others may refuse
	}
	i := slices.IndexFunc(list, func(p *record.Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("process %d is missing among %d", pid, len(list))
	}
	p := list[i]
	if want := []string{os.Args[0], "--marked", "日本語 の 引数", `quote"d`, ""}; !slices.Equal(p.Args, want) {
		t.Errorf("%q, want %q, from %q", p.Args, want, p.Windows.CommandLine)
	}
	if p.PPID != os.Getpid() || p.Windows.PPIDReused || len(p.Unread) > 0 || p.Windows.UserSID == "" || p.Windows.Integrity == "" || p.Exe == "" {
		t.Errorf("%+v", p)
	}
	if d := p.StartedAt.Sub(begun); d < -5*time.Second || d > time.Minute {
		t.Errorf("started at %v, the test at %v", p.StartedAt, begun)
	}
	socks, err := s.Sockets(t.Context())
	if err != nil {
		t.Error(err)
	}
	seen := 0
	for _, k := range socks {
		if len(k.Owners) == 1 && k.Owners[0].PID == pid && k.State == "ESTABLISHED" {
			seen++
			got := net.JoinHostPort(k.LocalAddr, strconv.Itoa(int(k.LocalPort))) + " " + net.JoinHostPort(k.RemoteAddr, strconv.Itoa(int(k.RemotePort)))
			if got != local+" "+remote || k.Owners[0].StartTicks != p.StartTicks {
				t.Errorf("%s, want %s %s: %+v", got, local, remote, k)
			}
		}
	}
	if seen != 1 {
		t.Errorf("%d connections of the marked process among %d", seen, len(socks))
	}
}

// The words of both ways are the same where Windows has both.
func TestDecomposesAsWindowsDoes(t *testing.T) {
	for _, line := range []string{`"C:\Program Files\x.exe" -a "b c" d\"e`, `x \\\\server\share "" "日本 語"`, `x "a""b" c`, `x a\\\"b`} {
		want, err := windows.DecomposeCommandLine(line)
		if err != nil {
			t.Fatal(err)
		}
		if got := winbytes.Args(line); !slices.Equal(got, want) {
			t.Logf("%s: %q, the system %q", line, got, want)
		}
	}
}

// TestLayouts holds the offsets of package winbytes against the declarations of x/sys.
func TestLayouts(t *testing.T) {
	var p windows.SYSTEM_PROCESS_INFORMATION
	for name, got := range map[string][2]uintptr{
		"create": {unsafe.Offsetof(p.CreateTime), 0x20}, "image": {unsafe.Offsetof(p.ImageName), 0x38}, "pid": {unsafe.Offsetof(p.UniqueProcessID), 0x50},
		"ppid": {unsafe.Offsetof(p.InheritedFromUniqueProcessID), 0x58}, "handles": {unsafe.Offsetof(p.HandleCount), 0x60}, "session": {unsafe.Offsetof(p.SessionID), 0x64},
		"working": {unsafe.Offsetof(p.WorkingSetSize), 0x90}, "private": {unsafe.Offsetof(p.PrivatePageCount), 0xc8}, "write bytes": {unsafe.Offsetof(p.WriteTransferCount), 0xf0},
		"threads": {unsafe.Sizeof(p), 0x100},
	} {
		if got[0] != got[1] {
			t.Errorf("%s stands at %#x, not %#x", name, got[0], got[1])
		}
	}
}

// TestRecord writes what this PC told to a file, for the tests that run anywhere.
func TestRecord(t *testing.T) {
	path := os.Getenv("HOZEN_RECORD")
	if path == "" {
		t.Skip("HOZEN_RECORD names no file to record into")
	}
	scene(t)
	var sys winsys.System
	r := struct {
		Table  winbytes.Answer
		Told   map[int]winscan.Told
		Tables map[string][]byte
	}{Told: map[int]winscan.Told{}, Tables: map[string][]byte{}}
	a, err := sys.Processes()
	if err != nil {
		t.Fatal(err)
	}
	r.Table = a
	list, err := winbytes.Processes(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if told, err := sys.Process(p.PID, p.Created); err == nil {
			r.Told[p.PID] = told
		}
	}
	for i := range 8 {
		table := winbytes.Table{UDP: i&1 > 0, V6: i&2 > 0, Module: i&4 > 0}
		b, err := sys.Sockets(table)
		if err != nil {
			t.Logf("%v module=%t: %v", table, table.Module, err)
			continue
		}
		for len(b) > 4096 && slices.Max(b[len(b)/2:]) == 0 { // most of the buffer
			b = b[:len(b)/2]
		}
		r.Tables[fmt.Sprintf("%v module=%t", table, table.Module)] = b
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLeavesNothingBehind reads the fast set again and again: neither handles nor goroutines
// nor memory may grow. HOZEN_LEAK_RUNS says how often.
func TestLeavesNothingBehind(t *testing.T) {
	runs, _ := strconv.Atoi(os.Getenv("HOZEN_LEAK_RUNS"))
	if runs == 0 {
		runs = 100
	}
	var sys winsys.System
	names := winsys.NewHandles()
	turn := 0
	once := func() {
		s := winscan.New(sys)
		if list, err := s.Processes(t.Context()); len(list) == 0 {
			t.Fatal(err)
		}
		if _, err := s.Sockets(t.Context()); err != nil {
			t.Fatal(err)
		}
		if turn++; turn%5 != 0 { // under Wine each handle is a question to another program
			return
		}
		if list, err := s.Files(t.Context(), names); len(list) == 0 {
			t.Fatal(err)
		}
		names.Rest()
	}
	measure := func() (handles, threads, goroutines int, heap uint64) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		table, err := sys.Handles() // Wine counts none for GetProcessHandleCount
		if err != nil {
			t.Fatal(err)
		}
		all, err := winbytes.Handles(table)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range all {
			if h.PID == os.Getpid() {
				handles++
			}
		}
		list, err := winscan.New(sys).Processes(t.Context())
		i := slices.IndexFunc(list, func(p *record.Process) bool { return p.PID == os.Getpid() })
		if i < 0 {
			t.Fatal(err)
		}
		return handles, list[i].Threads, runtime.NumGoroutine(), m.HeapAlloc
	}
	for range 20 { // libraries are loaded, threads started
		once()
	}
	h0, t0, g0, m0 := measure()
	begun := time.Now()
	for range runs {
		once()
	}
	each := time.Since(begun) / time.Duration(runs)
	h1, t1, g1, m1 := measure()
	t.Logf("%d runs of %v each: handles %d → %d, threads %d → %d, goroutines %d → %d, heap %d → %d kB", runs, each, h0, h1, t0, t1, g0, g1, m0>>10, m1>>10)
	// The runtime keeps a few threads more as they are needed, each with some handles; it never
	// has many, however often it is read.
	if h0 == 0 || t1 > t0+16 || h1 > h0+6*max(t1-t0, 0)+4 || g1 > g0 || m1 > m0+1<<20 {
		t.Error("something was left behind")
	}
}
