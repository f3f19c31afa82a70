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
