package tree_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/tree"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func open(t *testing.T, root string) *tree.Tree {
	t.Helper()
	x, err := tree.Open(root)
	must(t, err)
	return x
}

func dir(t *testing.T, x *tree.Tree, name string) *tree.Dir {
	t.Helper()
	d, err := x.Dir(name)
	must(t, err)
	t.Cleanup(d.Close)
	return d
}

// TestOnlyPlainFilesAreOpened: a pipe would wait for ever, a link may lead to a device.
func TestOnlyPlainFilesAreOpened(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/d/plain", "text")
	must(t, unix.Mkfifo(root+"/d/pipe", 0o644))
	must(t, os.Symlink("/dev/zero", root+"/d/link"))
	must(t, os.Symlink("loop", root+"/d/loop"))
	must(t, os.Mkdir(root+"/d/sub", 0o755))
	d := dir(t, open(t, root), "d")
	for name, want := range map[string]error{
		"pipe": tree.ErrNotRegular, "sub": tree.ErrNotRegular, "link": tree.ErrLink, "loop": tree.ErrLink, "none": fs.ErrNotExist,
	} {
		if f, err := d.Open(name); !errors.Is(err, want) {
			t.Errorf("open %s: %v, %v", name, f, err)
		}
	}
	if got := tree.Why(fmt.Errorf("x: %w", tree.ErrNotRegular)); got != "not_regular" {
		t.Error(got)
	}
	f, err := d.Open("plain")
	must(t, err)
	defer f.Close()
	b := make([]byte, 10)
	if n, _ := f.ReadAt(b, 2); string(b[:n]) != "xt" || f.Info.Size != 4 {
		t.Errorf("%q, %+v", b[:n], f.Info)
	}
}

// TestAccessTimesStay: neither a file nor a folder shows that it was read.
func TestAccessTimesStay(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/d/plain", "text")
	old := time.Now().Add(-72 * time.Hour).Truncate(time.Second)
	for _, p := range []string{root + "/d/plain", root + "/d"} {
		must(t, os.Chtimes(p, old, old.Add(-time.Hour)))
	}
	d := dir(t, open(t, root), "d")
	names, _, err := d.Names(10)
	must(t, err)
	f, err := d.Open("plain")
	must(t, err)
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 4), 0); err != nil || len(names) != 1 {
		t.Fatal(err, names)
	}
	var now tree.Info
	named, err := f.Again(&now)
	folder := dir(t, open(t, root), "d").Info()
	if err != nil || !named || !f.NoATime || !now.A.Time().Equal(old) || !folder.A.Time().Equal(old) {
		t.Errorf("file %v, folder %v, want %v; %v, %v, %v", now.A.Time(), folder.A.Time(), old, f.NoATime, named, err)
	}
}

// TestNamesTakeBoundedMemory: many long names are cut, and that is said.
func TestNamesTakeBoundedMemory(t *testing.T) {
	root, err := os.MkdirTemp("/dev/shm", "hozen-test-")
	if err != nil {
		root = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	long := strings.Repeat("x", 240)
	for i := range 35_000 {
		must(t, os.Symlink("x", fmt.Sprintf("%s/%s%d", root, long, i)))
	}
	d := dir(t, open(t, root), "")
	names, more, err := d.Names(200_000)
	size := 0
	for _, n := range names {
		size += len(n)
	}
	if err != nil || !more || size > 8<<20 || size < 8<<20-1000 {
		t.Errorf("%d names of %d bytes, %v, %v", len(names), size, more, err)
	}
	if names, more, err = d.Names(100); len(names) != 100 || !more || err != nil {
		t.Error(len(names), more, err)
	}
}

// TestLinksBetweenFolders: the system's are followed, other people's are not, and none for
// ever.
func TestLinksBetweenFolders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a link of the system belongs to root")
	}
	root := t.TempDir()
	write(t, root+"/data/home/alice/x", "text")
	must(t, os.Symlink("/data/home", root+"/home"))
	must(t, os.Symlink("../data", root+"/data/again"))
	must(t, os.Symlink("b", root+"/a"))
	must(t, os.Symlink("a", root+"/b"))
	must(t, os.Symlink("/data", root+"/hers"))
	must(t, os.Lchown(root+"/hers", 1000, 1000))
	must(t, os.Symlink("../../../../../data", root+"/up"))
	x := open(t, root)
	for name, want := range map[string]string{
		"home/alice": "data/home/alice", "data/again/home/alice": "data/home/alice", "up/home": "data/home", "/data//home/": "data/home", "": "",
	} {
		if d, err := x.Dir(name); err != nil || d.Path != want {
			t.Errorf("%s: %+v, %v", name, d, err)
		} else {
			d.Close()
		}
	}
	for _, name := range []string{"a", "hers", "hers/home"} {
		if _, err := x.Dir(name); !errors.Is(err, tree.ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForeignFileSystems are not so much as looked at.
func TestForeignFileSystems(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/srv/nas/x", "text")
	write(t, root+"/srv/disk/x", "text")
	write(t, root+"/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / /srv/nas rw - nfs4 nas:/v rw\n3 1 8:2 / /srv/disk rw - xfs /dev/sdb1 rw\n4 1 0:5 / /proc rw - proc proc rw\n5 1 0:6 / /srv/odd rw - newfs x rw\n6 4 0:7 / /proc/sys/fs rw - tmpfs x rw\n")
	x := open(t, root)
	for _, name := range []string{"srv/nas", "srv/odd", "proc"} {
		if _, err := x.Dir(name); !errors.Is(err, tree.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := dir(t, x, "srv")
	if err := d.Stat("nas", new(tree.Info)); !errors.Is(err, tree.ErrForeign) {
		t.Error(err)
	}
	dir(t, x, "srv/disk")
	if got := strings.Join(x.Local(), " "); got != " srv/disk" {
		t.Errorf("%q", got)
	}
}

func TestNames(t *testing.T) {
	root := t.TempDir()
	odd := "caf\xe9 \n"
	for _, n := range []string{"b", "a", odd} {
		write(t, root+"/d/"+n, n)
	}
	d := dir(t, open(t, root), "d")
	names, more, err := d.Names(10)
	if err != nil || more || strings.Join(names, "|") != "a|b|"+odd {
		t.Errorf("%q, %v, %v", names, more, err)
	}
	if names, more, err := d.Names(2); err != nil || !more || len(names) != 2 {
		t.Errorf("%q, %v, %v", names, more, err)
	}
	f, err := d.Open(odd)
	must(t, err)
	defer f.Close()
	must(t, os.Remove(root+"/d/"+odd))
	if named, err := f.Again(new(tree.Info)); named || !errors.Is(err, fs.ErrNotExist) {
		t.Error(named, err)
	}
	write(t, root+"/d/"+odd, "another")
	if named, err := f.Again(new(tree.Info)); named || err != nil {
		t.Error(named, err)
	}
}

func TestHomes(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nold:x:1001:1001::/home/alice:/bin/sh\n")
	write(t, root+"/home/bob/x", "")
	homes, err := open(t, root).Homes()
	if err != nil || strings.Join(homes, " ") != "home/alice home/bob root" {
		t.Errorf("%q, %v", homes, err)
	}
}
