package security

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxUnits     = 8192 // in one folder
	maxProcesses = 64   // that are told of one tool
)

// New returns the probe of the system whose files are below root, usually "/", with the
// processes of pass. Where root is another folder, the kernel is not asked.
func New(root string, pass *scan.Pass) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindSecurity, Schema: record.SchemaSecurity, Volatility: probe.Machine, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, pass, o) },
	})
}

func read(ctx context.Context, root string, pass *scan.Pass, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	procs, err := pass.Processes(ctx) // what is missing of them is told by their own probe
	if len(procs) == 0 && err != nil {
		return err
	}
	list := kernel(r, o)
	if root == "/" {
		s := &record.SecurityTool{Name: "audit", Category: "audit", State: record.SecurityUnknown}
		if err := audit(ctx, s); err != nil {
			s.Detail = err.Error()
			o.Miss(fmt.Errorf("ask for the kernel's audit: %w", err))
		}
		list = append(list, s)
	}
	u := unitsOf(r, o)
	for _, t := range tools() {
		s := t.seen(r, u, procs)
		if t.name == "ufw" && len(s.Units)+len(s.Paths) > 0 {
			b, _ := r.File("etc/ufw/ufw.conf", maxText)
			s.Mode = "enabled=" + setting(b, "ENABLED")
		}
		list = append(list, s)
	}
	for _, s := range list {
		if err := o.Write(s); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// seen tells what was found of a tool.
func (t *tool) seen(r facts.Root, u units, procs []*record.Process) *record.SecurityTool {
	s := &record.SecurityTool{Name: t.name, Category: t.category}
	running := false
	for _, p := range procs {
		is, proven := t.is(p)
		running = running || proven
		if is && len(s.Processes) < maxProcesses {
			s.Processes = append(s.Processes, record.ProcRef{PID: p.PID, StartTicks: p.StartTicks})
		}
	}
	if len(s.Processes) > 0 && !running {
		s.Detail = "a process of that name only: not root's, and not of a program of this tool"
	}
	on := false
	for _, name := range t.units {
		state := u.state(name)
		if state == "" {
			continue
		}
		s.Units = append(s.Units, name+" "+state)
		on = on || state == "enabled"
	}
	for _, path := range t.paths {
		if _, err := r.Lstat(strings.TrimSuffix(path, "/")); err == nil || errors.Is(err, fs.ErrPermission) {
			s.Paths = append(s.Paths, "/"+path)
		}
	}
	switched(s, running, len(s.Units) > 0)
	if s.State != record.SecurityRunning && (on || len(s.Units) == 0 && len(s.Paths) > 0) {
		s.State = record.SecurityInstalled
	}
	return s
}

// is reports whether a process is one of the tool's, by its program or its name, and
// whether that is proven: anybody can take a name, but only root can run as root, or put a
// program where the tool's are.
func (t *tool) is(p *record.Process) (is, proven bool) {
	if p.KernelOnly {
		return false, false
	}
	for _, path := range t.paths {
		if strings.HasSuffix(path, "/") && strings.HasPrefix(p.Exe, "/"+path) {
			return true, true
		}
		proven = proven || p.Exe == "/"+path
	}
	is = slices.Contains(t.processes, p.Comm)
	return is, is && (proven || p.EUID == 0)
}

// units are the unit files of the system manager and what is known of them.
type units map[string]unit

// unit is a set of what was seen of a unit.
type unit byte

const (
	isFile unit = 1 << iota
	isWanted
	isMasked
)

func (u units) state(name string) string {
	switch is := u[name]; {
	case is&isMasked != 0:
		return "masked"
	case is&isWanted != 0:
		return "enabled"
	case is != 0:
		return "disabled"
	}
	return ""
}

// unitsOf lists the folders of unit files. A unit is enabled when another one wants it, by
// a link in a folder of /etc: systemctl(1) makes those. One that others want by its
// maker's choice, which lies in /usr/lib, is enabled too.
func unitsOf(r facts.Root, o *facts.Out) units {
	u := units{}
	list := func(dir string) []string {
		names, err := r.List(dir, maxUnits)
		o.Miss(err)
		return names
	}
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		if dir == "lib/systemd/system" && len(u) > 0 {
			break // a link to the one before, on all but old systems
		}
		for _, name := range list(dir) {
			if strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires") {
				for _, w := range list(dir + "/" + name) {
					u[w] |= isWanted
				}
				continue
			}
			u[name] |= isFile
			if target, err := r.Readlink(dir + "/" + name); err == nil && target == "/dev/null" {
				u[name] |= isMasked
			}
		}
	}
	return u
}
