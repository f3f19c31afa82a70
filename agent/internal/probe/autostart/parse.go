package autostart

import (
	"bytes"
	"path"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// homeOf finds the home in a line of passwd(5), relative to the root. Those that are
// shared by accounts of the system lead nowhere that is a user's.
func homeOf(line []byte) string {
	fields := bytes.Split(line, []byte(":"))
	if len(fields) != 7 {
		return ""
	}
	home := path.Clean("/" + string(fields[5]))
	if home == "/" || strings.HasPrefix(home, "/usr/") || home == "/nonexistent" || home == "/bin" || home == "/dev" || strings.HasPrefix(home, "/proc") {
		return ""
	}
	return home[1:]
}

// remote returns the kind of the file system on which a path lies if to look there would
// mount it or wait for somebody else, else "". mounts are the kinds by mount point, and
// link reads a link. Nothing is looked at that lies on such a file system.
func remote(mounts map[string]string, link func(string) (string, error), name string) string {
	const maxLinks = 40
	kind, links := "", 0
	for from := 0; from < len(name); {
		end := len(name)
		if i := strings.IndexByte(name[from:], '/'); i >= 0 {
			end = from + i
		}
		at := name[:end]
		if k, ok := mounts[at]; ok {
			kind = k
		} else if waits(kind) {
			break
		} else if target, err := link(at); err == nil && !path.IsAbs(target) && links < maxLinks {
			links++ // an absolute one is followed by nobody here
			name = path.Join("/", path.Dir(at), target, name[end:])[1:]
			kind, from = "", 0
			continue
		}
		from = end + 1
	}
	if waits(kind) {
		return kind
	}
	return ""
}

// waits reports whether a kind of file system asks somebody else before it answers.
func waits(kind string) bool {
	switch kind {
	case "autofs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "coda", "ncpfs", "lustre", "gpfs", "fuse":
		return true
	}
	return strings.HasPrefix(kind, "fuse.")
}

// listed is a row of ListUnits of the system manager.
type listed struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            string
	JobID                                           uint32
	JobType, JobPath                                string
}

// unitFile is a row of ListUnitFiles.
type unitFile struct{ Path, State string }

// units joins what the manager loaded to the files from which it did.
func units(rows []listed, files []unitFile) []record.StartUnit {
	byName := make(map[string]unitFile, len(files))
	for _, f := range files {
		byName[path.Base(f.Path)] = f
	}
	out := make([]record.StartUnit, 0, len(rows))
	for _, l := range rows {
		u := record.StartUnit{Type: record.AutostartUnit, Load: l.Load, Active: l.Active, Sub: l.Sub, Job: l.JobType}
		u.Name, _ = record.TextOf(l.Name)
		u.Description, _ = record.TextOf(l.Description)
		f, ok := byName[l.Name]
		if !ok { // foo@bar.service comes from foo@.service
			if at := strings.IndexByte(l.Name, '@'); at >= 0 {
				f = byName[l.Name[:at+1]+path.Ext(l.Name)]
			}
		}
		u.File, _ = record.TextOf(f.Path)
		u.FileState = f.State
		out = append(out, u)
	}
	return out
}

// at is a time of systemd in microseconds since 1970; 0 and the greatest number are none.
func at(usec uint64) time.Time {
	if usec == 0 || usec > 1<<62 {
		return time.Time{}
	}
	return time.UnixMicro(int64(usec)).UTC()
}
