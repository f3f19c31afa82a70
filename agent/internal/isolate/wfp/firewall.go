package wfp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/isolate"
)

// Config is what a Firewall is built from.
type Config struct {
	// App is the path of the agent's program, whose connections to the collector stay
	// open. Default: that of this process.
	App string
	// Service is the name of the agent's Windows service; only a process that has the
	// service's SID may use the way to the collector. Default "hozen-agent".
	Service string
	// Limits says in English what of this endpoint the filters cannot reach, such as virtual
	// machines. Optional.
	Limits func(context.Context) []string
}

// engine is the base filtering engine. Its errors wrap [isolate.ErrNeedsRoot] without the
// rights, [errors.ErrUnsupported] where there is no engine, [errExists], [errMissing] and
// [errInUse].
type engine interface {
	// Transact calls fn within one transaction: everything that it did counts, or nothing
	// when it returns an error. One that only reads may run beside others.
	Transact(ctx context.Context, reads bool, fn func(transaction) error) error
	// AppID is the application id of a program by its path.
	AppID(path string) ([]byte, error)
	// Subscribe sends what others change of filters to out until ctx ends, and closes
	// began when it does. What does not fit into out is dropped, and lost set.
	Subscribe(ctx context.Context, s *subscriber) error
}

// transaction is what can be done within one.
type transaction interface {
	// Read reads what there is. The filters with these keys are asked for one by one where
	// no list has them: nobody promised that a list has those of the start.
	Read(keys []GUID) (installed, error)
	AddProvider(provider) error
	AddSublayer(sublayer) error
	AddFilter(filter) error
	Delete(what object, key GUID) error
}

// object is a kind of object of the engine.
type object int

const (
	filterObject object = iota
	sublayerObject
	providerObject
)

// Errors of an engine on which the Firewall acts (winerror.h).
var (
	errExists  = errors.New("engine: FWP_E_ALREADY_EXISTS")
	errMissing = errors.New("engine: not found (FWP_E_…_NOT_FOUND)")
	errInUse   = errors.New("engine: FWP_E_IN_USE")
	// errNoApp means that the engine has no id for the agent's program.
	errNoApp = errors.New("the agent's program has no application id")
)

// Firewall is isolate.Firewall by the Windows Filtering Platform. It keeps no state but
// what it did itself a moment ago, so any number of them, in any process, see the same.
// Filters need no process: they stay in force when the agent ends, and from the next start
// of the endpoint on.
type Firewall struct {
	cfg    Config
	engine engine
	// has reports whether this process has a SID; nil where nobody can tell.
	has func(sid []byte) bool

	mu   sync.Mutex
	mine map[change]time.Time // what this process changed, to tell it from what others do
	// names are those of the filters of the last plan.
	names map[GUID]string
	// stranger: what was applied last opens a way to the collector that this process itself
	// does not have.
	stranger bool
}

var (
	_ isolate.Firewall = (*Firewall)(nil)
	_ isolate.Watcher  = (*Firewall)(nil)
)

func newFirewall(c Config, e engine) *Firewall {
	c.Service = cmp.Or(c.Service, "hozen-agent")
	return &Firewall{cfg: c, engine: e, mine: map[change]time.Time{}}
}

// plan is what must be in force for a policy.
func (f *Firewall) plan(p isolate.Policy) (installed, error) {
	p = p.Clean()
	agent := who{sid: serviceSID(f.cfg.Service)}
	if len(p.Collectors) > 0 {
		var err error
		if agent.app, err = f.engine.AppID(f.cfg.App); err != nil {
			return installed{}, err
		}
		if len(agent.app) <= 2 {
			return installed{}, errNoApp
		}
	}
	want := plan(p, agent)
	names := map[GUID]string{}
	for _, w := range want.filters {
		names[w.key] = strings.TrimPrefix(w.name, namePrefix)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = names
	return want, nil
}

// Apply implements [isolate.Firewall]. What is in force as it should be is not touched.
func (f *Firewall) Apply(ctx context.Context, p isolate.Policy) error {
	want, err := f.plan(p)
	if err != nil {
		return fmt.Errorf("apply isolation: %w", err)
	}
	err = f.engine.Transact(ctx, false, func(t transaction) error {
		have, err := t.Read(f.keys())
		if err != nil {
			return err
		}
		return f.replace(t, want, have)
	})
	if err != nil {
		return fmt.Errorf("apply isolation: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stranger = f.has != nil && len(p.Clean().Collectors) > 0 && !f.has(serviceSID(f.cfg.Service))
	return nil
}

// keys are those of the filters that are ours for certain: of every policy, and of the
// last plan.
func (f *Firewall) keys() []GUID {
	keys := fixedKeys()
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.names {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// replace makes what is there of ours what is wanted.
func (f *Firewall) replace(t transaction, want, have installed) error {
	if have.provider != nil && have.provider.String() != want.provider.String() ||
		have.ownSublayer() != nil && have.ownSublayer().String() != want.ownSublayer().String() {
		// Somebody made them otherwise, and neither can be changed in place.
		if err := f.remove(t, have); err != nil {
			return err
		}
		have = installed{}
	}
	if have.provider == nil {
		if err := t.AddProvider(*want.provider); err != nil {
			return err
		}
	}
	if have.ownSublayer() == nil {
		if err := t.AddSublayer(*want.ownSublayer()); err != nil {
			return err
		}
	}
	keep := map[GUID]string{}
	for _, w := range want.filters {
		keep[w.key] = w.String()
	}
	there := map[GUID]bool{}
	for _, h := range have.filters {
		wanted, ok := keep[h.key]
		switch {
		case ok && wanted == h.String():
			there[h.key] = true
		case ok || h.ours():
			if err := f.delete(t, h.key); err != nil {
				return err
			}
		}
	}
	for _, w := range want.filters {
		if there[w.key] {
			continue
		}
		if err := f.add(t, w); err != nil {
			return err
		}
	}
	return nil
}

// add adds a filter. One with its key that stands where nobody looks goes first.
func (f *Firewall) add(t transaction, w filter) error {
	f.did(change{key: w.key})
	err := t.AddFilter(w)
	if errors.Is(err, errExists) {
		if err = f.delete(t, w.key); err == nil {
			err = t.AddFilter(w)
		}
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", w.title(), err)
	}
	return nil
}

func (f *Firewall) delete(t transaction, key GUID) error {
	f.did(change{key: key, removed: true})
	if err := t.Delete(filterObject, key); err != nil && !errors.Is(err, errMissing) {
		return fmt.Errorf("delete filter %s: %w", key, err)
	}
	return nil
}

// Restore implements [isolate.Firewall].
func (f *Firewall) Restore(ctx context.Context) error {
	err := f.engine.Transact(ctx, false, func(t transaction) error {
		have, err := t.Read(f.keys())
		if err != nil {
			return err
		}
		return f.remove(t, have)
	})
	if err != nil {
		return fmt.Errorf("restore network: %w", err)
	}
	return nil
}

// remove takes away what is there of ours: filters first, because nothing can be deleted
// that something else refers to.
func (f *Firewall) remove(t transaction, have installed) error {
	for _, h := range have.ownFilters() {
		if err := f.delete(t, h.key); err != nil {
			return err
		}
	}
	for _, s := range have.sublayers {
		if s.key != SublayerKey && s.provider != ProviderKey {
			continue
		}
		err := t.Delete(sublayerObject, s.key)
		if err != nil && !errors.Is(err, errMissing) && (s.key == SublayerKey || !errors.Is(err, errInUse)) {
			return fmt.Errorf("delete sublayer: %w", err)
		}
	}
	// Somebody may hold a provider by objects of his own; alone it is only a name.
	if err := t.Delete(providerObject, ProviderKey); err != nil && !errors.Is(err, errMissing) && !errors.Is(err, errInUse) {
		return fmt.Errorf("delete provider: %w", err)
	}
	return nil
}

// Observe implements [isolate.Firewall].
func (f *Firewall) Observe(ctx context.Context, p *isolate.Policy) (isolate.Observation, error) {
	var want *installed
	var agent who
	if p != nil {
		w, err := f.plan(*p)
		if err != nil {
			return isolate.Observation{}, fmt.Errorf("read isolation back: %w", err)
		}
		want = &w
		agent = agentOf(w)
	}
	var have installed
	err := f.engine.Transact(ctx, true, func(t transaction) (err error) {
		have, err = t.Read(f.keys())
		return err
	})
	if err != nil {
		return isolate.Observation{}, fmt.Errorf("read isolation back: %w", err)
	}
	o := compare(want, have)
	if want != nil {
		o.Limits = concerns(have, agent)
		f.mu.Lock()
		stranger := f.stranger
		f.mu.Unlock()
		if stranger {
			o.Limits = append(o.Limits, fmt.Sprintf("this process is not the service %q, or the service has no SID of its own (SERVICE_SID_TYPE_UNRESTRICTED): its way to the collector is closed", f.cfg.Service))
		}
		if f.cfg.Limits != nil {
			o.Limits = append(o.Limits, f.cfg.Limits(ctx)...)
		}
	}
	o.MeasuredAt = time.Now().UTC()
	return o, nil
}

// agentOf is the agent that a plan opens the way home to.
func agentOf(i installed) (w who) {
	for _, f := range i.filters {
		for _, c := range f.conditions {
			if c.field == fieldApp {
				w.app = c.value.bytes
			}
		}
	}
	return w
}

// Shut blocks everything but loopback and what configures addresses, where isolation was
// ordered and its policy cannot be put in force.
func (f *Firewall) Shut(ctx context.Context) error {
	return f.Apply(ctx, isolate.Policy{Mode: isolate.Full})
}
