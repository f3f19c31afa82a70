package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/id"
)

// cuts is what came of three connections at the cut.
type cuts struct{}

func (cuts) Sever(context.Context, isolate.Policy) (isolate.Severed, error) {
	s := isolate.Severed{At: time.Now(), Took: time.Millisecond, Destroyed: 1, Gone: 1, Omitted: 1}
	for n, outcome := range []string{record.SeveredDestroyed, record.SeveredGone} {
		s.Add(isolate.Connection{
			Protocol: "tcp", State: "ESTABLISHED", Local: netip.MustParseAddrPort("192.0.2.5:40000"), Remote: netip.MustParseAddrPort("[fe80::1%eth0]:443"),
			UID: 1000, Inode: 7, Cookie: uint64(n + 1), Sent: 3, Received: 4, Outcome: outcome,
		})
	}
	return s, nil
}

// provable is an agent as [isolating], whose connections are cut.
func provable(t *testing.T) *agent {
	t.Helper()
	a := isolating(t, &wall{})
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	a.isolate, err = isolate.NewManager(isolate.Config{
		Firewall: &wall{}, Store: store, Connections: cuts{}, Before: captureBefore, WayHome: func(context.Context) error { return nil }, Tell: a.happened,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sealedProofs ends the waiting for proofs and returns those that there are, oldest first.
func (a *agent) sealedProofs(t *testing.T) (list []artifact.Manifest) {
	t.Helper()
	a.proofs.end()
	a.captures.Wait()
	for _, i := range a.spool.List() {
		m, err := a.kept(i.AcquisitionID)
		if err != nil {
			t.Fatal(err)
		}
		if m.Trigger == artifact.TriggerProof {
			list = append(list, m)
		}
	}
	return list
}

// linesOf reads one artifact of an acquisition.
func linesOf[T any](t *testing.T, a *agent, m artifact.Manifest, k artifact.Kind) (list []T) {
	t.Helper()
	i := slices.IndexFunc(m.Artifacts, func(e artifact.Entry) bool { return e.Kind == k })
	if i < 0 {
		t.Fatalf("no artifact of the kind %s in %+v", k, m.Probes)
	}
	r, err := a.spool.Open(m.AcquisitionID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := make([]byte, m.Artifacts[i].Stored.Size)
	if n, err := r.ReadAt(m.Artifacts[i].Name, b, 0); n != len(b) {
		t.Fatal(n, err)
	}
	z, err := zstd.NewReader(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for s := bufio.NewScanner(io.Reader(z)); s.Scan(); {
		var l T
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

// TestOrdersAreProved: an isolation and its release are sealed as they were measured,
// with the connections that were ended.
func TestOrdersAreProved(t *testing.T) {
	a := provable(t)
	c := isolateOrder()
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	o := journal.Command{ID: id.New(id.Command), Counter: 2, Verb: journal.Release}
	if r := (handler{a}).Release(t.Context(), o); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	proofs := a.sealedProofs(t)
	if len(proofs) != 2 {
		t.Fatalf("%d proofs", len(proofs))
	}
	cut, back := proofs[0], proofs[1]
	if cut.CommandID != c.ID || cut.IncidentID != c.IncidentID || cut.Profile != profileProof || cut.EndpointID == "" {
		t.Errorf("%+v", cut)
	}
	l := linesOf[record.Isolation](t, a, cut, artifact.KindIsolation)
	if len(l) != 1 || l[0].Occasion != "isolate" || l[0].Observed != "isolated" || l[0].Before != "done" || !l[0].WayHome.OK || l[0].CommandID != c.ID ||
		!slices.Equal(l[0].Collectors, []string{"192.0.2.1:8443"}) || l[0].Severed.Destroyed != 1 || l[0].Severed.Omitted != 1 || !l[0].Persisted {
		t.Errorf("%+v", l)
	}
	ended := linesOf[record.Severed](t, a, cut, artifact.KindSevered)
	want := record.Severed{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.5", LocalPort: 40000, RemoteAddr: "fe80::1", RemotePort: 443,
		UID: 1000, Inode: 7, Cookie: 1, BytesAcked: 3, BytesReceived: 4, Outcome: record.SeveredDestroyed}
	if len(ended) != 2 || ended[0] != want || ended[1].Outcome != record.SeveredGone {
		t.Errorf("%+v", ended)
	}
	if i := slices.IndexFunc(cut.Probes, func(p artifact.ProbeOutcome) bool { return p.Kind == artifact.KindSevered }); cut.Probes[i].Outcome != artifact.Partial || cut.Probes[i].Skipped != 1 {
		t.Errorf("the list is not whole, and says %+v", cut.Probes[i])
	}
	l = linesOf[record.Isolation](t, a, back, artifact.KindIsolation)
	if len(l) != 1 || l[0].Occasion != "release" || l[0].Observed != "released" || back.CommandID != o.ID || len(back.Artifacts) != 1 {
		t.Errorf("%+v in %+v", l, back)
	}
}

// TestResumedIsProvedOnceInABoot: that the PC came up isolated, and what an agent owes
// that died before it had sealed what it measured.
func TestResumedIsProvedOnceInABoot(t *testing.T) {
	a := provable(t)
	a.bootID = "one"
	if err := os.Mkdir(filepath.Join(a.set.state, "isolation"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := isolateOrder()
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	again := func(boot string) bool { // as an agent that begins with the same folders
		t.Helper()
		a.sealedProofs(t)
		a.proofs, a.bootID = proofs{running: true}, boot
		st, err := a.isolate.Resume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.proveResumed(st)
		waits := len(a.proofs.queue) > 0
		for _, p := range a.proofs.queue {
			a.takeProof(p)
		}
		return waits
	}
	if again("one") {
		t.Error("proved again in the same boot")
	}
	if !again("two") || again("two") {
		t.Error("not proved once in the next boot")
	}
	proofs := a.sealedProofs(t)
	l := linesOf[record.Isolation](t, a, proofs[len(proofs)-1], artifact.KindIsolation)
	if len(proofs) != 2 || l[0].Occasion != "resume" || l[0].CommandID != c.ID || l[0].Observed != "isolated" {
		t.Errorf("%d proofs, %+v", len(proofs), l)
	}
	if r := (handler{a}).Release(t.Context(), journal.Command{ID: id.New(id.Command), Verb: journal.Release}); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	if again("three") {
		t.Error("proved although nothing is isolated")
	}
}

// TestNothingDoneNothingProved: an order that was refused or cannot be carried out leaves
// no proof.
func TestNothingDoneNothingProved(t *testing.T) {
	a := isolating(t, &wall{fail: isolate.ErrNeedsRoot})
	if r := (handler{a}).Isolate(t.Context(), isolateOrder()); r.Status != journal.Unsupported {
		t.Fatalf("%+v", r)
	}
	c := isolateOrder()
	c.Isolate = &journal.IsolateOrder{Mode: journal.ModeFull}
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Refused {
		t.Fatalf("%+v", r)
	}
	if n := len(a.sealedProofs(t)); n != 0 {
		t.Errorf("%d proofs", n)
	}
}

// TestHappeningIsKeptAndProved: what somebody did to the rules is told and sealed, with
// what was seen of it.
func TestHappeningIsKeptAndProved(t *testing.T) {
	a := isolating(t, &wall{})
	commandID := id.New(id.Command)
	a.happened(isolate.Happening{
		Kind: isolate.HappenedDrift, At: time.Now(), CommandID: commandID, Differences: []string{"chain in is gone"}, Seen: []string{"nft[4711] deleted a chain"}, Count: 3,
		Status: isolate.Status{Desired: isolate.Isolated, Observed: isolate.Isolated, CommandID: commandID, Trials: []isolate.Trial{{Name: "tcp4", Outcome: isolate.AsOrdered, Chain: "inet out", Dropped: 1}}},
	})
	a.happened(isolate.Happening{Kind: isolate.HappenedCodeRefused, At: time.Now(), CommandID: commandID, Count: 1})
	e := a.journal.Events()
	if len(e) != 2 || e[0].Kind != journal.EventDrift || e[0].Count != 3 || e[0].CommandID != commandID || e[0].Isolation.Observed != journal.StateIsolated {
		t.Fatalf("%+v", e)
	}
	proofs := a.sealedProofs(t)
	if len(proofs) != 1 || proofs[0].CommandID != commandID {
		t.Fatalf("%+v", proofs)
	}
	l := linesOf[record.Isolation](t, a, proofs[0], artifact.KindIsolation)
	if len(l) != 1 || l[0].Occasion != "drift" || l[0].EventID != e[0].ID || l[0].EventCount != 3 || !slices.Equal(l[0].Drift, e[0].Differences) ||
		!slices.Equal(l[0].Seen, e[0].Seen) || len(l[0].Trials) != 1 || l[0].Trials[0].Chain != "inet out" {
		t.Errorf("%+v", l)
	}
}

// TestHappeningThatIsNotKept: an agent that stops before its disk lets it keep what
// happened says so, and does not pass it off as told.
func TestHappeningThatIsNotKept(t *testing.T) {
	a := isolating(t, &wall{})
	h := isolate.Happening{Kind: isolate.HappenedReleasedByTime, At: time.Now(), CommandID: id.New(id.Command), Count: 1}
	if !a.happened(h) {
		t.Error("kept, and said not to be")
	}
	if err := a.journal.Close(); err != nil {
		t.Fatal(err)
	}
	a.proofs.end()
	a.captures.Wait()
	if a.happened(h) {
		t.Error("not kept, and said to be")
	}
}

// TestSeriesIsProvedNowAndThen: the first at once, then one each ten minutes, and at once
// again after another order.
func TestSeriesIsProvedNowAndThen(t *testing.T) {
	a := &agent{set: settings{log: newLog(t.Output(), 0, false)}}
	a.proofs.running = true // nobody takes any away
	synctest.Test(t, func(t *testing.T) {
		add := func(k isolate.Kind) int {
			a.proofs.add(a, proof{occasion: string(k)})
			return len(a.proofs.queue)
		}
		got := []int{add(isolate.HappenedDrift), add(isolate.HappenedDrift), add(isolate.HappenedLeak), add(isolate.HappenedLeak)}
		time.Sleep(proofEvery - time.Second)
		got = append(got, add(isolate.HappenedDrift))
		time.Sleep(time.Second)
		got = append(got, add(isolate.HappenedDrift), add(isolate.HappenedCodeRefused), add(isolate.HappenedLeaseLapsed))
		got = append(got, add("isolate"), add(isolate.HappenedDrift), add(isolate.HappenedReleasedByCode))
		if want := []int{1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		for range 100 {
			add("release")
		}
		if n := len(a.proofs.queue); n != proofsMax {
			t.Errorf("%d wait", n)
		}
	})
}

// slow tries the rules for a while.
type slow struct{ takes time.Duration }

func (slow) Controls(context.Context) isolate.Controls { return isolate.Controls{} }

func (s slow) Try(ctx context.Context, _ isolate.Policy, _ isolate.Controls, _ func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
	return []isolate.Trial{{Name: "tcp4", Outcome: isolate.AsOrdered, At: time.Now(), Dropped: 1}}
}

// TestProofWaits: for what is tried through the rules, for the answer and for orders that
// are being carried out, and not for ever.
func TestProofWaits(t *testing.T) {
	for name, c := range map[string]struct {
		takes, held, want time.Duration
		trials            int
	}{
		"trials":        {7 * time.Second, 0, 7500 * time.Millisecond, 1},
		"endless":       {time.Hour, 0, proofWait + proofAfter, 0},
		"no trials":     {0, 0, proofAfter, 0},
		"another order": {time.Millisecond, 5 * time.Second, 5500 * time.Millisecond, 1},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: dir, Key: make([]byte, 32)})
			if err != nil {
				t.Fatal(err)
			}
			var trials isolate.Trials
			if c.takes > 0 {
				trials = slow{c.takes}
			}
			m, err := isolate.NewManager(isolate.Config{Firewall: &wall{}, Store: store, Trials: trials, Clock: &isolatetest.Clock{}})
			if err != nil {
				t.Fatal(err)
			}
			a := &agent{isolate: m, trials: trials}
			begun := time.Now()
			st, err := m.Isolate(t.Context(), isolate.Request{CommandID: id.New(id.Command), Policy: isolate.Policy{Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}}})
			if err != nil {
				t.Fatal(err)
			}
			one := proof{occasion: "isolate", status: st, due: begun.Add(proofAfter), late: begun.Add(proofWait)}
			if c.held > 0 {
				time.AfterFunc(c.held, a.proofs.hold())
			}
			a.await(&one, a.proofs.stopped())
			if d := time.Since(begun); d < c.want-proofLook || d > c.want+proofLook || len(one.status.Trials) != c.trials {
				t.Errorf("%s: after %s, want %s; %d trials", name, d, c.want, len(one.status.Trials))
			}
			begun = time.Now()
			a.proofs.end()
			a.proofs.end()
			a.await(&one, a.proofs.stopped())
			if time.Since(begun) != 0 {
				t.Errorf("%s: an agent that stops waits", name)
			}
			synctest.Wait()
			time.Sleep(time.Hour) // what is tried ends
		})
	}
}

// TestProofDoesNotKeepACutWaiting: while an order is carried out no proof begins.
func TestProofDoesNotKeepACutWaiting(t *testing.T) {
	var p proofs
	one, two := p.hold(), p.hold()
	if one(); !p.held() {
		t.Error("one order is still being carried out")
	}
	if two(); p.held() {
		t.Error("no order is being carried out")
	}
}

// TestEveryMeasurementIsInTheProof: each field of a status has one in the evidence.
func TestEveryMeasurementIsInTheProof(t *testing.T) {
	at := time.Now().UTC().Round(0)
	st := isolate.Status{
		Desired: isolate.Isolated, Observed: isolate.Failed, Reason: isolate.Incomplete, Detail: "d", CommandID: "c", OrderedAt: at, Capable: true, Persisted: true, RecordLost: true,
		Before: isolate.BeforeDone, WayHome: &isolate.WayHome{OK: true, At: at, Detail: "w"}, Until: at, LeaseUntil: at, LeaseLapsed: true, CodeNumber: "n", Drill: true,
		Policy: isolate.Policy{
			Mode: isolate.Selective, Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}, DHCPServers: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Mark: 1,
			Permits: []isolate.Permit{{Network: netip.MustParsePrefix("192.0.2.3/32"), Protocol: isolate.TCP, First: 1, Last: 2, Reason: "r", Host: "h", ExpiresAt: at}},
			Tunnels: []isolate.Tunnel{{Address: netip.MustParseAddr("192.0.2.4"), Protocol: isolate.ProtocolUDP, Port: 3, Own: 4, Link: "k", Why: "y", Since: at, Proved: true}},
		},
		Severed: &isolate.Severed{At: at, Took: 1, Destroyed: 2, Gone: 3, Failed: 4, Unsupported: true, Detail: "s", Omitted: 5},
		Confirm: &isolate.Confirm{Within: 1, By: at, Else: isolate.RollBack, At: at, Missed: at},
		Others:  &isolate.Others{Verdict: isolate.OthersDiffer, Before: isolate.Beside{Tables: []string{"b"}}, After: isolate.Beside{Tables: []string{"a"}}, Differences: []string{"d"}},
		Ended:   &isolate.Ended{CommandID: "e", How: isolate.HappenedReleasedByCode, At: at, By: "b"},
		Trials:  []isolate.Trial{{Name: "t", Outcome: isolate.Contrary, Reason: "r", Target: "g", At: at, Took: 1, Chain: "c", Dropped: 2}},
		Observation: isolate.Observation{
			MeasuredAt: at, Present: true, Complete: true, Digest: "d", Expected: "e", Tables: []string{"t"}, Links: []isolate.Link{{Name: "l", Ingress: true, Egress: true}},
			Drops: []isolate.Drop{{Chain: "c", Packets: 1, Bytes: 2}}, Held: isolate.HeldHere, Gaps: []string{"g"}, Limits: []string{"l"},
		},
	}
	e := journal.IsolationEvent{ID: "i", At: at, By: "b", Detail: "d", Count: 1, Differences: []string{"x"}, Seen: []string{"y"}}
	l := isolationLine(proof{occasion: "drift", event: e, status: st})
	if empty := zeroes("", reflect.ValueOf(l)); len(empty) > 0 {
		t.Errorf("not in the evidence: %v", empty)
	}
}

// zeroes returns the fields of v that are not set.
func zeroes(name string, v reflect.Value) (list []string) {
	switch {
	case v.IsZero():
		return []string{name}
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			list = append(list, zeroes(name+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			list = append(list, zeroes(fmt.Sprint(name, i), v.Index(i))...)
		}
	}
	return list
}

// TestProofOfAFullSpool: no room is no reason for anything but a line in the log.
func TestProofOfAFullSpool(t *testing.T) {
	a := isolating(t, &wall{})
	a.runner = acquire.NewRunner(acquire.Config{Sink: a.spool, Plan: func(string) (acquire.Plan, error) { return acquire.Plan{}, io.ErrShortWrite }, Identity: a.signer})
	if r := (handler{a}).Release(t.Context(), journal.Command{ID: id.New(id.Command), Verb: journal.Release}); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	if n := len(a.sealedProofs(t)); n != 0 {
		t.Errorf("%d proofs", n)
	}
}
