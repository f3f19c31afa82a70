package procevent_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
)

func reader(t *testing.T) *procevent.Reader {
	t.Helper()
	r, err := procevent.NewReader("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestReadsItself(t *testing.T) {
	r := reader(t)
	e := entry.Event{PID: os.Getpid(), UID: -1, EUID: -1}
	r.Read(&e)
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	args, _ := procfs.Cmdline(e.Cmdline)
	if string(e.Exe) != exe || e.PPID != os.Getppid() || e.UID != int64(os.Getuid()) || e.EUID != int64(os.Geteuid()) ||
		e.StartTicks == 0 || len(e.Comm) == 0 || e.Unread != 0 || e.Kernel || strings.Join(args, " ") != strings.Join(os.Args, " ") {
		t.Errorf("%+v", e)
	}
	pids, err := r.PIDs()
	if err != nil || len(pids) == 0 {
		t.Fatal(pids, err)
	}
	again, err := r.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	self := 0
	for i, pid := range again {
		if i > 0 && again[i-1] >= pid {
			t.Errorf("not in rising order: %v", again)
		}
		if pid == os.Getpid() {
			self++
		}
	}
	if self != 1 {
		t.Errorf("this process is listed %d times", self)
	}
}

// A child that is told to end and one that ended and was not fetched yet.
func TestWhatCannotBeReadIsMarked(t *testing.T) {
	r := reader(t)
	gone := entry.Event{PID: 1 << 30, UID: -1, EUID: -1}
	r.Read(&gone)
	if want := entry.UnreadGone | entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadIDs; gone.Unread != want {
		t.Errorf("nobody: %b", gone.Unread)
	}
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 0"}, nil)
	if err != nil {
		t.Skip("needs /bin/sh")
	}
	defer syscall.Wait4(pid, nil, 0, nil)
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	zombie := entry.Event{PID: pid, UID: -1, EUID: -1}
	r.Read(&zombie)
	if zombie.Unread&(entry.UnreadGone|entry.UnreadExe|entry.UnreadCmdline) != entry.UnreadGone|entry.UnreadExe|entry.UnreadCmdline || string(zombie.Comm) != "sh" || zombie.PPID != os.Getpid() {
		t.Errorf("zombie: %b, %+v", zombie.Unread, zombie)
	}
}

func TestLongCommandLinesAreCut(t *testing.T) {
	cmd := exec.Command("/bin/sleep", strings.Repeat("0", 3*entry.MaxCmdline)+"1000")
	if err := cmd.Start(); err != nil {
		t.Skip("needs /bin/sleep")
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	r := reader(t)
	e := entry.Event{PID: cmd.Process.Pid}
	for end := time.Now().Add(10 * time.Second); len(e.Cmdline) == 0 && time.Now().Before(end); {
		r.Read(&e) // the arguments appear a moment after Start returns
	}
	if !e.CmdlineCut || len(e.Cmdline) != entry.MaxCmdline || !bytes.HasPrefix(e.Cmdline, []byte("/bin/sleep\x00000")) {
		t.Errorf("%t, %d bytes", e.CmdlineCut, len(e.Cmdline))
	}
}

func TestFindsWhoHoldsASocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if cerr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	inode := uint32(st.Ino)
	for name, pids := range map[string][]int{"among some": {1, os.Getpid()}, "among all": nil} {
		found := map[uint32]int{}
		err := reader(t).Find(pids, map[uint32]struct{}{inode: {}}, func(i uint32, pid int) { found[i] = pid })
		if err != nil || found[inode] != os.Getpid() || len(found) != 1 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// The kernel's own words: how processes end, are renamed and change their user.
func TestConnectorTells(t *testing.T) {
	c, err := procevent.Open(procevent.Config{})
	if err != nil {
		t.Skipf("needs root in the initial namespaces: %v", err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events := make(chan entry.Event, 1<<16)
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx, func(e *entry.Event) {
			v := *e
			v.Exe, v.Cmdline, v.Comm = bytes.Clone(e.Exe), bytes.Clone(e.Cmdline), bytes.Clone(e.Comm)
			events <- v
		})
	}()
	var before unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &before); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "printf renamed > /proc/self/comm; read x; exit 3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// next returns the next event of the child that is wanted; it lives until it was seen.
	next := func(what string, pid int, want func(e *entry.Event) bool) entry.Event {
		t.Helper()
		for {
			select {
			case e := <-events:
				if e.PID == pid && want(&e) {
					return e
				}
			case <-ctx.Done():
				t.Fatalf("never told: %s", what)
			}
		}
	}
	pid := cmd.Process.Pid
	fork := next("fork", pid, func(e *entry.Event) bool { return e.How == entry.HowFork })
	if fork.PPID != os.Getpid() || fork.BootNS < before.Nano() || fork.BootNS > before.Nano()+20e9 {
		t.Errorf("fork: %+v (from %d)", fork, before.Nano())
	}
	next("setuid", pid, func(e *entry.Event) bool { return e.Type == entry.ProcessIDs && e.UID == 65534 && e.EUID == 65534 })
	run := next("exec", pid, func(e *entry.Event) bool { return e.How == entry.HowExec })
	if !bytes.HasPrefix(run.Cmdline, []byte("/bin/sh\x00-c\x00printf")) || len(run.Exe) == 0 || run.PPID != os.Getpid() || run.UID != 65534 || run.Unread != 0 {
		t.Errorf("exec: %+v", run)
	}
	if named := next("rename", pid, func(e *entry.Event) bool { return e.Type == entry.ProcessRenamed }); string(named.Comm) != "renamed" {
		t.Errorf("rename: %q", named.Comm)
	}
	in.Close()
	if end := next("exit", pid, func(e *entry.Event) bool { return e.Type == entry.ProcessEnded }); end.Status != 3<<8 || end.PPID != os.Getpid() {
		t.Errorf("exit: %+v", end)
	}
	_ = cmd.Wait() // ends with 3

	killed := exec.Command("/bin/sleep", "1000")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if end := next("kill", killed.Process.Pid, func(e *entry.Event) bool { return e.Type == entry.ProcessEnded }); end.Status != 9 {
		t.Errorf("kill: status %#x", end.Status)
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("run: %v", err)
	}
}

// A listener that goes must not take the events of the others with it, and the numbers
// of a second one must not look like a loss.
func TestListenersDoNotDisturbEachOther(t *testing.T) {
	first, err := procevent.Open(procevent.Config{})
	if err != nil {
		t.Skipf("needs root in the initial namespaces: %v", err)
	}
	defer first.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ends := make(chan int, 1<<16)
	lost := make(chan uint64, 1<<16)
	done := make(chan error, 1)
	go func() {
		done <- first.Run(ctx, func(e *entry.Event) {
			switch e.Type {
			case entry.ProcessEnded:
				ends <- e.PID
			case entry.Gap:
				lost <- e.Lost
			}
		})
	}()
	for range 3 {
		second, err := procevent.Open(procevent.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		child := exec.Command("/bin/true")
		if err := child.Run(); err != nil {
			t.Skip("needs /bin/true")
		}
		for seen := false; !seen; {
			select {
			case pid := <-ends:
				seen = pid == child.Process.Pid
			case <-ctx.Done():
				t.Fatal("the first listener hears nothing any more")
			}
		}
	}
	cancel()
	<-done
	if len(lost) > 0 {
		t.Errorf("%d events are said to be lost", <-lost)
	}
}
