package agentapi

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Enrolments from one address: a whole office may sit behind it, a guesser gets
// nowhere either way, as a secret has 160 random bits.
const (
	enrollRate  = rate.Limit(5) // per second
	enrollBurst = 100
	maxRemotes  = 10_000

	// What endpoints say unasked and what is kept for ever: alerts, changes of isolation
	// and of what they are. An endpoint that was offline for weeks has a thousand alerts
	// and is through in minutes; one that was taken over fills nothing in hours.
	newsRate  = rate.Limit(5) // per second, of one endpoint
	newsBurst = 200

	// That an endpoint has too many connections is said once an hour and endpoint.
	crowdsRate = rate.Limit(1.0 / 3600) // per second
)

// limiter holds a rate per address or endpoint.
type limiter struct {
	rate    rate.Limit
	burst   int
	mu      sync.Mutex
	remotes map[string]*rate.Limiter
}

func newLimiter(r rate.Limit, burst int) *limiter {
	return &limiter{rate: r, burst: burst, remotes: map[string]*rate.Limiter{}}
}

func (l *limiter) allow(remote string, now time.Time) bool { return l.of(remote, now).AllowN(now, 1) }

// wait holds the caller back until there is room; an error means that ctx ended.
func (l *limiter) wait(ctx context.Context, remote string) error {
	return l.of(remote, time.Now()).Wait(ctx)
}

func (l *limiter) of(remote string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.remotes[remote]
	if r == nil {
		if len(l.remotes) >= maxRemotes {
			l.forget(now)
		}
		r = rate.NewLimiter(l.rate, l.burst)
		l.remotes[remote] = r
	}
	return r
}

// forget drops the addresses that have been quiet, or all when none has.
func (l *limiter) forget(now time.Time) {
	for remote, r := range l.remotes {
		if r.TokensAt(now) >= float64(l.burst) {
			delete(l.remotes, remote)
		}
	}
	if len(l.remotes) >= maxRemotes {
		clear(l.remotes)
	}
}

// limitListener accepts at most n connections at one time; further ones wait in the
// system's queue. What an address has beyond its part is closed.
func limitListener(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{}), places: newPlaces(n, maxPerAddress)}
}

type limitedListener struct {
	net.Listener
	room   chan struct{}
	places *places
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.room
			return nil, err
		}
		if leave, ok := l.places.enter(c.RemoteAddr()); ok {
			return &limitedConn{Conn: c, release: func() { leave(); <-l.room }}, nil
		}
		_ = c.Close() // nothing was said on it yet
	}
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}
