package isolate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	// tunnelsLimit is how long finding out what carries the way to the collector may take.
	tunnelsLimit = 2 * time.Second
	// tunnelKeep is how long what carried a tunnel stays open after the tunnel went, so that
	// it can come back. After that it is closed as soon as the collector is reached without
	// it; while it is not, only after tunnelLast.
	tunnelKeep = 10 * time.Minute
	tunnelLast = 30 * 24 * time.Hour
	// tunnelTry is how long a tunnel that appears while isolated has to prove itself by
	// reaching the collector, and tunnelAgain how long it is closed after it did not.
	tunnelTry   = 2 * time.Minute
	tunnelAgain = 10 * time.Minute
)

// outers is what is remembered of the outer ends of tunnels. Times are since boot.
type outers struct {
	seen    map[outer]time.Duration // when it was found last
	opened  map[outer]time.Duration // since when it has to prove itself
	refused map[outer]time.Duration // when it was closed because it proved nothing
	limits  []string
}

// begin forgets all but that ts were found now.
func (o *outers) begin(ts []Tunnel, now time.Duration) {
	o.seen, o.opened, o.refused = map[outer]time.Duration{}, map[outer]time.Duration{}, map[outer]time.Duration{}
	for _, t := range ts {
		o.seen[t.outer()], o.opened[t.outer()] = now, now
	}
}

// next says what should be open after found was found, where old is. reached says that
// the collector was reached through the rules that hold; without is asked at most once,
// whether it is reached now although what was found earlier is not found any more.
func (o *outers) next(old, found []Tunnel, now time.Duration, reached bool, without func() bool) []Tunnel {
	if o.seen == nil {
		o.begin(old, now)
	}
	var keep []Tunnel
	is := func(t Tunnel) func(Tunnel) bool {
		return func(u Tunnel) bool { return u.outer() == t.outer() }
	}
	for _, t := range cleanTunnels(found) {
		k := t.outer()
		i := slices.IndexFunc(old, is(t))
		if i < 0 {
			if since, ok := o.refused[k]; ok && now-since < tunnelAgain {
				continue
			}
			delete(o.refused, k)
			t.Proved = false
			o.seen[k], o.opened[k] = now, now
			keep = append(keep, t)
			continue
		}
		o.seen[k] = now
		t.Proved, t.Since = old[i].Proved || reached, old[i].Since
		if !t.Proved && now-o.since(o.opened, k, now) >= tunnelTry {
			delete(o.opened, k)
			o.refused[k] = now
			continue
		}
		keep = append(keep, t)
	}
	asked, answer := false, false
	for _, t := range old {
		if slices.ContainsFunc(found, is(t)) {
			continue
		}
		k := t.outer()
		gone := now - o.since(o.seen, k, now)
		switch {
		case !t.Proved && gone >= tunnelTry, gone >= tunnelLast:
			continue
		case t.Proved && gone >= tunnelKeep:
			if !asked {
				asked, answer = true, without()
			}
			if answer {
				continue
			}
		}
		keep = append(keep, t)
	}
	for k, since := range o.refused {
		if now-since >= tunnelAgain {
			delete(o.refused, k)
		}
	}
	return cleanTunnels(keep)
}

// since returns when k was, which is now if that is not known.
func (o *outers) since(m map[outer]time.Duration, k outer, now time.Duration) time.Duration {
	at, ok := m[k]
	if !ok {
		m[k], at = now, now
	}
	return at
}

// findTunnels asks what carries the way to p's collectors now. It is not ok when that
// could not be found out; then nothing is changed because of it.
func (m *Manager) findTunnels(ctx context.Context, p Policy) (found []Tunnel, ok bool) {
	if m.cfg.Tunnels == nil || p.Mode == Full {
		return nil, false
	}
	type result struct {
		found  []Tunnel
		limits []string
	}
	out := make(chan result, 1) // an abandoned call must write nowhere else
	err := m.carriers.run(ctx, tunnelsLimit, func(ctx context.Context) error {
		found, limits := m.cfg.Tunnels(ctx, p)
		out <- result{found, limits}
		return nil
	})
	r := result{limits: []string{"whether a tunnel leads to the collector was not found out in time"}}
	if err == nil {
		r = <-out
	} else {
		m.cfg.Log.WarnContext(ctx, "whether a tunnel leads to the collector is not known", slog.Any("error", err))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outers.limits = r.limits
	return r.found, err == nil
}

// carried returns what carries the way to p's collectors before anything is cut.
func (m *Manager) carried(ctx context.Context, p Policy) []Tunnel {
	found, _ := m.findTunnels(ctx, p)
	found = cleanTunnels(found)
	t := m.instant()
	for i := range found {
		found[i].Proved, found[i].Since = true, t.wall // what led to the collector when nothing was cut
	}
	m.outers.begin(found, t.since)
	return found
}

// follow returns what should carry the way to p's collectors now, instead of old, and
// says in English what has changed of what is open.
func (m *Manager) follow(ctx context.Context, p Policy, old []Tunnel) (next []Tunnel, changed []string) {
	found, ok := m.findTunnels(ctx, p)
	if !ok {
		return old, nil
	}
	if len(found) == 0 && len(old) == 0 {
		return nil, nil
	}
	reached := func() bool {
		h, _ := m.results()
		return h != nil && h.OK
	}
	now := m.instant()
	next = m.outers.next(old, found, now.since, reached(), func() bool {
		if m.cfg.WayHome == nil {
			return false
		}
		m.tryWayHome(ctx)
		return reached()
	})
	for i, t := range next {
		if !slices.ContainsFunc(old, func(o Tunnel) bool { return o.outer() == t.outer() }) {
			next[i].Since = now.wall
			changed = append(changed, fmt.Sprintf("a tunnel leads to the collector now (%s): opened %s", t.Why, t))
		}
	}
	for _, t := range old {
		if !slices.ContainsFunc(next, func(o Tunnel) bool { return o.outer() == t.outer() }) {
			changed = append(changed, fmt.Sprintf("a tunnel does not lead to the collector any more (%s): closed %s", t.Why, t))
		}
	}
	return next, changed
}

// tunnelLimits are what could not be found out of tunnels.
func (m *Manager) tunnelLimits() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outers.limits
}
