package winwatch

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/recorder/entry"
)

// Config is what a Watcher needs.
type Config struct {
	System System
	// Every is how often the tables are looked at. Optional: [DefaultEvery].
	Every time.Duration
	// Most is how many sockets are kept in mind. Optional: [DefaultMost]. What is above is
	// a Gap.
	Most int
	// Boot reads the clock of all times, nanoseconds since boot with sleep included.
	Boot func() int64
	// Budget bounds the looking. Optional: no bound.
	Budget Budget
}

// The defaults of [Config].
const (
	DefaultEvery = 2 * time.Second
	DefaultMost  = 20_000
)

// Budget says whether there is time left for what is dear.
type Budget interface {
	Allow() bool
	Spend(time.Duration)
}

// The texts of gaps.
const (
	gapTables = "the tables of sockets cannot be read: "
	gapMost   = "more sockets than can be kept in mind"
)

// Watcher tells which sockets open and close.
type Watcher struct {
	cfg  Config
	last int64 // when the tables were looked at before
	bad  bool  // they could not be read the last time

	mu   sync.Mutex
	open map[key]socket
	made uint64 // sockets so far: each gets the number as its cookie
}

// key tells sockets apart as long as the tables do.
type key struct {
	proto         uint8
	local, remote netip.AddrPort
	pid           int
	created       int64
}

type socket struct {
	key
	cookie uint64
	state  uint8
	scope  uint32
	seen   bool
}

// Open prepares to watch.
func Open(cfg Config) *Watcher {
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Most <= 0 {
		cfg.Most = DefaultMost
	}
	return &Watcher{cfg: cfg, open: make(map[key]socket)}
}

// Run calls emit with each event until ctx ends. The sockets that are open at the
// beginning are told as opened too.
func (w *Watcher) Run(ctx context.Context, emit func(*entry.Event)) error {
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for {
		if w.last == 0 || w.cfg.Budget == nil || w.cfg.Budget.Allow() {
			begun := time.Now()
			w.look(emit)
			if w.cfg.Budget != nil {
				w.cfg.Budget.Spend(time.Since(begun))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close does nothing: nothing is held.
func (*Watcher) Close() error { return nil }

// Count returns how many sockets are open, as far as known.
func (w *Watcher) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}

// List calls emit with each socket that is open, as far as known, oldest first.
func (w *Watcher) List(emit func(*entry.Event)) {
	w.mu.Lock()
	all := make([]socket, 0, len(w.open))
	for _, s := range w.open {
		all = append(all, s)
	}
	w.mu.Unlock()
	for _, s := range sorted(all) {
		e := s.event(entry.ConnectionListed)
		emit(&e)
	}
}

func sorted(all []socket) []socket {
	slices.SortFunc(all, func(a, b socket) int { return cmp.Compare(a.cookie, b.cookie) })
	return all
}

func (s socket) event(t entry.Type) entry.Event {
	return entry.Event{
		Type: t, Source: entry.SourceSockDiag, PID: s.pid, UID: -1, EUID: -1, Proto: s.proto, State: s.state,
		Local: s.local, Remote: s.remote, Cookie: s.cookie, IfIndex: s.scope,
	}
}

// look compares the tables with what was there before.
func (w *Watcher) look(emit func(*entry.Event)) {
	now := w.cfg.Boot()
	rows, err := w.read()
	if err != nil {
		if !w.bad { // once until it works again
			emit(entry.NewGap(entry.SourceSockDiag, now, 0, gapTables+err.Error()))
		}
		w.bad = true
		return // half a table would close the other half
	}
	w.bad = false
	var events []entry.Event
	tell := func(t entry.Type, s socket) {
		e := s.event(t)
		e.BootNS, e.AfterNS = now, w.last
		events = append(events, e)
	}
	over := uint64(0)
	w.mu.Lock()
	for _, s := range rows {
		old, known := w.open[s.key]
		switch {
		case !known && len(w.open) >= w.cfg.Most:
			over++
			continue
		case !known:
			w.made++
			s.cookie = w.made
			tell(entry.ConnectionOpened, s)
		default:
			s.cookie = old.cookie
			if old.state != s.state && (s.state == established || s.state == listening) {
				tell(entry.ConnectionChanged, s)
			}
		}
		s.seen = true
		w.open[s.key] = s
	}
	var gone []socket
	for k, s := range w.open {
		if !s.seen {
			gone = append(gone, s)
			delete(w.open, k)
			continue
		}
		s.seen = false
		w.open[k] = s
	}
	w.mu.Unlock()
	for _, s := range sorted(gone) {
		tell(entry.ConnectionClosed, s)
	}
	w.last = now
	for i := range events {
		emit(&events[i])
	}
	if over > 0 {
		emit(entry.NewGap(entry.SourceSockDiag, now, over, gapMost))
	}
}

// Numbers of the record (IANA; include/net/tcp_states.h).
const (
	protoTCP    = 6
	protoUDP    = 17
	established = 1
	listening   = 10
)

func stateOf(name string) uint8 {
	names := [...]string{1: "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}
	return uint8(max(0, slices.Index(names[:], name)))
}

// read reads all four tables, with the moments of sockets where Windows tells them.
func (w *Watcher) read() (all []socket, err error) {
	for _, t := range []winbytes.Table{{}, {V6: true}, {UDP: true}, {UDP: true, V6: true}} {
		rows, rerr := w.table(t)
		if rerr != nil {
			return nil, errors.Join(err, rerr)
		}
		for _, r := range rows {
			s := socket{key: key{proto: protoTCP, local: r.Local, remote: r.Remote, pid: r.PID, created: r.Created}, state: stateOf(r.State), scope: r.Scope}
			if t.UDP {
				s.proto = protoUDP
			}
			if r.State != "TIME_WAIT" { // it is over
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func (w *Watcher) table(t winbytes.Table) ([]winbytes.Socket, error) {
	t.Module = true
	if b, err := w.cfg.System.Sockets(t); err == nil {
		if rows, err := winbytes.Sockets(t, b); err == nil {
			return rows, nil
		}
	}
	t.Module = false
	b, err := w.cfg.System.Sockets(t)
	if err != nil {
		return nil, err
	}
	return winbytes.Sockets(t, b)
}
