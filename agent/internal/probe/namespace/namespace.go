package namespace

import (
	"context"
	"slices"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxPIDs   = 1024 // that are told of one namespace or container
	maxHolds  = 64   // who holds it open, and where it is mounted
	maxDetail = 512  // namespaces that are looked at more closely
	doors     = 4    // members that are tried to do so: one may have ended
)

type reader struct{ pass *scan.Pass }

// New returns the probe that reads the namespaces of the processes of pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindNamespace }
func (reader) Schema() string               { return record.SchemaNamespace }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes the namespaces by kind and inode, then the containers by their first
// process.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	var rows lives
	missing := r.pass.Walk(ctx, &rows, "namespaces", read)
	if missing != nil && probe.AsMissing(missing) == nil {
		return missing
	}
	procs, err := r.pass.Processes(ctx) // read already; what is missing of them is told by their own probe
	if len(procs) == 0 && err != nil {
		return err
	}
	all := gather(rows.list)
	own(all)
	if files, _ := r.pass.Files(ctx); len(files) > 0 { // as with processes
		all.held(files)
	}
	list := all.sorted()
	looked := 0
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			missing = &probe.Missing{Skipped: 1, Err: err}
			break
		}
		if n.Host != "yes" && n.Members > 0 && looked < maxDetail {
			looked++
			look(n)
		}
		if err := w.Write(n); err != nil {
			return err
		}
	}
	for _, c := range containers(procs, all) {
		if err := w.Write(c); err != nil {
			return err
		}
	}
	return missing
}

// kinds are the links below /proc/PID/ns, in the order of a row.
func kinds() []string {
	return []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}
}

// life is the namespaces in which a process lives, by kind; 0 when not known.
type life struct {
	pid int
	ns  [8]uint64
}

// id names a namespace: numbers of different kinds need not differ for ever.
type id struct {
	kind  string
	inode uint64
}

// table is every namespace that was seen.
type table struct {
	at   map[id]*record.Namespace
	host [8]uint64 // those of the first process, where they are known
	of   map[int][8]uint64
}

// initial are the numbers that a kernel gives the namespaces it begins with
// (linux/nsfs.h), where it has always done so.
func initial(kind string) uint64 {
	switch kind {
	case "ipc":
		return 0xEFFFFFFF
	case "uts":
		return 0xEFFFFFFE
	case "user":
		return 0xEFFFFFFD
	case "pid":
		return 0xEFFFFFFC
	case "cgroup":
		return 0xEFFFFFFB
	case "time":
		return 0xEFFFFFFA
	}
	return 0
}

// gather turns processes into namespaces.
func gather(list []life) *table {
	t := &table{at: map[id]*record.Namespace{}, of: map[int][8]uint64{}}
	for _, l := range list {
		if l.pid == 1 {
			t.host = l.ns
		}
	}
	for _, l := range list {
		t.of[l.pid] = l.ns
		for k, inode := range l.ns {
			if inode == 0 {
				continue
			}
			n := t.get(kinds()[k], inode)
			n.Members++
			switch {
			case n.Host == "yes": // where all others live
			case len(n.PIDs) < maxPIDs:
				n.PIDs = append(n.PIDs, int64(l.pid))
			default:
				n.PIDsCut = true
			}
		}
	}
	return t
}

// get returns the line of a namespace, a new one when it was not seen yet.
func (t *table) get(kind string, inode uint64) *record.Namespace {
	n := t.at[id{kind, inode}]
	if n == nil {
		n = &record.Namespace{Type: record.NamespaceLine, Kind: kind, Inode: inode, Host: "unknown", OwnerUID: record.Unknown}
		k := slices.Index(kinds(), kind)
		switch first := t.host[k]; {
		case first != 0 && first == inode || first == 0 && inode == initial(kind):
			n.Host = "yes"
		case first != 0 || initial(kind) != 0:
			n.Host = "no"
		}
		t.at[id{kind, inode}] = n
	}
	return n
}

// held adds who holds a namespace open. The descriptor of one is named like its link.
func (t *table) held(files []record.OpenFiles) {
	for i := range files {
		for _, f := range files[i].FDs {
			kind, inode := parseLink(f.Target)
			if kind == "" {
				continue
			}
			n, pid := t.get(kind, inode), int64(files[i].PID)
			if len(n.OpenBy) < maxHolds && !slices.Contains(n.OpenBy, pid) {
				n.OpenBy = append(n.OpenBy, pid)
			}
		}
	}
}

func (t *table) sorted() []*record.Namespace {
	list := make([]*record.Namespace, 0, len(t.at))
	for _, n := range t.at {
		list = append(list, n)
	}
	sorted.Func(list, func(a, b *record.Namespace) int {
		switch {
		case a.Kind != b.Kind && a.Kind < b.Kind || a.Kind == b.Kind && a.Inode < b.Inode:
			return -1
		case a.Kind == b.Kind && a.Inode == b.Inode:
			return 0
		}
		return 1
	})
	return list
}

// containers groups the processes, which stand by PID, by what their control group calls
// a container.
func containers(procs []*record.Process, t *table) (list []*record.Container) {
	type name struct{ id, runtime string }
	at := map[name]*record.Container{}
	for _, p := range procs {
		if p.ContainerID == "" {
			continue
		}
		c := at[name{p.ContainerID, p.ContainerRuntime}]
		if c == nil {
			c = &record.Container{Type: record.ContainerLine, Runtime: p.ContainerRuntime, Cgroup: p.Cgroup}
			c.ID, c.IDRaw = record.TextOf(p.ContainerID)
			at[name{p.ContainerID, p.ContainerRuntime}] = c
			list = append(list, c)
		}
		if c.Members++; len(c.PIDs) < maxPIDs {
			c.PIDs = append(c.PIDs, int64(p.PID))
		} else {
			c.PIDsCut = true
		}
		for k, inode := range t.of[p.PID] {
			if inode != 0 && inode != t.host[k] && len(c.Namespaces) < maxHolds && !slices.Contains(c.Namespaces, int64(inode)) {
				c.Namespaces = append(c.Namespaces, int64(inode))
			}
		}
	}
	return list
}
