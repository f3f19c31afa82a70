package record

import "time"

// The values of Socket.Family and Socket.Proto.
const (
	FamilyInet   = "inet"
	FamilyInet6  = "inet6"
	FamilyUnix   = "unix"
	FamilyPacket = "packet"

	ProtoTCP    = "tcp"
	ProtoUDP    = "udp"
	ProtoRaw    = "raw"    // IP without a transport, as ping(8) and scanners use
	ProtoPacket = "packet" // whole frames, as sniffers use (packet(7))
	ProtoUnix   = "unix"
)

// The values of Socket.Source.
const (
	SourceSockDiag = "sock_diag" // NETLINK_SOCK_DIAG, sock_diag(7): one consistent dump
	SourceProcFS   = "procfs"    // /proc/PID/net/*: text that may miss or repeat rows while sockets come and go

	// GetExtendedTcpTable and GetExtendedUdpTable: one consistent table per protocol and family.
	SourceOwnerModule = "owner_module" // with the time at which a socket was made, and for which service
	SourceOwnerPID    = "owner_pid"    // without
)

// Socket is one socket of one network namespace.
type Socket struct {
	NetNS  uint64 `json:"ns_net"`           // inode of the network namespace
	Source string `json:"source,omitempty"` // who said so
	Family string `json:"family,omitempty"` // inet, inet6, unix, packet; a number when it is another
	Proto  string `json:"proto,omitempty"`  // tcp, udp, raw, packet, unix
	// Type is "stream", "dgram", "seqpacket" or "raw" for unix and packet sockets.
	Type string `json:"type,omitempty"`
	// ProtocolNum is the IP protocol of a raw socket or the EtherType of a packet socket.
	ProtocolNum int `json:"protocol_num,omitempty"`
	// State is the kernel's name for it: LISTEN, ESTABLISHED, TIME_WAIT, … For udp and
	// raw, ESTABLISHED means connected and CLOSE means not connected.
	State string `json:"state,omitempty"`

	LocalAddr  string `json:"local_addr,omitempty"` // without brackets or zone
	LocalPort  uint16 `json:"local_port,omitempty"`
	RemoteAddr string `json:"remote_addr,omitempty"` // absent when there is no peer
	RemotePort uint16 `json:"remote_port,omitempty"`

	// Path is the name of a unix socket; an abstract one starts with "@" in place of
	// its NUL byte (unix(7)).
	Path      string `json:"path,omitempty"`
	PathRaw   []byte `json:"path_b64,omitempty"`
	PeerInode uint64 `json:"peer_inode,omitempty"` // of a connected unix socket

	Inode uint64 `json:"inode,omitempty"` // 0 after the owner closed it, as in TIME_WAIT
	UID   int64  `json:"uid"`             // of the maker; -1 when not known
	User  string `json:"user,omitempty"`

	// Owners are the descriptors that refer to the socket. Absent: nobody holds it any
	// more, or the walk over descriptors did not come that far (see the outcome).
	Owners []Owner `json:"owners,omitempty"`

	IfIndex uint32 `json:"ifindex,omitempty"` // interface that it is bound to
	Iface   string `json:"iface,omitempty"`
	// RecvQ and SendQ are bytes waiting; of a listening TCP socket they are the
	// connections waiting to be accepted and the most that may wait.
	RecvQ uint32 `json:"recv_q,omitempty"`
	SendQ uint32 `json:"send_q,omitempty"`

	// CreatedAt is when the socket was bound or connected, and ServiceTag the number of the
	// service that did so within its process; Windows only, absent when not known.
	CreatedAt  time.Time `json:"created_at,omitzero"`
	ServiceTag uint64    `json:"service_tag,omitempty"`
}

// Owner is a descriptor of a process that refers to a socket.
type Owner struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // with PID, the identity of the process (see [Process])
	Comm       string `json:"comm,omitempty"`
	FD         int    `json:"fd"` // -1 on Windows, which tells the process alone
}

// AppendJSON appends s as one JSON object.
func (s *Socket) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = unumAlways(b, "ns_net", s.NetNS)
	b = str(b, "source", s.Source)
	b = str(b, "family", s.Family)
	b = str(b, "proto", s.Proto)
	b = str(b, "type", s.Type)
	b = num(b, "protocol_num", s.ProtocolNum)
	b = str(b, "state", s.State)
	b = str(b, "local_addr", s.LocalAddr)
	b = unum(b, "local_port", s.LocalPort)
	b = str(b, "remote_addr", s.RemoteAddr)
	b = unum(b, "remote_port", s.RemotePort)
	b = str(b, "path", s.Path)
	b = b64(b, "path_b64", s.PathRaw)
	b = unum(b, "peer_inode", s.PeerInode)
	b = unum(b, "inode", s.Inode)
	b = numAlways(b, "uid", s.UID)
	b = str(b, "user", s.User)
	if len(s.Owners) > 0 {
		b = append(key(b, "owners"), '[')
		for i := range s.Owners {
			if i > 0 {
				b = append(b, ',')
			}
			o := &s.Owners[i]
			b = append(b, '{')
			b = numAlways(b, "pid", o.PID)
			b = unumAlways(b, "start_ticks", o.StartTicks)
			b = str(b, "comm", o.Comm)
			b = numAlways(b, "fd", o.FD)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = unum(b, "ifindex", s.IfIndex)
	b = str(b, "iface", s.Iface)
	b = unum(b, "recv_q", s.RecvQ)
	b = unum(b, "send_q", s.SendQ)
	b = when(b, "created_at", s.CreatedAt)
	return append(unum(b, "service_tag", s.ServiceTag), '}')
}
