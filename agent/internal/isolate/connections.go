package isolate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Connections are those that programs of this endpoint have with others. Rules alone
// leave them established: cut off they wait, and go on where they were as soon as the
// network is released, an intruder's session among them.
type Connections interface {
	// Sever lists every connection that p does not allow and then ends it for good; its
	// program is told that it was aborted. Connections on the endpoint itself and the
	// agent's own with the collector are left alone, and so are services that listen. In
	// other network namespaces of the endpoint p allows none but what carries a tunnel.
	// The error wraps [ErrNeedsRoot] without the rights and [errors.ErrUnsupported]
	// where the system cannot do it; what was done until then stands in Severed.
	Sever(ctx context.Context, p Policy) (Severed, error)
}

// Severed is what came of the connections that existed when the network was cut.
type Severed struct {
	// At is the agent's wall clock when the last of it was done, Took how long it took.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// Destroyed were ended. Gone had ended by themselves meanwhile. Failed are still
	// there, cut off by the rules.
	Destroyed int `json:"destroyed"`
	Gone      int `json:"gone,omitempty"`
	Failed    int `json:"failed,omitempty"`
	// Unsupported means that this system cannot end connections of others, so that they
	// may go on after release.
	Unsupported bool `json:"unsupported,omitempty"`
	// Detail says in English what went wrong. Empty when all is well.
	Detail string `json:"detail,omitempty"`
	// List are the connections, at most ListMax; Omitted are those beyond it.
	List    []Connection `json:"list,omitempty"`
	Omitted int          `json:"omitted,omitempty"`
}

// ListMax bounds the list of severed connections, to about 300 KB in a record.
const ListMax = 1024

// Connection is one that existed when the network was cut.
type Connection struct {
	// Protocol is "tcp" or "udp", State as netstat(8) names it, such as "ESTABLISHED".
	Protocol string         `json:"protocol"`
	State    string         `json:"state"`
	Local    netip.AddrPort `json:"local"`
	Remote   netip.AddrPort `json:"remote"`
	// UID is the numeric user that made the socket, Inode its number in /proc/PID/fd, by
	// which a capture knows its process; 0 if no process has it any more. Cookie tells
	// it from every other socket since boot.
	UID    uint32 `json:"uid"`
	Inode  uint32 `json:"inode,omitempty"`
	Cookie uint64 `json:"cookie"`
	// PID is the process that had the socket when it was listed, of several the one with the
	// lowest number; 0 if none was found in time.
	PID uint32 `json:"pid,omitempty"`
	// Process is its name, StartTicks when it was started in ticks since boot
	// (proc_pid_stat(5)), which with PID is its identity, and Started the same by the agent's
	// wall clock. Empty where that is not told.
	Process    string    `json:"process,omitempty"`
	StartTicks uint64    `json:"start_ticks,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	// NetNS is the inode of the network namespace that it is in, 0 for the endpoint's own.
	NetNS uint64 `json:"net_ns,omitempty"`
	// Sent and Received are the bytes that the remote end acknowledged and that arrived
	// from it; 0 for UDP, which does not count.
	Sent     uint64 `json:"sent_bytes,omitempty"`
	Received uint64 `json:"received_bytes,omitempty"`
	// Outcome is "destroyed", "gone", "failed" or "unsupported".
	Outcome string `json:"outcome"`
}

// String says in one line who talked with whom, in words that need no translation.
func (c Connection) String() string {
	s := fmt.Sprintf("%s %s sent=%d received=%d %s", c.Protocol, c.Remote, c.Sent, c.Received, c.Outcome)
	if c.PID != 0 {
		s += fmt.Sprintf(" pid=%d", c.PID)
	}
	if c.Process != "" {
		s += fmt.Sprintf(" %q started=%s", c.Process, c.Started.Format(time.RFC3339))
	}
	if c.NetNS != 0 {
		s += fmt.Sprintf(" net:[%d]", c.NetNS)
	}
	return s
}

// Add keeps c in the list, if there is room.
func (s *Severed) Add(c Connection) {
	if len(s.List) < ListMax {
		s.List = append(s.List, c)
	} else {
		s.Omitted++
	}
}

// then returns what two rounds came to together.
func (s Severed) then(next Severed) Severed {
	next.Took += s.Took
	next.Destroyed += s.Destroyed
	next.Gone += s.Gone
	all := append([]Connection(nil), s.List...)
	next.Omitted += s.Omitted
	later := next.List
	next.List = all
	for _, c := range later {
		next.Add(c)
	}
	return next
}

// sever ends the connections that the rules in force do not allow. Whatever comes of
// it, the network stays cut.
func (m *Manager) sever(ctx context.Context, p Policy) {
	if m.cfg.Connections == nil {
		return
	}
	done := make(chan Severed, 1) // an abandoned call must write nowhere else
	err := m.ends.run(ctx, m.cfg.SeverLimit, func(ctx context.Context) error {
		s, err := m.cfg.Connections.Sever(ctx, p)
		done <- s
		return err
	})
	var s Severed
	select {
	case s = <-done:
	default:
		s.At = time.Now().UTC()
	}
	if err != nil {
		s.Unsupported = s.Unsupported || errors.Is(err, errors.ErrUnsupported)
		s.Detail = err.Error()
		m.cfg.Log.WarnContext(ctx, "connections may go on after release", slog.Any("error", err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.severed != nil {
		s = m.severed.then(s)
	}
	m.severed = &s
}
