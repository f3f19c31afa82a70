package deletedexe

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

// childEnv makes this test binary wait for the end of its input instead of testing.
const childEnv = "HOZEN_DELETEDEXE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run starts a program and returns when it runs; it ends with the test.
func run(t *testing.T, path string) int {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), childEnv+"=1")
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

// deleted starts this program from a file that is then deleted, and padded so that each
// is another file.
func deleted(t *testing.T, pad int) (pid int, program []byte) {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program = append(program, make([]byte, pad)...)
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	pid = run(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return pid, program
}

// saved is a file put together again.
type saved struct {
	head record.DeletedFile
	data []byte
	end  record.DeletedEnd
}

// together reads the lines as somebody else would.
func together(t *testing.T, lines [][]byte) (files []saved) {
	t.Helper()
	for _, b := range lines {
		var part struct {
			Part string `json:"part"`
			File int    `json:"file"`
		}
		if err := json.Unmarshal(b, &part); err != nil {
			t.Fatal(err)
		}
		if part.Part == record.PartFile {
			files = append(files, saved{})
		}
		if len(files) != part.File+1 {
			t.Fatalf("a part of file %d stands in file %d", part.File, len(files)-1)
		}
		f := &files[part.File]
		var err error
		switch part.Part {
		case record.PartFile:
			err = json.Unmarshal(b, &f.head)
		case record.PartData:
			var d record.DeletedData
			if err = json.Unmarshal(b, &d); err == nil && d.Offset != int64(len(f.data)) {
				t.Fatalf("bytes from %d behind %d bytes", d.Offset, len(f.data))
			}
			f.data = append(f.data, d.Data...)
		case record.PartEnd:
			err = json.Unmarshal(b, &f.end)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func of(files []saved, pid int) *saved {
	for i := range files {
		for _, p := range files[i].head.Processes {
			if p.PID == pid {
				return &files[i]
			}
		}
	}
	return nil
}

func TestDeletedAndMemFD(t *testing.T) {
	pid, program := deleted(t, 1)
	fd, err := unix.MemfdCreate("kworker", 0)
	if err != nil {
		t.Fatal(err)
	}
	mem := os.NewFile(uintptr(fd), "memfd")
	defer mem.Close()
	if _, err := mem.Write(program); err != nil {
		t.Fatal(err)
	}
	memPID := run(t, fmt.Sprintf("/proc/self/fd/%d", fd))

	var l probetest.Lines
	if err := New(scan.New(scan.Options{})).Acquire(t.Context(), &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	files := together(t, l.All)
	sum := sha256.Sum256(program)
	for _, want := range []struct {
		pid   int
		memfd bool
	}{{pid, false}, {memPID, true}} {
		f := of(files, want.pid)
		if f == nil {
			t.Fatalf("process %d is missing", want.pid)
		}
		if !bytes.Equal(f.data, program) || f.end.SHA256 != hex.EncodeToString(sum[:]) || f.end.Copied != int64(len(program)) || f.end.Cut || f.end.Problem != "" {
			t.Errorf("process %d: %d bytes of %d, %+v", want.pid, len(f.data), len(program), f.end)
		}
		if f.head.MemFD != want.memfd || f.head.Size != int64(len(program)) {
			t.Errorf("%+v", f.head)
		}
	}
}

// TestLimits: small files come first, and what is cut says so.
func TestLimits(t *testing.T) {
	big, program := deleted(t, 100_000)
	small, smaller := deleted(t, 2)
	limits := reader{scan.New(scan.Options{}), int64(len(smaller)), int64(len(smaller)) + 1000, open}
	var l probetest.Lines
	err := limits.Acquire(t.Context(), &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped < 1 {
		t.Errorf("cut without a word: %v", err)
	}
	files := together(t, l.All)
	a, b := of(files, small), of(files, big)
	if a == nil || b == nil || a.head.File > b.head.File {
		t.Fatalf("%d files", len(files))
	}
	// Other deleted programs of this machine may have used up the room.
	if b.end.Copied > 1000 || !b.end.Cut || !bytes.HasPrefix(program, b.data) {
		t.Errorf("%+v", b.end)
	}
	sum := sha256.Sum256(b.data)
	if b.end.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s of %d bytes", b.end.SHA256, len(b.data))
	}
}

func TestConformance(t *testing.T) {
	deleted(t, 3)
	probetest.Run(t, probetest.Config{
		New: func() probe.Probe { return New(scan.New(scan.Options{})) },
		Key: probetest.Join("part", "file", "offset", "inode"),
	})
}
