package console

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type connectionTableView struct {
	Frame     evidenceFrame
	Query     query
	Table     paged[socketRow]
	Counts    map[string]int
	Shows     []string
	Processes *evidence.Item // for links to the processes; nil when not acquired
}

// socketRow is a socket as tables show it.
type socketRow struct {
	*record.Socket
}

// Local and Remote are the ends, "[2001:db8::1]:443" or the name of a unix socket.
func (s socketRow) Local() string {
	if s.Family == record.FamilyUnix {
		return s.Path
	}
	return end(s.LocalAddr, s.LocalPort)
}

// Remote is empty when there is no peer.
func (s socketRow) Remote() string {
	if s.RemoteAddr == "" {
		return ""
	}
	return end(s.RemoteAddr, s.RemotePort)
}

func end(addr string, port uint16) string {
	if addr == "" && port == 0 {
		return ""
	}
	p := "*"
	if port != 0 {
		p = strconv.Itoa(int(port))
	}
	return net.JoinHostPort(addr, p)
}

// Protocol is tcp, tcp6, udp, …
func (s socketRow) Protocol() string {
	if s.Family == record.FamilyInet6 && s.Proto != "" {
		return s.Proto + "6"
	}
	return s.Proto
}

// Class is the selection that the socket belongs to: outside, listening, inside, unix.
func (s socketRow) Class() string {
	if s.Family == record.FamilyUnix {
		return "unix"
	}
	if s.State == "LISTEN" || s.Proto != record.ProtoTCP && s.RemoteAddr == "" {
		return "listening"
	}
	remote, err := netip.ParseAddr(s.RemoteAddr)
	if err == nil && (remote.IsLoopback() || remote.IsUnspecified()) {
		return "inside"
	}
	return "outside"
}

func (s socketRow) ownedBy(pid int, ticks uint64) bool {
	for _, o := range s.Owners {
		if o.PID == pid && o.StartTicks == ticks {
			return true
		}
	}
	return false
}

// Holders are the processes that hold the socket, each once.
func (s socketRow) Holders() []record.Owner {
	var holders []record.Owner
	for _, o := range s.Owners {
		if n := len(holders); n > 0 && holders[n-1].PID == o.PID && holders[n-1].StartTicks == o.StartTicks {
			continue
		}
		if holders = append(holders, o); len(holders) == 6 {
			break
		}
	}
	return holders
}

// Key names the process of an owner, as [processRow.Key] does.
func (socketRow) Key(o record.Owner) string { return processKey(o.PID, o.StartTicks) }

func (s socketRow) owner() string {
	if len(s.Owners) == 0 {
		return ""
	}
	return s.Owners[0].Comm
}

func (s socketRow) text() string {
	var b strings.Builder
	b.WriteString(s.Protocol() + " " + s.Local() + " " + s.Remote() + " " + s.State + " " + s.User)
	for _, o := range s.Owners {
		b.WriteString(" " + o.Comm + " " + strconv.Itoa(o.PID))
	}
	return strings.ToLower(b.String())
}

func (s *server) connectionTable(v *visit, f evidenceFrame) error {
	shows := []string{"outside", "listening", "inside", "unix", "all"}
	values := v.r.URL.Query()
	q := readQuery(values, []string{"remote", "local", "proto", "state", "process"}, shows)
	if values.Get("q") != "" && values.Get("show") == "" {
		q.Show = "all" // a search without a selection means everything
	}
	view := connectionTableView{Frame: f, Query: q, Counts: map[string]int{}, Shows: shows}
	words := q.words()
	var rows []socketRow
	for i := range f.File.Sockets {
		row := socketRow{&f.File.Sockets[i]}
		if !matches(words, row.text) {
			continue
		}
		class := row.Class()
		view.Counts[class]++
		view.Counts["all"]++
		if q.Show == "all" || q.Show == class {
			rows = append(rows, row)
		}
	}
	sortBy(rows, q.Desc, func(a, b socketRow) int {
		switch q.Sort {
		case "local":
			return cmp.Or(compareAddr(a.LocalAddr, b.LocalAddr), cmp.Compare(a.LocalPort, b.LocalPort), compareText(a.Path, b.Path))
		case "proto":
			return compareText(a.Protocol(), b.Protocol())
		case "state":
			return compareText(a.State, b.State)
		case "process":
			return compareText(a.owner(), b.owner())
		}
		return cmp.Or(compareAddr(a.RemoteAddr, b.RemoteAddr), cmp.Compare(a.RemotePort, b.RemotePort))
	})
	view.Table = turn(rows, q.Page)
	for _, item := range f.Siblings {
		if item.Kind == artifact.KindProcess {
			view.Processes = &item
		}
	}
	return s.showEvidence(v, "connection_table", f, view)
}

// compareAddr orders addresses as numbers, and what is none after them.
func compareAddr(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	switch {
	case errX == nil && errY == nil:
		return x.Compare(y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}
