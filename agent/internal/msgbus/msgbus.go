// Package msgbus speaks to a D-Bus message bus, or to systemd without one, and stands up
// to whatever other users of the PC send over it. It knows nothing of who is spoken to.
//
// Reference: the D-Bus specification. Only the coding of messages is godbus's: its
// connections decode whatever any user of the PC sends to us, keep the descriptors that
// come along, and end the whole program at an array of them.
package msgbus

import "errors"

// SystemBus is where the system's bus listens. The environment is not asked.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// Name and Path are the bus's own.
const (
	Name = "org.freedesktop.DBus"
	Path = "/org/freedesktop/DBus"
)

// ErrLost is what calls end with whose connection ended.
var ErrLost = errors.New("the connection to the system bus was lost")

// Head is the header of a message, as far as it is looked at. The bus vouches for Sender.
type Head struct {
	Path, Interface, Member, Sender string

	kind    byte
	name    string // of an error
	replyTo uint32
	fds     uint32
}

// Longest messages, in bytes, that are kept; of longer ones nothing is. Answers are asked
// for, so they may be longer than what comes unasked.
const (
	maxHead   = 64 << 10
	maxSignal = 1 << 20
	maxAnswer = 16 << 20
)
