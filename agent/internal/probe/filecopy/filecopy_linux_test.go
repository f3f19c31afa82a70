package filecopy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact"
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

// copied is a file as its lines tell of it.
type copied struct {
	record.CopyFile
	end   *record.CopyEnd
	bytes []byte
}

// gather puts lines together as a reader of evidence does.
func gather(t *testing.T, lines [][]byte) (files map[string]*copied, rows []record.CopyRow) {
	t.Helper()
	files = make(map[string]*copied)
	byNumber := make(map[int]*copied)
	for _, l := range lines {
		var head struct {
			Part string
			File int
		}
		must(t, json.Unmarshal(l, &head))
		switch head.Part {
		case record.PartFile:
			c := new(copied)
			must(t, json.Unmarshal(l, &c.CopyFile))
			path := c.Path
			if c.PathRaw != nil {
				path = string(c.PathRaw)
			}
			files[path], byNumber[head.File] = c, c
		case record.PartData:
			var d record.CopyData
			must(t, json.Unmarshal(l, &d))
			c := byNumber[head.File]
			if d.Offset != c.From+int64(len(c.bytes)) {
				t.Errorf("%s: a gap before %d", c.Path, d.Offset)
			}
			c.bytes = append(c.bytes, d.Data...)
		case record.PartEnd:
			c := byNumber[head.File]
			c.end = new(record.CopyEnd)
			must(t, json.Unmarshal(l, c.end))
			if sum := sha256.Sum256(c.bytes); c.end.SHA256 != hex.EncodeToString(sum[:]) || c.end.Copied != int64(len(c.bytes)) {
				t.Errorf("%s: %+v does not fit %d bytes", c.Path, c.end, len(c.bytes))
			}
		case record.PartRow:
			var r record.CopyRow
			must(t, json.Unmarshal(l, &r))
			rows = append(rows, r)
		default:
			t.Errorf("a line of part %q", head.Part)
		}
	}
	return files, rows
}

// run copies by a table of the test's own; during is called while a file is read.
func run(t *testing.T, ctx context.Context, root string, p *part, scope Scope, during func(path string)) (files map[string]*copied, rows []record.CopyRow, err error) {
	t.Helper()
	if p.kind == "" {
		p.kind, p.schema = artifact.KindStartFile, record.SchemaStartFile
	}
	if p.all == 0 {
		p.all = 64 * mib
	}
	var l probetest.Lines
	err = facts.New(facts.Config{Kind: p.kind, Schema: p.schema, Volatility: probe.Derivable, OS: "linux", Read: func(ctx context.Context, o *facts.Out) error {
		x, err := tree.Open(root)
		if err != nil {
			return err
		}
		c := newCopier(p, x, o)
		c.scope, c.during = scope, during
		return c.table(ctx)
	}}).Acquire(ctx, &l)
	files, rows = gather(t, l.All)
	return files, rows, err
}

func TestConformance(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
	write(t, root+"/etc/crontab", "* * * * * root true\n")
	write(t, root+"/var/log/auth.log", "sshd: Failed password\n")
	write(t, root+"/home/alice/.bash_history", "wget http://192.0.2.9/x\n")
	for _, kind := range kinds() {
		p := partOf(kind)
		t.Run(string(p.kind), func(t *testing.T) {
			probetest.Run(t, probetest.Config{New: func() probe.Probe { return New(p.kind, root, Scope{}) }})
		})
	}
	if New(artifact.KindProcess, root, Scope{}) != nil {
		t.Error("a probe of what is not in the table")
	}
}

func kinds() []artifact.Kind {
	return []artifact.Kind{artifact.KindLogFile, artifact.KindHistory, artifact.KindStartFile, artifact.KindUserFile, artifact.KindBackup}
}

// TestTable: the table says of everything how much and why, and its patterns can be read.
func TestTable(t *testing.T) {
	rows := 0
	for _, kind := range kinds() {
		p := partOf(kind)
		for _, r := range p.rows {
			rows++
			if r.Class == "" || r.Why == "" || r.Names != (kind == artifact.KindBackup) || !r.Names && (r.Max <= 0 || r.All < r.Max || p.all < r.Max) || r.Unit > 0 && !r.End {
				t.Errorf("%s: %+v", p.kind, r)
			}
			for pattern := range strings.FieldsSeq(r.Pattern) {
				pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "~/"), "@/")
				if strings.HasPrefix(pattern, "/") || filepath.Clean(pattern) != pattern || strings.ContainsAny(pattern, `[\~@`) || strings.Contains(strings.TrimSuffix(pattern, "/**"), "**") {
					t.Errorf("%s: pattern %s", p.kind, pattern)
				}
			}
			if (kind == artifact.KindUserFile || r.Class == "mail") != r.Private {
				t.Errorf("%+v: private or not", r)
			}
		}
	}
	if want := strings.Count(logs+histories+starters+users+backups, "\n") - 5; rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
}

// TestScope: private areas are told as left out, and copied only where that is allowed.
func TestScope(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/home/alice/.bash_history", "typed\n")
	write(t, root+"/home/alice/.mozilla/firefox/p/places.sqlite", "pages")
	write(t, root+"/etc/shadow", "hash")
	for _, c := range []struct {
		kind    artifact.Kind
		scope   Scope
		copied  int
		exclude bool
	}{
		{artifact.KindUserFile, Scope{}, 0, true}, {artifact.KindUserFile, Scope{Private: true}, 2, false},
		{artifact.KindHistory, Scope{}, 1, false}, {artifact.KindHistory, Scope{NoHistories: true}, 0, true},
	} {
		var l probetest.Lines
		if err := New(c.kind, root, c.scope).Acquire(t.Context(), &l); err != nil {
			t.Errorf("%s: %v", c.kind, err)
		}
		files, rows := gather(t, l.All)
		excluded := len(rows) > 0
		for _, r := range rows {
			excluded = excluded && r.State == "excluded"
		}
		if len(files) != c.copied || excluded != c.exclude {
			t.Errorf("%s with %+v: %d files, %+v", c.kind, c.scope, len(files), rows)
		}
	}
}

// TestSecrets: where passwords and keys have their place, that is copied only where private
// files are.
func TestSecrets(t *testing.T) {
	root := t.TempDir()
	secrets := []string{"etc/shadow", "etc/security/opasswd", "etc/grub.d/40_custom", "etc/network/interfaces", "etc/network/interfaces.d/wlan0", "etc/systemd/network/wg0.netdev"}
	open := []string{"etc/security/limits.conf", "etc/security/limits.d/x.conf", "etc/network/if-up.d/x", "etc/systemd/system/x.service", "etc/systemd/system/x.service.d/o.conf",
		"etc/systemd/system.conf", "etc/systemd/system-generators/x", "etc/initramfs-tools/hooks/x", "etc/initramfs-tools/scripts/local-top/x"}
	for _, p := range append([]string{"etc/initramfs-tools/etc/dropbear/dropbear_rsa_host_key"}, append(secrets, open...)...) {
		write(t, root+"/"+p, "x")
	}
	for _, c := range []struct {
		kind artifact.Kind
		want []string
	}{{artifact.KindStartFile, open}, {artifact.KindUserFile, secrets}} {
		var l probetest.Lines
		must(t, New(c.kind, root, Scope{Private: c.kind == artifact.KindUserFile}).Acquire(t.Context(), &l))
		files, _ := gather(t, l.All)
		for _, p := range c.want {
			if f := files["/"+p]; f == nil || string(f.bytes) != "x" {
				t.Errorf("%s: %s is not copied", c.kind, p)
			}
			delete(files, "/"+p)
		}
		for p := range files {
			t.Errorf("%s: %s is copied", c.kind, p)
		}
	}
}

func one(class, pattern string) *part {
	return &part{rows: []*Row{{Class: class, Pattern: pattern, Max: mib, All: 8 * mib, Why: "test"}}}
}

// TestWhatIsNoFile is told and not opened: pipes wait for ever, links lead anywhere.
func TestWhatIsNoFile(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/etc/x/plain", "text")
	write(t, root+"/etc/x/caf\xe9", "odd")
	write(t, root+"/etc/x/empty", "")
	must(t, unix.Mkfifo(root+"/etc/x/pipe", 0o644))
	must(t, os.Symlink("/dev/null", root+"/etc/x/null"))
	must(t, os.Symlink("loop", root+"/etc/x/loop"))
	must(t, os.Symlink("../x", root+"/etc/x/up"))
	write(t, root+"/home/a/.ssh/keys", "k")
	must(t, os.Symlink("/etc", root+"/home/a/.config"))
	write(t, root+"/etc/autostart/y", "not to be found")
	p := one("x", "etc/x/**")
	p.rows = append(p.rows, &Row{Class: "y", Pattern: "etc/x/* ~/.config/autostart/* ~/.ssh/*", Max: mib, All: mib, Why: "test"})
	files, rows, err := run(t, t.Context(), root, p, Scope{}, nil)
	if err != nil {
		t.Error(err)
	}
	for path, unread := range map[string]string{
		"/etc/x/plain": "", "/etc/x/caf\xe9": "", "/etc/x/empty": "", "/etc/x/pipe": "not_regular", "/etc/x/null": "link", "/etc/x/loop": "link", "/etc/x/up": "link",
		"/home/a/.config": "link", "/home/a/.ssh/keys": "",
	} {
		f := files[path]
		if f == nil || f.Unread != unread || (unread == "") != (f.end != nil) {
			t.Errorf("%q: %+v", path, f)
		}
		delete(files, path)
	}
	if len(files) > 0 {
		t.Errorf("too much: %v", files)
	}
	if len(rows) != 2 || rows[0].Found != 7 || rows[0].Copied != 3 || rows[0].Bytes != 7 || rows[1].Found != 2 {
		t.Errorf("%+v", rows)
	}
}

// TestStability: what a file does while it is read is told.
func TestStability(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 40_000) // three pieces
	for name, c := range map[string]struct {
		do   func(path string)
		want string
		cut  bool
	}{
		record.StableSame: {func(string) {}, record.StableSame, false},
		record.StableGrew: {func(p string) {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString(long)
			must(t, errors.Join(err, f.Close()))
		}, record.StableGrew, false},
		"shrank":              {func(p string) { must(t, os.Truncate(p, 300_000)) }, record.StableChanged, true},
		record.StableReplaced: {func(p string) { write(t, p+".new", "another"); must(t, os.Rename(p+".new", p)) }, record.StableReplaced, false},
		record.StableRemoved:  {func(p string) { must(t, os.Remove(p)) }, record.StableRemoved, false},
		"touched":             {func(p string) { must(t, os.Chmod(p, 0o600)) }, record.StableChanged, false},
	} {
		root := t.TempDir()
		write(t, root+"/etc/x", long)
		files, _, err := run(t, t.Context(), root, one("x", "etc/x"), Scope{}, func(path string) { c.do(root + "/" + path) })
		f := files["/etc/x"]
		if f == nil || f.end == nil || f.end.Stability != c.want || f.end.Cut != c.cut {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		if c.cut != errors.Is(err, errShorter) || c.cut != (probe.AsMissing(err) != nil) || c.cut != (f.end.Problem == errShorter.Error()) {
			t.Errorf("%s: %v, %+v", name, err, f.end)
		}
		want := long
		if name == "shrank" {
			want = long[:300_000]
		}
		if string(f.bytes) != want { // what was there when it was opened, and no more
			t.Errorf("%s: %d bytes", name, len(f.bytes))
		}
		if f.end.SizeAfter != f.Size && c.want != record.StableGrew && name != "shrank" {
			t.Errorf("%s: size %d after %d", name, f.end.SizeAfter, f.Size)
		}
	}
}

// TestLimits: of a long log the end is kept, of a long file the start, and what is cut or
// left out says so.
func TestLimits(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/var/log/l", strings.Repeat("a", 1000)+strings.Repeat("b", 600))
	write(t, root+"/var/log/l.gz", strings.Repeat("a", 1000)+strings.Repeat("b", 600))
	write(t, root+"/etc/c", strings.Repeat("a", 1000)+strings.Repeat("b", 600))
	write(t, root+"/etc/old", strings.Repeat("o", 900))
	must(t, os.Chtimes(root+"/etc/old", time.Unix(0, 0), time.Unix(0, 0)))
	files, rows, err := run(t, t.Context(), root, &part{rows: []*Row{
		{Class: "log", Pattern: "var/log/l var/log/l.gz", Max: 500, All: 1500, End: true, Unit: 384, Why: "test"},
		{Class: "conf", Pattern: "etc/old etc/c", Max: 1000, All: 1000, Why: "test"},
		{Class: "none", Pattern: "etc/none home/*/x", Max: 1, All: 1, Why: "test"},
	}}, Scope{}, nil)
	miss := probe.AsMissing(err)
	if miss == nil || miss.Skipped != 4 {
		t.Errorf("%v", err)
	}
	log, packed, conf, old := files["/var/log/l"], files["/var/log/l.gz"], files["/etc/c"], files["/etc/old"]
	if log.From != 1152 || string(log.bytes) != strings.Repeat("b", 448) || !log.end.Cut {
		t.Errorf("from %d: %d bytes, %+v", log.From, len(log.bytes), log.end)
	}
	if packed.From != 0 || len(packed.bytes) != 500 || !packed.end.Cut {
		t.Errorf("from %d: %d bytes, %+v", packed.From, len(packed.bytes), packed.end)
	}
	if string(conf.bytes) != strings.Repeat("a", 1000) || !conf.end.Cut || old.Unread != "no_room" {
		t.Errorf("%d bytes, %+v, %+v", len(conf.bytes), conf.end, old)
	}
	if rows[2].Found != 0 || rows[2].State != "done" || rows[0].Bytes != 948 {
		t.Errorf("%+v", rows)
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

// TestTurns: the many files of one home take no room from those of another.
func TestTurns(t *testing.T) {
	root := big(t)
	for i := range maxMatches + 20 {
		write(t, fmt.Sprintf("%s/home/a/.config/autostart/%04d", root, i), strings.Repeat("x", 1000))
	}
	write(t, root+"/home/b/.config/autostart/evil", "hers")
	must(t, os.Chtimes(root+"/home/b/.config/autostart/evil", time.Unix(1, 0), time.Unix(1, 0)))
	files, _, err := run(t, t.Context(), root, &part{rows: []*Row{{Class: "x", Pattern: "~/.config/autostart/*", Max: 1000, All: 20_000, Why: "test"}}}, Scope{}, nil)
	if f := files["/home/b/.config/autostart/evil"]; f == nil || string(f.bytes) != "hers" {
		t.Errorf("%+v, %v", f, err)
	}
	if probe.AsMissing(err) == nil || !strings.Contains(err.Error(), "more than what is told") {
		t.Error(err)
	}
	if len(files) > maxMatches+1 {
		t.Errorf("%d files", len(files))
	}
}

// TestManyHomes: what many homes hold together is bounded, and those that are left out are
// counted.
func TestManyHomes(t *testing.T) {
	root := big(t)
	const homes, files = 20, 900
	for h := range homes {
		dir := fmt.Sprintf("%s/home/%02d/.x", root, h)
		must(t, os.MkdirAll(dir, 0o755))
		for i := range files {
			must(t, os.Symlink("x", fmt.Sprintf("%s/%d", dir, i)))
		}
	}
	found, rows, err := run(t, t.Context(), root, one("x", "~/.x/*"), Scope{}, nil)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 2 || len(found) != maxRow || rows[0].Found != maxRow {
		t.Errorf("%d found, %v", len(found), err)
	}
}

// TestTimeOver: what was copied stays, and what was not is named.
func TestTimeOver(t *testing.T) {
	root := t.TempDir()
	for i := range 5 {
		write(t, fmt.Sprintf("%s/etc/%d", root, i), "x")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := one("x", "etc/*")
	p.rows = append(p.rows, &Row{Class: "later", Pattern: "etc/*", Max: 1, All: 1, Why: "test"})
	n := 0
	files, rows, err := run(t, ctx, root, p, Scope{}, func(string) {
		if n++; n == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(rows) != 2 || rows[1].State != "time" {
		t.Errorf("%v, %+v", err, rows)
	}
	late := 0
	for _, f := range files {
		if f.Unread == "time" {
			late++
		}
	}
	if len(files) != 5 || late != 3 {
		t.Errorf("%d files, %d of them late", len(files), late)
	}
}

// TestSilent: a file that never answers costs its patience and no more.
func TestSilent(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/etc/a", "silent")
	write(t, root+"/etc/b", "answers")
	var l probetest.Lines
	hang := make(chan struct{})
	defer close(hang)
	err := facts.New(facts.Config{Kind: artifact.KindStartFile, Schema: record.SchemaStartFile, OS: "linux", Read: func(ctx context.Context, o *facts.Out) error {
		x, err := tree.Open(root)
		must(t, err)
		p := one("x", "etc/a etc/b")
		p.all = mib
		c := newCopier(p, x, o)
		c.patience = 50 * time.Millisecond
		c.during = func(path string) {
			if path == "etc/a" {
				<-hang
			}
		}
		return c.table(ctx)
	}}).Acquire(t.Context(), &l)
	files, _ := gather(t, l.All)
	if a, b := files["/etc/a"], files["/etc/b"]; a.end.Problem != errSilent.Error() || string(b.bytes) != "answers" || probe.AsMissing(err) == nil {
		t.Errorf("%+v, %+v, %v", a, b, err)
	}
}

const asNobody = "HOZEN_FILECOPY_AS_NOBODY"

// TestUnprivileged: what may not be read is told as refused; where nothing may be, that is
// the outcome.
func TestUnprivileged(t *testing.T) {
	if root := os.Getenv(asNobody); root != "" {
		unprivileged(t, root)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: to become somebody else")
	}
	root, err := os.MkdirTemp("/tmp", "hozen-filecopy-")
	must(t, err)
	defer os.RemoveAll(root)
	must(t, os.Chmod(root, 0o755))
	write(t, root+"/etc/secret", "text")
	must(t, os.Chmod(root+"/etc/secret", 0o600))
	write(t, root+"/etc/open", "text")
	write(t, root+"/shut/a", "text")
	must(t, os.Chmod(root+"/shut", 0o700))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(root+"/test", self, 0o755))
	cmd := exec.Command(root+"/test", "-test.run=^TestUnprivileged$", "-test.v")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), asNobody+"="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestUnprivileged")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func unprivileged(t *testing.T, root string) {
	files, _, err := run(t, t.Context(), root, one("x", "etc/*"), Scope{}, nil)
	if secret, open := files["/etc/secret"], files["/etc/open"]; secret.Unread != "denied" || string(open.bytes) != "text" || open.NoATime || probe.AsMissing(err) == nil {
		t.Errorf("%+v, %+v, %v", secret, open, err)
	}
	files, rows, err := run(t, t.Context(), root, one("x", "shut/*"), Scope{}, nil)
	if !errors.Is(err, os.ErrPermission) || probe.AsMissing(err) != nil || len(files)+len(rows) > 0 {
		t.Errorf("%v, %v, %v", files, rows, err)
	}
}

// TestBackups: what there is to restore from is named, in every file system that is mounted.
func TestBackups(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/proc/self/mountinfo", "1 0 8:1 / / rw - btrfs /dev/sda1 rw\n2 1 8:2 / /data rw - zfs tank/data rw\n3 1 0:50 / /nas rw - nfs4 nas:/v rw\n")
	write(t, root+"/.snapshots/1/info.xml", "")
	write(t, root+"/data/.zfs/snapshot/daily/x", "")
	write(t, root+"/nas/.snapshots/1/x", "")
	write(t, root+"/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	write(t, root+"/root/.cache/restic/id/x", "")
	write(t, root+"/etc/lvm/archive/vg_1.vg", "")
	var l probetest.Lines
	must(t, New(artifact.KindBackup, root, Scope{}).Acquire(t.Context(), &l))
	files, _ := gather(t, l.All)
	for path, class := range map[string]string{"/.snapshots/1": "snapshot", "/data/.zfs/snapshot/daily": "snapshot", "/root/.cache/restic/id": "program", "/etc/lvm/archive/vg_1.vg": "volume"} {
		if f := files[path]; f == nil || f.Class != class || f.Unread != "names_only" {
			t.Errorf("%s: %+v", path, f)
		}
		delete(files, path)
	}
	if len(files) > 0 {
		t.Errorf("too much: %v", files)
	}
}

// TestHomeOnTheNetwork is missed once, and not looked into.
func TestHomeOnTheNetwork(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:50 / /home/far rw - nfs4 nas:/v rw\n")
	write(t, root+"/etc/passwd", "far:x:1000:1000::/home/far:/bin/sh\nnear:x:1001:1001::/home/near:/bin/sh\nnone:x:1002:1002::/home/none:/bin/sh\n")
	write(t, root+"/home/far/.bash_history", "far")
	write(t, root+"/home/near/.bash_history", "near")
	var l probetest.Lines
	err := New(artifact.KindHistory, root, Scope{}).Acquire(t.Context(), &l)
	files, _ := gather(t, l.All)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 1 || !strings.Contains(err.Error(), "/home/far: lies on nfs4") || len(files) != 1 || files["/home/near/.bash_history"] == nil {
		t.Errorf("%v, %v", files, err)
	}
}
