package sockevent

import (
	"cmp"
	"slices"
	"sync"

	"hozen/agent/internal/recorder/entry"
)

// table is the sockets that are open. Its methods that change it are for one
// goroutine; count and list are for all.
type table struct {
	mu   sync.Mutex
	open map[uint64]socket // by cookie
	most int

	pass uint32
	over uint64 // sockets above most in this pass
}

func newTable(most int) *table { return &table{open: make(map[uint64]socket), most: most} }

func (t *table) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// list calls emit with copies, in the order in which the sockets were made.
func (t *table) list(emit func(*entry.Event)) {
	t.mu.Lock()
	all := make([]socket, 0, len(t.open))
	for _, s := range t.open {
		all = append(all, s)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b socket) int { return cmp.Compare(a.cookie, b.cookie) })
	for i := range all {
		e := all[i].event(entry.ConnectionListed, entry.SourceSockDiag)
		emit(&e)
	}
}

func (s *socket) event(t entry.Type, source entry.Source) entry.Event {
	return entry.Event{
		Type: t, Source: source, PID: int(s.pid), UID: int64(s.uid), EUID: -1, Proto: s.proto, State: s.state,
		Local: s.local, Remote: s.remote, Inode: uint64(s.inode), Cookie: s.cookie, IfIndex: s.ifindex,
	}
}

// begin starts a pass over all sockets.
func (t *table) begin() { t.pass++; t.over = 0 }

// saw takes one socket of the pass. news is what is to be told: ConnectionOpened,
// ConnectionChanged or zero.
func (t *table) saw(s socket) (news entry.Type) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, known := t.open[s.cookie]
	switch {
	case !known && len(t.open) >= t.most:
		t.over++
		return 0
	case !known:
		news = entry.ConnectionOpened
	case old.remote != s.remote, old.state != s.state && (s.state == stateEstablished || s.state == stateListen):
		news = entry.ConnectionChanged
	}
	s.pass = t.pass
	if known {
		s.pid, s.asked = old.pid, old.asked
		if s.inode == 0 { // its holder closed it; who that was is still worth knowing
			s.inode, s.uid = old.inode, old.uid
		}
	}
	t.open[s.cookie] = s
	return news
}

// end takes a socket out. known is false for one that no pass saw.
func (t *table) end(cookie uint64) (s socket, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, known = t.open[cookie]
	delete(t.open, cookie)
	return s, known
}

// missing takes out and returns what the pass did not see.
func (t *table) missing() (gone []socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for cookie, s := range t.open {
		if s.pass != t.pass {
			gone = append(gone, s)
			delete(t.open, cookie)
		}
	}
	slices.SortFunc(gone, func(a, b socket) int { return cmp.Compare(a.cookie, b.cookie) })
	return gone
}

// mostAsked is how often the holder of a socket is asked for: the kernel's own sockets
// have none.
const mostAsked = 4

// unowned returns the inodes whose holder is not known: those never asked about, and
// if again is set those asked about a few times.
func (t *table) unowned(again bool) map[uint32]struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	var want map[uint32]struct{}
	for _, s := range t.open {
		if s.pid == 0 && s.inode != 0 && (s.asked == 0 || again && s.asked < mostAsked) {
			if want == nil {
				want = make(map[uint32]struct{})
			}
			want[s.inode] = struct{}{}
		}
	}
	return want
}

// own notes holders and returns the sockets that have one now. If all processes were
// asked, all of want count as asked about once more.
func (t *table) own(want map[uint32]struct{}, found map[uint32]int, all bool) (owned []socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for cookie, s := range t.open {
		if _, asked := want[s.inode]; !asked || s.pid != 0 {
			continue
		}
		if all {
			s.asked++
		}
		if pid := found[s.inode]; pid != 0 {
			s.pid = int32(pid)
			owned = append(owned, s)
		}
		t.open[cookie] = s
	}
	slices.SortFunc(owned, func(a, b socket) int { return cmp.Compare(a.cookie, b.cookie) })
	return owned
}

// holders lists the processes that hold sockets.
func (t *table) holders() (pids []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.open {
		if s.pid != 0 {
			pids = append(pids, int(s.pid))
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}
