package uplink

import (
	"context"
	"time"

	"hozen/agent/internal/uplink/journal"
)

// farewell comes after the result of an order to preserve was kept. When the PC is to
// go down then, the collector gets the time to hear the result, and orders that came
// before get the time to end; then [Config.GoDown] is called.
func (u *Uplink) farewell(ctx context.Context, c journal.Command, r journal.Result) {
	if c.Verb != journal.Preserve || !c.Then.Down() || r.Status != journal.Done || u.cfg.GoDown == nil {
		return
	}
	limit := time.NewTimer(u.cfg.FarewellTime)
	defer limit.Stop()
	for {
		news := u.news()
		if u.settled(c) {
			break
		}
		select {
		case <-news:
			continue
		case <-limit.C:
		case <-ctx.Done():
			return
		}
		break
	}
	u.cfg.GoDown(ctx, c, r)
}

// settled reports whether nothing is left to wait for before the PC goes down: the
// collector has the result, or cannot be told now; and no order that came before is
// under way, such as one to cut the network.
func (u *Uplink) settled(c journal.Command) bool {
	for _, e := range u.cfg.Journal.Unfinished() {
		if e.Command.Counter < c.Counter {
			return false
		}
	}
	if !u.Status().Connected {
		return true
	}
	for _, r := range u.cfg.Journal.Unconfirmed() {
		if r.CommandID == c.ID {
			return false
		}
	}
	return true
}

// news is closed when a command ends, its result is confirmed or the session is lost.
func (u *Uplink) news() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.settling == nil {
		u.settling = make(chan struct{})
	}
	return u.settling
}

func (u *Uplink) settle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.settling != nil {
		close(u.settling)
		u.settling = nil
	}
}
