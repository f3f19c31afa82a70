package scan

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact/record"
)

func testTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit)
}

// process returns what a fresh pass says of a PID.
func process(t *testing.T, pid int) *record.Process {
	t.Helper()
	procs, err := New(Options{}).Processes(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	return find(t, procs, pid)
}

func find(t *testing.T, procs []*record.Process, pid int) *record.Process {
	t.Helper()
	for _, p := range procs {
		if p.PID == pid {
			return p
		}
	}
	t.Fatalf("process %d is not among %d", pid, len(procs))
	return nil
}

func TestOwnProcess(t *testing.T) {
	p := process(t, os.Getpid())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cwd, _ := os.Getwd()
	if p.PPID != os.Getppid() || p.Exe != exe || p.Cwd != cwd || !slices.Equal(p.Args, os.Args) || p.CmdlineRaw != nil ||
		p.UID != int64(os.Getuid()) || p.EGID != int64(os.Getegid()) || p.NetNS == 0 || p.UserNS == 0 || p.KernelOnly ||
		p.Threads < 2 || p.RSSBytes < 1<<20 || p.BootID == "" || len(p.Unread) != 0 {
		t.Errorf("%s", p.AppendJSON(nil))
	}
	if ago := time.Since(p.StartedAt); ago < 0 || ago > time.Hour {
		t.Errorf("started %v ago", ago)
	}
	if p.UID == 0 && p.User != "root" {
		t.Errorf("user 0 is %q", p.User)
	}
}

func TestHostileBytes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "caf\xe9 \"<b>\n")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"\xff\xfe", "", "a\nb", "\x1b[2J", "\u202egnp.exe", "--x=\"y\""}
	cmd, _ := start(t, "sleep", func(c *exec.Cmd) { c.Args, c.Dir = args, dir })
	p := process(t, cmd.Process.Pid)
	want := append([]string{"\ufffd\ufffd"}, args[1:]...)
	if !slices.Equal(p.Args, want) || string(p.CmdlineRaw) != strings.Join(args, "\x00")+"\x00" {
		t.Errorf("args %q, bytes %q", p.Args, p.CmdlineRaw)
	}
	if string(p.CwdRaw) != dir || !strings.Contains(p.Cwd, "caf\ufffd") {
		t.Errorf("cwd %q, bytes %q", p.Cwd, p.CwdRaw)
	}
}

// copyOf puts a copy of this program at path.
func copyOf(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dropper")
	copyOf(t, path)
	cmd, _ := start(t, "sleep", func(c *exec.Cmd) { c.Path = path })
	if p := process(t, cmd.Process.Pid); p.Exe != path || p.ExeDeleted || p.ExeMemFD {
		t.Errorf("before: %q, deleted %t", p.Exe, p.ExeDeleted)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if p := process(t, cmd.Process.Pid); p.Exe != path || !p.ExeDeleted || p.ExeMemFD {
		t.Errorf("after: %q, deleted %t", p.Exe, p.ExeDeleted)
	}
}

func TestExecutableNamedDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "innocent (deleted)")
	copyOf(t, path)
	cmd, _ := start(t, "sleep", func(c *exec.Cmd) { c.Path = path })
	if p := process(t, cmd.Process.Pid); p.Exe != path || p.ExeDeleted {
		t.Errorf("%q, deleted %t", p.Exe, p.ExeDeleted)
	}
	// Its name gone but another left: deleted all the same.
	if err := os.Link(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if p := process(t, cmd.Process.Pid); p.Exe != path || !p.ExeDeleted {
		t.Errorf("%q, deleted %t", p.Exe, p.ExeDeleted)
	}
}

func TestMemoryExecutable(t *testing.T) {
	fd, err := unix.MemfdCreate("[kworker/0:1]", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	defer f.Close()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	cmd, _ := start(t, "sleep", func(c *exec.Cmd) {
		c.Path, c.Args, c.ExtraFiles = "/proc/self/fd/3", []string{"[kworker/0:1]"}, []*os.File{f}
	})
	p := process(t, cmd.Process.Pid)
	if p.Exe != "/memfd:[kworker/0:1]" || !p.ExeMemFD || !p.ExeDeleted || p.KernelOnly {
		t.Errorf("%s", p.AppendJSON(nil))
	}
}

// tcpOf counts the TCP rows of a namespace and how many of them pid holds.
func tcpOf(socks []record.Socket, netns uint64, pid int) (rows, held int) {
	seen := make(map[uint64]bool)
	for _, s := range socks {
		if s.Proto != record.ProtoTCP || s.NetNS != netns {
			continue
		}
		if rows++; seen[s.Inode] {
			return -1, -1
		}
		seen[s.Inode] = true
		for _, o := range s.Owners {
			if o.PID == pid {
				held++
			}
		}
	}
	return rows, held
}

func TestSocketsOfOtherNamespaces(t *testing.T) {
	asRoot(t)
	for _, n := range []int{1500, 5000} {
		cmd, _ := start(t, "tcp "+itoa(n), func(c *exec.Cmd) {
			c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		})
		pass := New(Options{})
		procs, err := pass.Processes(t.Context())
		if err != nil && probe.AsMissing(err) == nil {
			t.Fatal(err)
		}
		ns := find(t, procs, cmd.Process.Pid).NetNS
		if own := find(t, procs, os.Getpid()).NetNS; ns == 0 || ns == own {
			t.Fatalf("namespaces %d and %d", own, ns)
		}
		socks, err := pass.Sockets(t.Context())
		if err != nil && probe.AsMissing(err) == nil {
			t.Fatal(err)
		}
		if rows, held := tcpOf(socks, ns, cmd.Process.Pid); rows != n || held != n {
			t.Errorf("%d sockets: %d rows, %d held by their maker", n, rows, held)
		}
	}
	// The threads of this program are where they were.
	var here [1]uint64
	for range 8 {
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here[0] = ownNamespace()
			close(done)
		}()
		<-done
		if want := ownNamespace(); here[0] != want {
			t.Fatalf("a thread is in namespace %d, not %d", here[0], want)
		}
	}
}

func TestRawPacketAndAbstractSockets(t *testing.T) {
	asRoot(t)
	cmd, _ := start(t, "raw", func(c *exec.Cmd) { c.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET} })
	pid := cmd.Process.Pid
	socks, err := New(Options{}).Sockets(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range socks {
		if len(s.Owners) == 1 && s.Owners[0].PID == pid {
			got = append(got, s.Family+" "+s.Proto+" "+s.Type+" "+itoa(s.ProtocolNum)+" "+s.Path)
		}
	}
	slices.Sort(got)
	want := []string{"inet raw  1 ", "inet6 raw  58 ", "packet packet raw 3 ", "unix unix stream 0 @hozen-scan-test"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOwnersAndFiles(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	name := filepath.Join(t.TempDir(), "open\xff file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pass := New(Options{})
	socks, err := pass.Sockets(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	i := slices.IndexFunc(socks, func(s record.Socket) bool { return s.LocalPort == port && s.State == "LISTEN" })
	if i < 0 || len(socks[i].Owners) != 1 || socks[i].Owners[0].PID != os.Getpid() || socks[i].UID != int64(os.Getuid()) {
		t.Fatalf("listener at %d: %+v", i, socks)
	}
	lists, err := pass.Files(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	j := slices.IndexFunc(lists, func(o record.OpenFiles) bool { return o.PID == os.Getpid() })
	if j < 0 {
		t.Fatal("own descriptors are missing")
	}
	var file, sock bool
	for _, d := range lists[j].FDs {
		file = file || d.FD == int(f.Fd()) && string(d.TargetRaw) == name
		sock = sock || d.FD == socks[i].Owners[0].FD && strings.HasPrefix(d.Target, "socket:[")
	}
	if !file || !sock {
		t.Errorf("file %t, socket %t among %+v", file, sock, lists[j].FDs)
	}
}

// A pass whose time ran out during the descriptors keeps the sockets, and the next
// probe goes on.
func TestTimeEndsBeforeTheDescriptors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pass := New(Options{})
	if _, err := pass.Processes(t.Context()); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	count := func(ctx context.Context) (rows, owned int, err error) {
		socks, err := pass.Sockets(ctx)
		for _, s := range socks {
			if len(s.Owners) > 0 {
				owned++
			}
		}
		return len(socks), owned, err
	}
	rows, owned, err := count(over)
	if rows == 0 || owned != 0 || !errors.Is(err, context.Canceled) || probe.AsMissing(err) == nil {
		t.Errorf("without time: %d sockets, %d with owners, %v", rows, owned, err)
	}
	again, owned, err := count(t.Context())
	if again != rows || owned == 0 || err != nil && probe.AsMissing(err) == nil {
		t.Errorf("with time: %d sockets after %d, %d with owners, %v", again, rows, owned, err)
	}
}

// A command line that cannot be read holds up neither its own process nor others.
func TestHangingCommandLine(t *testing.T) {
	release := make(chan struct{})
	var once atomic.Bool
	pass := New(Options{Patience: 50 * time.Millisecond})
	defer close(release)
	pass.state.cmdline = func(dir int, w *worker, limit int) ([]byte, bool, unix.Errno) {
		if !once.Swap(true) {
			<-release
		}
		return readCmdline(dir, w, limit)
	}
	begun := time.Now()
	procs, err := pass.Processes(t.Context())
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	m := probe.AsMissing(err)
	if m == nil || m.Skipped < 1 {
		t.Fatalf("error %v", err)
	}
	hung := 0
	for _, p := range procs {
		if slices.Contains(p.Unread, "cmdline") {
			hung++
			if p.State == "" || p.Comm == "" || p.UID == record.Unknown {
				t.Errorf("the rest is missing too: %s", p.AppendJSON(nil))
			}
		} else if len(p.Args) == 0 && p.PID == os.Getpid() {
			t.Error("another process lost its command line")
		}
	}
	if hung != 1 || !strings.Contains(err.Error(), "1 command lines not answered") {
		t.Errorf("%d of %d processes without a command line: %v", hung, len(procs), err)
	}
}

// A pass that takes longer than its patience with one process is not cut short, with a
// context that ends some day or never.
func TestSlowButSteady(t *testing.T) {
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		pass := New(Options{Patience: 200 * time.Millisecond, Workers: 1})
		slow := func(dir int, w *worker, limit int) ([]byte, bool, unix.Errno) {
			for begun := time.Now(); time.Since(begun) < 8*time.Millisecond; {
				runtime.Gosched()
			}
			return readCmdline(dir, w, limit)
		}
		pass.state.cmdline = slow
		procs, err := pass.Processes(ctx)
		if len(procs) < 30 {
			t.Skipf("%d processes are too few to take long", len(procs))
		}
		if err != nil && (strings.Contains(err.Error(), "not reached") || strings.Contains(err.Error(), "not answered")) {
			t.Error(err)
		}
	}
}

// Descriptors of a process that got the PID of another are not told as the other's.
func TestPIDUsedAgain(t *testing.T) {
	pass := New(Options{})
	if _, err := pass.Processes(t.Context()); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	s := &pass.state
	for i := range s.slots {
		if sl := &s.slots[i]; sl.pid == os.Getpid() {
			sl.inode = 1                   // as if the kernel had made the directory anew
			sl.core.Load().StartTicks += 1 // as if it were another process
		}
	}
	lists, err := pass.Files(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		if l.PID == os.Getpid() {
			t.Error("the descriptors of another process were taken")
		}
	}
}

func TestWithoutPrivileges(t *testing.T) {
	asRoot(t)
	_, said := start(t, "scan", func(c *exec.Cmd) {
		c.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	})
	var v view
	if err := unmarshal(said, &v); err != nil {
		t.Fatalf("%v: %q", err, said)
	}
	denied := fs.ErrPermission.Error()
	if v.Processes < 3 || v.Full < 1 || v.ProcMiss == 0 || !strings.Contains(v.ProcErr, denied) {
		t.Errorf("processes: %+v", v)
	}
	if v.Sockets == 0 || v.SockNot == 0 || !strings.Contains(v.SockErr, denied) || strings.Contains(v.SockErr, "descriptors of 0 processes") {
		t.Errorf("sockets: %+v", v)
	}
}

func TestLimits(t *testing.T) {
	pass := New(Options{MaxFDs: 2, MaxCmdline: 5})
	procs, _ := pass.Processes(t.Context())
	p := find(t, procs, os.Getpid())
	if !p.CmdlineCut || string(p.CmdlineRaw) != os.Args[0][:5] {
		t.Errorf("command line %q, cut %t", p.Args, p.CmdlineCut)
	}
	lists, err := pass.Files(t.Context())
	if probe.AsMissing(err) == nil {
		t.Errorf("cut without a word: %v", err)
	}
	for _, l := range lists {
		if l.PID == os.Getpid() && (!l.Cut || len(l.FDs) != 2) {
			t.Errorf("%+v", l)
		}
	}
}
