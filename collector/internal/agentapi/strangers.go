package agentapi

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Connections of callers without a certificate, or with one that was revoked. Whoever reaches the port can open
// them, so they are few and short, and never take the places of endpoints: an agent
// that enrols needs one for seconds.
const (
	maxStrangers    = 512
	maxStrangersPer = 64 // of one address
	strangerTime    = time.Minute
	// strangerBytes is what one may say in that time. An enrolment, asked for again every
	// few seconds until an operator says yes, takes a tenth of it.
	strangerBytes = 256 << 10

	// maxPerAddress bounds all connections of one address, those in the handshake
	// included: an office behind one address has fewer PCs.
	maxPerAddress = 1000
)

// places counts what addresses have. This machine itself is not counted by address: a
// proxy may run there, and its users have other ways.
type places struct {
	all, each int
	mu        sync.Mutex
	total     int
	byAddress map[netip.Prefix]int
}

func newPlaces(all, each int) *places {
	return &places{all: all, each: each, byAddress: map[netip.Prefix]int{}}
}

// enter takes a place for a connection from that address, or reports false; leave
// gives it back, once.
func (p *places) enter(remote net.Addr) (leave func(), ok bool) {
	from := networkOf(remote)
	counted := !from.Addr().IsLoopback()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.all || counted && p.byAddress[from] >= p.each {
		return nil, false
	}
	p.total++
	p.byAddress[from]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.total--
		if p.byAddress[from]--; p.byAddress[from] == 0 {
			delete(p.byAddress, from)
		}
	}), true
}

// networkOf is the part of an address that one machine cannot change at will: all of
// IPv4, the /64 of IPv6 (RFC 6177).
func networkOf(remote net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Prefix{}
	}
	a, bits := ap.Addr().Unmap().WithZone(""), 32
	if a.Is6() {
		bits = 64
		if a.IsLoopback() {
			bits = 128
		}
	}
	n, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return n
}

var (
	errCrowded = errors.New("too many connections without a certificate that counts")
	errTalks   = errors.New("a caller without a certificate that counts says too much")
)

// stranger is a connection without a certificate, or with a revoked one; it ends by itself.
type stranger struct {
	net.Conn
	leave func()
	end   *time.Timer
	heard int // bytes
}

// Read implements [net.Conn]. gRPC keeps what a call says until it is whole, so what a
// stranger may say is bounded here.
func (s *stranger) Read(b []byte) (int, error) {
	if s.heard >= strangerBytes {
		return 0, errTalks
	}
	n, err := s.Conn.Read(b[:min(len(b), strangerBytes-s.heard)])
	s.heard += n
	return n, err
}

// Close implements [net.Conn].
func (s *stranger) Close() error {
	s.end.Stop()
	err := s.Conn.Close()
	s.leave()
	return err
}
