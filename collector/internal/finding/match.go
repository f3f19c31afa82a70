package finding

import (
	"iter"
	"net/netip"
	"path"
	"slices"
	"strings"

	"hozen/internal/artifact/record"
)

// identity names a process within a boot.
type identity struct {
	pid   int
	ticks uint64
	boot  string
}

func identityOf(p *record.Process) identity { return identity{p.PID, p.StartTicks, p.BootID} }

// scene is a Scene with what the rules ask for again and again.
type scene struct {
	Scene
	byPID   map[int]*record.Process
	outside map[identity]bool // processes with a peer on the internet
	now     map[identity]bool
	// usual and before are the programs and sockets of those scenes, by what stays the same over
	// a restart.
	usual, before map[string]bool
}

func index(s Scene) *scene {
	x := &scene{Scene: s, byPID: map[int]*record.Process{}, outside: map[identity]bool{}, now: map[identity]bool{}}
	for i := range s.Processes {
		p := &s.Processes[i]
		if _, twice := x.byPID[p.PID]; !twice {
			x.byPID[p.PID] = p
		}
		x.now[identityOf(p)] = true
	}
	talks := func(of Scene, boot func(pid int) string) {
		for i := range of.Sockets {
			if k := &of.Sockets[i]; OnInternet(k.RemoteAddr) {
				for _, o := range k.Owners {
					x.outside[identity{o.PID, o.StartTicks, boot(o.PID)}] = true
				}
			}
		}
	}
	talks(s, bootOf(s))
	if s.Before != nil {
		talks(*s.Before, bootOf(*s.Before))
	}
	x.usual, x.before = known(s.Usual), known(s.Before)
	return x
}

// known are the programs and the sockets of an earlier scene.
func known(s *Scene) map[string]bool {
	list := map[string]bool{}
	if s == nil {
		return list
	}
	byPID := map[int]*record.Process{}
	for i := range s.Processes {
		byPID[s.Processes[i].PID] = &s.Processes[i]
		list[program(&s.Processes[i])] = true
	}
	for i := range s.Sockets {
		list[place(&s.Sockets[i], byPID)] = true
	}
	return list
}

// since is the earlier scene that a rule names by [When.New], and what is known of it.
func (x *scene) since(name string) (*Scene, map[string]bool) {
	switch name {
	case sinceUsual:
		return x.Usual, x.usual
	case sinceBefore:
		return x.Before, x.before
	}
	return nil, nil
}

// news reports whether what a rule looks at was not there in the scene that it names.
func (x *scene) news(name, what string) bool {
	_, list := x.since(name)
	return name == "" || !list[what]
}

// bootOf returns the boot that a process of a scene ran in, which its sockets do not say.
func bootOf(s Scene) func(int) string {
	boots := map[int]string{}
	for i := range s.Processes {
		boots[s.Processes[i].PID] = s.Processes[i].BootID
	}
	return func(pid int) string { return boots[pid] }
}

// can says whether what the rule needs is there.
func (x *scene) can(r Rule) bool {
	earlier, _ := x.since(r.When.New)
	switch {
	case r.On == onTool, r.On == onTools:
		return x.canTool(r.When, r.On)
	case r.When.Gone == sinceBefore && (x.Before == nil || len(x.Before.Processes) == 0), r.When.New != "" && earlier == nil:
		return false
	case r.On == onSocket && r.When.New != "":
		return len(x.Sockets) > 0 && len(earlier.Sockets) > 0
	case r.When.TalksOutside && r.When.New != "":
		return len(x.Sockets) > 0 && len(earlier.Processes) > 0
	case r.On == onSocket, r.When.TalksOutside:
		return len(x.Sockets) > 0
	case r.On == onDifference:
		return x.Differences != nil
	case r.When.New != "":
		return len(x.Processes) > 0 && len(earlier.Processes) > 0
	}
	return len(x.Processes) > 0
}

// candidates are what a rule is asked about.
func (x *scene) candidates(r Rule) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		switch {
		case r.On == onTools:
			yield(Finding{Tool: &record.SecurityTool{Category: strings.Join(r.When.Category, " "), State: r.When.State[0]}})
		case r.On == onTool:
			for i := range x.Tools {
				if !yield(Finding{Tool: &x.Tools[i]}) {
					return
				}
			}
		case r.On == onDifference:
			for i := range x.Differences {
				if !yield(Finding{Difference: &x.Differences[i]}) {
					return
				}
			}
		case r.On == onSocket:
			for i := range x.Sockets {
				if !yield(Finding{Socket: &x.Sockets[i]}) {
					return
				}
			}
		case r.When.Gone == sinceBefore:
			for i := range x.Before.Processes {
				if p := &x.Before.Processes[i]; !x.now[identityOf(p)] && !yield(Finding{Process: p, Past: true}) {
					return
				}
			}
		default:
			for i := range x.Processes {
				if !yield(Finding{Process: &x.Processes[i]}) {
					return
				}
			}
		}
	}
}

func (x *scene) applies(r Rule, f Finding) bool {
	w := r.When
	switch {
	case f.Difference != nil:
		return slices.Contains(w.Finding, f.Difference.Finding)
	case f.Tool != nil && r.On == onTools:
		return x.allTools(w)
	case f.Tool != nil:
		return x.toolApplies(w, f.Tool)
	case f.Socket != nil:
		return x.socketApplies(w, f.Socket)
	}
	return x.processApplies(w, f)
}

func (x *scene) processApplies(w When, f Finding) bool {
	p := f.Process
	if p.KernelOnly {
		return false
	}
	byPID := x.byPID
	if f.Past {
		byPID = nil // a parent that is there now need not be the one of then
	}
	switch {
	case !underAny(w.ExeUnder, p.Exe), len(w.ExeNotUnder) > 0 && (p.Exe == "" || underAny(w.ExeNotUnder, p.Exe)):
		return false
	case w.Deleted && (!p.ExeDeleted || p.ExeMemFD), w.Memory && !p.ExeMemFD:
		return false
	case w.Raised && (p.EUID != 0 || p.UID <= 0), w.Traced && p.TracerPID == 0:
		return false
	case !named(w.Name, p), len(w.NameNot) > 0 && named(w.NameNot, p):
		return false
	case w.TalksOutside && !x.outside[identityOf(p)]:
		return false
	case !x.news(w.New, program(p)):
		return false
	case !argsHave(w.ArgsHave, p.Args):
		return false
	}
	if len(w.Parent) == 0 {
		return true
	}
	parent := byPID[p.PPID]
	return parent != nil && parent.StartTicks <= p.StartTicks && named(w.Parent, parent)
}

func (x *scene) socketApplies(w When, k *record.Socket) bool {
	var owner *record.Process
	if len(k.Owners) > 0 {
		if p := x.byPID[k.Owners[0].PID]; p != nil && p.StartTicks == k.Owners[0].StartTicks {
			owner = p
		}
	}
	switch {
	case w.Listens && !listens(k), w.Anyone && !anyone(k.LocalAddr), w.Outside && !OnInternet(k.RemoteAddr):
		return false
	case len(w.Proto) > 0 && !slices.Contains(w.Proto, k.Proto):
		return false
	case !x.news(w.New, place(k, x.byPID)):
		return false
	}
	if len(w.ExeUnder)+len(w.ExeNotUnder)+len(w.Name)+len(w.NameNot) == 0 {
		return true
	}
	if owner == nil {
		// Whose it is is not known: that is no reason to leave it out of what excludes somebody.
		return len(w.ExeUnder)+len(w.Name) == 0
	}
	return underAny(w.ExeUnder, owner.Exe) && (len(w.ExeNotUnder) == 0 || !underAny(w.ExeNotUnder, owner.Exe)) &&
		named(w.Name, owner) && (len(w.NameNot) == 0 || !named(w.NameNot, owner))
}

// program is what stays the same when a process is started again.
func program(p *record.Process) string {
	if p.Exe != "" {
		return "exe " + fold(p.Exe)
	}
	return "name " + p.Comm
}

// place is what stays the same of a socket: who listens where, or who talks to whom.
func place(k *record.Socket, byPID map[int]*record.Process) string {
	who := ""
	if len(k.Owners) > 0 {
		who = k.Owners[0].Comm
		if p := byPID[k.Owners[0].PID]; p != nil && p.StartTicks == k.Owners[0].StartTicks {
			who = program(p)
		}
	}
	if listens(k) {
		return strings.Join([]string{"listen", k.Proto, netip.AddrPortFrom(address(k.LocalAddr), k.LocalPort).String(), who}, " ")
	}
	return strings.Join([]string{"talk", k.Proto, netip.AddrPortFrom(address(k.RemoteAddr), k.RemotePort).String(), who}, " ")
}

func listens(k *record.Socket) bool {
	return k.Family != record.FamilyUnix && k.LocalPort != 0 && (k.State == "LISTEN" || k.Proto == record.ProtoUDP && k.RemoteAddr == "")
}

func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// anyone says whether a socket on that address can be reached on every address of the PC.
func anyone(local string) bool {
	a := address(local)
	return !a.IsValid() || a.IsUnspecified()
}

// shared is the space between customers and their provider (RFC 6598).
func shared() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

// OnInternet reports whether an address, as a socket's record has it, is reached over the
// internet: neither this PC's own, nor of a private network (RFC 1918, 4193, 6598).
func OnInternet(remote string) bool {
	a := address(remote)
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared().Contains(a)
}

func named(names []string, p *record.Process) bool {
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if strings.EqualFold(n, p.Comm) || strings.EqualFold(n, path.Base(fold(p.Exe))) {
			return true
		}
	}
	return false
}

func argsHave(pieces, args []string) bool {
	if len(pieces) == 0 {
		return true
	}
	line := strings.ToLower(strings.Join(args, " "))
	return slices.ContainsFunc(pieces, func(s string) bool { return strings.Contains(line, strings.ToLower(s)) })
}

// fold makes paths of both systems comparable.
func fold(p string) string { return strings.ToLower(strings.ReplaceAll(p, `\`, "/")) }

// underAny says whether a path lies below one of the folders; an empty list asks nothing.
func underAny(folders []string, p string) bool {
	if len(folders) == 0 {
		return true
	}
	return p != "" && slices.ContainsFunc(folders, func(f string) bool { return under(fold(f), fold(p)) })
}

func under(folder, p string) bool {
	for {
		want, rest, more := strings.Cut(folder, "/")
		have, below, deeper := strings.Cut(p, "/")
		if !more {
			return want == "" || deeper && want == have || deeper && want == "*"
		}
		if !deeper || want != have && (want != "*" || have == "") {
			return false
		}
		folder, p = rest, below
	}
}
