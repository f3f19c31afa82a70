package uplink

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// writeBuffer is how many bytes gRPC gathers before it hands them to TLS, which makes eight
// records of them: half a chunk of evidence. With half of it uploads are a tenth slower.
const writeBuffer = 128 << 10

// batching hands the records that TLS makes of one write to the kernel in one piece. Go's TLS
// writes each of at most 16 KiB by itself, and for each the network stacks of both ends and
// the collector wake up: while evidence is sent that costs more than to encrypt it.
type batching struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (b batching) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &gatherer{Conn: raw}
	conn, info, err := b.TransportCredentials.ClientHandshake(ctx, authority, below)
	if err != nil {
		return nil, nil, err
	}
	return &batched{Conn: conn, below: below}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (b batching) Clone() credentials.TransportCredentials {
	return batching{b.TransportCredentials.Clone()}
}

// batched is a connection of TLS to which one at a time writes, as gRPC does.
type batched struct {
	net.Conn
	below *gatherer
}

// Write implements net.Conn.
func (c *batched) Write(b []byte) (int, error) {
	c.below.gather()
	n, err := c.Conn.Write(b)
	if sent := c.below.send(); err == nil && sent != nil {
		return 0, sent
	}
	return n, err
}

// gatherer is the connection below TLS. Between gather and send it keeps what is written.
type gatherer struct {
	net.Conn
	mu   sync.Mutex // TLS writes while it reads too: alerts, and answers to new keys
	open bool       // gathers
	kept []byte
}

func (g *gatherer) gather() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
}

// Write implements net.Conn. What it keeps is gone, with the connection, when send fails.
func (g *gatherer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return g.Conn.Write(b)
	}
	g.kept = append(g.kept, b...)
	return len(b), nil
}

// send writes what was kept and ends gathering.
func (g *gatherer) send() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	if len(g.kept) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.kept)
	if g.kept = g.kept[:0]; cap(g.kept) > 2*writeBuffer { // a write of somebody else's size
		g.kept = nil
	}
	return err
}
