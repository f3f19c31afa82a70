package records

import (
	"container/list"
	"context"
	"io"
	"sync"
	"time"

	"hozen/collector/internal/evidence"
)

// Cache keeps decoded artifacts, the most recently used ones, so that turning a page
// does not unpack them again. Evidence never changes, so nothing gets stale. It is
// safe for concurrent use.
type Cache struct {
	limits Limits
	max    int64 // bytes of memory
	now    func() time.Time
	turns  chan struct{}

	mu    sync.Mutex
	size  int64
	order *list.List // of *kept, most recent first
	byID  map[string]*list.Element
}

type kept struct {
	id   string
	file *File
	cost int64
}

// NewCache returns a cache that holds up to max bytes of memory and notes by now when it
// read. What may take more than max is never decoded so far, so that all that can be
// shown can be kept.
func NewCache(max int64, l Limits, now func() time.Time) *Cache {
	if l.Memory == 0 || l.Memory > max/5*4 {
		l.Memory = max / 5 * 4 // slices keep room for a quarter more than they hold
	}
	// Two at a time: more would multiply the memory that one artifact may take.
	return &Cache{limits: l, max: max, now: now, turns: make(chan struct{}, 2), order: list.New(), byID: make(map[string]*list.Element)}
}

// Get returns the decoded artifact of item, opening its bytes only when they are not
// kept. The caller has checked that the reader may see it.
func (c *Cache) Get(ctx context.Context, item evidence.Item, open func() (io.ReadCloser, error)) (*File, error) {
	if f := c.lookup(item.ID); f != nil {
		return f, nil
	}
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f := c.lookup(item.ID); f != nil { // somebody else was faster
		return f, nil
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := Read(ctx, item, r, c.limits)
	if err != nil {
		return nil, err
	}
	f.ReadAt = c.now()
	c.keep(item.ID, f)
	return f, nil
}

func (c *Cache) lookup(id string) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).file
}

func (c *Cache) keep(id string, f *File) {
	cost := f.Memory()
	if !f.StoredOK || cost > c.max {
		return // damaged: read again each time, so that a repair shows at once
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[id]; ok {
		return
	}
	c.byID[id] = c.order.PushFront(&kept{id, f, cost})
	c.size += cost
	for c.size > c.max {
		last := c.order.Back()
		k := last.Value.(*kept)
		c.order.Remove(last)
		delete(c.byID, k.id)
		c.size -= k.cost
	}
}
