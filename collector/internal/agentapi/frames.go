package agentapi

import "sync"

// frameSize is the most bytes that gRPC takes in one HTTP/2 DATA frame (RFC 9113 §4.2: the
// least that is allowed, and what it announces).
const frameSize = 16 << 10

// framePool is the room of frames that arrive. gRPC's own pool clears each before it reads
// into it, which was a twentieth of what taking evidence in costs; here it holds what was
// there before until all of it is overwritten, and nobody sees it earlier. It implements
// mem.BufferPool.
type framePool struct{ pool sync.Pool }

// Get implements mem.BufferPool.
func (p *framePool) Get(n int) *[]byte {
	if n > frameSize {
		b := make([]byte, n)
		return &b
	}
	b, ok := p.pool.Get().(*[]byte)
	if !ok {
		s := make([]byte, frameSize)
		b = &s
	}
	*b = (*b)[:n]
	return b
}

// Put implements mem.BufferPool.
func (p *framePool) Put(b *[]byte) {
	if cap(*b) == frameSize {
		p.pool.Put(b)
	}
}
