package act

import (
	"context"
	"log/slog"
	"sync"

	"hozen/collector/internal/dispatch"
	"hozen/internal/releasecode"
)

// codeStock keeps release codes that nobody has yet. Each takes milliseconds to make, so
// those of a thousand endpoints are made while a person reads what an order to them would
// do, and not between the order and the cut. It lies in memory alone: an order without
// stock makes its codes itself.
type codeStock struct {
	mu    sync.Mutex
	ready []*dispatch.ReleaseCode
	want  int           // how many there should be
	wake  chan struct{} // there are fewer
}

func newCodeStock() *codeStock { return &codeStock{wake: make(chan struct{}, 1)} }

// expect says that so many will be asked for soon. It does not block.
func (c *codeStock) expect(n int) {
	c.mu.Lock()
	c.want = min(n, maxNames)
	c.mu.Unlock()
	c.call()
}

// call wakes one of those who make codes, who wakes the next.
func (c *codeStock) call() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take hands one out; nil when there is none.
func (c *codeStock) take() *dispatch.ReleaseCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = max(0, c.want-1)
	n := len(c.ready)
	if n == 0 {
		return nil
	}
	code := c.ready[n-1]
	c.ready[n-1] = nil
	c.ready = c.ready[:n-1]
	return code
}

func (c *codeStock) missing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ready) < c.want
}

func (c *codeStock) put(code *dispatch.ReleaseCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, code)
}

// stockCodes makes what is expected, until ctx ends.
func (s *Acts) stockCodes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.codes.wake:
		}
		if s.codes.missing() {
			s.codes.call()
		}
		for ctx.Err() == nil && s.codes.missing() {
			code, err := s.makeCode()
			if err != nil {
				s.log.ErrorContext(ctx, "release codes are not made ahead", slog.Any("error", err))
				break
			}
			s.codes.put(code)
		}
	}
}

// newCode is a way back without the collector; nil where this collector has no key.
func (s *Acts) newCode() (*dispatch.ReleaseCode, error) {
	if s.recovery == nil {
		return nil, nil
	}
	if code := s.codes.take(); code != nil {
		return code, nil
	}
	return s.makeCode()
}

func (s *Acts) makeCode() (*dispatch.ReleaseCode, error) {
	number, err := releasecode.NewNumber()
	if err != nil {
		return nil, err
	}
	c := &dispatch.ReleaseCode{Number: number, Salt: releasecode.NewSalt(), Iterations: releasecode.Iterations}
	c.Hash, err = releasecode.Hash(releasecode.New(*s.recovery, number), c.Salt, c.Iterations)
	return c, err
}
