package pkgcheck_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/pkgcheck"
	"hozen/agent/internal/probe/probetest"
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
	must(t, os.WriteFile(path, []byte(text), 0o755))
}

func digest(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// scene is a system of packages: most of it as it should be.
func scene(t *testing.T) string {
	root := t.TempDir()
	list := ""
	for _, name := range []string{"usr/bin/good", "usr/bin/patched", "usr/bin/gone", "usr/bin/piped", "usr/bin/linked", "usr/lib/libx.so.1", "usr/share/x", "usr/share/doc/x/README", "usr/bin/diverted", "bin/merged"} {
		list += fmt.Sprintf("%s  %s\n", digest("as it was: "+name), name)
		if name != "usr/bin/gone" && name != "usr/share/doc/x/README" && name != "bin/merged" {
			write(t, root+"/"+name, "as it was: "+name)
		}
	}
	write(t, root+"/usr/bin/merged", "as it was: bin/merged")
	must(t, os.Symlink("usr/bin", root+"/bin"))
	write(t, root+"/usr/bin/patched", "another thing")
	must(t, os.Remove(root+"/usr/bin/piped"))
	must(t, unix.Mkfifo(root+"/usr/bin/piped", 0o644))
	must(t, os.Remove(root+"/usr/bin/linked"))
	must(t, os.Symlink("/tmp/x", root+"/usr/bin/linked"))
	must(t, os.Rename(root+"/usr/bin/diverted", root+"/usr/bin/diverted.real"))
	write(t, root+"/usr/bin/diverted", "of another package")
	write(t, root+"/var/lib/dpkg/diversions", "/usr/bin/diverted\n/usr/bin/diverted.real\nother\n")
	write(t, root+"/var/lib/dpkg/info/tool:amd64.md5sums", list+"not a line\n")
	write(t, root+"/etc/tool.conf", "changed by the administrator")
	write(t, root+"/var/lib/dpkg/status", "Package: tool\nStatus: install ok installed\nConffiles:\n /etc/tool.conf "+digest("as it was")+"\n /etc/none "+digest("x")+"\n\nPackage: listless\nStatus: install ok installed\n")
	write(t, root+"/etc/dpkg/dpkg.cfg.d/docker", "path-exclude=/usr/share/doc/*\n")
	return root
}

func TestConformance(t *testing.T) {
	root := scene(t)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return pkgcheck.New(root) }})
}

func TestDifferences(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a link of the system belongs to root")
	}
	root := scene(t)
	var l probetest.Lines
	err := pkgcheck.New(root).Acquire(t.Context(), &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 1 { // the line that is none
		t.Errorf("%v", err)
	}
	got := map[string]record.PackageFile{}
	var order []string
	for _, line := range l.All[:len(l.All)-1] {
		var f record.PackageFile
		must(t, json.Unmarshal(line, &f))
		got[f.Path] = f
		order = append(order, f.Path)
	}
	patched := got["/usr/bin/patched"]
	for path, state := range map[string]string{
		"/usr/bin/patched": record.PkgChanged, "/usr/bin/gone": record.PkgMissing, "/usr/bin/piped": record.PkgNotFile, "/usr/bin/linked": record.PkgNotFile,
		"/etc/tool.conf": record.PkgChanged, "/etc/none": record.PkgMissing,
	} {
		f := got[path]
		if f.State != state || f.Conffile != (path[:5] == "/etc/") || f.Type != record.PkgFile {
			t.Errorf("%s: %+v", path, f)
		}
		delete(got, path)
	}
	if len(got) > 0 {
		t.Errorf("too much: %+v", got)
	}
	if order[len(order)-1][:5] != "/etc/" {
		t.Errorf("programs come first: %q", order)
	}
	if f := patched; f.MD5 != digest("another thing") || len(f.SHA256) != 64 || f.Package != "tool:amd64" || f.Size != 13 {
		t.Errorf("%+v", f)
	}
	var sum record.PackageSummary
	must(t, json.Unmarshal(l.All[len(l.All)-1], &sum))
	if sum.Packages != 2 || sum.Unlisted != 1 || sum.Listed != 12 || sum.Compared != 7 || sum.Changed != 2 || sum.Missing != 2 || sum.NotFile != 2 || sum.LeftOut != 1 || sum.Odd != 1 || sum.Unread+sum.Unreached != 0 {
		t.Errorf("%+v", sum)
	}
}

// TestNamesThatAreNoText keep their bytes.
func TestNamesThatAreNoText(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/var/lib/dpkg/info/t\xff.md5sums", digest("x")+"  usr/bin/x\n"+digest("x")+"  usr/bin/y\n")
	write(t, root+"/var/lib/dpkg/status", "Package: t\xff\nStatus: install ok installed\n")
	write(t, root+"/var/lib/dpkg/diversions", "/usr/bin/x\n/usr/bin/x\xfe\nother\n")
	must(t, os.MkdirAll(root+"/usr/bin", 0o755))
	must(t, os.Symlink("to\xfd", root+"/usr/bin/y"))
	var l probetest.Lines
	must(t, pkgcheck.New(root).Acquire(t.Context(), &l))
	var x, y record.PackageFile
	must(t, errors.Join(json.Unmarshal(l.All[0], &x), json.Unmarshal(l.All[1], &y)))
	if string(x.PackageRaw) != "t\xff" || string(x.AtRaw) != "/usr/bin/x\xfe" || string(y.TargetRaw) != "to\xfd" {
		t.Errorf("%+v, %+v", x, y)
	}
	var sum record.PackageSummary
	must(t, json.Unmarshal(l.All[2], &sum))
	if sum.Packages != 1 || sum.Unlisted != 0 {
		t.Errorf("%+v", sum)
	}
}

// TestOtherManagers: what is not read is called so.
func TestOtherManagers(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/var/lib/rpm/rpmdb.sqlite", "x")
	err := pkgcheck.New(root).Acquire(t.Context(), &probetest.Lines{})
	if !errors.Is(err, errors.ErrUnsupported) || err.Error() != "the database of rpm is not read: unsupported operation" {
		t.Error(err)
	}
	if err := pkgcheck.New(t.TempDir()).Acquire(t.Context(), &probetest.Lines{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
