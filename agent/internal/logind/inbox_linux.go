package logind

import (
	"sync/atomic"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/msgbus"
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

// Accepts implements [msgbus.Signals].
func (b *inbox) Accepts(h msgbus.Head) bool {
	switch {
	case h.Interface == busName && h.Sender == busName:
		return h.Member == "NameOwnerChanged"
	case h.Interface == manager && h.Path == string(loginPath):
		o := b.owner.Load()
		return o == nil || *o != "" && h.Sender == *o
	}
	return false
}

// Deliver implements [msgbus.Signals].
func (b *inbox) Deliver(s *dbus.Signal) {
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
