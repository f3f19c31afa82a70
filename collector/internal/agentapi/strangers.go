package agentapi

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Connections of callers without a certificate. Whoever reaches the port can open
// them, so they are few and short, and never take the places of endpoints: an agent
// that enrols needs one for seconds.
const (
	maxStrangers    = 512
	maxStrangersPer = 64 // of one address
	strangerTime    = time.Minute

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

// guarded are TLS credentials that let few callers without a certificate in.
type guarded struct {
	credentials.TransportCredentials
	strangers *places
}

var errCrowded = errors.New("too many connections without a certificate")

// ServerHandshake implements [credentials.TransportCredentials].
func (g guarded) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := g.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := info.(credentials.TLSInfo); ok && len(t.State.PeerCertificates) > 0 {
		return c, info, nil
	}
	leave, ok := g.strangers.enter(raw.RemoteAddr())
	if !ok {
		return nil, nil, errors.Join(errCrowded, c.Close())
	}
	// What ends it closes the connection alone, and gRPC then closes the stranger.
	return &stranger{Conn: c, leave: leave, end: time.AfterFunc(strangerTime, func() { _ = c.Close() })}, info, nil
}

// stranger is a connection without a certificate; it ends by itself.
type stranger struct {
	net.Conn
	leave func()
	end   *time.Timer
}

// Close implements [net.Conn].
func (s *stranger) Close() error {
	s.end.Stop()
	err := s.Conn.Close()
	s.leave()
	return err
}
