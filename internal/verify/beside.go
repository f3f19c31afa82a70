package verify

import (
	"crypto/sha256"
	"hash"
)

// beside is a SHA-256 that is made in a goroutine of its own, while the writer goes on. Sum
// ends it.
type beside struct {
	hash.Hash
	todo chan []byte
	free chan []byte
	done chan struct{}
	open bool
}

func newBeside() *beside {
	b := &beside{Hash: sha256.New(), todo: make(chan []byte, 4), free: make(chan []byte, 6), done: make(chan struct{}), open: true}
	go func() {
		defer close(b.done)
		for p := range b.todo {
			b.Hash.Write(p)
			b.free <- p // never more than were made
		}
	}()
	return b
}

// Write takes a copy of p.
func (b *beside) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		var room []byte
		select {
		case room = <-b.free:
		default:
			room = make([]byte, 256<<10)
		}
		n := copy(room[:cap(room)], p)
		b.todo <- room[:n]
		p = p[n:]
	}
	return all, nil
}

// Sum waits for what was written.
func (b *beside) Sum(p []byte) []byte {
	b.close()
	return b.Hash.Sum(p)
}

func (b *beside) close() {
	if b.open {
		b.open = false
		close(b.todo)
	}
	<-b.done
}
