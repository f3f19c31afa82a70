package namespace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
	"hozen/internal/netlab"
)

// childEnv makes this test binary live in a container of its own making, below the folder
// that it names.
const childEnv = "HOZEN_NAMESPACE_CHILD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := contain(dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// contain makes an overlay the root.
func contain(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil { // an overlay over an overlay may not be
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	for _, d := range []string{"lower", "base:1", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s/lower:%s/base\\:1,upperdir=%s/upper,workdir=%s/work", dir, dir, dir, dir)
	if err := unix.Mount("overlay", filepath.Join(dir, "root"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return unix.Chroot(filepath.Join(dir, "root"))
}

// TestScene looks at a container that no runtime knows of.
func TestScene(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC}
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
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Skip("this system makes no such container: ", strings.TrimSpace(line))
	}
	pid := int64(cmd.Process.Pid)
	held, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	var l probetest.Lines
	if err := fresh().Acquire(t.Context(), &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	got := map[string]record.Namespace{}
	for _, b := range l.All {
		var n record.Namespace
		if err := json.Unmarshal(b, &n); err != nil {
			t.Fatal(err)
		}
		if n.Type == record.NamespaceLine && slices.Contains(n.PIDs, pid) {
			got[n.Kind] = n
		}
		if n.Type == record.NamespaceLine && n.Own && n.Kind == "net" && n.Members < 2 {
			t.Errorf("the agent's own: %+v", n)
		}
	}
	for _, kind := range []string{"mnt", "net", "pid", "uts", "ipc"} {
		if n := got[kind]; n.Members != 1 || n.Host == "yes" || n.Own || n.Owner == 0 || n.Problem != "" {
			t.Errorf("%s: %+v", kind, n)
		}
	}
	if n := got["net"]; !slices.Contains(n.OpenBy, int64(os.Getpid())) {
		t.Errorf("who holds it: %+v", n)
	}
	if n := got["pid"]; n.Parent == 0 {
		t.Errorf("%+v", n)
	}
	if n := got["mnt"]; n.RootFS != "overlay" || n.Upper != dir+"/upper" || !slices.Equal(n.Lower, []string{dir + "/lower", dir + "/base:1"}) {
		t.Errorf("%+v", n)
	}
	if n, ok := got["user"]; ok {
		t.Errorf("it lives among all others: %+v", n)
	}
}
