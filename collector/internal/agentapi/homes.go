package agentapi

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"hozen/proto/wire"
)

const (
	lookupTime  = 5 * time.Second
	lookupAgain = 10 * time.Minute
)

// homes are the addresses at which this collector is reached. Each order to isolate
// names them, so that a PC that is cut off finds a collector that moves, whatever is made
// up about its name where the PC is. No order waits for a name to be looked up.
type homes struct {
	literal []netip.AddrPort
	names   []string // "host:port"
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu    sync.Mutex
	found []netip.AddrPort // of names
	asked time.Time
}

func newHomes(addresses []string) *homes {
	h := &homes{lookup: net.DefaultResolver.LookupNetIP}
	for _, a := range addresses {
		if at, err := netip.ParseAddrPort(a); err == nil {
			h.literal = append(h.literal, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
		} else {
			h.names = append(h.names, a)
		}
	}
	return h
}

// list returns what is known, and has the names looked up in the background where that
// was long ago.
func (h *homes) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); len(h.names) > 0 && (h.asked.IsZero() || now.Sub(h.asked) >= lookupAgain) {
		h.asked = now
		go h.refresh()
	}
	var out []string
	for _, at := range slices.Concat(h.literal, h.found) {
		// What is of this machine alone, or of one link, is of no use to others.
		if a := at.Addr(); at.Port() == 0 || !a.IsGlobalUnicast() {
			continue
		}
		if s := at.String(); !slices.Contains(out, s) && len(out) < wire.MaxCollectors {
			out = append(out, s)
		}
	}
	return out
}

// refresh looks the names up. Of one that cannot be looked up now, nothing is kept: the
// endpoints remember where the collector was met.
func (h *homes) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	var found []netip.AddrPort
	for _, name := range h.names {
		host, portText, err := net.SplitHostPort(name)
		if err != nil {
			continue
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			continue
		}
		ips, err := h.lookup(ctx, "ip", host)
		if err != nil {
			continue
		}
		for _, ip := range ips {
			found = append(found, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = found
}
