package wincopy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// disk is a PC: paths and what is there.
type disk map[string]thing

type thing struct {
	data   string
	st     Status
	err    error
	shrink bool // it gets shorter while it is read
}

func (d disk) Places(place string) ([]string, error) {
	return map[string][]string{"W": {`C:\Windows`}, "C": {`C:`}, "D": {`C:\ProgramData`}, "~": {`C:\Users\山田`, `C:\Users\b`}}[place], nil
}

func (d disk) List(dir string) (map[string]Status, error) {
	m := make(map[string]Status)
	for path, t := range d {
		rest, ok := strings.CutPrefix(path, dir+`\`)
		name, _, deep := strings.Cut(rest, `\`)
		switch {
		case !ok:
		case deep:
			if _, ok := d[dir+`\`+name]; !ok {
				m[name] = Status{Directory: true}
			}
		default:
			t.st.Size = int64(len(t.data))
			m[name] = t.st
		}
	}
	if len(m) == 0 {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	return m, nil
}

type opened struct {
	*bytes.Reader
	t     thing
	asked int
}

func (o *opened) Close() error { return nil }

func (o *opened) Status() (Status, error) {
	st := o.t.st
	st.Size = int64(len(o.t.data))
	if o.asked++; o.asked > 1 && o.t.shrink {
		st.Size--
	}
	return st, nil
}

func (d disk) Open(path string) (File, error) {
	t, ok := d[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	data := t.data
	if t.shrink {
		data = data[:len(data)-1]
	}
	return &opened{Reader: bytes.NewReader([]byte(data)), t: t}, t.err
}

func (d disk) Saves(place, name string) ([]string, error) {
	switch {
	case place == "U":
		return []string{`USN\C:`}, nil
	case name == "people":
		return []string{`HKU\S-1-5-21-7`}, nil
	}
	return []string{`HKLM\` + name}, nil
}

func (d disk) Save(_ context.Context, name string, _ int64) (File, error) {
	if strings.HasPrefix(name, `EVT\`) {
		return d.Open(name)
	}
	return d.Open(pathOf(name))
}

// result is what was read of a kind: contents by path, reasons by path, rows by class.
type result struct {
	data   map[string]string
	unread map[string]string
	files  map[string]record.CopyFile
	ends   map[string]record.CopyEnd
	rows   []record.CopyRow
	order  []string
}

func acquire(t *testing.T, kind artifact.Kind, scope Scope, d disk) (result, error) {
	t.Helper()
	var l probetest.Lines
	err := New(kind, scope, d).Acquire(t.Context(), &l)
	r := result{data: map[string]string{}, unread: map[string]string{}, ends: map[string]record.CopyEnd{}, files: map[string]record.CopyFile{}}
	var path string
	for _, line := range l.All {
		var head struct{ Part string }
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		switch head.Part {
		case record.PartFile:
			var f record.CopyFile
			json.Unmarshal(line, &f)
			path = f.Path
			r.order = append(r.order, path)
			r.files[path] = f
			if f.Unread != "" {
				r.unread[path] = f.Unread
			} else {
				r.data[path] = ""
			}
		case record.PartData:
			var x record.CopyData
			json.Unmarshal(line, &x)
			if x.Offset != r.files[path].From+int64(len(r.data[path])) {
				t.Errorf("%s: a gap at %d", path, x.Offset)
			}
			r.data[path] += string(x.Data)
		case record.PartEnd:
			var e record.CopyEnd
			json.Unmarshal(line, &e)
			sum := sha256.Sum256([]byte(r.data[path]))
			if e.SHA256 != hex.EncodeToString(sum[:]) || e.Copied != int64(len(r.data[path])) {
				t.Errorf("%s: %+v", path, e)
			}
			r.ends[path] = e
		case record.PartRow:
			var x record.CopyRow
			json.Unmarshal(line, &x)
			r.rows = append(r.rows, x)
		}
	}
	return r, err
}

func at(day int) Status { return Status{Modified: time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC)} }

func TestCopiesWhatTheTableSays(t *testing.T) {
	big := strings.Repeat("x", 300<<10)
	d := disk{
		`C:\Windows\System32\Tasks\Microsoft\Windows\a`:                                      {data: "<Task/>", st: at(1)},
		`C:\Windows\System32\Tasks\悪い`:                                                       {data: "<Task>evil</Task>", st: at(2)},
		`C:\Windows\Prefetch\EVIL.EXE-1.pf`:                                                  {data: big, st: at(3)},
		`C:\Windows\Prefetch\readme.txt`:                                                     {data: "not one"},
		`C:\Windows\AppCompat\Programs\Amcache.hve`:                                          {data: "locked", err: fmt.Errorf("%w: 32", ErrLocked)},
		`C:\Windows\System32\sru\SRUDB.dat`:                                                  {data: "refused", err: fs.ErrPermission},
		`C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup\l.lnk`:                 {data: "to elsewhere", st: Status{Link: true}},
		`C:\Users\山田\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\x.lnk`:    {data: "lnk"},
		`C:\Users\山田\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\far.lnk`:  {data: "in a cloud", st: Status{Elsewhere: true}},
		`C:\Users\b\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\short.lnk`: {data: "short", shrink: true},
		`HKEY\HKLM\SYSTEM`:   {data: "regf system"},
		`HKEY\HKLM\SOFTWARE`: {data: "regf software"},
		`HKEY\HKLM\SAM`:      {data: "hashes"},
	}
	r, err := acquire(t, artifact.KindStartFile, Scope{}, d)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 3 {
		t.Errorf("locked, refused, short: %v", err)
	}
	short := `C:\Users\b\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\short.lnk`
	want := map[string]string{short: "shor"}
	for _, p := range []string{`C:\Windows\System32\Tasks\Microsoft\Windows\a`, `C:\Windows\System32\Tasks\悪い`, `C:\Windows\Prefetch\EVIL.EXE-1.pf`, `C:\Users\山田\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\x.lnk`, `HKEY\HKLM\SYSTEM`, `HKEY\HKLM\SOFTWARE`} {
		want[p] = d[p].data
	}
	if !maps.Equal(r.data, want) {
		t.Errorf("copied %q", slices.Sorted(maps.Keys(r.data)))
	}
	if e := r.ends[short]; !e.Cut || e.Problem == "" || e.Stability != record.StableChanged {
		t.Errorf("%+v", e)
	}
	if e := r.ends[`HKEY\HKLM\SYSTEM`]; e.Cut || e.Stability != record.StableSame {
		t.Errorf("%+v", e)
	}
	if !maps.Equal(r.unread, map[string]string{
		`C:\Windows\AppCompat\Programs\Amcache.hve`:                                         "locked",
		`C:\Windows\System32\sru\SRUDB.dat`:                                                 "denied",
		`C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup\l.lnk`:                "link",
		`C:\Users\山田\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\far.lnk`: "other_file_system",
	}) {
		t.Errorf("%q", r.unread)
	}
	if len(r.rows) != len(parse(starters)) || r.rows[0].Class != "task" || r.rows[0].Found != 2 || r.rows[0].Copied != 2 || r.order[0] != `C:\Windows\System32\Tasks\悪い` {
		t.Errorf("the newest first: %q, %+v", r.order, r.rows[0])
	}
}

// TestLogsAreExported, and copied as they lie there where they cannot be.
func TestLogsAreExported(t *testing.T) {
	const logs = `C:\Windows\System32\winevt\Logs\`
	const tasks, usn = logs + `Microsoft-Windows-TaskScheduler%4Operational.evtx`, `C:\$Extend\$UsnJrnl:$J`
	d := disk{
		logs + `Security.evtx`: {data: "raw, not closed", st: at(3)},
		logs + `System.evtx`:   {data: "raw system", st: at(2)},
		tasks:                  {data: "raw tasks"},
		`EVT\Security`:         {data: "exported", st: at(9)},
		`EVT\Microsoft-Windows-TaskScheduler/Operational`: {data: "exported tasks"},
		usn: {data: "records", st: Status{About: true}},
	}
	r, err := acquire(t, artifact.KindLogFile, Scope{Private: true}, d)
	if err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{logs + `Security.evtx`: "exported", logs + `System.evtx`: "raw system", tasks: "exported tasks", usn: "records"} {
		if r.data[path] != want {
			t.Errorf("%s: %q, want %q", path, r.data[path], want)
		}
	}
	s, sys, j := r.files[logs+`Security.evtx`], r.files[logs+`System.evtx`], r.files[usn]
	if s.Way != record.WayExport || !s.Modified.Equal(at(3).Modified) || s.Size != int64(len("exported")) || s.Problem != "" {
		t.Errorf("an exported log: %+v", s)
	}
	if sys.Way != "" || !strings.Contains(sys.Problem, "export") || j.Way != record.WaySave || r.ends[usn].Problem != "" {
		t.Errorf("a log that cannot be exported: %+v, a journal: %+v", sys, j)
	}
}

func TestChannels(t *testing.T) {
	for path, want := range map[string]string{
		`C:\Windows\System32\winevt\Logs\Security.evtx`: "Security", `c:\windows\system32\WINEVT\logs\A%4B.EVTX`: "A/B",
		`C:\evil\Security.evtx`: "", `C:\Windows\System32\winevt\Logs\x.txt`: "", "": "",
	} {
		if got := channelOf(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestPrivacyScope(t *testing.T) {
	d := disk{`HKEY\HKLM\SAM`: {data: "hashes"}, `HKEY\HKLM\SECURITY`: {data: "s"}, `HKEY\HKU\S-1-5-21-7`: {data: "ntuser"}}
	r, err := acquire(t, artifact.KindUserFile, Scope{}, d)
	if err != nil || len(r.data)+len(r.unread) > 0 || len(r.rows) != len(parse(users)) {
		t.Errorf("%v, %q", err, r.order)
	}
	for _, x := range r.rows {
		if x.State != "excluded" || !x.Private {
			t.Errorf("%+v", x)
		}
	}
	if r, err = acquire(t, artifact.KindUserFile, Scope{Private: true}, d); err != nil || r.data[`HKEY\HKU\S-1-5-21-7`] != "ntuser" || r.data[`HKEY\HKLM\SAM`] != "hashes" {
		t.Errorf("%v, %q", err, r.data)
	}
	// The journal of the drive names every file in people's folders.
	const journal = `C:\$Extend\$UsnJrnl:$J`
	u := disk{journal: {data: "records", st: Status{About: true}}}
	if r, err = acquire(t, artifact.KindLogFile, Scope{}, u); err != nil || len(r.order) > 0 {
		t.Errorf("%v, %q", err, r.order)
	}
	if r, err = acquire(t, artifact.KindLogFile, Scope{Private: true}, u); err != nil || r.data[journal] != "records" {
		t.Errorf("%v, %q", err, r.data)
	}
	h := disk{`C:\Users\b\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`: {data: "whoami"}}
	if r, _ = acquire(t, artifact.KindHistory, Scope{NoHistories: true}, h); len(r.data) > 0 || r.rows[0].State != "excluded" {
		t.Errorf("%+v", r)
	}
	if r, _ = acquire(t, artifact.KindHistory, Scope{}, h); len(r.data) != 1 {
		t.Errorf("%+v", r)
	}
}

// A link on the way is told and not followed, wherever it leads.
func TestLinksOnTheWayAreNotFollowed(t *testing.T) {
	d := disk{
		`C:\Users\b\AppData\Roaming`: {st: Status{Link: true, Directory: true}},
		`C:\Users\b\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`: {data: "of somebody else"},
	}
	r, _ := acquire(t, artifact.KindHistory, Scope{}, d)
	if len(r.data) > 0 || r.unread[`C:\Users\b\AppData\Roaming`] != "link" {
		t.Errorf("copied %q, not copied %q", r.data, r.unread)
	}
}

func TestBackupsAreNamesOnly(t *testing.T) {
	r, err := acquire(t, artifact.KindBackup, Scope{}, disk{`C:\ProgramData\Veeam\x.vbk`: {data: "secret"}})
	if err != nil || r.unread[`C:\ProgramData\Veeam\x.vbk`] != "names_only" || len(r.data) > 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestTimeIsUp(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(artifact.KindLogFile, Scope{}, disk{}).Acquire(over, new(probetest.Lines)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := New(artifact.KindStartFile, Scope{}, disk{`HKEY\HKLM\SYSTEM`: {data: "1"}, `HKEY\HKLM\SOFTWARE`: {data: "2"}}).Acquire(t.Context(), &probetest.Lines{FailAfter: 1}); !errors.Is(err, probetest.ErrWriter) {
		t.Error(err)
	}
}

func TestLike(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"*.pf", "EVIL.PF", true}, {"*.pf", "x.pfx", false}, {"a*b*c", "aXXbYYc", true}, {"a*b*c", "acb", false}, {"*", "", true}, {"x", "X", true}, {"ab*ba", "aba", false}, {"$I*", "$IABC", true}} {
		if got := like(c.pattern, c.name); got != c.want {
			t.Errorf("%s %s: %v", c.pattern, c.name, got)
		}
	}
}

func TestTables(t *testing.T) {
	for _, kind := range []artifact.Kind{artifact.KindLogFile, artifact.KindHistory, artifact.KindStartFile, artifact.KindUserFile, artifact.KindBackup} {
		for _, r := range partOf(kind).rows {
			if r.class == "" || len(r.patterns) == 0 || r.why == "" || !r.names && (r.max <= 0 || r.all < r.max) {
				t.Errorf("%s: %+v", kind, r)
			}
			for _, p := range r.patterns {
				if len(p) < 3 || !strings.Contains("WDCHU~", p[:1]) || p[1] != '\\' {
					t.Errorf("%s: %q", kind, p)
				}
			}
		}
	}
	if New(artifact.KindProcess, Scope{}, disk{}) != nil {
		t.Error("a kind that copies nothing")
	}
}

func FuzzLike(f *testing.F) {
	f.Add("*a*", "banana")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !strings.Contains(pattern, "*") {
			return
		}
		if like(pattern, name) && len(strings.ReplaceAll(strings.ToLower(pattern), "*", "")) > len(strings.ToLower(name)) {
			t.Errorf("%q is too long for %q", pattern, name)
		}
	})
}
