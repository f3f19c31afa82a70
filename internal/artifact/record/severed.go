package record

// SchemaSevered is the format of the connections that existed when the network was cut.
const SchemaSevered = "hozen.severed/1"

// The values of Severed.Outcome.
const (
	SeveredDestroyed   = "destroyed"   // ended by the agent; its program was told that it was aborted
	SeveredGone        = "gone"        // had ended by itself
	SeveredFailed      = "failed"      // still there, cut off by the rules
	SeveredUnsupported = "unsupported" // this system cannot end it; cut off by the rules
)

// Severed is one connection that existed when the network was cut, and what came of it.
type Severed struct {
	Proto      string `json:"proto"`           // tcp, udp
	State      string `json:"state,omitempty"` // before, as in hozen.netconn/1
	LocalAddr  string `json:"local_addr"`
	LocalPort  uint16 `json:"local_port"`
	RemoteAddr string `json:"remote_addr"`
	RemotePort uint16 `json:"remote_port"`
	UID        int64  `json:"uid"`              // of the maker
	Inode      uint64 `json:"inode,omitempty"`  // as in hozen.netconn/1, by which its process is known
	Cookie     uint64 `json:"cookie"`           // the kernel's number of the socket
	NetNS      uint64 `json:"ns_net,omitempty"` // inode of its network namespace, where that is not the PC's own
	// PID, StartTicks and Comm are those of the process that had it, as in hozen.process/1; of
	// several the one with the lowest PID. Windows tells the PID alone, and no user: uid is -1.
	PID        uint32 `json:"pid,omitempty"`
	StartTicks uint64 `json:"start_ticks,omitempty"`
	Comm       string `json:"comm,omitempty"`
	// Bytes that the remote end acknowledged and that arrived from it; UDP does not count.
	BytesAcked    uint64 `json:"bytes_acked,omitempty"`
	BytesReceived uint64 `json:"bytes_received,omitempty"`
	Outcome       string `json:"outcome"`
}

// AppendJSON appends s as one JSON object.
func (s *Severed) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "proto", s.Proto)
	b = str(b, "state", s.State)
	b = strAlways(b, "local_addr", s.LocalAddr)
	b = unumAlways(b, "local_port", s.LocalPort)
	b = strAlways(b, "remote_addr", s.RemoteAddr)
	b = unumAlways(b, "remote_port", s.RemotePort)
	b = numAlways(b, "uid", s.UID)
	b = unum(b, "inode", s.Inode)
	b = unumAlways(b, "cookie", s.Cookie)
	b = unum(b, "ns_net", s.NetNS)
	b = unum(b, "pid", s.PID)
	b = unum(b, "start_ticks", s.StartTicks)
	b = str(b, "comm", s.Comm)
	b = unum(b, "bytes_acked", s.BytesAcked)
	b = unum(b, "bytes_received", s.BytesReceived)
	b = strAlways(b, "outcome", s.Outcome)
	return append(b, '}')
}
