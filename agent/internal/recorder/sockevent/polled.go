package sockevent

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/recorder/entry"
)

// polledEvery is how often the tables of Windows are read: it tells neither starts nor ends.
const polledEvery = 2 * time.Second

// gapTables stands at the beginning of a record that is made of tables alone.
const gapTables = "the system does not tell connections as they come and go: what opened and closed between two looks, 2 s apart, is not on record"

// poller makes events of tables of sockets that are read from time to time.
type poller struct {
	cfg      Config
	table    *table
	ask      func(t winbytes.Table) ([]byte, error)
	lookedNS int64
	failed   string
}

func (p *poller) run(ctx context.Context, emit func(*entry.Event)) error {
	emit(entry.NewGap(entry.SourceSockDiag, p.cfg.Boot(), 0, gapTables))
	tick := time.NewTicker(max(p.cfg.Every, polledEvery))
	defer tick.Stop()
	for {
		if p.cfg.Budget == nil || p.cfg.Budget.Allow() || p.lookedNS == 0 {
			begun := time.Now()
			p.look(emit)
			if p.cfg.Budget != nil {
				p.cfg.Budget.Spend(time.Since(begun))
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// look reads the tables and tells what is new and what is gone.
func (p *poller) look(emit func(*entry.Event)) {
	after, at := p.lookedNS, p.cfg.Boot()
	p.table.begin()
	whole := true
	for _, t := range []winbytes.Table{{}, {V6: true}, {UDP: true}, {UDP: true, V6: true}} {
		rows, err := p.rows(t)
		if err != nil {
			whole = false
			if text := gapAskTable + err.Error(); text != p.failed { // once
				p.failed = text
				emit(entry.NewGap(entry.SourceSockDiag, at, 0, text))
			}
		}
		for i := range rows {
			s := polled(t, &rows[i])
			if !s.worth() {
				continue
			}
			if news := p.table.saw(s); news != 0 {
				e := s.event(news, entry.SourceSockDiag)
				e.BootNS, e.AfterNS, e.UID = at, after, -1
				emit(&e)
			}
		}
	}
	if over := p.table.over; over > 0 {
		emit(entry.NewGap(entry.SourceSockDiag, at, over, gapMostTable))
	}
	if whole {
		for _, s := range p.table.missing() {
			e := s.event(entry.ConnectionClosed, entry.SourceSockDiag)
			e.BootNS, e.AfterNS, e.UID = at, after, -1
			emit(&e)
		}
	}
	p.lookedNS = at
}

// The texts of gaps.
const (
	gapAskTable  = "a table of sockets could not be read whole: "
	gapMostTable = "more sockets than are kept in mind"
)

// rows reads a table, with the time of each socket if it can be had.
func (p *poller) rows(t winbytes.Table) ([]winbytes.Socket, error) {
	t.Module = true
	if b, err := p.ask(t); err == nil {
		return winbytes.Sockets(t, b)
	}
	t.Module = false
	b, err := p.ask(t)
	if err != nil {
		return nil, err
	}
	return winbytes.Sockets(t, b)
}

// polled is a row of a table as a socket. Windows has no number for it: what it is made of
// names it, its maker and moment among it.
func polled(t winbytes.Table, r *winbytes.Socket) socket {
	s := socket{pid: int32(r.PID), proto: protoTCP, state: stateNumber(r.State), local: r.Local, remote: r.Remote, ifindex: r.Scope}
	if t.UDP {
		s.proto, s.state = protoUDP, stateClose
	}
	h := fnv.New64a()
	h.Write([]byte{s.proto})
	for _, a := range []netip.AddrPort{s.local, s.remote} {
		b, _ := a.MarshalBinary() // an address always can
		h.Write(b)
		h.Write([]byte{byte(len(b))})
	}
	h.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(r.PID)), uint64(r.Created)))
	s.cookie = max(h.Sum64(), 1)
	return s
}

// stateNumber is the state as include/net/tcp_states.h has it, which is what is on record.
func stateNumber(name string) uint8 {
	switch name {
	case "ESTABLISHED":
		return stateEstablished
	case "SYN_SENT":
		return stateSynSent
	case "SYN_RECV":
		return 3
	case "FIN_WAIT1":
		return 4
	case "FIN_WAIT2":
		return 5
	case "TIME_WAIT":
		return stateTimeWait
	case "CLOSE_WAIT":
		return 8
	case "LAST_ACK":
		return 9
	case "LISTEN":
		return stateListen
	case "CLOSING":
		return 11
	}
	return stateClose
}
