package osservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/agent/internal/sorted"
)

// Level is how well a thing stands.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "bad" // a promise is not kept on this PC
	Dim  Level = "unknown"
)

// Finding is what [Doctor] says of one thing. ID and Level name a text.
type Finding struct {
	ID    string            `json:"id"`
	Level Level             `json:"level"`
	Args  map[string]string `json:"args,omitempty"`
}

// Findings lists every pair of ID and Level that [Doctor] can return, so that none
// stays without a text.
func Findings() map[string][]Level {
	return map[string][]Level{
		"not_installed": {Bad}, // and nothing else then
		"rights":        {Dim},
		"systemd":       {OK, Bad, Dim},
		"files":         {OK},
		"file_missing":  {Bad},
		"file_differs":  {Bad},
		"file_hidden":   {Bad},
		"file_stale":    {Warn},
		"unit":          {OK},
		"unit_missing":  {Bad},
		"unit_disabled": {Bad},
		"unit_inactive": {Bad},
		"unit_failed":   {Bad},
		"unit_reload":   {Bad},
		"order":         {OK, Bad},
		"order_apart":   {Warn},
		"delay":         {OK, Bad, Dim},
		"lock":          {OK, Bad, Dim},
		"state":         {OK, Bad, Dim},
		"state_open":    {Bad},
		"clock":         {OK, Warn, Dim},
		// Of Windows: one for each trait, whose name stands in "what".
		"trait": {OK, Bad, Dim},
	}
}

// Doctor checks that all that Install does is in force. On Windows it looks at the traits
// of the service; their findings name them by "what".
func Doctor(ctx context.Context, c Config) []Finding {
	if all := Look(); all != nil {
		return traitFindings(all)
	}
	return judge(look(ctx, c))
}

func traitFindings(all []Trait) (found []Finding) {
	if st, err := Status(); err == nil && st == NotInstalled {
		return []Finding{{ID: string(NotInstalled), Level: Bad}}
	}
	for _, t := range all {
		found = append(found, Finding{"trait", t.Level, map[string]string{"what": t.ID, "is": t.Got, "want": t.Want, "reason": t.Detail}})
	}
	return found
}

// unitState is how systemd says that a unit is.
type unitState struct {
	name, load, active, file string
	reload                   bool
	before, after            []string
	pid                      uint32
}

// lock is one of logind's inhibitor locks.
type lock struct {
	what, mode string
	pid        uint32
}

// facts are what a doctor sees.
type facts struct {
	root    bool   // the caller is
	there   bool   // systemd is this system's init
	traces  bool   // of an installation, whole or not
	runs    bool   // and runs
	version string // of systemd
	busErr  error

	files []fileFact
	units []unitState
	// others are units that must not be stopped before the companion.
	others []unitState
	// apart are running units that may be stopped at the same time as the companion.
	apart []string

	delay    time.Duration
	delayErr error
	locks    []lock
	locksErr error

	state     string // folder
	stateMode fs.FileMode
	stateUID  int
	stateErr  error

	synced   bool
	clockErr error
}

// fileFact is how a file stands to what this version would write.
type fileFact struct {
	path string
	is   string // the end of a finding's ID; "" when all is well
}

// fileFacts compares the files with those that this version would write.
func (t *tree) fileFacts(c Config) []fileFact {
	var all []fileFact
	files, links := t.wanted(c)
	known := map[string]bool{}
	for path, text := range files {
		known[path] = true
		had, ok := t.read(path)
		switch {
		case ok && had == text:
			all = append(all, fileFact{path, ""})
		case ok || t.exists(path):
			all = append(all, fileFact{path, "differs"})
		default:
			all = append(all, fileFact{path, "missing"})
		}
	}
	for name := range UnitFiles(c) {
		if _, ok := files[adminUnits+"/"+name]; !ok {
			all = append(all, fileFact{packageUnits + "/" + name, ""})
		}
	}
	for path := range links {
		known[path] = true
		if !t.runs() && !t.exists(path) { // otherwise systemd says whether it has its effect
			all = append(all, fileFact{path, "missing"})
		}
	}
	have, err := t.ours()
	if err != nil {
		have = nil // the pattern is ours and good
	}
	for _, path := range have {
		if known[path] {
			continue
		}
		name := strings.TrimPrefix(path, adminUnits+"/")
		if t.exists(packageUnits + "/" + name) {
			all = append(all, fileFact{path, "hidden"})
		} else {
			all = append(all, fileFact{path, "stale"})
		}
	}
	sorted.Func(all, func(a, b fileFact) int { return cmp.Compare(a.path, b.path) })
	return all
}

// judge says what the facts mean.
func judge(f facts) []Finding {
	var out []Finding
	say := func(id string, level Level, args ...string) {
		m := map[string]string{}
		for i := 0; i+1 < len(args); i += 2 {
			m[args[i]] = args[i+1]
		}
		out = append(out, Finding{id, level, m})
	}
	if f.there && !f.traces {
		say(string(NotInstalled), Bad)
		return out
	}
	if !f.root {
		say("rights", Dim)
	}
	switch {
	case !f.there:
		say("systemd", Bad)
	case !f.runs:
		say("systemd", Dim, "reason", "/run/systemd/system")
	case f.busErr != nil:
		say("systemd", Dim, "reason", f.busErr.Error())
	default:
		say("systemd", OK, "version", f.version)
	}
	if f.there {
		f.judgeFiles(say)
	}
	if f.there && f.runs && f.busErr == nil {
		f.judgeUnits(say)
		f.judgeLogind(say)
	}
	switch {
	case errors.Is(f.stateErr, fs.ErrPermission):
		say("state", Dim, "path", f.state)
	case f.stateErr != nil:
		say("state", Bad, "path", f.state)
	case f.stateMode.Perm()&0o077 != 0 || f.stateUID != 0 || !f.stateMode.IsDir():
		say("state_open", Bad, "path", f.state, "mode", f.stateMode.String(), "owner", strconv.Itoa(f.stateUID))
	default:
		say("state", OK, "path", f.state)
	}
	switch {
	case f.clockErr != nil:
		say("clock", Dim)
	case f.synced:
		say("clock", OK)
	default:
		say("clock", Warn)
	}
	return out
}

func (f facts) judgeFiles(say func(string, Level, ...string)) {
	good := 0
	for _, file := range f.files {
		switch file.is {
		case "":
			good++
		case "stale":
			say("file_stale", Warn, "path", file.path)
		default:
			say("file_"+file.is, Bad, "path", file.path)
		}
	}
	if good == len(f.files) {
		say("files", OK, "n", strconv.Itoa(good))
	}
}

func (f facts) judgeUnits(say func(string, Level, ...string)) {
	var companion unitState
	for _, u := range f.units {
		if u.name == unitCompanion {
			companion = u
		}
		switch {
		case u.load != "loaded":
			say("unit_missing", Bad, "unit", u.name, "state", u.load)
			continue
		case u.reload:
			say("unit_reload", Bad, "unit", u.name)
		case u.file != "enabled":
			say("unit_disabled", Bad, "unit", u.name, "state", u.file)
		case u.active == "failed":
			say("unit_failed", Bad, "unit", u.name)
		case u.active != "active" && u.name != unitIsolation: // that one runs on isolated PCs only
			say("unit_inactive", Bad, "unit", u.name, "state", u.active)
		default:
			say("unit", OK, "unit", u.name, "state", u.active)
		}
	}
	if companion.load != "loaded" {
		return
	}
	var missing []string
	for _, must := range []string{unitAgent, "multi-user.target", "graphical.target", "dbus.service", logindUnit} {
		if !slices.Contains(companion.after, must) {
			missing = append(missing, must)
		}
	}
	for _, u := range f.others {
		if !slices.Contains(u.before, unitCompanion) {
			missing = append(missing, u.name)
		}
	}
	if len(missing) > 0 {
		say("order", Bad, "units", strings.Join(missing, " "))
	} else {
		say("order", OK, "n", strconv.Itoa(len(f.others)))
	}
	if len(f.apart) > 0 {
		say("order_apart", Warn, "units", strings.Join(f.apart, " "), "n", strconv.Itoa(len(f.apart)))
	}
}

func (f facts) judgeLogind(say func(string, Level, ...string)) {
	needed := strconv.Itoa(int(DelayNeeded / time.Second))
	switch {
	case f.delayErr != nil:
		say("delay", Dim, "reason", f.delayErr.Error())
	case f.delay < DelayNeeded:
		say("delay", Bad, "seconds", strconv.FormatFloat(f.delay.Seconds(), 'f', -1, 64), "needed", needed)
	default:
		say("delay", OK, "seconds", strconv.FormatFloat(f.delay.Seconds(), 'f', -1, 64), "needed", needed)
	}
	if f.locksErr != nil {
		say("lock", Dim, "reason", f.locksErr.Error())
		return
	}
	for _, u := range f.units {
		if u.name != unitAgent || u.pid == 0 {
			continue
		}
		for _, l := range f.locks {
			if l.pid == u.pid && l.mode == "delay" && slices.Contains(strings.Split(l.what, ":"), "shutdown") {
				say("lock", OK, "what", l.what, "pid", fmt.Sprint(l.pid))
				return
			}
		}
	}
	say("lock", Bad)
}

// Healthy reports whether nothing is bad.
func Healthy(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Bad })
}

// Words returns a finding's arguments as the pairs that a text takes.
func (f Finding) Words() (pairs []string) {
	for _, k := range slices.Sorted(maps.Keys(f.Args)) {
		pairs = append(pairs, k, f.Args[k])
	}
	return pairs
}
