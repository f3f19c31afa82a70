package sever

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"hozen/agent/internal/isolate"
)

// entry is one row of Windows' tables of TCP sockets.
type entry struct {
	socket
	// key is what names an IPv4 connection to SetTcpEntry: local address and port, remote
	// address and port, as they stand in the table.
	key [4]uint32
}

// tableStates are the states of MIB_TCP_STATE (tcpmib.h), as netstat(8) names them. What
// stands empty is no connection, or carries no data any more.
var tableStates = [...]string{3: "SYN_SENT", 4: "SYN_RECV", 5: "ESTABLISHED", 6: "FIN_WAIT1", 7: "FIN_WAIT2", 8: "CLOSE_WAIT", 9: "CLOSING", 10: "LAST_ACK", 12: ""}

// Sizes of MIB_TCPROW_OWNER_PID and MIB_TCP6ROW_OWNER_PID.
const tableRow4, tableRow6 = 24, 56

// parseTable reads MIB_TCPTABLE_OWNER_PID or MIB_TCP6TABLE_OWNER_PID: the connections, with
// what is not one left out. Ports stand in the first two bytes of theirs, in network order.
func parseTable(b []byte, six bool) (out []entry, err error) {
	le, be := binary.LittleEndian, binary.BigEndian
	if len(b) < 4 {
		return nil, fmt.Errorf("table of %d bytes: %w", len(b), errReply)
	}
	n, size := int64(le.Uint32(b)), int64(tableRow4)
	if six {
		size = tableRow6
	}
	b = b[4:]
	if n*size > int64(len(b)) {
		return nil, fmt.Errorf("%d rows in %d bytes: %w", n, len(b), errReply)
	}
	for range n {
		var e entry
		var state, pid uint32
		var local, remote netip.Addr
		var lport, rport uint16
		if six {
			local, remote = netip.AddrFrom16([16]byte(b)).Unmap(), netip.AddrFrom16([16]byte(b[24:])).Unmap()
			lport, rport = be.Uint16(b[20:]), be.Uint16(b[44:])
			state, pid = le.Uint32(b[48:]), le.Uint32(b[52:])
		} else {
			state, pid = le.Uint32(b), le.Uint32(b[20:])
			local, remote = netip.AddrFrom4([4]byte(b[4:])), netip.AddrFrom4([4]byte(b[12:]))
			lport, rport = be.Uint16(b[8:]), be.Uint16(b[16:])
			e.key = [4]uint32{le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:])}
		}
		b = b[size:]
		if int(state) >= len(tableStates) || tableStates[state] == "" {
			continue
		}
		e.Connection = isolate.Connection{Protocol: tcp, State: tableStates[state], PID: pid,
			Local: netip.AddrPortFrom(local, lport), Remote: netip.AddrPortFrom(remote, rport)}
		out = append(out, e)
	}
	return out, nil
}
