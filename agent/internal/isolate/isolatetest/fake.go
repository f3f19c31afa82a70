// Package isolatetest holds the suite that every isolate.Firewall passes, and fakes of a clock,
// a firewall and a store, which fail, hang and do half of what they should. It knows
// nothing of any real firewall.
package isolatetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hozen/agent/internal/isolate"
)

// Fault is what goes wrong in one call of a fake.
type Fault int

// The faults.
const (
	None       Fault = iota
	FailBefore       // returns an error, nothing done
	FailAfter        // does it and returns an error
	Half             // does a part and returns an error
	HalfSilent       // does a part and returns nil
	HangBefore       // waits for the context to end, nothing done
	HangAfter        // does it, then waits for the context to end
	Deaf             // ignores its context until Free is called, then does it
	faults
)

// Faults is the number of faults, for those who draw one at random.
const Faults = int(faults)

func (f Fault) String() string {
	return [...]string{"none", "fail before", "fail after", "half", "half silent", "hang before", "hang after", "deaf"}[f]
}

// ErrInjected is the error of a fake that was told to fail.
var ErrInjected = errors.New("injected failure")

// Firewall is a fake kernel with a firewall. It outlives the Managers that use it, as
// a kernel does; Reboot empties it. Safe for concurrent use.
type Firewall struct {
	// Next returns the fault of the next call, named "apply", "observe" or "restore".
	// Nil means none.
	Next func(call string) Fault

	mu      sync.Mutex
	policy  *isolate.Policy // what Apply last put in force, or nil
	damaged bool            // something of it is missing
	calls   map[string]int
	free    chan struct{}
}

// Reboot is what a restart of the machine does to the kernel.
func (f *Firewall) Reboot() { f.set(nil, false) }

// Damage takes away a part of what is in force, if anything is.
func (f *Firewall) Damage() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged = f.policy != nil
}

// Free lets go of all calls that hang in Deaf.
func (f *Firewall) Free() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free != nil {
		close(f.free)
		f.free = nil
	}
}

// InForce returns the policy in force and whether it is whole; nil if there is none.
func (f *Firewall) InForce() (p *isolate.Policy, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.policy, f.policy != nil && !f.damaged
}

// Calls returns how often a method was called.
func (f *Firewall) Calls(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[call]
}

func (f *Firewall) set(p *isolate.Policy, damaged bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policy, f.damaged = p, damaged
}

// do carries out one call with the fault that is due.
func (f *Firewall) do(ctx context.Context, call string, whole, half func()) error {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[call]++
	if f.free == nil {
		f.free = make(chan struct{})
	}
	free, next := f.free, f.Next
	f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	fault := None
	if next != nil {
		fault = next(call)
	}
	switch fault {
	case FailBefore:
		return ErrInjected
	case FailAfter:
		whole()
		return ErrInjected
	case Half:
		half()
		return ErrInjected
	case HalfSilent:
		half()
		return nil
	case HangBefore:
		<-ctx.Done()
		return ctx.Err()
	case HangAfter:
		whole()
		<-ctx.Done()
		return ctx.Err()
	case Deaf:
		<-free
	}
	whole()
	return nil
}

// Apply implements isolate.Firewall. Half of it leaves never less than there was.
func (f *Firewall) Apply(ctx context.Context, p isolate.Policy) error {
	p = p.Clean()
	return f.do(ctx, "apply",
		func() { f.set(&p, false) },
		func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.policy == nil {
				f.policy, f.damaged = &p, true
			}
		})
}

// Restore implements isolate.Firewall. Half of it leaves a part in force.
func (f *Firewall) Restore(ctx context.Context) error {
	return f.do(ctx, "restore", f.Reboot, f.Damage)
}

// Observe implements isolate.Firewall. A faulty one sees nothing: it never lies.
func (f *Firewall) Observe(ctx context.Context, want *isolate.Policy) (isolate.Observation, error) {
	var o isolate.Observation
	seen := false
	err := f.do(ctx, "observe", func() { o, seen = f.look(want), true }, func() {})
	if err == nil && !seen {
		err = ErrInjected
	}
	if err != nil {
		return isolate.Observation{}, err
	}
	return o, nil
}

func (f *Firewall) look(want *isolate.Policy) isolate.Observation {
	p, whole := f.InForce()
	o := isolate.Observation{MeasuredAt: time.Now().UTC(), Present: p != nil}
	if p != nil {
		o.Tables = []string{"fake"}
		o.Digest = digest(*p, whole)
	}
	if want != nil {
		o.Expected = digest(*want, true)
	}
	switch {
	case want == nil && p != nil:
		o.Gaps = []string{"rules that nobody asked for"}
	case want != nil && p == nil:
		o.Gaps = []string{"table is missing"}
	case want != nil && !whole:
		o.Gaps = []string{"a rule is missing"}
	case want != nil && !p.Equal(*want):
		o.Gaps = []string{"rules of another policy"}
	}
	o.Complete = len(o.Gaps) == 0
	return o
}

func digest(p isolate.Policy, whole bool) string {
	p = p.Clean()
	ways := fmt.Sprint(p.Ways())
	p.Permits = nil
	for i, t := range p.Tunnels {
		p.Tunnels[i] = isolate.Tunnel{Address: t.Address, Protocol: t.Protocol, Port: t.Port, Own: t.Own}
	}
	return fmt.Sprint(p, ways, whole)
}

// Store is a fake disk. Safe for concurrent use.
type Store struct {
	// Next returns the fault of the next Save: None, FailBefore or FailAfter; others
	// count as FailBefore. Nil means none.
	Next func() Fault

	mu   sync.Mutex
	rec  *isolate.Record
	lost bool
}

// Lose damages the record.
func (s *Store) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = s.lost || s.rec != nil && s.rec.Desired == isolate.Isolated
	s.rec = nil
}

// Load implements isolate.Store.
func (s *Store) Load() (isolate.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost:
		return isolate.Record{}, isolate.ErrRecordLost
	case s.rec == nil:
		return isolate.Record{}, isolate.ErrNoRecord
	}
	return *s.rec, nil
}

// Save implements isolate.Store.
func (s *Store) Save(r isolate.Record) error {
	fault := None
	if s.Next != nil {
		fault = s.Next()
	}
	if fault != None && fault != FailAfter {
		return ErrInjected
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec, s.lost = &r, false
	if fault == FailAfter {
		return ErrInjected
	}
	return nil
}
