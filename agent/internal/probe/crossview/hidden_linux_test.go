package crossview

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// filtered plays two views of the same things, of which one leaves something out at some looks.
type filtered struct {
	first, second func(look int) bool // whether it is hidden there
	looks         [2]int
}

func (h *filtered) hidden(view int) bool {
	h.looks[view]++
	by := [2]func(int) bool{h.first, h.second}[view]
	return by != nil && by(h.looks[view]-1)
}

func always(int) bool    { return true }
func once(look int) bool { return look == 0 }
func later(n int) bool   { return n > 0 }

// TestHiddenSockets: a socket that one view leaves out is found, by its inode and with what
// each view says; one that is missing at the first look alone, or gone at the second, is none.
func TestHiddenSockets(t *testing.T) {
	const evil = 4711
	for name, c := range map[string]struct {
		h       filtered
		want    string
		differs int
	}{
		"nothing hidden":                {filtered{}, "", 0},
		"from /proc/net":                {filtered{second: always}, record.FindOnlyDiag, 1},
		"from sock_diag":                {filtered{first: always}, record.FindOnlyText, 1},
		"from /proc/net at first":       {filtered{second: once}, "", 1},
		"from sock_diag at first":       {filtered{first: once}, "", 1},
		"closed between the two looks":  {filtered{first: later, second: always}, "", 1},
		"closed after the text of one":  {filtered{first: always, second: later}, "", 1},
		"from both, where nobody tells": {filtered{first: always, second: always}, "", 0},
	} {
		e := &eyes{}
		view := func(n int, r sockdiag.Request) []uint64 {
			if r != sockdiag.TCP {
				return []uint64{7}
			}
			if c.h.hidden(n) {
				return []uint64{12}
			}
			return []uint64{12, evil}
		}
		e.diag = func(_ context.Context, _ *sockdiag.Conn, r sockdiag.Request) ([]uint64, error) {
			return view(0, r), nil
		}
		e.texted = func(t table) ([]uint64, error) {
			if t.request == sockdiag.Raw6 {
				return nil, fs.ErrNotExist
			}
			return view(1, t.request), nil
		}
		r := e.sockets(t.Context())
		if r.err != nil {
			t.Skip("no sock_diag here: ", r.err)
		}
		if r.check.Differed != c.differs || !strings.Contains(r.check.Detail, "raw6") {
			t.Errorf("%s: %+v", name, r.check)
		}
		if c.want == "" {
			if len(r.finds) > 0 {
				t.Errorf("%s: found %s", name, r.finds[0].AppendJSON(nil))
			}
			continue
		}
		diag, text := says(c.want == record.FindOnlyDiag), says(c.want == record.FindOnlyText)
		if len(r.finds) != 1 || r.finds[0].Finding != c.want || r.finds[0].Inode != evil || r.finds[0].Table != "tcp" ||
			!slices.Equal(r.finds[0].Views, []record.View{{View: "sock_diag", Says: diag}, {View: "proc_net", Says: text}}) {
			t.Errorf("%s: found %+v", name, r.finds)
		}
	}
}

// TestHiddenModules: likewise of modules; a list that is not there at all hides them too.
func TestHiddenModules(t *testing.T) {
	for name, c := range map[string]struct {
		h       filtered
		noList  bool
		want    string
		differs int
	}{
		"nothing hidden":          {h: filtered{}},
		"from /proc/modules":      {h: filtered{first: always}, want: record.FindOnlySys, differs: 1},
		"from /sys/module":        {h: filtered{second: always}, want: record.FindOnlyProc, differs: 1},
		"loading at the first":    {h: filtered{second: once}, differs: 1},
		"unloading at the second": {h: filtered{first: always, second: later}, differs: 1},
		"no /proc/modules":        {noList: true, h: filtered{first: always}, want: record.FindOnlySys, differs: 2},
		"no modules":              {noList: true, h: filtered{first: always, second: always}},
	} {
		e := &eyes{loaded: func() (proc, sys []string, err error) {
			proc, sys = []string{"evil", "xfs"}, []string{"evil", "xfs"}
			if c.h.hidden(0) {
				proc = proc[1:]
			}
			if c.h.hidden(1) {
				sys = sys[1:]
			}
			if !c.noList {
				return proc, sys, nil
			}
			if c.want == "" {
				sys = nil
			}
			return nil, sys, fs.ErrNotExist
		}}
		r := e.modules(t.Context())
		if r.err != nil || r.check.Differed != c.differs || (r.check.Detail != "") != (c.noList && c.want == "") {
			t.Errorf("%s: %+v, %v", name, r.check, r.err)
		}
		if (len(r.finds) > 0) != (c.want != "") || len(r.finds) != c.differs && c.want != "" {
			t.Errorf("%s: found %+v", name, r.finds)
			continue
		}
		if c.want == "" {
			continue
		}
		proc, sys := says(c.want == record.FindOnlyProc), says(c.want == record.FindOnlySys)
		if f := r.finds[0]; f.Finding != c.want || f.Name != "evil" || !slices.Equal(f.Views, []record.View{{View: "proc_modules", Says: proc}, {View: "sys_module", Says: sys}}) {
			t.Errorf("%s: found %s", name, f.AppendJSON(nil))
		}
	}
	odd := errors.New("odd")
	e := &eyes{loaded: func() ([]string, []string, error) { return nil, nil, odd }}
	if r := e.modules(t.Context()); !errors.Is(r.err, odd) || len(r.finds) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestModulesWithoutSysfs: a view that is not there is no view that says no.
func TestModulesWithoutSysfs(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(root+"/proc", 0o700),
		os.WriteFile(root+"/proc/modules", []byte("xfs 1 0 - Live 0x0\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	e := &eyes{loaded: func() ([]string, []string, error) { return modulesUnder(root) }}
	if r := e.modules(t.Context()); !errors.Is(r.err, fs.ErrNotExist) || len(r.finds) > 0 || r.check.Differed != 0 {
		t.Errorf("%+v", r)
	}
}

// TestHiddenSocketScene: a listener whose line is missing in the text of /proc/net, as what
// filters that text makes it, is found on the real system.
func TestHiddenSocketScene(t *testing.T) {
	asRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=socket")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var inode uint64
	head, rest, _ := strings.Cut(string(out), "\n")
	if _, err := fmt.Sscan(head, &inode); err != nil {
		t.Fatalf("%v: %q", err, head)
	}
	var lines [][]byte
	for line := range strings.Lines(rest) {
		lines = append(lines, []byte(line))
	}
	finds, _ := findings(t, lines)
	if !slices.ContainsFunc(finds, func(f record.CrossFinding) bool {
		return f.Finding == record.FindOnlyDiag && f.Inode == inode && f.Table == "tcp"
	}) {
		t.Errorf("socket %d is not found: %s", inode, rest)
	}
}

// hideSocket runs in namespaces of its own. It listens, covers the texts of /proc/net with one
// that does not show it, and prints which socket that is and what the probe says.
func hideSocket() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	dir, err := os.MkdirTemp("", "hidden")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	heading := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	if err := os.WriteFile(dir+"/tcp", []byte(heading), 0o600); err != nil {
		return err
	}
	// Over the folder: what is mounted over a text in it does not last (proc_net_d_revalidate).
	// The thread's own, which the probe reads, so it must go on on this thread.
	runtime.LockOSThread()
	if err := unix.Mount(dir, "/proc/thread-self/net", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover the texts: %w", err)
	}
	fmt.Println(st.Ino)
	var l probetest.Lines
	if err := New().Acquire(context.Background(), &l); err != nil && probe.AsMissing(err) == nil {
		return err
	}
	for _, b := range l.All {
		fmt.Printf("%s\n", b)
	}
	return nil
}

// The text is that of the namespace in which sock_diag is asked, also on a thread that is in one
// of its own.
func TestTextOfTheThreadsNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	apart(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error("make a network namespace: ", err)
			return
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := errors.Join(unix.Listen(fd, 1), unix.Fstat(fd, &st)); err != nil {
			t.Error(err)
			return
		}
		list, err := texted(tables()[0])
		if err != nil || !slices.Equal(list, []uint64{st.Ino}) {
			t.Errorf("got %v, %v, want socket %d alone", list, err, st.Ino)
		}
	})
}

// apart runs fn on a thread of its own that is not the process's first, and ends with it.
func apart(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			apart(fn)
			runtime.UnlockOSThread()
			return
		}
		fn()
	}()
	<-done
}
