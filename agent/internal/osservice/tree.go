package osservice

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hozen/internal/durable"
)

// Where systemd looks for units: what an administrator installs goes before what
// packages bring (systemd.unit(5), "UNIT FILE LOAD PATH").
const (
	adminUnits   = "/etc/systemd/system"
	packageUnits = "/usr/lib/systemd/system"
)

// maxText is far above any unit and any of logind's files, in bytes.
const maxText = 1 << 20

// tree is the file system below root: what systemd and logind read.
type tree struct {
	root    string
	changes []Change
}

func (t *tree) at(path string) string { return filepath.Join(t.root, filepath.FromSlash(path)) }

// read returns a file's text; "" with false when it is not there, or no regular file.
func (t *tree) read(path string) (string, bool) {
	fi, err := os.Lstat(t.at(path))
	if err != nil || !fi.Mode().IsRegular() {
		return "", false
	}
	f, err := os.Open(t.at(path))
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	return string(b), err == nil
}

func (t *tree) exists(path string) bool {
	_, err := os.Lstat(t.at(path))
	return err == nil
}

// put makes path hold text, whole or not at all.
func (t *tree) put(path, text string) error {
	had, ok := t.read(path)
	if ok && had == text {
		return nil
	}
	what := Written
	if t.exists(path) {
		what = Rewritten
	}
	if err := durable.MkdirAll(filepath.Dir(t.at(path)), 0o755); err != nil {
		return err
	}
	if err := durable.WriteFile(t.at(path), []byte(text), 0o644); err != nil {
		return err
	}
	t.changes = append(t.changes, Change{what, path})
	return nil
}

// link makes path a symbolic link to target.
func (t *tree) link(path, target string) error {
	if had, err := os.Readlink(t.at(path)); err == nil && had == target {
		return nil
	}
	what := Written
	if t.exists(path) {
		what = Rewritten
	}
	dir := filepath.Dir(t.at(path))
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := filepath.Join(dir, fmt.Sprintf(".tmp-%s-%d", Name, os.Getpid()))
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("link %q: %w", path, err)
	}
	if err := durable.Rename(temp, t.at(path)); err != nil {
		return errors.Join(fmt.Errorf("link %q: %w", path, err), os.Remove(temp))
	}
	t.changes = append(t.changes, Change{what, path})
	return nil
}

// remove takes a file away, and its folder when nothing else is in it.
func (t *tree) remove(path string) error {
	if !t.exists(path) {
		return nil
	}
	if err := durable.Remove(t.at(path)); err != nil {
		return err
	}
	t.changes = append(t.changes, Change{Removed, path})
	if dir := filepath.Dir(path); strings.HasSuffix(dir, ".d") || strings.HasSuffix(dir, ".wants") {
		if err := os.Remove(t.at(dir)); err == nil {
			return durable.SyncDir(filepath.Dir(t.at(dir)))
		} // otherwise there is something of somebody else's in it
	}
	return nil
}

// masked reports whether an administrator forbade a unit (systemctl(1), "mask").
func (t *tree) masked(unit string) bool {
	to, err := os.Readlink(t.at(adminUnits + "/" + unit))
	return err == nil && to == "/dev/null"
}

// enabled reports whether the link that starts a unit is there.
func (t *tree) enabled(unit string) bool { return t.exists(wants(unit)) }

func wants(unit string) string { return adminUnits + "/" + wantedBy[unit] + ".wants/" + unit }

// ours returns every file below systemd's folder of an administrator's units that any
// version of the agent may have put there. Drop-ins of an administrator for our units
// are not among them.
func (t *tree) ours() ([]string, error) {
	var paths []string
	for _, pattern := range []string{Name + "*.service", "*.d/" + dropIn, "*.wants/" + Name + "*.service"} {
		found, err := filepath.Glob(t.at(adminUnits + "/" + pattern))
		if err != nil {
			return nil, fmt.Errorf("look for the agent's units: %w", err)
		}
		for _, f := range found {
			rel, err := filepath.Rel(t.at("/"), f)
			if err != nil {
				return nil, fmt.Errorf("look for the agent's units: %w", err)
			}
			paths = append(paths, "/"+filepath.ToSlash(rel))
		}
	}
	return paths, nil
}

// installedPaths returns the paths that the installed unit hands to the agent.
func (t *tree) installedPaths() (Paths, bool) {
	for _, dir := range []string{adminUnits, packageUnits} {
		if text, ok := t.read(dir + "/" + unitAgent); ok {
			if p, ok := pathsIn(text); ok {
				return p, true
			}
		}
	}
	return Paths{}, false
}

// InstalledPaths returns the paths that the installed service hands to the agent; found
// is false where it is not installed, or not under systemd.
func InstalledPaths() (p Paths, found bool) { return (&tree{root: "/"}).installedPaths() }

// packaged reports whether a package brings the units.
func (t *tree) packaged() bool { return t.exists(packageUnits + "/" + unitAgent) }

// traces reports whether any of what an installation brings is there.
func (t *tree) traces() bool {
	have, err := t.ours()
	return err != nil || len(have) > 0 || t.packaged() || t.exists(logindDropIn)
}

// wanted says which files belong where: a unit that a package brings just so is not
// wanted a second time, where it would hide the package's next version.
func (t *tree) wanted(c Config) (files map[string]string, links map[string]string) {
	files, links = map[string]string{}, map[string]string{}
	for name, text := range UnitFiles(c) {
		if had, ok := t.read(packageUnits + "/" + name); !ok || had != text {
			files[adminUnits+"/"+name] = text
		}
	}
	for _, unit := range unitNames() {
		dir := packageUnits
		if _, ok := files[adminUnits+"/"+unit]; ok {
			dir = adminUnits
		}
		links[wants(unit)] = dir + "/" + unit
	}
	if t.delayWithoutUs() < DelayNeeded {
		files[logindDropIn] = logindText
	}
	return files, links
}

// write brings the files of an installation into being and removes what else is ours.
func (t *tree) write(c Config) error {
	if c.Paths == (Paths{}) {
		c.Paths, _ = t.installedPaths()
	}
	files, links := t.wanted(c)
	if c.KeepDisabled && (t.masked(unitAgent) || !t.enabled(unitAgent)) {
		links = nil
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if c.KeepDisabled && t.masked(filepath.Base(path)) {
			continue
		}
		if err := t.put(path, files[path]); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(links)) {
		if err := t.link(path, links[path]); err != nil {
			return err
		}
	}
	have, err := t.ours()
	if err != nil {
		return err
	}
	for _, path := range append(have, logindDropIn) {
		_, isFile := files[path]
		_, isLink := links[path]
		if isFile || isLink || c.KeepDisabled && (links == nil && strings.Contains(path, ".wants/") || t.masked(filepath.Base(path))) {
			continue
		}
		if err := t.remove(path); err != nil {
			return err
		}
	}
	return nil
}

// clear removes all that write makes.
func (t *tree) clear() error {
	have, err := t.ours()
	if err != nil {
		return err
	}
	var all error
	for _, path := range append(have, logindDropIn) {
		all = errors.Join(all, t.remove(path))
	}
	return all
}

// delayWithoutUs returns what logind would wait without our drop-in: one that lowered
// what somebody else allowed would do harm. Drop-ins are read in the order of their
// names, and of those with one name the first folder's counts (logind.conf(5)).
func (t *tree) delayWithoutUs() time.Duration {
	dirs := []string{"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd"}
	var files []confFile
	for _, dir := range dirs {
		if text, ok := t.read(dir + "/logind.conf"); ok {
			files = append(files, confFile{dir + "/logind.conf", text})
			break
		}
	}
	byName := map[string]confFile{}
	for _, dir := range slices.Backward(dirs) {
		found, err := os.ReadDir(t.at(dir + "/logind.conf.d"))
		if err != nil {
			continue // not there; a folder that cannot be read is as good as empty
		}
		for _, e := range found {
			path := dir + "/logind.conf.d/" + e.Name()
			if !strings.HasSuffix(path, ".conf") || path == logindDropIn {
				continue
			}
			text, _ := t.read(path) // a link to /dev/null hides the others of its name
			byName[e.Name()] = confFile{path, text}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		files = append(files, byName[name])
	}
	return delayOf(files)
}

// isThere reports whether systemd is the init of this file system, running or not
// (as in an image that is being built).
func (t *tree) isThere() bool {
	for _, path := range []string{"/run/systemd/system", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"} {
		if _, err := os.Stat(t.at(path)); err == nil || errors.Is(err, fs.ErrPermission) {
			return true
		}
	}
	return false
}

// runs reports whether systemd runs (sd_booted(3)).
func (t *tree) runs() bool {
	fi, err := os.Lstat(t.at("/run/systemd/system"))
	return err == nil && fi.IsDir()
}
