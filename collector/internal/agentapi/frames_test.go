package agentapi

import "testing"

// Rooms have the length that was asked for, whatever came back before, and only whole ones
// are kept.
func TestFramePool(t *testing.T) {
	var p framePool
	for range 3 {
		for _, n := range []int{0, 1, frameSize - 1, frameSize, frameSize + 1, 1 << 20} {
			b := p.Get(n)
			if len(*b) != n {
				t.Fatalf("a room of %d bytes has %d", n, len(*b))
			}
			*b = (*b)[:min(n, 1)] // the pool is given a beginning of what it gave
			p.Put(b)
		}
		small := make([]byte, 10)
		p.Put(&small)
	}
}
