package main

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/nft"
	"hozen/agent/internal/isolate/sever"
)

func defaultConfig() string { return "/etc/hozen/agent.toml" }
func defaultState() string  { return "/var/lib/hozen" }
func defaultSocket() string { return "/run/hozen/agent.sock" }

func firewall() isolate.Firewall { return nft.New(nft.Config{Elsewhere: true}) }

func connections() isolate.Connections {
	return sever.New(sever.Config{Others: nft.New(nft.Config{}).Others})
}

// homeMark is the mark on the agent's sockets ("hzn"), by which an isolated PC's rules
// know the agent's way home from anybody else's.
const homeMark = 0x687a6e

// marker marks sockets (SO_MARK, socket(7)) and remembers whether it could.
type marker struct{ failed atomic.Bool }

func (m *marker) control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, homeMark); err != nil {
			m.failed.Store(true) // without rights; isolation is out of reach then anyway
		}
	})
}

// mark returns what rules may ask of the agent's packets: 0 if a socket has none.
func (m *marker) mark() uint32 {
	if m.failed.Load() {
		return 0
	}
	return homeMark
}
