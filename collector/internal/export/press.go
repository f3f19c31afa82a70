package export

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

// presses deflate on all processors. A file is cut into segments of blockSize bytes, each
// deflated by itself and ended on a byte (RFC 1951, an empty stored block); together they
// are one stream as any program reads it. Where a segment ends follows from the content
// alone, so equal content gives equal bytes on every machine.
type presses struct {
	deep    int // segments of a file that are under way, at most
	working sync.WaitGroup
	idle    chan *flate.Writer
	used    chan *segment
}

type segment struct {
	in   []byte
	out  bytes.Buffer
	err  error
	done chan struct{}
}

func newPresses() *presses {
	n := runtime.GOMAXPROCS(0)
	return &presses{deep: 2 * n, idle: make(chan *flate.Writer, n), used: make(chan *segment, 2*n+1)}
}

// wait returns when nothing is under way any more.
func (p *presses) wait() { p.working.Wait() }

// press returns what deflates one file to w.
func (p *presses) press(w io.Writer) *press { return &press{of: p, w: w} }

type press struct {
	of    *presses
	w     io.Writer
	next  *segment
	queue []*segment
}

func (p *press) Write(b []byte) (int, error) {
	all := len(b)
	for len(b) > 0 {
		if p.next == nil {
			p.next = p.of.segment()
		}
		s := p.next
		n := copy(s.in[len(s.in):cap(s.in)], b)
		s.in, b = s.in[:len(s.in)+n], b[n:]
		if len(s.in) == cap(s.in) {
			if err := p.begin(false); err != nil {
				return 0, err
			}
		}
	}
	return all, nil
}

// begin lets the next segment be deflated, after the oldest one was written if there are
// many.
func (p *press) begin(last bool) error {
	s := p.next
	if p.next = nil; s == nil {
		s = p.of.segment()
	}
	s.done = make(chan struct{})
	p.of.working.Go(func() { p.of.deflate(s, last) })
	p.queue = append(p.queue, s)
	if len(p.queue) < p.of.deep {
		return nil
	}
	return p.write()
}

// write writes the oldest segment.
func (p *press) write() error {
	s := p.queue[0]
	p.queue = p.queue[1:]
	<-s.done
	if s.err != nil {
		return s.err
	}
	_, err := p.w.Write(s.out.Bytes())
	select {
	case p.of.used <- s:
	default:
	}
	return err
}

// Close ends the file.
func (p *press) Close() error {
	err := p.begin(true)
	for err == nil && len(p.queue) > 0 {
		err = p.write()
	}
	return err
}

func (p *presses) segment() *segment {
	select {
	case s := <-p.used:
		s.in = s.in[:0]
		s.out.Reset()
		return s
	default:
		return &segment{in: make([]byte, 0, blockSize)}
	}
}

func (p *presses) deflate(s *segment, last bool) {
	defer close(s.done)
	var w *flate.Writer
	select {
	case w = <-p.idle:
		w.Reset(&s.out)
	default:
		if w, s.err = flate.NewWriter(&s.out, flate.BestSpeed); s.err != nil {
			return
		}
	}
	_, err := w.Write(s.in)
	if last {
		s.err = errors.Join(err, w.Close())
	} else {
		s.err = errors.Join(err, w.Flush())
	}
	select {
	case p.idle <- w:
	default:
	}
}
