package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/pki"
)

// atOnce is how many agents of a crowd enrol at the same time.
const atOnce = 16

// lookEvery is how often is looked whether everybody is done.
const lookEvery = 5 * time.Millisecond

// crowd is many agents, each with an identity, a journal and a connection of its own.
// They have no evidence, so they share a spool.
type crowd struct {
	members []*member
	spool   *spool.Spool
	log     *slog.Logger
	stop    func() // ends the sessions; nil without
}

func newCrowd(dir string, n, failing int, log *slog.Logger) (*crowd, error) {
	s, err := spool.Open(spool.Config{Dir: filepath.Join(dir, "spool"), MaxBytes: 1 << 30, KeepAfterReceipt: -1, Log: log})
	if err != nil {
		return nil, err
	}
	c := &crowd{spool: s, log: log}
	for i := range n {
		m := &member{number: i, dir: filepath.Join(dir, strconv.Itoa(i))}
		switch {
		case i >= failing:
		case i%2 == 0:
			m.mood = fails
		default:
			m.mood = hangs
		}
		c.members = append(c.members, m)
		if m.identity, err = identity.Open(filepath.Join(m.dir, "identity")); err == nil {
			m.journal, err = journal.Open(journal.Config{Path: filepath.Join(m.dir, "journal", "journal"), Log: log})
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *crowd) close() {
	if c.stop != nil {
		c.stop()
	}
	for _, m := range c.members {
		if m.journal != nil {
			_ = m.journal.Close() // the program ends
		}
	}
	_ = c.spool.Close() // likewise
}

// obey carries one line of standard input out.
func (c *crowd) obey(ctx context.Context, line string) (string, error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "enrol":
		return "enrolled", c.enrol(ctx, rest)
	case "go":
		return "going", c.connect(ctx)
	case "stop":
		if c.stop == nil {
			return "", errors.New("there is no session")
		}
		c.stop()
		c.stop = nil
		return "0", nil
	case "arm":
		for _, m := range c.members {
			m.forget()
		}
		holdGarbage()
		return "armed", nil
	case "await":
		did, err := c.await(ctx, journal.Verb(rest))
		debug.SetGCPercent(100)
		if err != nil {
			return "", err
		}
		b, err := json.Marshal(did)
		return string(b), err
	}
	return "", errors.New("not an order")
}

// holdGarbage collects garbage now and not again until what follows is over, unless there
// is very much: a thousand PCs have a heap and a processor each, and the one heap of all of
// them must not be gone through in the middle of what is measured.
func holdGarbage() {
	runtime.GC()
	debug.SetMemoryLimit(1 << 30)
	debug.SetGCPercent(-1)
}

// enrol exchanges the token for a certificate, for everybody.
func (c *crowd) enrol(ctx context.Context, text string) error {
	token, err := pki.ParseToken(text)
	if err != nil {
		return err
	}
	next := make(chan *member)
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for w := range atOnce {
		wg.Go(func() {
			for m := range next {
				if errs[w] == nil {
					errs[w] = m.enrol(ctx, token)
				}
			}
		})
	}
	for _, m := range c.members {
		next <- m
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

// connect keeps the sessions in the background until c.stop.
func (c *crowd) connect(ctx context.Context) error {
	if c.stop != nil {
		return errors.New("there are sessions already")
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	c.stop = func() { cancel(); wg.Wait() }
	for _, m := range c.members {
		u, err := uplink.New(uplink.Config{
			Identity: m.identity, Spool: c.spool, Journal: m.journal, Handler: m, RoutesFile: filepath.Join(m.dir, "routes"), Log: c.log,
			Host: m.host, Isolation: m.isolation, Control: from(m.number),
			MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second,
		})
		if err != nil {
			return err
		}
		wg.Go(func() { _ = u.Run(ctx) }) // never fails
	}
	return nil
}

// doings are what a crowd did, in nanoseconds since 1970.
type doings struct {
	First     int64 `json:"first"`     // when the first agent carried it out
	Last      int64 `json:"last"`      // the last
	Confirmed int64 `json:"confirmed"` // when the last one had heard that the collector keeps its result
	Count     int   `json:"count"`     // how many that are
}

// await waits until everybody who does not fail has done it.
func (c *crowd) await(ctx context.Context, v journal.Verb) (doings, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	waiting := make([]*member, 0, len(c.members))
	for _, m := range c.members {
		if m.mood == well {
			waiting = append(waiting, m)
		}
	}
	var d doings
	for len(waiting) > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return d, ctx.Err()
		}
		// In order, and no further than to the first who is not done: looking must not cost
		// what is measured.
		for len(waiting) > 0 {
			m := waiting[0]
			at := m.did(v)
			if at == 0 || len(m.journal.Unfinished()) > 0 || len(m.journal.Unconfirmed()) > 0 {
				break
			}
			d.Count++
			if d.Last = max(d.Last, at); d.First == 0 || at < d.First {
				d.First = at
			}
			d.Confirmed = time.Now().UnixNano()
			waiting = waiting[1:]
		}
	}
	return d, nil
}

// mood is what an agent does with an order to isolate.
type mood int

const (
	well mood = iota
	fails
	hangs
)

// member is one agent of a crowd. It carries commands out by noting when.
type member struct {
	number   int
	dir      string
	mood     mood
	identity *identity.Store
	journal  *journal.Journal

	mu    sync.Mutex
	state journal.State // of its network, as it says
	at    map[journal.Verb]int64
}

func (m *member) enrol(ctx context.Context, token pki.Token) error {
	key, err := m.identity.Key()
	if err != nil {
		return err
	}
	e, err := uplink.Enroll(ctx, uplink.EnrollConfig{Token: token, Key: key, Host: m.host(), Now: m.identity.Now, Control: from(m.number)})
	if err != nil {
		return fmt.Errorf("agent %d: %w", m.number, err)
	}
	return m.identity.SaveEnrolment(e)
}

func (m *member) host() uplink.Host {
	return uplink.Host{Hostname: fmt.Sprintf("bench-%04d", m.number), OS: "linux", Arch: "amd64", BootID: "bench"}
}

func (m *member) isolation(context.Context) journal.Isolation {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := journal.Isolation{Desired: journal.StateReleased, Observed: journal.StateReleased, MeasuredAt: time.Now(), WayHome: true, Capable: true}
	if m.state != "" {
		i.Desired, i.Observed = m.state, m.state
	}
	return i
}

func (m *member) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = nil
}

func (m *member) did(v journal.Verb) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[v]
}

func (m *member) does(v journal.Verb, now journal.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil {
		m.at = map[journal.Verb]int64{}
	}
	m.at[v] = time.Now().UnixNano()
	if now != "" {
		m.state = now
	}
}

// Acquire implements [uplink.Handler]. There is no evidence.
func (m *member) Acquire(context.Context, journal.Command) journal.Result {
	m.does(journal.Acquire, "")
	return journal.Result{Status: journal.Done}
}

// Preserve implements [uplink.Handler].
func (m *member) Preserve(ctx context.Context, c journal.Command) journal.Result {
	return m.Acquire(ctx, c)
}

// Isolate implements [uplink.Handler].
func (m *member) Isolate(ctx context.Context, c journal.Command) journal.Result {
	switch m.mood {
	case fails:
		i := m.isolation(ctx)
		return journal.Result{Status: journal.Failed, Detail: "simulated", Isolation: &i}
	case hangs:
		<-ctx.Done()
		return journal.Result{Status: journal.Failed, Detail: "simulated"}
	}
	return m.changed(ctx, c, journal.Isolate, journal.StateIsolated)
}

// Release implements [uplink.Handler].
func (m *member) Release(ctx context.Context, c journal.Command) journal.Result {
	return m.changed(ctx, c, journal.Release, journal.StateReleased)
}

func (m *member) changed(ctx context.Context, c journal.Command, v journal.Verb, to journal.State) journal.Result {
	m.does(v, to)
	i := m.isolation(ctx)
	i.CommandID, i.Persisted = c.ID, true
	return journal.Result{Status: journal.Done, Isolation: &i}
}
