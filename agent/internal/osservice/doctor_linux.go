package osservice

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// look gathers what a doctor sees. It changes nothing.
func look(ctx context.Context, c Config) facts {
	t := &tree{root: c.root()}
	installed, found := t.installedPaths()
	if c.Paths == (Paths{}) {
		c.Paths = installed
	}
	c.Executable = t.executable(c.Executable, found)
	f := facts{root: os.Geteuid() == 0, there: t.isThere(), traces: t.traces(), runs: t.runs(), state: c.state()}
	if f.there && !f.traces {
		return f
	}
	f.files = t.fileFacts(c)
	f.lookAtState()
	f.lookAtClock()
	if !f.runs {
		return f
	}
	b, err := dial(ctx)
	if err != nil {
		f.busErr = err
		return f
	}
	defer b.close()
	f.lookAtUnits(ctx, b)
	f.delay, f.delayErr = b.delay(ctx)
	f.locks, f.locksErr = b.locks(ctx)
	return f
}

// executable returns the program that the installed unit runs: doctor may be asked of
// another copy of it, and its units are right all the same.
func (t *tree) executable(own string, found bool) string {
	for _, dir := range []string{adminUnits, packageUnits} {
		text, ok := t.read(dir + "/" + unitAgent)
		if !ok || !found {
			continue
		}
		for line := range strings.Lines(text) {
			if exec, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
				if words := unquote(exec); len(words) > 0 {
					return words[0]
				}
			}
		}
	}
	return own
}

func (f *facts) lookAtUnits(ctx context.Context, b *bus) {
	if f.version, f.busErr = b.property(ctx, "Version"); f.busErr != nil {
		return
	}
	for _, name := range unitNames() {
		u, err := b.unit(ctx, name)
		if err != nil {
			f.busErr = err
			return
		}
		f.units = append(f.units, u)
	}
	// Templates are seen in an instance: that of root can always be loaded, and what runs
	// now shows whether the drop-ins reach units that were there before them.
	names := []string{"user@0.service", "user-0.slice"}
	var patterns []string
	for _, kind := range stoppedAfter() {
		stem, suffix, _ := strings.Cut(kind, ".")
		patterns = append(patterns, stem+"*."+suffix)
	}
	running, err := b.list(ctx, []string{"active"}, patterns)
	if err != nil {
		f.busErr = err
		return
	}
	for _, name := range append(names, slices.Sorted(maps.Keys(running))...) {
		u, err := b.unit(ctx, name)
		if err != nil {
			f.busErr = err
			return
		}
		if u.load == "loaded" { // otherwise it went in between, or there is no such template
			f.others = append(f.others, u)
		}
	}
	all, err := b.list(ctx, []string{"active", "activating", "reloading", "deactivating"}, nil)
	if err == nil {
		f.apart, err = apart(all, func(unit string) ([]string, error) { return b.after(ctx, unit) })
	}
	f.busErr = err
}

func (f *facts) lookAtState() {
	fi, err := os.Lstat(f.state)
	if err != nil {
		f.stateErr = err
		return
	}
	f.stateMode = fi.Mode()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		f.stateUID = int(st.Uid)
	}
}

// lookAtClock asks the kernel whether something keeps the clock right (adjtimex(2),
// STA_UNSYNC).
func (f *facts) lookAtClock() {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	f.synced, f.clockErr = t.Status&unix.STA_UNSYNC == 0, err
}
