package agentapi

import (
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
)

// limiter holds the rate of enrolments per address.
type limiter struct {
	mu      sync.Mutex
	remotes map[string]*rate.Limiter
}

func newLimiter() *limiter { return &limiter{remotes: map[string]*rate.Limiter{}} }

func (l *limiter) allow(remote string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.remotes[remote]
	if r == nil {
		if len(l.remotes) >= maxRemotes {
			l.forget(now)
		}
		r = rate.NewLimiter(enrollRate, enrollBurst)
		l.remotes[remote] = r
	}
	return r.AllowN(now, 1)
}

// forget drops the addresses that have been quiet, or all when none has.
func (l *limiter) forget(now time.Time) {
	for remote, r := range l.remotes {
		if r.TokensAt(now) >= enrollBurst {
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
