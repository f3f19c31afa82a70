package operator

import (
	"net/netip"
	"sync"
	"time"
)

// The limits on wrong passwords. A pair of name and address is slowed first; an
// address that tries many names and a name tried from many places follow later. A
// name alone is never barred for long, or a stranger could keep its owner out.
const (
	freePair, freeAddress, freeName = 5, 20, 50
	longestWait, longestNameWait    = 15 * time.Minute, time.Minute
	forgetAfter                     = time.Hour
	maxStrikes                      = 10_000
	// A code has six digits, and who guesses one knows the password already: of one person
	// more than ten are wrong only every ten minutes, 0.05 % of a hit in a day.
	freeCode, longestCodeWait = 10, 10 * time.Minute
)

// Limiter slows down those who guess passwords. It lives in memory, because a row
// per guess would let a stranger fill the disk. It is safe for concurrent use.
type Limiter struct {
	now func() time.Time

	mu      sync.Mutex
	strikes map[string]*strike
}

type strike struct {
	wrong int
	until time.Time // no attempt before
	last  time.Time
}

// NewLimiter returns a Limiter on that clock.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, strikes: map[string]*strike{}}
}

type limit struct {
	key     string
	free    int
	longest time.Duration
}

func limits(name, remoteAddr string) []limit {
	addr := addressKey(remoteAddr)
	return []limit{
		{"p " + addr + " " + name, freePair, longestWait},
		{"a " + addr, freeAddress, longestWait},
		{"n " + name, freeName, longestNameWait},
	}
}

func codeLimits(operatorID, remoteAddr string) []limit {
	addr := addressKey(remoteAddr)
	return []limit{
		{"cp " + addr + " " + operatorID, freePair, longestWait},
		{"a " + addr, freeAddress, longestWait},
		{"cn " + operatorID, freeCode, longestCodeWait},
	}
}

// recoveryLimits lacks the limit by person: nobody guesses a recovery code, and who knows the
// password could keep its owner out for good by one wrong code every ten minutes.
func recoveryLimits(operatorID, remoteAddr string) []limit {
	addr := addressKey(remoteAddr)
	return []limit{
		{"rp " + addr + " " + operatorID, freePair, longestWait},
		{"a " + addr, freeAddress, longestWait},
	}
}

// BeginRecovery is [Limiter.Begin] for a recovery code, before [Limiter.RightRecovery].
func (l *Limiter) BeginRecovery(operatorID, remoteAddr string) (ok, first bool) {
	return l.begin(recoveryLimits(operatorID, remoteAddr))
}

// RightRecovery takes back what BeginRecovery counted.
func (l *Limiter) RightRecovery(operatorID, remoteAddr string) {
	l.right(recoveryLimits(operatorID, remoteAddr))
}

// BeginCode is [Limiter.Begin] for the code of a second factor, before [Limiter.RightCode].
func (l *Limiter) BeginCode(operatorID, remoteAddr string) (ok, first bool) {
	return l.begin(codeLimits(operatorID, remoteAddr))
}

// RightCode takes back what BeginCode counted.
func (l *Limiter) RightCode(operatorID, remoteAddr string) {
	l.right(codeLimits(operatorID, remoteAddr))
}

// Begin asks whether a password may be tried now and counts it as wrong until
// Right is called, so that guesses in parallel count too. first is true for the
// attempt after which the waiting begins.
func (l *Limiter) Begin(name, remoteAddr string) (ok, first bool) {
	return l.begin(limits(name, remoteAddr))
}

func (l *Limiter) begin(all []limit) (ok, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, lim := range all {
		if s := l.strikes[lim.key]; s != nil && now.Before(s.until) {
			return false, false
		}
	}
	for _, lim := range all {
		s := l.strikes[lim.key]
		if s == nil || now.Sub(s.last) > forgetAfter {
			s = &strike{}
			l.makeRoom(now)
			l.strikes[lim.key] = s
		}
		s.wrong++
		s.last = now
		if over := s.wrong - lim.free; over >= 0 {
			s.until = now.Add(min(time.Second<<min(over, 20), lim.longest))
			first = first || over == 0
		}
	}
	return true, first
}

// Right takes back what Begin counted: the password was right.
func (l *Limiter) Right(name, remoteAddr string) { l.right(limits(name, remoteAddr)) }

func (l *Limiter) right(all []limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, lim := range all {
		s := l.strikes[lim.key]
		switch {
		case s == nil:
		case i == 0:
			delete(l.strikes, lim.key)
		default:
			s.wrong--
			s.until = time.Time{}
		}
	}
}

// makeRoom keeps the memory bounded: the forgotten go, and if none is, any.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.strikes) < maxStrikes {
		return
	}
	for k, s := range l.strikes {
		if now.Sub(s.last) > forgetAfter {
			delete(l.strikes, k)
		}
	}
	for k := range l.strikes {
		if len(l.strikes) < maxStrikes {
			return
		}
		delete(l.strikes, k)
	}
}

// addressKey is the part of an address that one person can't change at will: all
// of IPv4, the /64 of IPv6 (RFC 6177).
func addressKey(remoteAddr string) string {
	addr := netip.Addr{}
	if ap, err := netip.ParseAddrPort(remoteAddr); err == nil {
		addr = ap.Addr()
	} else if a, err := netip.ParseAddr(remoteAddr); err == nil {
		addr = a
	} else {
		return remoteAddr
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
