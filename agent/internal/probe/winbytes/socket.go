package winbytes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Table names one of the tables of sockets, and in which form it is asked for.
type Table struct {
	UDP bool
	V6  bool
	// Module asks for TCP_TABLE_OWNER_MODULE_ALL or UDP_TABLE_OWNER_MODULE, which tell when
	// the socket was made and for which service; else OWNER_PID.
	Module bool
}

func (t Table) String() string {
	s := "TCP"
	if t.UDP {
		s = "UDP"
	}
	if t.V6 {
		return s + " over IPv6"
	}
	return s + " over IPv4"
}

// row is where the members of a row stand; -1 for one that it does not have.
type row struct {
	start, size             int // of the first row, of each
	state, lAddr, lScope    int
	lPort, rAddr, rPort     int
	pid, created, moduleTag int
}

// rows are MIB_TCPROW_OWNER_MODULE and its like (tcpmib.h, udpmib.h).
func (t Table) row() row {
	switch t {
	case Table{Module: true}:
		return row{8, 160, 0, 4, -1, 8, 12, 16, 20, 24, 32}
	case Table{Module: true, V6: true}:
		return row{8, 192, 48, 0, 16, 20, 24, 44, 52, 56, 64}
	case Table{Module: true, UDP: true}:
		return row{8, 160, -1, 0, -1, 4, -1, -1, 8, 16, 32}
	case Table{Module: true, UDP: true, V6: true}:
		return row{8, 176, -1, 0, 16, 20, -1, -1, 24, 32, 48}
	case Table{}:
		return row{4, 24, 0, 4, -1, 8, 12, 16, 20, -1, -1}
	case Table{V6: true}:
		return row{4, 56, 48, 0, 16, 20, 24, 44, 52, -1, -1}
	case Table{UDP: true}:
		return row{4, 12, -1, 0, -1, 4, -1, -1, 8, -1, -1}
	}
	return row{4, 28, -1, 0, 16, 20, -1, -1, 24, -1, -1}
}

// Socket is one row of a table of sockets.
type Socket struct {
	// State is the name that the record has for it; empty for UDP, which has none.
	State         string
	Local, Remote netip.AddrPort // Remote is not valid where there is none
	// Scope is the interface of an address that is local to a link.
	Scope uint32
	PID   int
	// Created is a FILETIME, 0 when it is not known.
	Created int64
	// ServiceTag is the number that Windows gave the service for which the socket was made
	// within its process; 0 for none.
	ServiceTag uint64
}

// Sockets reads a table as GetExtendedTcpTable and GetExtendedUdpTable fill it. What was
// read before an error is valid.
func Sockets(t Table, b []byte) (list []Socket, err error) {
	head := view{b: b}
	n := head.u32(0)
	if err := head.err("table of " + t.String()); err != nil {
		return nil, err
	}
	r := t.row()
	for i := range int(n) {
		from := r.start + i*r.size
		if from+r.size > len(b) || from+r.size < 0 {
			return list, fmt.Errorf("read table of %v: %d of %d rows: %w", t, i, n, ErrShort)
		}
		list = append(list, t.socket(r, b[from:from+r.size]))
	}
	return list, nil
}

func (t Table) socket(r row, b []byte) (s Socket) {
	v := view{b: b}
	addr := func(off int) netip.Addr {
		if t.V6 {
			return netip.AddrFrom16([16]byte(v.at(off, 16)))
		}
		return netip.AddrFrom4([4]byte(v.at(off, 4)))
	}
	port := func(off int) uint16 { return binary.BigEndian.Uint16(v.at(off, 2)) } // the other two bytes may hold anything
	s.Local, s.PID = netip.AddrPortFrom(addr(r.lAddr), port(r.lPort)), int(v.u32(r.pid))
	if r.state >= 0 {
		s.State = stateName(v.u32(r.state))
	}
	if r.rAddr >= 0 && s.State != "LISTEN" { // of a socket that waits it holds anything
		if a, p := addr(r.rAddr), port(r.rPort); !a.IsUnspecified() || p != 0 {
			s.Remote = netip.AddrPortFrom(a, p)
		}
	}
	if r.lScope >= 0 {
		s.Scope = v.u32(r.lScope)
	}
	if r.created >= 0 {
		s.Created, s.ServiceTag = v.i64(r.created), v.u64(r.moduleTag)
	}
	return s
}

// stateName is MIB_TCP_STATE in the words of the record.
func stateName(n uint32) string {
	names := [...]string{1: "CLOSE", "LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT", "DELETE_TCB"}
	if n == 0 || n >= uint32(len(names)) {
		return fmt.Sprint(n)
	}
	return names[n]
}
