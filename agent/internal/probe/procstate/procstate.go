package procstate

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxThreads = 256
	maxListens = 256
	smallText  = 16 << 10
)

type reader struct{ pass *scan.Pass }

// New returns the probe that reads the state of the processes of pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindProcState }
func (reader) Schema() string               { return record.SchemaProcState }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes a line for every process. What a process listens on is missing where the
// sockets could not be read, which their own probe tells.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	socks, err := r.pass.Sockets(ctx)
	if len(socks) == 0 && err != nil && probe.AsMissing(err) == nil {
		return err
	}
	on := listening(socks)
	return r.pass.Walk(ctx, w, "states", func(a *scan.At, b []byte) ([]byte, error) { return read(a, b, on[a.Process.PID]) })
}

// listening is what each process waits on.
func listening(socks []record.Socket) map[int][]record.Listen {
	on := make(map[int][]record.Listen)
	for i := range socks {
		s := &socks[i]
		waits := s.Proto == record.ProtoTCP && s.State == "LISTEN" || s.Proto == record.ProtoUDP && s.RemoteAddr == "" && s.LocalPort != 0
		if !waits {
			continue
		}
		l := record.Listen{Proto: s.Proto, Addr: s.LocalAddr, Port: s.LocalPort}
		last := 0
		for _, o := range s.Owners { // one after the other by PID
			if o.PID != last && len(on[o.PID]) < maxListens {
				on[o.PID] = append(on[o.PID], l)
			}
			last = o.PID
		}
	}
	return on
}

func read(a *scan.At, b []byte, listens []record.Listen) ([]byte, error) {
	r := a.Process
	p := record.ProcState{
		PID: r.PID, StartTicks: r.StartTicks, Comm: r.Comm, Listens: listens,
		SUID: record.Unknown, FSUID: record.Unknown, SGID: record.Unknown, FSGID: record.Unknown, LoginUID: record.Unknown,
	}
	p.Unit, p.UserUnit, p.Slice = procfs.Unit(r.Cgroup)
	raw, _, err := a.File("status", smallText)
	if err != nil {
		return b, err
	}
	Parse(&p, raw, a.Text)
	// What a kernel is built without is no failure.
	var refused error
	text := func(name string) []byte {
		raw, _, err := a.File(name, smallText)
		if errors.Is(err, fs.ErrPermission) {
			refused = err
			p.Unread = append(p.Unread, name)
		}
		if err != nil {
			return nil
		}
		return raw
	}
	if raw := text("attr/current"); len(raw) > 0 {
		p.Label, p.LabelRaw = a.Text([]byte(trim(raw)))
	}
	if raw := text("loginuid"); len(raw) > 0 {
		p.LoginUID = audit(raw)
	}
	if raw := text("sessionid"); len(raw) > 0 {
		p.SessionID = max(0, audit(raw))
	}
	if raw := text("oom_score_adj"); len(raw) > 0 {
		p.OOMScore, _ = strconv.Atoi(trim(raw))
	}
	link, err := a.Link("root")
	switch {
	case errors.Is(err, fs.ErrPermission):
		refused = err
		p.Unread = append(p.Unread, "root")
	case err == nil && string(link) != "/":
		p.Root, p.RootRaw = a.Text(link)
	}
	if r.Threads > 1 {
		threads(a, &p)
	}
	return p.AppendJSON(b), refused
}

// threads reads the names of all threads but the first, which has the process' own.
func threads(a *scan.At, p *record.ProcState) {
	first := strconv.Itoa(p.PID)
	_ = a.Names("task", func(tid string) bool { // one that ended tells nothing
		n, ok := procfs.PID([]byte(tid))
		if !ok || tid == first {
			return true
		}
		if len(p.Threads) >= maxThreads {
			p.ThreadsCut = true
			return false
		}
		raw, _, err := a.File("task/"+tid+"/comm", smallText)
		if err != nil {
			return true
		}
		t := record.Thread{TID: n}
		t.Comm, t.CommRaw = a.Text([]byte(trim(raw)))
		p.Threads = append(p.Threads, t)
		return true
	})
}
