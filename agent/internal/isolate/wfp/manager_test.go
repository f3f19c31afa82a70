package wfp

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
	"hozen/internal/releasecode"
)

var errNoWay = errors.New("no way home")

// run is an agent with files of its own and an engine that outlives it.
type run struct {
	*isolate.Manager
	e    *memEngine
	dir  string
	home func() error
}

func (r *run) start(t *testing.T) {
	t.Helper()
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: r.dir, Key: bytes.Repeat([]byte{'k'}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	r.Manager, err = isolate.NewManager(isolate.Config{
		Firewall: testFirewall(r.e), Store: store, WayHome: func(context.Context) error { return r.home() }, Clock: &isolatetest.Clock{},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newRun(t *testing.T) *run {
	r := &run{e: newEngine(), dir: t.TempDir(), home: func() error { return nil }}
	r.start(t)
	return r
}

// An order that cannot be confirmed is rolled back: the engine then has nothing of ours,
// however the way home fails, and whether or not the agent lives to see it.
func TestAnUnconfirmedOrderLocksNobodyOut(t *testing.T) {
	for name, restart := range map[string]bool{"the agent lives": false, "the agent is started again": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRun(t)
				r.home = func() error { return errNoWay }
				st, err := r.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyA(), Within: 30 * time.Second, Else: isolate.RollBack})
				if err != nil || st.Observed != isolate.Isolated || len(r.e.have.ownFilters()) == 0 {
					t.Fatalf("%+v, %v", st, err)
				}
				if restart {
					r.start(t)
				}
				time.Sleep(10 * time.Minute)
				for range 2 {
					st, err = r.Reconcile(t.Context())
					time.Sleep(10 * time.Minute)
				}
				if err != nil || st.Desired != isolate.Released || st.Observed != isolate.Released || r.e.have.present() || r.e.have.provider != nil {
					t.Fatalf("locked out: %+v, %v, %+v", st, err, r.e.have)
				}
			})
		})
	}
}

// A confirmed one stays, through restarts of the agent and of the engine.
func TestAConfirmedOrderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t)
		if _, err := r.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyA(), Within: 30 * time.Second, Else: isolate.RollBack}); err != nil {
			t.Fatal(err)
		}
		r.home = func() error { return errNoWay }
		r.e.as(func(i *installed) { // what is neither persistent nor for the start would be gone
			i.filters = slices.DeleteFunc(i.filters, func(f filter) bool { return f.flags&(filterPersistent|filterBootTime) == 0 })
		})
		r.start(t)
		time.Sleep(time.Hour)
		st, err := r.Resume(t.Context())
		if err != nil || st.Observed != isolate.Isolated || len(st.Drift) > 0 {
			t.Fatalf("%+v, %v", st, err)
		}
	})
}

// A release code works without the collector, in full isolation too.
func TestReleaseByCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t)
		const number = "123456789012"
		code, salt := releasecode.New(releasecode.Key{1}, number), make([]byte, releasecode.SaltLen)
		hash, err := releasecode.Hash(code, salt, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyFull(),
			Code: &isolate.ReleaseCode{Number: number, Hash: hash, Salt: salt, Iterations: 1}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.e.have.ownFilters() {
			if f.flags&filterHard != 0 {
				t.Errorf("%s opens something in full isolation", f.title())
			}
		}
		r.start(t)
		st, err := r.ReleaseByCode(t.Context(), string(code), "1000", "someone")
		if err != nil || st.Observed != isolate.Released || r.e.have.present() {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// Filters that another program removes are in force again as soon as the engine tells of
// it, and what it told is kept.
func TestRemovedFiltersComeBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t)
		ctx, stop := context.WithCancel(t.Context())
		events := r.Watch(ctx)
		if _, err := r.Isolate(ctx, isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyA()}); err != nil {
			t.Fatal(err)
		}
		<-events // watching has begun
		if _, err := r.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for waiting := true; waiting; { // what was told of the order itself
			synctest.Wait()
			select {
			case <-events:
			default:
				waiting = false
			}
		}
		began := time.Now()
		r.e.as(func(i *installed) { i.filters = nil })
		<-events
		st, err := r.Reconcile(ctx)
		if err != nil || st.Observed != isolate.Isolated || len(st.Drift) == 0 || len(st.Seen) == 0 {
			t.Errorf("%+v, %v", st, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("open for %v", took)
		}
		stop()
		for range events {
		}
	})
}

// A watcher whose engine ends tells so by closing.
func TestWatchEndsWithItsContext(t *testing.T) {
	f := testFirewall(newEngine())
	ctx, stop := context.WithCancel(t.Context())
	events, err := f.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-events
	stop()
	if _, open := <-events; open {
		t.Error("an event after the end")
	}
}
