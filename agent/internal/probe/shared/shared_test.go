package shared

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

const segments = `       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
        -1          3  1600                  4096   100   101      2  1000  1001  1002  1003          0          0 1766400000                     0                     0
nonsense
`

// TestConformance looks at a tree of its own: the machine's folders change with every test
// that runs beside this one.
func TestConformance(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := tree(t)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return New(root) }, Key: probetest.Join("type", "key", "path")})
}

func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{"dev/shm/sem.a", "tmp/a/b/c/d", "tmp/x\xff", "var/tmp/y"} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("secret"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "proc/sysvipc"), 0o755), os.WriteFile(filepath.Join(root, "proc/sysvipc/shm"), []byte(segments), 0o600),
		os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky), os.Chmod(filepath.Join(root, "tmp/a"), 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestNamesOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	var l probetest.Lines
	if err := New(tree(t)).Acquire(t.Context(), &l); probe.AsMissing(err) == nil {
		t.Errorf("an odd line: %v", err)
	}
	got := map[string]record.TempFile{}
	for _, b := range l.All {
		var f record.TempFile
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "secret") {
			t.Error("a content was read")
		}
		got[f.Path] = f
	}
	if f := got["/dev/shm/sem.a"]; f.Size != 6 || f.Mode != "0600" || f.Type != record.SharedFile {
		t.Errorf("%+v", f)
	}
	if f := got["/tmp/a"]; f.FileKind != "dir" || f.Mode != "2755" {
		t.Errorf("%+v", f)
	}
	if f := got["/tmp/x\ufffd"]; string(f.PathRaw) != "/tmp/x\xff" {
		t.Errorf("%+v", f)
	}
	if _, ok := got["/tmp/a/b/c"]; !ok {
		t.Error("three folders deep is too far")
	}
	if _, ok := got["/tmp/a/b/c/d"]; ok {
		t.Error("four folders deep is not too far")
	}
}

func TestParse(t *testing.T) {
	list, odd := parse(record.SharedMemory, []byte(segments))
	if len(list) != 1 || odd != 1 {
		t.Fatalf("%+v, %d", list, odd)
	}
	s := list[0]
	if s.Key != "0xffffffff" || s.ID != 3 || s.Mode != "1600" || s.Size != 4096 || s.PID != 100 || s.LastPID != 101 || s.Attached != 2 || s.UID != 1000 || s.Creator != 1002 || s.Changed.Unix() != 1766400000 {
		t.Errorf("%+v", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(segments))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, typ := range []string{record.SharedMemory, record.SharedQueue} {
			list, _ := parse(typ, b)
			for i := range list {
				if !json.Valid(list[i].AppendJSON(nil)) {
					t.Fatal("no JSON")
				}
			}
		}
	})
}
