package exehash

import (
	"sync"

	"hozen/internal/digest"
)

// DefaultCacheEntries is enough for the executables of any PC; it costs about 1 MB.
const DefaultCacheEntries = 8192

// Cache remembers digests across acquisitions. Its zero value is not usable.
type Cache struct {
	mu    sync.Mutex
	max   int
	known map[identity]digest.Digest
	order []identity // oldest first; a ring once it is full
	next  int
}

// identity is what must be unchanged for a digest to hold.
type identity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime int64 // nanoseconds since 1970
}

// NewCache returns a cache of at most entries digests; the oldest goes first. Zero
// means [DefaultCacheEntries].
func NewCache(entries int) *Cache {
	if entries <= 0 {
		entries = DefaultCacheEntries
	}
	return &Cache{max: entries, known: make(map[identity]digest.Digest)}
}

func (c *Cache) get(id identity) (digest.Digest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.known[id]
	return d, ok
}

func (c *Cache) put(id identity, d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[id]; ok {
		return
	}
	if len(c.order) < c.max {
		c.order = append(c.order, id)
	} else {
		delete(c.known, c.order[c.next])
		c.order[c.next] = id
		c.next = (c.next + 1) % c.max
	}
	c.known[id] = d
}
