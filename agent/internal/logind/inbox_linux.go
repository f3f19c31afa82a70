package logind

import (
	"sync/atomic"

	"github.com/godbus/dbus/v5"
)

// inbox takes the signals that matter and drops the rest. Any user of the PC may send
// signals to us directly, so only what comes from the owner of logind's name counts, and
// what waits is bounded.
type inbox struct {
	signals chan *dbus.Signal
	owner   atomic.Pointer[string] // of logind's name; nil before it is known, "" for nobody
	lost    atomic.Bool            // something did not find room
}

func newInbox() *inbox { return &inbox{signals: make(chan *dbus.Signal, 64)} }

// accepts looks at the header of a signal. The bus vouches for the sender.
func (b *inbox) accepts(h head) bool {
	switch {
	case h.iface == busName && h.sender == busName:
		return h.member == "NameOwnerChanged"
	case h.iface == manager && h.path == string(loginPath):
		o := b.owner.Load()
		return o == nil || *o != "" && h.sender == *o
	}
	return false
}

// deliver is called in order and does not wait.
func (b *inbox) deliver(s *dbus.Signal) {
	if s.Sender == busName {
		owned, _, now, ok := ownerChange(s.Body)
		if !ok || owned != loginName {
			return
		}
		b.owner.Store(&now)
	}
	select {
	case b.signals <- s:
	default:
		b.lost.Store(true)
	}
}

// from reports whether s comes from the owner of logind's name, which may have become
// known only after s came.
func (b *inbox) from(s *dbus.Signal) bool {
	o := b.owner.Load()
	return o != nil && *o != "" && s.Sender == *o
}

func ownerChange(body []any) (name, was, now string, ok bool) {
	if len(body) != 3 {
		return "", "", "", false
	}
	name, ok1 := body[0].(string)
	was, ok2 := body[1].(string)
	now, ok3 := body[2].(string)
	return name, was, now, ok1 && ok2 && ok3
}
