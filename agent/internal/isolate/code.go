package isolate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/internal/releasecode"
)

// Errors of ReleaseByCode.
var (
	// ErrNoCode means that nothing is isolated, or that the order has no code.
	ErrNoCode = errors.New("there is nothing to release by a code")
	// ErrWrongCode means that it is not the code of the order.
	ErrWrongCode = errors.New("wrong release code")
)

// TooManyTries means that a code was given too soon after wrong ones; it was not looked
// at.
type TooManyTries struct {
	// RetryAfter is how long to wait.
	RetryAfter time.Duration
}

func (e *TooManyTries) Error() string {
	return fmt.Sprintf("too many wrong release codes; wait %v", e.RetryAfter.Round(time.Second))
}

// Tries are the codes that one account tried on an order, the one being looked at
// included.
type Tries struct {
	// By is the account.
	By   string `json:"by,omitempty"`
	Made int    `json:"made"`
	// Boot is the boot of the last one, Since how long ago that had begun.
	Boot  string        `json:"boot,omitempty"`
	Since time.Duration `json:"since_ns,omitempty"`
}

// The pace of one account's tries: so many at once, then one after each wait, which
// doubles.
const (
	triesFree = 5
	triesWait = 15 * time.Minute
	triesMost = 24 * time.Hour
)

// wait returns how long the next try must wait. Of an earlier boot is only known that it
// was before this one: a restart makes nobody wait less.
func (c Tries) wait(t instant) time.Duration {
	if c.Made < triesFree {
		return 0
	}
	passed, same := t.after(c.Boot, c.Since)
	if !same {
		passed = t.since
	}
	return max(0, min(triesMost, triesWait<<min(c.Made-triesFree, 10))-passed)
}

// accountsMax bounds the accounts whose tries are remembered. Whoever has more accounts
// than that makes tries as fast as the caller lets them all; codes are too many for it.
const (
	accountsMax = 64
	accountMax  = 128 // bytes of the name of one
)

// allTries are the tries of every account, the one that tried last at the end: one
// account's wrong codes keep no other from giving the right one. It is never changed,
// because records that share it are.
type allTries []Tries

// of returns the tries of an account.
func (a allTries) of(account string) Tries {
	for _, c := range a {
		if c.By == account {
			return c
		}
	}
	return Tries{By: account}
}

// with returns a with those of one account. There is always room: the account that tried
// the longest ago is forgotten.
func (a allTries) with(c Tries) allTries {
	var out allTries
	for _, o := range a {
		if o.By != c.By {
			out = append(out, o)
		}
	}
	return append(out[max(0, len(out)-(accountsMax-1)):], c)
}

// ReleaseByCode gives the network back to somebody at the endpoint who knows the code of
// the order in force. account is whose tries are counted together, such as a user
// identifier; by says who, for the record. A try is on disk before the code is looked at,
// so that no crash gives another one.
//
// The error wraps ErrNoCode, ErrWrongCode, *TooManyTries, an error of releasecode.Check
// for a slip, which costs no try, or else those of Release.
func (m *Manager) ReleaseByCode(ctx context.Context, code, account, by string) (Status, error) {
	const what = "release by code"
	end, err := m.begin(ctx, "")
	if err != nil {
		return m.refuse(ctx, what, err)
	}
	defer end()
	if err := m.ensureLoaded(ctx); err != nil {
		return m.refuse(ctx, what, err)
	}
	rec, t := m.record(), m.instant()
	if rec.Desired != Isolated || rec.Code == nil {
		return m.decline(ctx, what, ErrNoCode)
	}
	given, err := releasecode.Check(code)
	if err != nil {
		return m.decline(ctx, what, err)
	}
	account = clip(account, accountMax)
	mine := rec.Tries.of(account)
	if wait := mine.wait(t); wait > 0 {
		return m.decline(ctx, what, &TooManyTries{RetryAfter: wait})
	}
	if seen := m.measure(ctx, capableLimit); !seen.Capable {
		return seen, fmt.Errorf("%s: %w", what, reasonError(seen.Reason))
	}
	ctx = context.WithoutCancel(ctx)
	before := rec.Tries
	mine.Made, mine.Boot, mine.Since = mine.Made+1, t.boot, t.since
	rec.Tries = before.with(mine)
	if err := m.save(rec); err != nil {
		m.giveBack(before) // it is not made
		return m.decline(ctx, what, err)
	}
	if !releasecode.Verify(given, rec.Code.Hash, rec.Code.Salt, rec.Code.Iterations) {
		st, err := m.decline(ctx, what, ErrWrongCode)
		m.tell(Happening{Kind: HappenedCodeRefused, By: by, Detail: fmt.Sprintf("wrong code number %d of this account", mine.Made)}, st)
		return st, err
	}
	st, saved, err := m.end(ctx, what, Happening{Kind: HappenedReleasedByCode, By: by, Detail: "code " + rec.Code.Number})
	if !saved {
		m.giveBack(before)
	}
	return st, err
}

// giveBack undoes the count of a try that led to nothing. The next Reconcile writes it.
func (m *Manager) giveBack(t allTries) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rec.Tries, m.persisted = t, false
	m.gen++
}

// decline answers an order of which nothing is done, while its turn is not over yet.
func (m *Manager) decline(ctx context.Context, what string, err error) (Status, error) {
	return m.measure(ctx, m.cfg.FirewallLimit), fmt.Errorf("%s: %w", what, err)
}
