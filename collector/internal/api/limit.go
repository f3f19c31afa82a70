package api

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits say how fast programs may ask: so many a second in the long run, and so many at
// once after a pause.
type Limits struct {
	AddressRate  float64 // requests from one IPv4 address or one IPv6 network of 64 bits, per second
	AddressBurst int
	TokenRate    float64 // requests with one token, per second
	TokenBurst   int
	OrderRate    float64 // of those the ones that change something, per second
	OrderBurst   int
}

// DefaultLimits let a program look at everything every few seconds, and keep one that went
// mad from cutting an office off within a minute.
func DefaultLimits() Limits {
	return Limits{AddressRate: 20, AddressBurst: 200, TokenRate: 10, TokenBurst: 100, OrderRate: 0.5, OrderBurst: 30}
}

// wrongCosts is what a request without a good token costs its address, in requests.
const wrongCosts = 10

// maxBuckets bounds the memory that strangers can make grow.
const maxBuckets = 4096

// limiter counts requests. It is safe for concurrent use.
type limiter struct {
	limits Limits
	now    func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	*rate.Limiter
	last time.Time
}

func newLimiter(l Limits, now func() time.Time) *limiter {
	return &limiter{limits: l, now: now, buckets: map[string]*bucket{}}
}

// address counts a request from an address and returns how long it has to wait; 0: it need not.
func (l *limiter) address(addr string) time.Duration {
	return l.take("a "+network(addr), l.limits.AddressRate, l.limits.AddressBurst, 1)
}

// wrong makes a request without a good token dearer, as far as its address has any left.
func (l *limiter) wrong(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, now := l.buckets["a "+network(addr)], l.now(); b != nil {
		b.AllowN(now, max(0, min(wrongCosts, int(b.TokensAt(now)))))
	}
}

// token counts a request with a token.
func (l *limiter) token(id string, order bool) time.Duration {
	wait := l.take("t "+id, l.limits.TokenRate, l.limits.TokenBurst, 1)
	if wait == 0 && order {
		wait = l.take("o "+id, l.limits.OrderRate, l.limits.OrderBurst, 1)
	}
	return wait
}

func (l *limiter) take(key string, perSecond float64, burst, n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.buckets[key]
	if b == nil {
		l.makeRoom(now)
		b = &bucket{Limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
		l.buckets[key] = b
	}
	b.last = now
	r := b.ReserveN(now, n)
	if !r.OK() {
		return time.Minute
	}
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now) // who asks too fast is not punished for asking
	}
	return wait
}

// makeRoom forgets those who have not asked for ten minutes, and if that is nobody, any.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for k, b := range l.buckets {
		if now.Sub(b.last) > 10*time.Minute {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) < maxBuckets {
			return
		}
		delete(l.buckets, k)
	}
}

// network is what an address is counted by: whoever has one of IPv6 has all of its network.
func network(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
