package agentapi

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"hozen/internal/pki"
)

// maxPerEndpoint bounds the connections of one endpoint: an agent has one, and those
// that a bad line left behind until they are found dead.
const maxPerEndpoint = 8

// guarded are TLS credentials that let few callers without a certificate in, and few
// of the same endpoint.
type guarded struct {
	credentials.TransportCredentials
	strangers *places
	endpoints *crowd
	// revoked reports whether a certificate counts no more.
	revoked func(endpointID, serial string) bool
	// crowded hears of an endpoint that has more connections than an agent makes.
	crowded func(endpointID string, remote net.Addr)
}

// ServerHandshake implements [credentials.TransportCredentials].
func (g guarded) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := g.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := info.(credentials.TLSInfo); ok && len(t.State.PeerCertificates) > 0 {
		cert := t.State.PeerCertificates[0]
		endpointID, err := pki.EndpointID(cert)
		if err != nil {
			return nil, nil, errors.Join(err, c.Close())
		}
		if !g.revoked(endpointID, pki.Serial(cert)) {
			m, full := g.endpoints.enter(endpointID, c, raw)
			if full {
				g.crowded(endpointID, raw.RemoteAddr())
			}
			return m, memberInfo{t, m}, nil
		}
		// It takes no place of the endpoint's, and is told at its first call.
	}
	leave, ok := g.strangers.enter(raw.RemoteAddr())
	if !ok {
		return nil, nil, errors.Join(errCrowded, c.Close())
	}
	// What ends it closes the connection alone, and gRPC then closes the stranger.
	return &stranger{Conn: c, leave: leave, end: time.AfterFunc(strangerTime, func() { _ = c.Close() })}, info, nil
}

// crowd holds the connections of each endpoint, oldest first.
type crowd struct {
	each int // 2 or more
	mu   sync.Mutex
	by   map[string][]*member
}

func newCrowd(each int) *crowd { return &crowd{each: each, by: map[string][]*member{}} }

// member is a connection with a certificate.
type member struct {
	net.Conn
	raw        net.Conn // below TLS, to be cut without a word
	crowd      *crowd
	endpointID string
	control    bool // it carries the control stream; guarded by the crowd's lock
}

// memberInfo tells the calls of a connection which one it is.
type memberInfo struct {
	credentials.TLSInfo
	m *member
}

// enter takes a connection in and reports whether there were too many. Then the oldest
// without the control stream is cut: an endpoint has only one control stream, so who
// stole its key cannot keep the agent itself out by being there first.
func (c *crowd) enter(endpointID string, conn, raw net.Conn) (m *member, full bool) {
	m = &member{Conn: conn, raw: raw, crowd: c, endpointID: endpointID}
	c.mu.Lock()
	list := c.by[endpointID]
	var cut *member
	if full = len(list) >= c.each; full {
		i := max(0, slices.IndexFunc(list, func(o *member) bool { return !o.control }))
		cut = list[i]
		list = slices.Delete(list, i, i+1)
	}
	c.by[endpointID] = append(list, m)
	c.mu.Unlock()
	if cut != nil {
		_ = cut.raw.Close() // gRPC finds it dead and closes the rest
	}
	return m, full
}

func (c *crowd) leave(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.DeleteFunc(c.by[m.endpointID], func(o *member) bool { return o == m })
	if c.by[m.endpointID] = list; len(list) == 0 {
		delete(c.by, m.endpointID)
	}
}

// Close implements [net.Conn].
func (m *member) Close() error {
	defer m.crowd.leave(m)
	return m.Conn.Close()
}

// hold notes that the connection of a call carries the control stream, until done.
func hold(ctx context.Context) (done func()) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return func() {}
	}
	info, ok := p.AuthInfo.(memberInfo)
	if !ok {
		return func() {}
	}
	set := func(to bool) {
		info.m.crowd.mu.Lock()
		defer info.m.crowd.mu.Unlock()
		info.m.control = to
	}
	set(true)
	return func() { set(false) }
}
