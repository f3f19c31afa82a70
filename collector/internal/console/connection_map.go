package console

import (
	"cmp"
	"maps"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/finding"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Limits of the map of connections: an endpoint can name as many peers as it likes.
const (
	mapProcesses = 14
	mapPeers     = 24
	mapTable     = 60
	maxPorts     = 6
)

// Measures of the map, in units; a phone shows about one to a point.
const (
	mapRow     = 26
	mapTop     = 34
	mapLeft    = 128 // right end of the processes
	mapRight   = 232 // left end of the peers
	leftChars  = 15
	rightChars = 21
)

type connectionMapView struct {
	Frame     evidenceFrame
	Map       connectionMap
	Processes *evidence.Item // for links to the processes; nil when not acquired
}

// connectionMap is which process talked to which peer.
type connectionMap struct {
	Height     int
	Processes  []mapNode
	Peers      []mapNode
	Edges      []mapEdge
	Rows       []mapPeer
	Total      int // connections with a peer
	Outside    int // peers on the internet
	All        int // peers
	MorePeers  int // that the picture has no room for
	MoreHolder int // names of processes likewise
	MoreRows   int // peers that the table has no room for
}

// mapNode is all processes of one name, or a peer, in the picture.
type mapNode struct {
	X, Y    int
	Label   string // cut to its room
	Full    string
	Count   int
	Outside bool
	Unknown bool // no process is known
}

// TextY is the line on which its label stands.
func (n mapNode) TextY() int { return n.Y + 15 }

// mapEdge is what one process has with one peer.
type mapEdge struct {
	Path    string
	Width   int
	Outside bool
}

// mapPeer is a peer in the table.
type mapPeer struct {
	Addr      string
	Outside   bool
	Count     int
	Ports     []string // the most used first; at most [maxPorts]
	MorePorts int
	Holders   []mapHolder
	More      int // processes beyond those
}

// mapHolder is a process that talks to a peer.
type mapHolder struct {
	Comm  string
	PID   int
	Key   string
	Count int
}

// connectionMap shows the peers of an endpoint as a picture and as a table.
func (s *server) connectionMap(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if f.Item.Kind != artifact.KindNetConn {
		return act.ErrNotFound
	}
	view := connectionMapView{Frame: f, Map: drawConnections(f.File.Sockets)}
	for _, item := range f.Siblings {
		if item.Kind == artifact.KindProcess {
			view.Processes = &item
		}
	}
	return s.showEvidence(v, "connection_map", f, view)
}

// endpointConnections leads to the map of the newest connections of an endpoint.
func (s *server) endpointConnections(v *visit) error {
	id := v.r.PathValue("id")
	all, err := s.endpoints.EndpointAcquisitions(v.ctx(), v.actor, id)
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b evidence.Acquisition) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	for _, a := range all[:min(len(all), 20)] {
		items, err := s.evidence.AcquisitionItems(v.ctx(), v.actor, a.ID)
		if err != nil {
			return err
		}
		for _, it := range items {
			if it.Kind == artifact.KindNetConn && it.DisposedAt.IsZero() {
				return redirect(v, "/evidence/"+it.ID+"/map")
			}
		}
	}
	return s.done(v, "map.none", "/endpoints/"+id)
}

// drawConnections groups the sockets that have a peer on another machine.
func drawConnections(sockets []record.Socket) connectionMap {
	type peer struct {
		mapPeer
		ports   map[string]int
		holders map[string]*mapHolder // by key
	}
	peers, names := map[string]*peer{}, map[string]*mapHolder{}
	var m connectionMap
	for i := range sockets {
		row := socketRow{&sockets[i]}
		if row.Class() != "outside" {
			continue
		}
		m.Total++
		addr := row.RemoteAddr
		if a, err := netip.ParseAddr(addr); err == nil {
			addr = a.Unmap().WithZone("").String()
		}
		p := peers[addr]
		if p == nil {
			p = &peer{mapPeer: mapPeer{Addr: addr, Outside: finding.OnInternet(addr)}, ports: map[string]int{}, holders: map[string]*mapHolder{}}
			peers[addr] = p
		}
		p.Count++
		p.ports[row.Protocol()+" "+portOf(row)]++
		held := row.Holders()
		if len(held) == 0 {
			held = []record.Owner{{}}
		}
		for _, o := range held {
			h := mapHolder{Comm: o.Comm, PID: o.PID, Key: processKey(o.PID, o.StartTicks)}
			if o.PID == 0 {
				h = mapHolder{}
			}
			if p.holders[h.Key] == nil {
				p.holders[h.Key] = &h
			}
			p.holders[h.Key].Count++
		}
	}
	all := make([]*peer, 0, len(peers))
	for _, p := range peers {
		if m.All++; p.Outside {
			m.Outside++
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *peer) int {
		return cmp.Or(compareBool(a.Outside, b.Outside), cmp.Compare(b.Count, a.Count), compareAddr(a.Addr, b.Addr), strings.Compare(a.Addr, b.Addr))
	})
	for _, p := range all[:min(len(all), mapPeers)] { // what the picture has no peer of needs no place in it
		for _, h := range p.holders {
			if names[h.Comm] == nil {
				names[h.Comm] = &mapHolder{Comm: h.Comm, Key: h.Comm}
			}
			names[h.Comm].Count += h.Count
		}
	}
	lefts := sortedHolders(names)
	m.MoreHolder, lefts = max(len(lefts)-mapProcesses, 0), lefts[:min(len(lefts), mapProcesses)]
	place := map[string]int{}
	for n, h := range lefts {
		node := mapNode{X: 4, Y: mapTop + n*mapRow, Label: short(h.Comm, leftChars), Full: h.Comm, Count: h.Count, Unknown: h.Comm == ""}
		place[h.Comm] = node.Y + mapRow/2 - 2
		m.Processes = append(m.Processes, node)
	}
	for n, p := range all {
		list := sortedHolders(p.holders)
		if n < mapPeers {
			node := mapNode{X: mapRight, Y: mapTop + n*mapRow, Full: plain(p.Addr, cellLimit), Label: short(p.Addr, rightChars), Count: p.Count, Outside: p.Outside}
			m.Peers = append(m.Peers, node)
			lines := map[string]int{} // by name
			for _, h := range list {
				lines[h.Comm] += h.Count
			}
			for _, name := range slices.Sorted(maps.Keys(lines)) {
				if y, ok := place[name]; ok {
					m.Edges = append(m.Edges, edge(y, node.Y+mapRow/2-2, lines[name], p.Outside))
				}
			}
		}
		if n < mapTable {
			p.Holders = list[:min(len(list), maxPorts)]
			p.More = len(list) - len(p.Holders)
			p.Ports, p.MorePorts = mostUsed(p.ports)
			m.Rows = append(m.Rows, p.mapPeer)
		}
	}
	m.MorePeers, m.MoreRows = max(len(all)-mapPeers, 0), max(len(all)-mapTable, 0)
	m.Height = mapTop + max(len(m.Processes), len(m.Peers))*mapRow + 6
	return m
}

// portOf is the port of the peer, "*" where there is none.
func portOf(s socketRow) string {
	if s.RemotePort == 0 {
		return "*"
	}
	return strconv.Itoa(int(s.RemotePort))
}

// edge draws a line from a process to a peer, the thicker the more they have.
func edge(from, to, count int, outside bool) mapEdge {
	y, z := strconv.Itoa(from), strconv.Itoa(to)
	l, r := strconv.Itoa(mapLeft), strconv.Itoa(mapRight)
	return mapEdge{Path: "M" + l + " " + y + "C180 " + y + " 180 " + z + " " + r + " " + z, Width: min(bits.Len(uint(count)), 6), Outside: outside}
}

// sortedHolders are the processes with the most connections first; nobody comes last.
func sortedHolders(of map[string]*mapHolder) []mapHolder {
	list := make([]mapHolder, 0, len(of))
	for _, h := range of {
		list = append(list, *h)
	}
	slices.SortFunc(list, func(a, b mapHolder) int {
		return cmp.Or(compareBool(a.Comm != "" || a.PID != 0, b.Comm != "" || b.PID != 0), cmp.Compare(b.Count, a.Count), compareText(a.Comm, b.Comm), strings.Compare(a.Key, b.Key))
	})
	return list
}

// mostUsed are the ports with the most connections, and how many others there are.
func mostUsed(ports map[string]int) (names []string, more int) {
	for name := range ports {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(ports[b], ports[a]), strings.Compare(a, b)) })
	if len(names) <= maxPorts {
		return names, 0
	}
	return names[:maxPorts], len(names) - maxPorts
}

// compareBool orders what is so before what is not.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// short makes s visible text that is at most n columns wide, as letters of Chinese, Japanese
// and Korean take two.
func short(s string, n int) string {
	s = plain(s, 4*n)
	width := 0
	for i, r := range s {
		w := 1
		if r >= 0x1100 {
			w = 2
		}
		if width+w > n {
			return s[:i] + "…"
		}
		width += w
	}
	return s
}
