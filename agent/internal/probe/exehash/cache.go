package exehash

import (
	"sync"

	"hozen/internal/artifact/record"
	"hozen/internal/digest"
)

// DefaultCacheEntries is enough for the executables of any PC; it costs about 1 MB.
const DefaultCacheEntries = 8192

// Cache remembers digests across acquisitions. Its zero value is not usable.
type Cache struct {
	mu    sync.Mutex
	max   int
	known map[identity]verdict
	order []identity // oldest first; a ring once it is full
	next  int
}

// verdict is what is remembered of a file; who signed it is of Windows only.
type verdict struct {
	digest                   digest.Digest
	signature, signatureCode string
}

// identity is what must be unchanged for a digest to hold.
type identity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime int64 // nanoseconds since 1970
}

// tell fills in a record with what is remembered.
func (v verdict) tell(r *record.ExeHash) {
	r.SHA256, r.Cached, r.Signature, r.SignatureCode = v.digest.String(), true, v.signature, v.signatureCode
}

// NewCache returns a cache of at most entries digests; the oldest goes first. Zero
// means [DefaultCacheEntries].
func NewCache(entries int) *Cache {
	if entries <= 0 {
		entries = DefaultCacheEntries
	}
	return &Cache{max: entries, known: make(map[identity]verdict)}
}

func (c *Cache) get(id identity) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.known[id]
	return d, ok
}

func (c *Cache) put(id identity, v verdict) {
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
	c.known[id] = v
}
