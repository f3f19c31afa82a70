package agentapi

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"hozen/internal/pki"
)

// Connections of callers without a certificate. Whoever reaches the port can open
// them, so they are few and short, and never take the places of endpoints: an agent
// that enrols needs one for seconds.
const (
	maxStrangers    = 512
	maxStrangersPer = 64 // of one address
	strangerTime    = time.Minute
	// strangerBytes is what one may say in that time. An enrolment, asked for again every
	// few seconds until an operator says yes, takes a tenth of it.
	strangerBytes = 256 << 10

	// maxPerEndpoint bounds the connections with one certificate: an agent has one, and
	// those that a bad line left behind until they are found dead.
	maxPerEndpoint = 8

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

// guarded are TLS credentials that let few callers without a certificate in, and few
// with the same.
type guarded struct {
	credentials.TransportCredentials
	strangers *places
	endpoints *crowd
}

var (
	errCrowded = errors.New("too many connections without a certificate")
	errTwins   = errors.New("too many connections of one endpoint")
	errTalks   = errors.New("a caller without a certificate says too much")
)

// crowd counts the connections of endpoints.
type crowd struct {
	each int
	mu   sync.Mutex
	by   map[string]int
}

func newCrowd(each int) *crowd { return &crowd{each: each, by: map[string]int{}} }

// enter takes a place for a connection of an endpoint, or reports false; leave gives it
// back, once.
func (c *crowd) enter(endpointID string) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[endpointID] >= c.each {
		return nil, false
	}
	c.by[endpointID]++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.by[endpointID]--; c.by[endpointID] == 0 {
			delete(c.by, endpointID)
		}
	}), true
}

// member is a connection with a certificate.
type member struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (m *member) Close() error {
	defer m.leave()
	return m.Conn.Close()
}

// ServerHandshake implements [credentials.TransportCredentials].
func (g guarded) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := g.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := info.(credentials.TLSInfo); ok && len(t.State.PeerCertificates) > 0 {
		endpointID, err := pki.EndpointID(t.State.PeerCertificates[0])
		if err != nil {
			return nil, nil, errors.Join(err, c.Close())
		}
		leave, ok := g.endpoints.enter(endpointID)
		if !ok {
			return nil, nil, errors.Join(errTwins, c.Close())
		}
		return &member{c, leave}, info, nil
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
