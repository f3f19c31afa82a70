package ransom

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact/record"
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

const demand = "your files are ours"

// scene is a share after ransomware went over half of it.
func scene(t *testing.T) string {
	root := t.TempDir()
	old := time.Now().Add(-90 * 24 * time.Hour)
	for i := range 40 {
		dir := fmt.Sprintf("%s/srv/share/d%02d", root, i/2)
		name := fmt.Sprintf("%s/report%d.docx", dir, i)
		if i >= 20 {
			name += ".locked"
			write(t, dir+"/PAY.txt", demand)
		}
		write(t, name, "text")
		must(t, os.Chtimes(name, old, old))
	}
	write(t, root+"/home/alice/HOW_TO_DECRYPT.html", "pay")
	write(t, root+"/home/alice/long_decrypt.txt", strings.Repeat("x", maxNote+1))
	must(t, unix.Mkfifo(root+"/home/alice/decrypt.txt", 0o644))
	must(t, os.Symlink("/dev/zero", root+"/home/alice/decrypt_all.txt"))
	must(t, os.Symlink(".", root+"/srv/loop"))
	write(t, root+"/usr/share/decrypt.txt", "of the system")
	return root
}

func acquire(t *testing.T, p probe.Probe) (stats []record.FileStat, all [][]byte, err error) {
	t.Helper()
	var l probetest.Lines
	err = p.Acquire(t.Context(), &l)
	for _, line := range l.All {
		var s record.FileStat
		must(t, json.Unmarshal(line, &s))
		stats = append(stats, s)
	}
	return stats, l.All, err
}

func TestConformance(t *testing.T) {
	root := scene(t)
	for name, c := range map[string]probetest.Config{
		"filestat": {New: func() probe.Probe { return NewLook(root).FileStat() }, Key: probetest.Join("type", "name")},
		"notes":    {New: func() probe.Probe { return NewLook(root).Notes() }},
	} {
		t.Run(name, func(t *testing.T) { probetest.Run(t, c) })
	}
}

// TestWhatRansomwareDid shows in the counts, and its demands are copied.
func TestWhatRansomwareDid(t *testing.T) {
	look := NewLook(scene(t))
	stats, _, err := acquire(t, look.FileStat())
	if err != nil {
		t.Error(err)
	}
	find := func(typ, name string) (f record.FileStat) {
		for _, s := range stats {
			if s.Type == typ && s.Name == name {
				f = s
			}
		}
		return f
	}
	if e := find(record.FileStatExtension, ".locked"); e.Files != 20 || e.Doubled != 20 || e.RenamedDay != 20 || e.ModifiedWeek != 0 || e.ChangedHour != 20 {
		t.Errorf("%+v", e)
	}
	if e := find(record.FileStatExtension, ".docx"); e.Files != 20 || e.Doubled != 0 {
		t.Errorf("%+v", e)
	}
	if e := find(record.FileStatTree, "/srv"); e.Files != 50 || e.Doubled != 20 || e.Ended != "" {
		t.Errorf("%+v", e)
	}
	if e := find(record.FileStatTree, "/usr"); e.Files != 0 {
		t.Errorf("%+v", e)
	}
	if e := find(record.FileStatFolder, "/srv/share/d15"); e.Files != 3 || e.ChangedHour != 3 {
		t.Errorf("%+v", e)
	}
	if e := find(record.FileStatName, "PAY.txt"); e.Files != 10 || !strings.HasSuffix(e.Example, "/PAY.txt") {
		t.Errorf("%+v", e)
	}
	hours := int64(0)
	for _, s := range stats {
		if s.Type == record.FileStatHour {
			hours += s.Files
		}
	}
	if hours < 50 {
		t.Errorf("%d files in the hours", hours)
	}
	_, lines, err := acquire(t, look.Notes())
	if err != nil {
		t.Error(err)
	}
	copies := map[string]int{}
	for _, l := range lines {
		var f record.CopyFile
		must(t, json.Unmarshal(l, &f))
		if f.Part == record.PartFile {
			copies[filepath.Base(f.Path)]++
		}
		var d record.CopyData
		must(t, json.Unmarshal(l, &d))
		if d.Part == record.PartData && string(d.Data) != demand && string(d.Data) != "pay" {
			t.Errorf("%q", d.Data)
		}
	}
	if copies["PAY.txt"] != perName || copies["HOW_TO_DECRYPT.html"] != 1 || len(copies) != 2 {
		t.Errorf("%v", copies)
	}
}

// TestNamesAreNoPatterns: whoever calls files "**" has nothing else copied.
func TestNamesAreNoPatterns(t *testing.T) {
	for _, name := range []string{"*", "**", "?", "[a]"} {
		root := t.TempDir()
		for i := range everywhere {
			write(t, fmt.Sprintf("%s/home/a/%d/%s", root, i, name), "note")
		}
		write(t, root+"/home/a/0/Documents/salary.xlsx", "secret")
		write(t, root+"/home/a/0/a", "secret")
		_, lines, err := acquire(t, NewLook(root).Notes())
		if err != nil {
			t.Error(err)
		}
		copied := 0
		for _, l := range lines {
			var f record.CopyFile
			must(t, json.Unmarshal(l, &f))
			var d record.CopyData
			must(t, json.Unmarshal(l, &d))
			if f.Part == record.PartFile && filepath.Base(f.Path) != name || d.Part == record.PartData && string(d.Data) != "note" {
				t.Errorf("%s: %s", name, l)
			}
			if d.Part == record.PartData {
				copied++
			}
		}
		if copied != perName {
			t.Errorf("%s: %d copies", name, copied)
		}
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

// TestBounds: what is too much is told, and an extension for each file takes no memory.
func TestBounds(t *testing.T) {
	root := big(t)
	for i := range maxExtensions + 100 {
		write(t, fmt.Sprintf("%s/srv/d/x.docx.%06x", root, i), "")
	}
	stats, _, err := acquire(t, NewLook(root).FileStat())
	extensions, rest := 0, int64(0)
	for _, s := range stats {
		if s.Type == record.FileStatExtension {
			extensions++
			if s.Name == "*" {
				rest = s.Doubled
			}
		}
	}
	if extensions != maxExtensions+1 || rest != 100 || err != nil {
		t.Errorf("%d extensions, %d others, %v", extensions, rest, err)
	}
	look := NewLook(root)
	look.max = 50
	if stats, _, err = acquire(t, look.FileStat()); probe.AsMissing(err) == nil || stats[0].Ended != "too_many" {
		t.Errorf("%+v, %v", stats[0], err)
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

// weigher looks at what is held now and then, when it is asked whether the time is over.
type weigher struct {
	context.Context
	asked        int
	before, most uint64
}

func (w *weigher) Err() error {
	if w.asked++; w.asked%1400 == 0 {
		now := heap()
		w.most = max(w.most, now-min(now, w.before))
	}
	return nil
}

func newWalker(ctx context.Context) *walker {
	s := &seen{now: time.Now().Unix(), extensions: make(map[string]*count), names: make(map[string]*name)}
	return &walker{ctx: ctx, s: s, left: 1 << 20, done: make(map[string]bool)}
}

// TestNamesOfOtherLevelsAreNotHeld: of the folders above, no names of files are held.
func TestNamesOfOtherLevelsAreNotHeld(t *testing.T) {
	root := big(t)
	nest(t, root+"/srv", 12, 1500)
	x, err := tree.Open(root)
	must(t, err)
	w := &weigher{Context: t.Context(), before: heap()}
	walk := newWalker(w)
	walk.one(x, "srv")
	if w.asked < 18_000 || w.most > 2<<20 || walk.s.missed > 0 {
		t.Errorf("%d names, %d bytes are held, %d missed", w.asked, w.most, walk.s.missed)
	}
}

// TestTooManyFolders: those that are left out are told, and the tree is walked on.
func TestTooManyFolders(t *testing.T) {
	root := t.TempDir()
	for i := range 40 {
		write(t, fmt.Sprintf("%s/srv/%02d/x/y/z", root, i), "text")
	}
	x, err := tree.Open(root)
	must(t, err)
	w := newWalker(t.Context())
	for range 10 { // as folders above do
		w.held.Keep(make([]string, 1<<16))
	}
	w.one(x, "srv")
	if c := w.tree; c.Ended != "too_many" || c.Unread != 1 || c.Files != 32 || w.s.missed != 1 {
		t.Errorf("%+v, %d missed", c, w.s.missed)
	}
}

// TestTooManyNames: a name that nobody could watch any more is missed.
func TestTooManyNames(t *testing.T) {
	w := newWalker(t.Context())
	now := tree.Stamp{Sec: w.s.now, Kept: true}
	for i := range maxNames + 3 {
		w.s.file("srv", fmt.Sprintf("%d.txt", i), &tree.Info{Mode: unix.S_IFREG, Size: 1, M: now, C: now})
	}
	w.s.file("srv", "HOW_TO_DECRYPT.txt", &tree.Info{Mode: unix.S_IFREG, Size: 1, M: now, C: now})
	if w.s.missed != 3 || w.s.first == nil || len(w.s.notes()) != 1 {
		t.Errorf("%d missed, %v, %d notes", w.s.missed, w.s.first, len(w.s.notes()))
	}
}

// TestTheFutureIsNoTime: whoever sets times ahead hides nothing of what is now.
func TestTheFutureIsNoTime(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/srv/x.txt", "text")
	ahead := time.Now().Add(1000 * time.Hour)
	must(t, os.Chtimes(root+"/srv/x.txt", ahead, ahead))
	stats, _, err := acquire(t, NewLook(root).FileStat())
	if s := stats[0]; err != nil || s.ModifiedWeek != 0 || s.ChangedHour != 1 || s.Newest.After(time.Now().Add(time.Minute)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestWhoWrites: a process that writes between the two looks is told with how much.
func TestWhoWrites(t *testing.T) {
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		f, err := os.CreateTemp(t.TempDir(), "x")
		for err == nil {
			select {
			case <-stop:
				ended <- f.Close()
				return
			default:
				_, err = f.WriteAt(make([]byte, 4096), 0)
			}
		}
		ended <- err
	}()
	var l probetest.Lines
	err := NewProcIO(scan.New(scan.Options{})).Acquire(t.Context(), &l)
	close(stop)
	must(t, <-ended)
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	for _, line := range l.All {
		var io record.ProcIO
		must(t, json.Unmarshal(line, &io))
		if io.PID == os.Getpid() {
			if io.IntervalNS < int64(interval) || io.WriteCharsNow == 0 || io.WriteChars < io.WriteCharsNow {
				t.Errorf("%+v", io)
			}
			return
		}
	}
	t.Errorf("this process is not among %d", len(l.All))
}
