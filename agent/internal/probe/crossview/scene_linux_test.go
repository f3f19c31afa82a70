package crossview

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// childEnv makes this test binary play a part of a scene instead of running tests.
const childEnv = "HOZEN_CROSSVIEW_CHILD"

func TestMain(m *testing.M) {
	switch part := os.Getenv(childEnv); part {
	case "":
		os.Exit(m.Run())
	case "wait":
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		play := map[string]func() error{"hide": hide, "hidepid": restricted, "socket": hideSocket}[part]
		if err := play(); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
	}
	os.Exit(0)
}

// hide runs in a mount namespace of its own. It covers the folders of two processes and
// prints what the probe says.
func hide() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	var pids []int
	for range 2 {
		cmd := waiting()
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		defer cmd.Wait()
		defer in.Close()
		if err := cmd.Start(); err != nil {
			return err
		}
		pids = append(pids, cmd.Process.Pid)
	}
	if err := unix.Mount("none", fmt.Sprintf("/proc/%d", pids[0]), "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("cover with an empty folder: %w", err)
	}
	if err := unix.Mount("/proc/1", fmt.Sprintf("/proc/%d", pids[1]), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover with another process: %w", err)
	}
	fmt.Println(pids[0], pids[1])
	var l probetest.Lines
	err := New().Acquire(context.Background(), &l)
	for _, b := range l.All {
		fmt.Printf("%s\n", b)
	}
	return err
}

func waiting() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"hidden", "--marked=scene"}
	cmd.Env = append(os.Environ(), childEnv+"=wait")
	return cmd
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount over /proc")
	}
}

// findings reads the findings among lines.
func findings(t *testing.T, lines [][]byte) (finds []record.CrossFinding, checks map[string]record.CrossCheck) {
	t.Helper()
	checks = map[string]record.CrossCheck{}
	for _, b := range lines {
		var f record.CrossFinding
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Finding != "" {
			finds = append(finds, f)
			continue
		}
		var c record.CrossCheck
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		checks[c.Check] = c
	}
	return finds, checks
}

// TestCoveredProcesses: what is mounted over the folder of a process hides it from every
// tool that reads /proc, and not from this one.
func TestCoveredProcesses(t *testing.T) {
	asRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=hide")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	head, rest, _ := strings.Cut(string(out), "\n")
	var a, b int
	if _, err := fmt.Sscan(head, &a, &b); err != nil {
		t.Fatalf("%v: %q", err, head)
	}
	var lines [][]byte
	for line := range strings.Lines(rest) {
		lines = append(lines, []byte(line))
	}
	finds, checks := findings(t, lines)
	for _, c := range []struct {
		pid    int
		fsType string
	}{{a, "tmpfs"}, {b, "proc"}} {
		i := slices.IndexFunc(finds, func(f record.CrossFinding) bool { return f.PID == c.pid && f.Finding == record.FindCovered })
		if i < 0 {
			t.Fatalf("process %d is not found: %s", c.pid, rest)
		}
		f := finds[i]
		if f.FSType != c.fsType || f.MountPoint != fmt.Sprintf("/proc/%d", c.pid) {
			t.Errorf("%s", f.AppendJSON(nil))
		}
		if !slices.Equal(f.Args, []string{"hidden", "--marked=scene"}) || f.Exe == "" || f.StartTicks == 0 {
			t.Errorf("what is under the cover is not told: %s", f.AppendJSON(nil))
		}
	}
	if len(checks) != 4 {
		t.Errorf("checks: %v", checks)
	}
}

// pair starts a process that waits for the end of the test.
func pair(t *testing.T) int {
	t.Helper()
	cmd := waiting()
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
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestUnlistedProcess: a /proc whose list leaves a process out, as a rootkit makes it.
func TestUnlistedProcess(t *testing.T) {
	pid := pair(t)
	for _, c := range []struct {
		name   string
		hidden func(listing int) bool
		want   bool
	}{
		{"always", func(int) bool { return true }, true},
		{"at the first look", func(n int) bool { return n < 2 }, false},
		{"before alone", func(n int) bool { return n == 0 }, false},
	} {
		e, err := look()
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		n := 0
		e.list = func(dir int) ([]int, error) {
			list, err := listed(dir)
			if dir == e.proc {
				if c.hidden(n) {
					list = slices.DeleteFunc(list, func(p int) bool { return p == pid })
				}
				n++
			}
			return list, err
		}
		r := e.processes(t.Context())
		if r.err != nil {
			t.Fatal(r.err)
		}
		i := slices.IndexFunc(r.finds, func(f record.CrossFinding) bool { return f.PID == pid })
		if (i >= 0) != c.want {
			t.Fatalf("hidden %s: found %t among %d", c.name, i >= 0, len(r.finds))
		}
		if i < 0 {
			continue
		}
		f := r.finds[i]
		if f.Finding != record.FindUnlisted || !slices.Equal(f.Args, []string{"hidden", "--marked=scene"}) ||
			!slices.Contains(f.Views, record.View{View: "getdents", Says: "absent"}) || !slices.Contains(f.Views, record.View{View: "tgkill", Says: "there"}) {
			t.Errorf("%s", f.AppendJSON(nil))
		}
	}
}

// TestBusyMachine: numbers that were given are asked for however long it takes, the others
// only while there is time, and that is told.
func TestBusyMachine(t *testing.T) {
	e, err := look()
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	e.max, e.patience = 100_000, 0
	e.ask = func(pid int) bool { return pid == 20_000 || pid == 90_000 }
	pids, upTo, err := e.known(t.Context(), 30_000)
	if !errors.Is(err, errSlow) || upTo < 30_000 || upTo > 40_000 || !slices.Equal(pids, []int{20_000}) {
		t.Errorf("%v up to %d, %v", pids, upTo, err)
	}
	e.patience = time.Hour
	if pids, upTo, err := e.known(t.Context(), 30_000); err != nil || upTo != e.max || len(pids) != 2 {
		t.Errorf("%v up to %d, %v", pids, upTo, err)
	}
}

// TestThreadsAreNoProcesses: this program has more than one, and none is asked for.
func TestThreadsAreNoProcesses(t *testing.T) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, d := range tasks {
		var tid int
		fmt.Sscan(d.Name(), &tid)
		if got := asked(tid); got != (tid == os.Getpid()) {
			t.Errorf("thread %d of %d: %t", tid, os.Getpid(), got)
		}
	}
}

func TestConformance(t *testing.T) {
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return New() }, Key: probetest.Join("check", "finding", "pid", "name", "inode")})
}

// TestHonestMachine: nothing is hidden in the processes of the machine that runs the
// tests, however many come and go.
func TestHonestMachine(t *testing.T) {
	var l probetest.Lines
	if err := New().Acquire(t.Context(), &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	finds, checks := findings(t, l.All)
	for _, f := range finds {
		if f.Check == record.CheckProcesses {
			t.Errorf("%s", f.AppendJSON(nil))
		}
	}
	if len(checks) != 4 || len(checks[record.CheckProcesses].Views) < 2 {
		t.Errorf("%+v", checks)
	}
}

// TestProcThatHidesByItsRules: with hidepid an agent without rights finds nothing hidden.
func TestProcThatHidesByItsRules(t *testing.T) {
	asRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=hidepid")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var lines [][]byte
	for line := range strings.Lines(string(out)) {
		lines = append(lines, []byte(line))
	}
	finds, checks := findings(t, lines)
	for _, f := range finds {
		if f.Check == record.CheckProcesses {
			t.Fatalf("%d findings, one of them %s", len(finds), f.AppendJSON(nil))
		}
	}
	if c := checks[record.CheckProcesses]; !strings.Contains(c.Detail, "hidepid") || c.Differed > 0 {
		t.Errorf("%+v", c)
	}
}

// restricted runs in a mount namespace of its own, whose /proc hides others from whom it
// becomes: nobody.
func restricted() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil { // of every thread
		return fmt.Errorf("become nobody: %w", err)
	}
	var l probetest.Lines
	err := New().Acquire(context.Background(), &l)
	for _, b := range l.All {
		fmt.Printf("%s\n", b)
	}
	if probe.AsMissing(err) != nil {
		return nil
	}
	return err
}
