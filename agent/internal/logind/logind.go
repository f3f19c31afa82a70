// Package logind hears from the system's login service that the PC goes down or to
// sleep, and holds that up by a delay lock until it is let go. It knows nothing of what
// is done in between.
//
// Interface: org.freedesktop.login1(5), systemd.io "Inhibitor Locks". The lock is never a
// blocking one: when it is not let go, the PC goes down after InhibitDelayMaxSec.
package logind

import (
	"log/slog"
	"time"

	"hozen/agent/internal/msgbus"
)

// Config is the manual of a Client. The zero value is the usual one.
type Config struct {
	// Who and Why are shown by systemd-inhibit --list. Default "hozen-agent" and
	// "Evidence is kept before the PC goes down".
	Who, Why string
	// Address of the system bus. Default unix:path=/run/dbus/system_bus_socket; the
	// environment is not asked.
	Address string
	// Scheduled is the file that says when a shutdown is scheduled for. Default
	// /run/systemd/shutdown/scheduled.
	Scheduled string
	// MinRetry and MaxRetry bound the time between attempts to reach the bus or to take
	// the lock. Default 250 ms and 10 minutes.
	MinRetry, MaxRetry time.Duration
	// Log hears, once each time, that there is no bus and that the lock is held. Optional.
	Log *slog.Logger
}

// Kind says what an event is about.
type Kind string

// The kinds of events.
const (
	Down        Kind = "down"        // the PC goes down; what holds it must be let go soon
	Cancelled   Kind = "cancelled"   // it does not after all
	Scheduled   Kind = "scheduled"   // it will, at Event.For
	Unscheduled Kind = "unscheduled" // it won't
	Sleep       Kind = "sleep"       // it is suspended or hibernates
	Resumed     Kind = "resumed"     // it woke up
)

// Event is one thing that logind told.
type Event struct {
	Kind     Kind
	Received time.Time // with the monotonic clock
	// Type is "poweroff", "reboot", "halt", "kexec" or "soft-reboot"; empty before
	// systemd 255, which does not say.
	Type string
	For  time.Time // of Scheduled
	// UID and TTY are who scheduled it, where logind keeps that (systemd 250 and newer);
	// UID is -1 when it is not known.
	UID int64
	TTY string
	// Late says that the PC was going down already when logind was first asked, so it may
	// not be held.
	Late bool
}

// Locks says what becomes of other programs' blocking locks when the PC is to go down.
type Locks bool

// The choices. Locks that only delay, as our own, are waited for in any case.
const (
	HonourLocks Locks = false
	PassLocks   Locks = true
)

// Session is one sign-in.
type Session struct {
	ID   string
	UID  uint32
	User string
	Seat string // empty for a remote one
}

// State is how it stands.
type State struct {
	Connected bool          // to the bus
	Logind    bool          // somebody owns org.freedesktop.login1
	Held      bool          // the lock, by the logind that is there
	Allowed   time.Duration // as last read; 0 when it never was
}

const (
	defaultWho       = "hozen-agent"
	defaultWhy       = "Evidence is kept before the PC goes down"
	defaultAddress   = msgbus.SystemBus
	defaultScheduled = "/run/systemd/shutdown/scheduled"
	defaultMinRetry  = 250 * time.Millisecond
	defaultMaxRetry  = 10 * time.Minute
)

func (c Config) withDefaults() Config {
	if c.Who == "" {
		c.Who = defaultWho
	}
	if c.Why == "" {
		c.Why = defaultWhy
	}
	if c.Address == "" {
		c.Address = defaultAddress
	}
	if c.Scheduled == "" {
		c.Scheduled = defaultScheduled
	}
	if c.MinRetry <= 0 {
		c.MinRetry = defaultMinRetry
	}
	if c.MaxRetry < c.MinRetry {
		c.MaxRetry = max(defaultMaxRetry, c.MinRetry)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
