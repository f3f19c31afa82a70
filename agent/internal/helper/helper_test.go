package helper

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// process is a stand-in.
type process struct {
	pid    int
	done   chan struct{}
	killed bool
}

func (p *process) PID() int              { return p.pid }
func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Kill()                 { p.killed = true; close(p.done) }

type pc struct {
	mu       sync.Mutex
	sessions []uint32
	fail     bool
	started  []uint32
	all      []*process
}

func (c *pc) start(session uint32) (Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = append(c.started, session)
	if c.fail {
		return nil, errors.New("nobody is signed in there")
	}
	p := &process{pid: 1000 + len(c.started), done: make(chan struct{})}
	c.all = append(c.all, p)
	return p, nil
}

// set changes the PC.
func (c *pc) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// begun lists the sessions in which helpers were started.
func (c *pc) begun() []uint32 {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.started)
}

// keep runs a keeper over a PC.
func keep(t *testing.T, c *pc) (*Keeper, func()) {
	k := New(Config{Start: c.start, Sessions: func() ([]uint32, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Clone(c.sessions), nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.Run(ctx); close(ended) }()
	synctest.Wait()
	return k, func() { cancel(); <-ended }
}

func TestOneInEverySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &pc{sessions: []uint32{0, 1}}
		k, stop := keep(t, c)
		if !slices.Equal(c.begun(), []uint32{1}) || !k.Has(1001) || k.Has(1002) {
			t.Fatalf("%v", c.begun())
		}
		c.set(func() { c.sessions = []uint32{0, 1, 3} })
		k.Look()
		synctest.Wait()
		if !slices.Equal(c.begun(), []uint32{1, 3}) {
			t.Fatalf("%v", c.begun())
		}
		stop()
		for _, p := range c.all {
			if !p.killed {
				t.Errorf("helper %d is left behind", p.pid)
			}
		}
	})
}

// TestSignOut: the helper ends with its session, and who signs in next has one at once.
func TestSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &pc{sessions: []uint32{1}}
		k, stop := keep(t, c)
		defer stop()
		c.set(func() { c.sessions = nil })
		close(c.all[0].done)
		k.Look()
		synctest.Wait()
		if k.Has(1001) {
			t.Error("it counts as ours when its number may be another's")
		}
		c.set(func() { c.sessions = []uint32{1} })
		k.Look()
		synctest.Wait()
		if len(c.begun()) != 2 {
			t.Errorf("%v", c.begun())
		}
	})
}

// TestNotAgainAndAgain: a helper that is ended comes back after a minute, not at once, and
// one that does not start is tried again without being told.
func TestNotAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &pc{sessions: []uint32{1}}
		k, stop := keep(t, c)
		defer stop()
		close(c.all[0].done)
		for range 20 {
			k.Look()
			synctest.Wait()
		}
		if len(c.begun()) != 1 {
			t.Fatalf("%v", c.begun())
		}
		c.set(func() { c.fail = true })
		time.Sleep(again + time.Second)
		if len(c.begun()) != 2 {
			t.Fatalf("%v", c.begun())
		}
		c.set(func() { c.fail = false })
		time.Sleep(again + time.Second)
		if len(c.begun()) != 3 || !k.Has(1003) {
			t.Fatalf("%v", c.begun())
		}
	})
}
