package exehash

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
)

const childEnv = "HOZEN_EXEHASH_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start runs path until the test ends and returns its PID.
func start(t *testing.T, path string, files ...*os.File) int {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), childEnv+"=1"), files
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

// program returns the bytes of this program with a tail that makes them unlike any other.
func program(t *testing.T, tail string) ([]byte, string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, tail...)
	sum := sha256.Sum256(b)
	return b, hex.EncodeToString(sum[:])
}

// acquire returns the lines by the PID of each process that runs the file.
func acquire(t *testing.T, cache *Cache) map[int]record.ExeHash {
	t.Helper()
	var l probetest.Lines
	if err := New(scan.New(scan.Options{}), cache).Acquire(t.Context(), &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	by := make(map[int]record.ExeHash)
	for _, line := range l.All {
		var e record.ExeHash
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.SHA256 == digest.Of(nil).String() {
			t.Errorf("the digest of nothing: %s", line)
		}
		for _, p := range e.Processes {
			if _, twice := by[p.PID]; twice {
				t.Errorf("process %d stands in two lines", p.PID)
			}
			by[p.PID] = e
		}
	}
	return by
}

func TestDigests(t *testing.T) {
	dir := t.TempDir()
	plain, wantPlain := program(t, "plain")
	gone, wantGone := program(t, "gone")
	inMemory, wantMemory := program(t, "memory")
	plainPath, gonePath := filepath.Join(dir, "plain"), filepath.Join(dir, "gone")
	for path, b := range map[string][]byte{plainPath: plain, gonePath: gone} {
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	one, two, lost := start(t, plainPath), start(t, plainPath), start(t, gonePath)
	if err := os.Remove(gonePath); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "payload")
	defer f.Close()
	if _, err := f.Write(inMemory); err != nil {
		t.Fatal(err)
	}
	ghost := start(t, "/proc/self/fd/3", f)

	got := acquire(t, NewCache(0))
	if e := got[one]; e.SHA256 != wantPlain || e.Path != plainPath || e.Size != int64(len(plain)) || len(e.Processes) != 2 || e.Deleted {
		t.Errorf("plain: %s", e.AppendJSON(nil))
	}
	if got[one].Inode != got[two].Inode || got[two].SHA256 != wantPlain {
		t.Error("two processes of one file are told apart")
	}
	if e := got[lost]; e.SHA256 != wantGone || !e.Deleted || e.MemFD {
		t.Errorf("deleted: %s", e.AppendJSON(nil))
	}
	if e := got[ghost]; e.SHA256 != wantMemory || !e.MemFD {
		t.Errorf("memory: %s", e.AppendJSON(nil))
	}
	procs, _ := scan.New(scan.Options{}).Processes(t.Context())
	for _, p := range procs {
		if e, ok := got[p.PID]; ok && p.KernelOnly {
			t.Errorf("a thread of the kernel has a file: %s", e.AppendJSON(nil))
		}
	}
}

func TestCache(t *testing.T) {
	cache := NewCache(0)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/proc/self/exe", &st); err != nil {
		t.Fatal(err)
	}
	var own record.ExeHash // this test's own program settles while the test waits
	for deadline := time.Now().Add(30 * time.Second); !own.Cached && time.Now().Before(deadline); {
		if own = acquire(t, cache)[os.Getpid()]; own.SHA256 != digest.Of(self).String() {
			t.Fatalf("%s", own.AppendJSON(nil))
		}
		if st.Type == unix.TMPFS_MAGIC {
			break
		}
	}
	if own.Cached == (st.Type == unix.TMPFS_MAGIC) {
		t.Errorf("on file system %#x: %s", st.Type, own.AppendJSON(nil))
	}
}

// A file of a moment ago could change again without showing it: not remembered.
func TestFreshFilesAreNotCached(t *testing.T) {
	b, _ := program(t, "fresh")
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	pid := start(t, path)
	for range 20 { // unless this machine is too slow to be so fast
		if err := os.Chmod(path, 0o755); err != nil { // moves the change time
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		_, keep, err := sum(t.Context(), record.ProcRef{PID: pid}, identityOf(&st), make([]byte, chunk))
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(time.Unix(0, st.Ctim.Nano())) < settled {
			if keep {
				t.Error("it is to be remembered")
			}
			return
		}
	}
	t.Skip("hashing this program takes longer than a file needs to settle")
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(3)
	id := func(i int) identity { return identity{inode: uint64(i)} }
	for i := range 10 {
		c.put(id(i), verdict{digest: digest.Of([]byte{byte(i)})})
		c.put(id(i), verdict{digest: digest.Of([]byte{byte(i)})})
	}
	for i := range 10 {
		v, ok := c.get(id(i))
		if ok != (i >= 7) || ok && v.digest != digest.Of([]byte{byte(i)}) {
			t.Errorf("entry %d: %t", i, ok)
		}
	}
	if len(c.known) != 3 || len(c.order) != 3 {
		t.Errorf("%d digests, %d in order", len(c.known), len(c.order))
	}
}

// Another program under the same PID is no door to the file.
func TestAnotherProgram(t *testing.T) {
	pid := start(t, "/proc/self/exe")
	_, _, err := sum(t.Context(), record.ProcRef{PID: pid}, identity{inode: 1}, make([]byte, chunk))
	if err != errGone {
		t.Errorf("got %v", err)
	}
	if same(pid, 1) {
		t.Error("a process that started at another time is the same")
	}
}
