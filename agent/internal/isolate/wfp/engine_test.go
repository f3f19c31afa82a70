package wfp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// block is memory at an address, as an answer of an engine is.
type block struct {
	base uint64
	b    []byte
}

func (m block) read(at uint64, n int) ([]byte, error) {
	if at < m.base || at-m.base > uint64(len(m.b)) || uint64(n) > uint64(len(m.b))-(at-m.base) {
		return nil, fmt.Errorf("%d bytes at %#x: %w", n, at, errAnswer)
	}
	return m.b[at-m.base:][:n], nil
}

const testBase = 0x7f12_3400_0000

// memEngine keeps the rules of BFE in memory: what it is given goes through the bytes that
// the real one would get.
type memEngine struct {
	mu   sync.Mutex
	have installed
	app  []byte
	fail error
	// steps counts the calls within transactions; at failAt one fails.
	steps, failAt int
	subs          []*subscriber
	// shy: no list has the filters of the start.
	shy bool
}

func newEngine() *memEngine { return &memEngine{app: testAgent.app} }

func (e *memEngine) AppID(string) ([]byte, error) { return e.app, nil }

var errStep = errors.New("injected")

func (e *memEngine) Transact(ctx context.Context, reads bool, fn func(transaction) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	t := &memTransaction{e: e, reads: reads, have: installed{e.have.provider, slices.Clone(e.have.sublayers), slices.Clone(e.have.filters)}}
	if err := fn(t); err != nil {
		return err
	}
	if reads {
		return nil
	}
	e.have = t.have
	for _, s := range e.subs {
		for _, c := range t.changes {
			s.tell(c)
		}
	}
	return nil
}

func (e *memEngine) Subscribe(ctx context.Context, s *subscriber) error {
	e.mu.Lock()
	if e.fail != nil {
		e.mu.Unlock()
		return e.fail
	}
	e.subs = append(e.subs, s)
	e.mu.Unlock()
	close(s.began)
	<-ctx.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subs = slices.DeleteFunc(e.subs, func(o *subscriber) bool { return o == s })
	return nil
}

// as does something as another program would.
func (e *memEngine) as(fn func(*installed)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.have.filters
	next := installed{e.have.provider, slices.Clone(e.have.sublayers), slices.Clone(before)}
	fn(&next)
	for _, s := range e.subs {
		for _, f := range before {
			if !slices.ContainsFunc(next.filters, func(g filter) bool { return g.key == f.key }) {
				s.tell(change{f.key, true})
			}
		}
	}
	e.have = next
}

type memTransaction struct {
	e       *memEngine
	reads   bool
	have    installed
	changes []change
}

var errReading = errors.New("engine: FWP_E_INCOMPATIBLE_TXN")

func (t *memTransaction) step() error {
	if t.reads {
		return errReading
	}
	t.e.steps++
	if t.e.steps == t.e.failAt {
		return errStep
	}
	return nil
}

func (t *memTransaction) Read(keys []GUID) (installed, error) {
	fs := slices.Clone(t.have.filters)
	if t.e.shy {
		fs = slices.DeleteFunc(fs, func(f filter) bool { return f.flags&filterBootTime != 0 && !slices.Contains(keys, f.key) })
	}
	return installed{t.have.provider, slices.Clone(t.have.sublayers), fs}, nil
}

func (t *memTransaction) AddProvider(p provider) error {
	if err := t.step(); err != nil {
		return err
	}
	if t.have.provider != nil {
		return errExists
	}
	got, err := decodeProvider(block{testBase, encodeProvider(p).at(testBase)}, testBase)
	t.have.provider = &got
	return err
}

func (t *memTransaction) AddSublayer(s sublayer) error {
	if err := t.step(); err != nil {
		return err
	}
	if slices.ContainsFunc(t.have.sublayers, func(o sublayer) bool { return o.key == s.key }) {
		return errExists
	}
	if s.provider != (GUID{}) && t.have.provider == nil {
		return errMissing
	}
	got, err := decodeSublayer(block{testBase, encodeSublayer(s).at(testBase)}, testBase)
	t.have.sublayers = append(t.have.sublayers, got)
	return err
}

func (t *memTransaction) AddFilter(f filter) error {
	if err := t.step(); err != nil {
		return err
	}
	if slices.ContainsFunc(t.have.filters, func(o filter) bool { return o.key == f.key }) {
		return errExists
	}
	i := slices.IndexFunc(t.have.sublayers, func(s sublayer) bool { return s.key == f.sublayer })
	switch {
	case i < 0 || f.provider == ProviderKey && t.have.provider == nil:
		return errMissing
	case f.flags&filterPersistent != 0 && f.flags&filterBootTime != 0:
		return errors.New("engine: FWP_E_INVALID_FLAGS")
	case f.flags&(filterPersistent|filterBootTime) != 0 && t.have.sublayers[i].flags&objectPersistent == 0:
		return errors.New("engine: FWP_E_LIFETIME_MISMATCH")
	case f.weight.kind == typeUint8 && f.weight.number > 15:
		return errors.New("engine: FWP_E_INVALID_WEIGHT")
	}
	m, err := encodeFilter(f)
	if err != nil {
		return err
	}
	got, err := decodeFilter(block{testBase, m.at(testBase)}, testBase)
	got.flags |= filterIndexed
	got.id = uint64(len(t.have.filters)) + 70000
	slices.Reverse(got.conditions) // BFE promises no order
	t.have.filters = append(t.have.filters, got)
	t.changes = append(t.changes, change{key: f.key})
	return err
}

func (t *memTransaction) Delete(what object, key GUID) error {
	if err := t.step(); err != nil {
		return err
	}
	switch what {
	case filterObject:
		n := len(t.have.filters)
		t.have.filters = slices.DeleteFunc(t.have.filters, func(f filter) bool { return f.key == key })
		if n == len(t.have.filters) {
			return errMissing
		}
		t.changes = append(t.changes, change{key, true})
	case sublayerObject:
		if slices.ContainsFunc(t.have.filters, func(f filter) bool { return f.sublayer == key }) {
			return errInUse
		}
		n := len(t.have.sublayers)
		t.have.sublayers = slices.DeleteFunc(t.have.sublayers, func(s sublayer) bool { return s.key == key })
		if n == len(t.have.sublayers) {
			return errMissing
		}
	case providerObject:
		if t.have.provider == nil {
			return errMissing
		}
		if slices.ContainsFunc(t.have.filters, func(f filter) bool { return f.provider == key }) ||
			slices.ContainsFunc(t.have.sublayers, func(s sublayer) bool { return s.provider == key }) {
			return errInUse
		}
		t.have.provider = nil
	}
	return nil
}

func testFirewall(e *memEngine) *Firewall {
	return newFirewall(Config{App: `C:\Program Files\Hozen\hozen-agent.exe`}, e)
}

func TestKeepsTheContract(t *testing.T) {
	isolatetest.Run(t, func(*testing.T) isolate.Firewall { return testFirewall(newEngine()) })
}

func TestApplyingTheSameChangesNothing(t *testing.T) {
	e := newEngine()
	f := testFirewall(e)
	for range 2 {
		if err := f.Apply(t.Context(), isolatetest.PolicyC()); err != nil {
			t.Fatal(err)
		}
	}
	steps := e.steps
	if err := f.Apply(t.Context(), isolatetest.PolicyC()); err != nil || e.steps != steps {
		t.Errorf("%d changes, %v", e.steps-steps, err)
	}
	// Another program of ours, such as the next version, sees the same.
	if o, err := testFirewall(e).Observe(t.Context(), ptr(isolatetest.PolicyC())); err != nil || !o.Complete {
		t.Errorf("%+v, %v", o, err)
	}
}

func ptr[T any](v T) *T { return &v }

// Whatever step fails, what was in force stays in force as it was.
func TestHalfATransactionIsNone(t *testing.T) {
	a, b := isolatetest.PolicyA(), isolatetest.PolicyC()
	for failAt := 1; ; failAt++ {
		e := newEngine()
		f := testFirewall(e)
		if err := f.Apply(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		e.steps, e.failAt = 0, failAt
		err := f.Apply(t.Context(), b)
		if err == nil {
			if failAt < 5 {
				t.Fatal("nothing was changed")
			}
			return
		}
		if o, oerr := f.Observe(t.Context(), &a); !errors.Is(err, errStep) || oerr != nil || !o.Complete {
			t.Fatalf("after step %d: %v; %+v, %v", failAt, err, o, oerr)
		}
	}
}

// What somebody does to our rules is seen, and put right by the next Apply.
func TestChangesAreSeenAndPutRight(t *testing.T) {
	p := isolatetest.PolicyA()
	foreignKey := guid("0f0e0d0c-0b0a-4908-8706-050403020100")
	index := func(i *installed, what string) int {
		return slices.IndexFunc(i.filters, func(f filter) bool { return strings.Contains(f.name, what) })
	}
	for name, tamper := range map[string]func(*installed){
		"a filter is deleted":            func(i *installed) { n := index(i, "block all connect4"); i.filters = slices.Delete(i.filters, n, n+1) },
		"all filters are deleted":        func(i *installed) { i.filters = nil },
		"everything is deleted":          func(i *installed) { *i = installed{} },
		"a block becomes a permit":       func(i *installed) { i.filters[index(i, "block all accept6")].action = actionPermit },
		"a permit loses a condition":     func(i *installed) { f := &i.filters[index(i, "collector")]; f.conditions = f.conditions[1:] },
		"a filter loses its persistence": func(i *installed) { i.filters[index(i, "block all connect6")].flags &^= filterPersistent },
		"a permit in our sublayer": func(i *installed) {
			i.filters = append(i.filters, filter{key: foreignKey, layer: layerConnect4, sublayer: SublayerKey, weight: u8(15), action: actionPermit, flags: filterHard})
		},
		"a filter of our provider elsewhere": func(i *installed) {
			i.filters = append(i.filters, filter{key: foreignKey, layer: guid("5926dfc8-e3cf-4426-a283-dc393f5d0f9d"), sublayer: foreignKey, provider: ProviderKey, action: actionPermit})
		},
		"our key at another's": func(i *installed) {
			n := index(i, "block all connect4")
			i.sublayers = append(i.sublayers, sublayer{key: foreignKey, flags: 1})
			i.filters[n].sublayer, i.filters[n].provider = foreignKey, GUID{}
		},
		"the sublayer gets lighter":            func(i *installed) { i.sublayers[0].weight = 1 },
		"the provider gets bound to a service": func(i *installed) { p := *i.provider; p.service = "gone"; i.provider = &p },
		"a filter is disabled and replaced":    func(i *installed) { i.filters[index(i, "block all connect4")].layer = layerAccept4 },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine()
			f := testFirewall(e)
			if err := f.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			e.as(tamper)
			o, err := f.Observe(t.Context(), &p)
			if err != nil || o.Complete || len(o.Gaps) == 0 {
				t.Fatalf("not seen: %+v, %v", o, err)
			}
			if err := f.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if o, err := f.Observe(t.Context(), &p); err != nil || !o.Complete || o.Digest != o.Expected {
				t.Fatalf("not put right: %+v, %v", o, err)
			}
			e.as(tamper)
			if err := f.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o, err := f.Observe(t.Context(), nil); err != nil || o.Present || e.have.provider != nil || len(e.have.ownFilters()) > 0 {
				t.Fatalf("left over: %+v, %v, %+v", o, err, e.have)
			}
		})
	}
}

// Filters of the start that no list has are found by their keys, by other processes too.
func TestFiltersOfTheStartAreFoundByKey(t *testing.T) {
	e := newEngine()
	e.shy = true
	p := isolatetest.PolicyD()
	p.DHCPServers = []netip.Addr{netip.MustParseAddr("192.0.2.67")}
	if err := testFirewall(e).Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if o, err := testFirewall(e).Observe(t.Context(), &p); err != nil || !o.Complete {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := testFirewall(e).Restore(t.Context()); err != nil || e.have.present() || e.have.provider != nil {
		t.Fatalf("%v: left over: %+v", err, e.have)
	}
}

// Other products keep what is theirs.
func TestOthersAreLeftAlone(t *testing.T) {
	e := newEngine()
	other := installed{sublayers: []sublayer{{key: filterKey("other"), weight: sublayerWeight, name: "Guard"}},
		filters: []filter{
			{key: filterKey("f1"), name: "opens", layer: layerConnect4, sublayer: filterKey("other"), action: actionPermit, flags: filterHard},
			{key: filterKey("f2"), name: "closes", layer: layerConnect4, sublayer: filterKey("other"), action: actionBlock},
			{key: filterKey("f3"), name: "asks", layer: layerAccept6, sublayer: filterKey("other"), action: 0x5003},
			{key: filterKey("f4"), name: "names", layer: layerConnect6, sublayer: filterKey("low"), action: actionBlock,
				conditions: []condition{{fieldApp, matchEqual, value{kind: typeBlob, bytes: testAgent.app}}}},
		}}
	e.as(func(i *installed) { *i = other })
	f := testFirewall(e)
	if err := f.Apply(t.Context(), isolatetest.PolicyA()); err != nil {
		t.Fatal(err)
	}
	o, err := f.Observe(t.Context(), ptr(isolatetest.PolicyA()))
	if err != nil || !o.Complete {
		t.Fatalf("%+v, %v", o, err)
	}
	limits := strings.Join(o.Limits, "\n")
	for _, word := range []string{"opens", "closes", "names", "Guard", "drivers"} {
		if !strings.Contains(limits, word) {
			t.Errorf("%q is not told of: %s", word, limits)
		}
	}
	if err := f.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(e.have.filters, other.filters, func(a, b filter) bool { return a.key == b.key }) || len(e.have.sublayers) != 1 {
		t.Errorf("others' objects changed: %+v", e.have)
	}
}

// A program that moved, or a disk that got another number, is a gap until it is put right.
func TestAnotherApplicationIDIsAGap(t *testing.T) {
	e, p := newEngine(), isolatetest.PolicyA()
	f := testFirewall(e)
	if err := f.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	e.app = bytes16(`\device\harddiskvolume4\program files\hozen\hozen-agent.exe`)
	if o, err := f.Observe(t.Context(), &p); err != nil || o.Complete {
		t.Errorf("%+v, %v", o, err)
	}
	if err := f.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if o, err := f.Observe(t.Context(), &p); err != nil || !o.Complete {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestWithoutAnEngine(t *testing.T) {
	for _, why := range []error{isolate.ErrNeedsRoot, errors.ErrUnsupported} {
		e := newEngine()
		e.fail = fmt.Errorf("open: %w", why)
		f, p := testFirewall(e), isolatetest.PolicyA()
		_, oerr := f.Observe(t.Context(), &p)
		_, werr := f.Watch(t.Context())
		for _, err := range []error{f.Apply(t.Context(), p), f.Restore(t.Context()), oerr, werr} {
			if !errors.Is(err, why) {
				t.Errorf("%v, want %v", err, why)
			}
		}
	}
}

// A process that is not the service is told that it has no way home.
func TestAStrangerIsToldThatItsWayIsClosed(t *testing.T) {
	for has, want := range map[bool]int{true: 0, false: 1} {
		f, p := testFirewall(newEngine()), isolatetest.PolicyA()
		f.has = func(sid []byte) bool { return has && sidString(sid) == sidString(serviceSID("hozen-agent")) }
		if err := f.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if o, err := f.Observe(t.Context(), &p); err != nil || len(o.Limits) != want || !o.Complete {
			t.Errorf("%t: %+v, %v", has, o, err)
		}
		full := isolatetest.PolicyFull()
		if err := f.Apply(t.Context(), full); err != nil {
			t.Fatal(err)
		}
		if o, err := f.Observe(t.Context(), &full); err != nil || len(o.Limits) != 0 {
			t.Errorf("%t, full: %+v, %v", has, o, err)
		}
	}
}

func TestShutBlocksEverything(t *testing.T) {
	e := newEngine()
	e.app = nil // the program is not found
	f := testFirewall(e)
	if err := f.Apply(t.Context(), isolatetest.PolicyA()); !errors.Is(err, errNoApp) {
		t.Errorf("%v, want %v", err, errNoApp)
	}
	if err := f.Shut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := f.Observe(t.Context(), ptr(isolatetest.PolicyFull())); err != nil || !o.Complete {
		t.Errorf("%+v, %v", o, err)
	}
}
