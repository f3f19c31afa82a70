package memory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact"
)

// TestProcIsTheKernels: only files of procfs are believed, and in the running system
// always asked about.
func TestProcIsTheKernels(t *testing.T) {
	r, err := facts.Open("/")
	must(t, err)
	defer r.Close()
	if b, err := openerOf("/").file(r, "version", maxAttr); err != nil || len(b) == 0 {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := openerOf("/").file(r, "version", 3); err == nil {
		t.Error("too long a file was taken")
	}
	if _, err := openerOf("/")(r, "no-such-file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if f, err := openerOf("/")(r, "mounts"); err == nil { // a link
		f.Close()
		t.Error("a link was followed")
	}
	odd, err := facts.Open(tree(t, map[string]string{"proc/version": "x"}))
	must(t, err)
	defer odd.Close()
	if _, err := openProc(odd, "version"); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "not the kernel's own") {
		t.Errorf("%v", err)
	}
}

// TestOverlaid: what a program of root mounts over the kernel's files is not read, be it
// an ordinary file, a file of procfs or a pipe, on which reading would wait.
func TestOverlaid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	made := filepath.Join(t.TempDir(), "made-up")
	must(t, os.WriteFile(made, []byte("\x7fELF"), 0o644))
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(pipe, 0o644))
	inNamespace(t, func() error {
		for _, over := range []string{made, pipe, "/proc/self/environ"} {
			for _, name := range []string{"/proc/version", "/proc/kallsyms"} {
				if err := unix.Mount(over, name, "", unix.MS_BIND, ""); err != nil {
					return err
				}
				kind := map[string]probe.Probe{"/proc/version": NewKernel("/"), "/proc/kallsyms": NewFile("/", artifact.KindKallsyms)}[name]
				var l probetest.Lines
				err := kind.Acquire(t.Context(), &lineless{&l})
				if want := "something is mounted over " + name; err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, fs.ErrPermission) {
					// A pipe is no regular file, so there is no such symbol table at all.
					if over != pipe || name != "/proc/kallsyms" || err != nil {
						t.Errorf("%s over %s: %v", over, name, err)
					}
				}
				if err := unix.Unmount(name, unix.MNT_DETACH); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// lineless takes bytes too, and refuses them.
type lineless struct{ *probetest.Lines }

func (*lineless) Room(int64) error      { return nil }
func (*lineless) WriteRaw([]byte) error { return errors.New("something was read") }

// TestPipeInPlaceOfMemory: it neither holds the reading up nor is it memory.
func TestPipeInPlaceOfMemory(t *testing.T) {
	for _, name := range []string{"iomem", "kcore"} {
		root := tree(t, map[string]string{"proc/iomem": "00001000-0009ffff : System RAM\n", "proc/kcore": "x"})
		must(t, os.Remove(filepath.Join(root, "proc", name)))
		must(t, unix.Mkfifo(filepath.Join(root, "proc", name), 0o644))
		err := New(root).Image().Acquire(t.Context(), new(raw))
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "something is mounted over /proc/"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
