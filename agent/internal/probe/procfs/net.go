package procfs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"

	"hozen/internal/artifact/record"
)

// ParseRaw reads /proc/PID/net/raw or raw6: raw IP sockets. bad counts lines that are
// not of its format. NetNS and User are left for the caller.
func ParseRaw(b []byte) (socks []record.Socket, bad int) {
	for line := range rows(b) {
		f := bytes.Fields(line)
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
		if len(f) < 10 {
			bad++
			continue
		}
		s := record.Socket{Source: record.SourceProcFS, Proto: record.ProtoRaw, UID: record.Unknown}
		local, num, ok := addrPort(f[1])
		remote, _, ok2 := addrPort(f[2])
		st, err := strconv.ParseUint(string(f[3]), 16, 8)
		tx, rx, ok3 := bytes.Cut(f[4], []byte(":"))
		sendq, err2 := strconv.ParseUint(string(tx), 16, 32)
		recvq, err3 := strconv.ParseUint(string(rx), 16, 32)
		uid, neg, ok4 := number(f[7])
		ino, _, ok5 := number(f[9])
		if !ok || !ok2 || !ok3 || !ok4 || !ok5 || neg || err != nil || err2 != nil || err3 != nil {
			bad++
			continue
		}
		s.Family = record.FamilyInet
		if local.Is6() {
			s.Family = record.FamilyInet6
		}
		s.LocalAddr, s.ProtocolNum = local.String(), int(num) // raw(7): the port is the protocol
		if !remote.IsUnspecified() {
			s.RemoteAddr = remote.String()
		}
		s.State = StateName(byte(st))
		s.SendQ, s.RecvQ = uint32(sendq), uint32(recvq)
		s.UID, s.Inode = int64(uid), ino
		socks = append(socks, s)
	}
	return socks, bad
}

// ParsePacket reads /proc/PID/net/packet: sockets that see whole frames (packet(7)).
func ParsePacket(b []byte) (socks []record.Socket, bad int) {
	for line := range rows(b) {
		f := bytes.Fields(line)
		// sk RefCnt Type Proto Iface R Rmem User Inode
		if len(f) < 9 {
			bad++
			continue
		}
		typ, _, ok := number(f[2])
		proto, err := strconv.ParseUint(string(f[3]), 16, 16)
		ifindex, neg, ok2 := number(f[4])
		rmem, _, ok3 := number(f[6])
		uid, _, ok4 := number(f[7])
		ino, _, ok5 := number(f[8])
		if !ok || !ok2 || !ok3 || !ok4 || !ok5 || err != nil || neg || ifindex > 1<<31 {
			bad++
			continue
		}
		socks = append(socks, record.Socket{
			Source: record.SourceProcFS, Family: record.FamilyPacket, Proto: record.ProtoPacket,
			Type: SockType(byte(typ)), ProtocolNum: int(proto), IfIndex: uint32(ifindex),
			RecvQ: uint32(min(rmem, 1<<32-1)), UID: int64(uid), Inode: ino,
		})
	}
	return socks, bad
}

// rows yields the lines behind the heading.
func rows(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		first := true
		for line := range bytes.Lines(b) {
			if !first && len(bytes.TrimSpace(line)) > 0 && !yield(line) {
				return
			}
			first = false
		}
	}
}

// addrPort reads "0100007F:0016": an address as 32-bit words in the byte order of the
// machine, and a number.
func addrPort(b []byte) (netip.Addr, uint16, bool) {
	h, p, ok := bytes.Cut(b, []byte(":"))
	port, err := strconv.ParseUint(string(p), 16, 16)
	if !ok || err != nil || (len(h) != 8 && len(h) != 32) {
		return netip.Addr{}, 0, false
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], h); err != nil {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(h)/2; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	if len(h) == 8 {
		return netip.AddrFrom4([4]byte(raw[:4])), uint16(port), true
	}
	return netip.AddrFrom16(raw), uint16(port), true
}

// StateName names a state of include/net/tcp_states.h as the kernel does, without
// its prefix.
func StateName(st byte) string {
	switch st {
	case 1:
		return "ESTABLISHED"
	case 2:
		return "SYN_SENT"
	case 3:
		return "SYN_RECV"
	case 4:
		return "FIN_WAIT1"
	case 5:
		return "FIN_WAIT2"
	case 6:
		return "TIME_WAIT"
	case 7:
		return "CLOSE"
	case 8:
		return "CLOSE_WAIT"
	case 9:
		return "LAST_ACK"
	case 10:
		return "LISTEN"
	case 11:
		return "CLOSING"
	case 12:
		return "NEW_SYN_RECV"
	}
	return strconv.Itoa(int(st))
}

// SockType names a socket type (socket(2)).
func SockType(t byte) string {
	switch t {
	case 1:
		return "stream"
	case 2:
		return "dgram"
	case 3:
		return "raw"
	case 5:
		return "seqpacket"
	}
	return strconv.Itoa(int(t))
}
