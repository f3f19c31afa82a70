package isolate_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// rounds are fake trials whose outcomes are written down.
type rounds struct{ next []isolate.Trial }

func (r *rounds) Controls(context.Context) isolate.Controls { return isolate.Controls{} }

func (r *rounds) Try(context.Context, isolate.Policy, isolate.Controls, func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	return slices.Clone(r.next)
}

const (
	inetOut = "inet out"
	linkOut = "netdev out_eth0"
)

// tried is one trial that came out somehow.
func tried(name, target, chain string, o isolate.TrialOutcome) isolate.Trial {
	return isolate.Trial{Name: name, Target: target, Chain: chain, Outcome: o, Reason: "why", At: time.Now()}
}

// A restart of the agent, or of the endpoint, is no way to have a leak forgotten: what was
// known last is shown until a trial shows otherwise.
func TestLeakOutlivesTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &rounds{next: []isolate.Trial{tried("udp4", "192.0.2.1:123", inetOut, isolate.Contrary), tried("tcp4", "192.0.2.1:53", inetOut, isolate.AsOrdered)}}
		r, told := newTold(t, func(c *isolate.Config) { c.Trials = f })
		if st, err := r.Isolate(t.Context(), order("cmd_1")); err == nil || st.Reason != isolate.Leak {
			t.Fatalf("%+v, %v", st, err)
		}
		at := f.next[0].At
		synctest.Wait()
		_, _ = r.Reconcile(t.Context())
		f.next = []isolate.Trial{}
		for _, again := range []func(*testing.T){r.restart, r.reboot} {
			again(t)
			if st := r.Status(t.Context()); r.fw.Calls("restore") != 0 || st.Observed == isolate.Isolated || len(st.Trials) != 1 || !st.Trials[0].At.Equal(at) {
				t.Errorf("before the first trial: %+v", st)
			}
			if st, _ := r.Reconcile(t.Context()); st.Reason != isolate.Leak {
				t.Errorf("put right: %+v", st)
			}
			synctest.Wait()
		}
		f.next = []isolate.Trial{tried("udp4", "192.0.2.1:123", inetOut, isolate.AsOrdered)}
		time.Sleep(time.Minute)
		_, _ = r.Reconcile(t.Context())
		synctest.Wait()
		reconcile(t, r, isolate.Isolated)
		r.restart(t)
		if st := reconcile(t, r, isolate.Isolated); len(st.Trials) != 0 {
			t.Errorf("over, and there again: %+v", st.Trials)
		}
		wantTold(t, told(), isolate.HappenedLeak)
	})
}

// What leaked is a leak until the same way is seen to be cut, whatever is not known of it
// meanwhile.
func TestLeakIsNotForgotten(t *testing.T) {
	const raw, dns = "192.0.2.1 02:00:00:00:00:01 eth0", "192.0.2.53:53"
	for name, c := range map[string]struct {
		leak  isolate.Trial
		later []isolate.Trial
		want  isolate.State
	}{
		"no address":              {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{tried("raw4", "192.0.2.1 eth0", linkOut, isolate.NotShown)}, isolate.Failed},
		"nobody to try":           {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{tried("raw4", "", "", isolate.NotShown)}, isolate.Failed},
		"nothing tried":           {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{}, isolate.Failed},
		"another way is cut":      {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{tried("raw4_bypass", raw, linkOut, isolate.AsOrdered)}, isolate.Failed},
		"another link is cut":     {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{tried("raw4", "192.0.2.1 eth0", linkOut, isolate.NotShown), tried("raw4", "192.0.2.1 eth1", "netdev out_eth1", isolate.AsOrdered)}, isolate.Failed},
		"another resolver is cut": {tried("dns4", dns, inetOut, isolate.Contrary), []isolate.Trial{tried("dns4", dns, inetOut, isolate.NotShown), tried("dns4", "192.0.2.54:53", inetOut, isolate.AsOrdered)}, isolate.Failed},
		"cut":                     {tried("raw4", raw, linkOut, isolate.Contrary), []isolate.Trial{tried("raw4", "192.0.2.1 eth0", linkOut, isolate.AsOrdered)}, isolate.Isolated},
		"gone, others are cut":    {tried("dns4", dns, inetOut, isolate.Contrary), []isolate.Trial{tried("dns4", "192.0.2.54:53", inetOut, isolate.AsOrdered)}, isolate.Isolated},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &rounds{next: []isolate.Trial{c.leak}}
				r, told := newTold(t, func(c *isolate.Config) { c.Trials = f })
				if st, err := r.Isolate(t.Context(), order("cmd_1")); err == nil || st.Reason != isolate.Leak {
					t.Fatalf("%+v, %v", st, err)
				}
				wantTold(t, told(), isolate.HappenedLeak)
				f.next = c.later
				for range 5 {
					time.Sleep(6 * time.Second)
					_, _ = r.Reconcile(t.Context())
					synctest.Wait()
				}
				st := r.Status(t.Context())
				if st.Observed != c.want || len(st.Trials) > 2 {
					t.Errorf("%s, %+v", st.Observed, st.Trials)
				}
				wantTold(t, told()) // what was told once is not seen again
				f.next = []isolate.Trial{c.leak}
				f.next[0].Outcome = isolate.AsOrdered
				time.Sleep(time.Minute)
				_, _ = r.Reconcile(t.Context())
				synctest.Wait()
				reconcile(t, r, isolate.Isolated)
			})
		})
	}
}

// However often the target of a leak changes, what is kept of it is bounded.
func TestManyLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &rounds{}
		r, _ := newTold(t, func(c *isolate.Config) { c.Trials = f })
		for i := range 200 {
			f.next = []isolate.Trial{tried("icmp4", fmt.Sprintf("192.0.2.%d", i), inetOut, isolate.Contrary)}
			if i == 0 {
				_, _ = r.Isolate(t.Context(), order("cmd_1"))
			}
			time.Sleep(6 * time.Second)
			_, _ = r.Reconcile(t.Context())
			synctest.Wait()
		}
		if st := r.Status(t.Context()); len(st.Trials) != 65 || st.Trials[0].Target != "192.0.2.199" || st.Reason != isolate.Leak {
			t.Errorf("%d trials, %+v", len(st.Trials), st.Trials[0])
		}
	})
}

// An order that replaces another one shows nothing of a leak, unless it opens the way.
func TestLeakOutlivesAnEdit(t *testing.T) {
	permit := isolatetest.PolicyA()
	permit.Mode = isolate.Selective
	permit.Permits = []isolate.Permit{{Network: netip.MustParsePrefix("192.0.2.53/32"), Protocol: isolate.UDP, First: 53, Last: 53, ExpiresAt: time.Now().AddDate(100, 0, 0)}}
	full := isolatetest.PolicyFull()
	for name, c := range map[string]struct {
		leak     isolate.Trial
		from, to isolate.Policy
		want     isolate.State
	}{
		"another collector":        {tried("udp4", "192.0.2.53:53", inetOut, isolate.Contrary), isolatetest.PolicyA(), isolatetest.PolicyB(), isolate.Failed},
		"a permit opens it":        {tried("udp4", "192.0.2.53:53", inetOut, isolate.Contrary), isolatetest.PolicyA(), permit, isolate.Isolated},
		"of another protocol":      {tried("tcp4", "192.0.2.53:53", inetOut, isolate.Contrary), isolatetest.PolicyA(), permit, isolate.Failed},
		"of another port":          {tried("udp4", "192.0.2.53:123", inetOut, isolate.Contrary), isolatetest.PolicyA(), permit, isolate.Failed},
		"a frame":                  {tried("raw4", "192.0.2.53 eth0", linkOut, isolate.Contrary), isolatetest.PolicyA(), permit, isolate.Failed},
		"the collector opens":      {tried("collector", "", inetOut, isolate.Contrary), full, isolatetest.PolicyA(), isolate.Isolated},
		"the collector stays away": {tried("icmp4", "192.0.2.1", inetOut, isolate.Contrary), isolatetest.PolicyA(), full, isolate.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &rounds{next: []isolate.Trial{c.leak}}
				r, _ := newTold(t, func(c *isolate.Config) { c.Trials = f })
				o := coded(t, "cmd_1")
				o.Policy = c.from
				if st, err := r.Isolate(t.Context(), o); err == nil || st.Reason != isolate.Leak {
					t.Fatalf("%+v, %v", st, err)
				}
				f.next = []isolate.Trial{tried(c.leak.Name, c.leak.Target, "", isolate.NotShown)}
				o.CommandID, o.Policy = "cmd_2", c.to
				if st, err := r.Isolate(t.Context(), o); st.Observed != c.want || err == nil != (c.want == isolate.Isolated) {
					t.Errorf("%s, %v, %+v", st.Observed, err, st.Trials)
				}
				f.next[0].Outcome, f.next[0].Chain = isolate.AsOrdered, c.leak.Chain
				o.CommandID, o.Policy = "cmd_3", c.from
				if st, err := r.Isolate(t.Context(), o); err != nil { // tried before the answer
					t.Errorf("%v, %+v", err, st.Trials)
				}
			})
		})
	}
}
