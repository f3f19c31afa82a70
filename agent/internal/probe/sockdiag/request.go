package sockdiag

import "encoding/binary"

// What is used of linux/netlink.h, linux/sock_diag.h and linux/rtnetlink.h.
const (
	headerLen = 16

	typeNoop        = 1
	typeError       = 2
	typeDone        = 3
	typeOverrun     = 4
	typeGetLink     = 18
	typeNewLink     = 16
	typeDiagByFam   = 20
	flagRequest     = 0x1
	flagDump        = 0x300
	flagInterrupted = 0x10

	familyUnix   = 1
	familyInet   = 2
	familyInet6  = 10
	familyPacket = 17

	protoTCP = 6
	protoUDP = 17
	protoRaw = 255

	allStates = 0xffffffff
)

// Request is one question.
type Request uint16

// The questions. Raw and Raw6 need a kernel with INET_RAW_DIAG.
const (
	TCP    Request = familyInet<<8 | protoTCP
	TCP6   Request = familyInet6<<8 | protoTCP
	UDP    Request = familyInet<<8 | protoUDP
	UDP6   Request = familyInet6<<8 | protoUDP
	Raw    Request = familyInet<<8 | protoRaw
	Raw6   Request = familyInet6<<8 | protoRaw
	Unix   Request = familyUnix << 8
	Packet Request = familyPacket << 8
)

func (r Request) family() uint8 { return uint8(r >> 8) }
func (r Request) proto() uint8  { return uint8(r) }

// String names r for error texts and outcomes.
func (r Request) String() string {
	switch r {
	case TCP:
		return "tcp"
	case TCP6:
		return "tcp6"
	case UDP:
		return "udp"
	case UDP6:
		return "udp6"
	case Raw:
		return "raw"
	case Raw6:
		return "raw6"
	case Unix:
		return "unix"
	case Packet:
		return "packet"
	}
	return "unknown"
}

// message returns the bytes of the question with sequence number seq.
func (r Request) message(seq uint32) []byte {
	ne := binary.NativeEndian
	body := make([]byte, 0, 56)
	switch r.family() {
	case familyInet, familyInet6: // struct inet_diag_req_v2; raw sockets put their protocol into pad
		body = append(body, r.family(), r.proto(), 0, 0)
		body = ne.AppendUint32(body, allStates)
		body = append(body, make([]byte, 48)...)
	case familyUnix: // struct unix_diag_req
		const showName, showPeer, showQueues, showUID = 1, 4, 0x10, 0x40
		body = append(body, r.family(), 0, 0, 0)
		body = ne.AppendUint32(body, allStates)
		body = ne.AppendUint32(body, 0)
		body = ne.AppendUint32(body, showName|showPeer|showQueues|showUID)
		body = append(body, make([]byte, 8)...)
	case familyPacket: // struct packet_diag_req
		const showInfo, showMemInfo = 1, 0x10
		body = append(body, r.family(), 0, 0, 0)
		body = ne.AppendUint32(body, 0)
		body = ne.AppendUint32(body, showInfo|showMemInfo)
		body = append(body, make([]byte, 8)...)
	}
	return header(typeDiagByFam, flagRequest|flagDump, seq, body)
}

func header(typ, flags uint16, seq uint32, body []byte) []byte {
	ne := binary.NativeEndian
	b := make([]byte, 0, headerLen+len(body))
	b = ne.AppendUint32(b, uint32(headerLen+len(body)))
	b = ne.AppendUint16(b, typ)
	b = ne.AppendUint16(b, flags)
	b = ne.AppendUint32(b, seq)
	b = ne.AppendUint32(b, 0)
	return append(b, body...)
}
