package bodyfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/bodyfile"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("text"), 0o644))
}

func read(t *testing.T, c bodyfile.Config) (entries map[string]record.BodyEntry, trees map[string]record.BodyTree, err error) {
	t.Helper()
	var l probetest.Lines
	err = bodyfile.New(c).Acquire(t.Context(), &l)
	entries, trees = make(map[string]record.BodyEntry), make(map[string]record.BodyTree)
	for _, line := range l.All {
		var tr record.BodyTree
		must(t, json.Unmarshal(line, &tr))
		if tr.Type == record.BodyFileTree {
			trees[tr.Path] = tr
			continue
		}
		var e record.BodyEntry
		must(t, json.Unmarshal(line, &e))
		path := e.Path
		if e.PathRaw != nil {
			path = string(e.PathRaw)
		}
		if _, ok := entries[path]; ok {
			t.Errorf("%s stands twice", path)
		}
		entries[path] = e
	}
	return entries, trees, err
}

func scene(t *testing.T) string { return sceneIn(t, t.TempDir()) }

func sceneIn(t *testing.T, root string) string {
	t.Helper()
	write(t, root+"/etc/passwd")
	must(t, os.WriteFile(root+"/etc/passwd", []byte("alice:x:1000:1000::/home/alice:/bin/sh\nsvc:x:999:999::/opt/svc:/bin/false\n"), 0o644))
	write(t, root+"/tmp/caf\xe9")
	must(t, unix.Mkfifo(root+"/tmp/pipe", 0o644))
	must(t, os.Symlink("/etc/shadow", root+"/tmp/link"))
	must(t, os.Symlink(".", root+"/tmp/loop"))
	write(t, root+"/home/alice/Documents/divorce.odt")
	write(t, root+"/home/alice/.mozilla/firefox/x/places.sqlite")
	write(t, root+"/root/.gnupg/private")
	write(t, root+"/root/tool.sh")
	write(t, root+"/opt/svc/data/file")
	write(t, root+"/opt/app/bin/run")
	must(t, os.Chmod(root+"/opt/app/bin/run", 0o4755|os.ModeSetuid))
	return root
}

func TestConformance(t *testing.T) {
	root := scene(t)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return bodyfile.New(bodyfile.Config{Root: root}) }, Key: probetest.Join("type", "path", "path_b64")})
}

// TestPrivateAreas: of homes the folders are named, and those of browsers and keys are not
// entered, unless that is allowed.
func TestPrivateAreas(t *testing.T) {
	root := scene(t)
	entries, trees, err := read(t, bodyfile.Config{Root: root})
	if err != nil {
		t.Error(err)
	}
	for path, closed := range map[string]string{
		"/tmp/caf\xe9": "", "/tmp/pipe": "", "/tmp/link": "", "/tmp/loop": "", "/home/alice/Documents": "", "/home/alice/.mozilla": "private", "/root/.gnupg": "private", "/root/tool.sh": "",
		"/opt/svc": "", "/opt/svc/data": "", "/opt/app/bin/run": "",
	} {
		if e, ok := entries[path]; !ok || e.Closed != closed && path != "/opt/svc" {
			t.Errorf("%q: %v, %+v", path, ok, e)
		}
	}
	for _, path := range []string{"/home/alice/Documents/divorce.odt", "/home/alice/.mozilla/firefox", "/root/.gnupg/private", "/opt/svc/data/file"} {
		if _, ok := entries[path]; ok {
			t.Errorf("%s is private", path)
		}
	}
	if tr := trees["/home/alice"]; tr.NamesOf != "folders" || tr.LeftOut != 1 || tr.Entries != 3 || tr.Ended != "" {
		t.Errorf("%+v", tr)
	}
	if tr := trees["/srv"]; tr.Ended != "absent" {
		t.Errorf("%+v", tr)
	}
	if e := entries["/tmp/link"]; e.Target != "/etc/shadow" || e.ModeText != "lrwxrwxrwx" || e.Accessed.IsZero() || e.Inode == 0 {
		t.Errorf("%+v", e)
	}
	if e := entries["/opt/app/bin/run"]; e.Mode != "4755" || e.ModeText != "-rwsr-xr-x" || e.Size != 4 {
		t.Errorf("%+v", e)
	}
	entries, trees, err = read(t, bodyfile.Config{Root: root, Private: true})
	if _, ok := entries["/home/alice/.mozilla/firefox/x/places.sqlite"]; !ok || err != nil || trees["/home/alice"].NamesOf != "all" {
		t.Errorf("%v, %+v", err, trees["/home/alice"])
	}
}

// big returns a folder for many files, in memory where there is such a one.
func big(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hozen-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestTenThousandFiles: what is more than the limits is told, and other trees lose nothing.
func TestTenThousandFiles(t *testing.T) {
	root := sceneIn(t, big(t))
	for i := range 10_000 {
		if i%1000 == 0 {
			must(t, os.Mkdir(fmt.Sprintf("%s/tmp/d%d", root, i/1000), 0o755))
		}
		must(t, os.WriteFile(fmt.Sprintf("%s/tmp/d%d/%d", root, i/1000, i), nil, 0o644))
	}
	entries, trees, err := read(t, bodyfile.Config{Root: root, MaxTree: 3000, MaxNames: 800})
	if m := probe.AsMissing(err); m == nil {
		t.Error(err)
	}
	if tr := trees["/tmp"]; tr.Entries != 3000 || tr.Ended != "too_many" {
		t.Errorf("%+v", tr)
	}
	if e := entries["/tmp/d0"]; e.Closed != "too_many" {
		t.Errorf("%+v", e)
	}
	if _, ok := entries["/opt/app/bin/run"]; !ok {
		t.Error("another tree lost its room")
	}
	_, trees, err = read(t, bodyfile.Config{Root: root, MaxAll: 20})
	if tr := trees["/tmp"]; err == nil || tr.Ended != "too_many" || tr.Entries != 10 || trees["/etc"].Entries != 2 {
		t.Errorf("%+v, %+v, %v", tr, trees["/etc"], err)
	}
	// Private files are looked at too, which is what the bounds are for.
	for i := range 20 {
		write(t, fmt.Sprintf("%s/home/alice/%d", root, i))
	}
	_, trees, err = read(t, bodyfile.Config{Root: root, MaxTree: 15})
	if tr := trees["/home/alice"]; tr.Ended != "too_many" || tr.Entries+tr.LeftOut != 15 || probe.AsMissing(err) == nil {
		t.Errorf("%+v, %v", tr, err)
	}
}

// nest makes folders one in the other, each with many long names beside it.
func nest(t *testing.T, root string, levels, names int) {
	t.Helper()
	long := strings.Repeat("x", 240)
	for range levels {
		must(t, os.MkdirAll(root, 0o755))
		for i := range names {
			must(t, os.Symlink("x", fmt.Sprintf("%s/%s%d", root, long, i)))
		}
		root += "/0" // before all others
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// weigher looks at what is held now and then.
type weigher struct {
	lines        int
	before, most uint64
}

func (w *weigher) Write(probe.Record) error {
	if w.lines++; w.lines%1900 == 0 {
		now := heap()
		w.most = max(w.most, now-min(now, w.before))
	}
	return nil
}

// TestNamesOfOtherLevelsAreNotHeld: of the folders above, no names of files are held.
func TestNamesOfOtherLevelsAreNotHeld(t *testing.T) {
	const levels, names = 8, 2200
	root := big(t)
	nest(t, root+"/tmp", levels, names)
	w := &weigher{before: heap()}
	if err := bodyfile.New(bodyfile.Config{Root: root}).Acquire(t.Context(), w); err != nil {
		t.Error(err)
	}
	if w.lines < levels*names || w.most > 2<<20 {
		t.Errorf("%d lines, %d bytes are held", w.lines, w.most)
	}
}

// TestTimeOfATree: a tree takes half of the time at most, and that is told.
func TestTimeOfATree(t *testing.T) {
	root := big(t)
	for i := range 60 {
		write(t, fmt.Sprintf("%s/tmp/%d", root, i))
	}
	write(t, root+"/etc/passwd")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second)
		defer cancel()
		w := &slow{trees: make(map[string]record.BodyTree)}
		err := bodyfile.New(bodyfile.Config{Root: root}).Acquire(ctx, w)
		if probe.AsMissing(err) == nil || w.trees["/tmp"].Ended != "time" || w.trees["/tmp"].Entries > 42 || w.trees["/etc"].Entries != 2 || w.trees["/etc"].Ended != "" {
			t.Errorf("%v, %+v", err, w.trees)
		}
	})
}

// slow takes an entry in a second.
type slow struct{ trees map[string]record.BodyTree }

func (s *slow) Write(r probe.Record) error {
	var tr record.BodyTree
	if err := json.Unmarshal(r.AppendJSON(nil), &tr); err != nil {
		return err
	}
	if tr.Type == record.BodyFileTree {
		s.trees[tr.Path] = tr
	} else {
		<-time.After(time.Second)
	}
	return nil
}

// TestWhereALinkLeads keeps its bytes.
func TestWhereALinkLeads(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a link of the system belongs to root")
	}
	root := t.TempDir()
	write(t, root+"/srv2/t\xff/x")
	must(t, os.Symlink("srv2/t\xff", root+"/srv"))
	_, trees, err := read(t, bodyfile.Config{Root: root})
	if tr := trees["/srv"]; err != nil || string(tr.AtRaw) != "/srv2/t\xff" || tr.At == "" || tr.Entries != 2 {
		t.Errorf("%+v, %v", tr, err)
	}
}

// TestOtherFileSystems are named by their tree alone.
func TestOtherFileSystems(t *testing.T) {
	root := scene(t)
	write(t, root+"/proc/self/mountinfo")
	must(t, os.WriteFile(root+"/proc/self/mountinfo", []byte("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / /home/alice rw - nfs4 nas:/v rw\n"), 0o644))
	entries, trees, err := read(t, bodyfile.Config{Root: root})
	if tr := trees["/home/alice"]; tr.Ended != "other_file_system" || probe.AsMissing(err) == nil || !strings.Contains(err.Error(), "nfs4") {
		t.Errorf("%+v, %v", tr, err)
	}
	if _, ok := entries["/home/alice/Documents"]; ok {
		t.Error("it was entered")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
