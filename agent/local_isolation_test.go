package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/i18n"
	"hozen/internal/releasecode"
)

// answering is an agent that answers at a socket about its network.
func answering(t *testing.T, w *wall) (a *agent, socket string) {
	t.Helper()
	a = isolating(t, w)
	socket = filepath.Join(shortDir(t), "s")
	s, err := localapi.Listen(localapi.Config{Path: socket, Agent: localAgent{a}, Network: localNetwork{a}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return a, socket
}

// codedOrder is an order to isolate with a release code.
func codedOrder(t *testing.T) (isolate.Request, releasecode.Code) {
	t.Helper()
	key, number := releasecode.NewKey(), "123456789012"
	code, salt := releasecode.New(key, number), releasecode.NewSalt()
	hash, err := releasecode.Hash(code, salt, 10)
	if err != nil {
		t.Fatal(err)
	}
	return isolate.Request{
		CommandID: "cmd_1", IsolateFirst: true, Lease: time.Hour,
		Policy: isolate.Policy{
			Mode: isolate.Selective, Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8443")},
			Permits: []isolate.Permit{{Network: netip.MustParsePrefix("192.0.2.9/32"), Protocol: isolate.TCP, First: 443, Last: 444, Reason: "更新\x1b[31m", ExpiresAt: time.Now().Add(time.Hour)}},
		},
		Code:   &isolate.ReleaseCode{Number: number, Hash: hash, Salt: salt, Iterations: 10},
		Notice: isolate.Notice{Text: "情報システム部です\a", Phone: "03-1234-5678"},
	}, code
}

// kept waits for an event of a kind in the journal.
func kept(t *testing.T, a *agent, kind journal.EventKind) journal.IsolationEvent {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(20 * time.Second)
	for {
		events := a.journal.Events()
		if i := slices.IndexFunc(events, func(e journal.IsolationEvent) bool { return e.Kind == kind }); i >= 0 {
			return events[i]
		}
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("no event %s in %+v", kind, events)
		}
	}
}

// TestReleaseByCodeAtThePC goes the whole way: what a person types is looked at by the
// manager, and what came of it waits in the journal for the collector.
func TestReleaseByCodeAtThePC(t *testing.T) {
	w := &wall{}
	a, socket := answering(t, w)
	code, out, errOut := do(t, "1", "release", "--socket", socket)
	if code != exitNotAccepted || !strings.Contains(errOut, "nothing to release") {
		t.Errorf("not isolated: exit %d\n%s%s", code, out, errOut)
	}
	order, right := codedOrder(t)
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	// A slip is told where it was made and is no try.
	slip := []byte(right)
	slip[12] = '0' + (slip[12]-'0'+1)%10
	code, out, errOut = do(t, string(slip), "release", "--socket", socket)
	if code != exitUsage || !strings.Contains(errOut, "Group 3") {
		t.Errorf("a slip: exit %d\n%s%s", code, out, errOut)
	}
	for _, in := range []string{"", "12345", "not a code\n"} {
		if code, _, errOut := do(t, in, "release", "--socket", socket); code != exitUsage || strings.Contains(errOut, "⟦") {
			t.Errorf("%q: exit %d, %s", in, code, errOut)
		}
	}
	// On the command line it is refused and not repeated, for it stands in histories too.
	for _, args := range [][]string{{right.String()}, {string(right)}, {"--code=" + string(right)}, {"--code", string(right)}, {"-code=1"}} {
		code, out, errOut := do(t, "", append([]string{"release", "--socket", socket}, args...)...)
		if code != exitUsage || strings.Contains(out+errOut, string(right[:5])) || !strings.Contains(errOut, "command line") {
			t.Errorf("exit %d\n%s%s", code, out, errOut)
		}
	}
	wrong := releasecode.New(releasecode.NewKey(), "123456789012").String()
	if code, _, errOut := do(t, wrong, "release", "--code", "--socket", socket); code != exitNotAccepted || !strings.Contains(errOut, "not the code of this PC") {
		t.Errorf("a wrong code: exit %d, %s", code, errOut)
	}
	if e := kept(t, a, journal.EventCodeRefused); !strings.Contains(e.By, fmt.Sprintf("uid %s), pid %d", ownUID(), os.Getpid())) || e.CommandID != "cmd_1" {
		t.Errorf("%+v", e)
	}
	if st := a.isolate.Status(t.Context()); st.Observed != isolate.Isolated {
		t.Fatalf("released by a wrong code: %+v", st)
	}
	code, out, errOut = do(t, strings.ReplaceAll(right.String(), "-", "　")+"\n", "release", "--socket", socket)
	if code != exitOK || !strings.Contains(out, "not isolated") || !strings.Contains(out, "released by code") {
		t.Fatalf("the code: exit %d\n%s%s", code, out, errOut)
	}
	e := kept(t, a, journal.EventReleasedByCode)
	if !strings.Contains(e.By, "pid ") || e.CommandID != "cmd_1" || e.Isolation == nil || e.Isolation.Observed != journal.StateReleased || !strings.Contains(e.Detail, "123456789012") {
		t.Errorf("%+v", e)
	}
	if w.closed {
		t.Error("still closed")
	}
	if b, err := json.Marshal(a.journal.Events()); err != nil || strings.Contains(string(b), string(right)) {
		t.Errorf("the code is in the journal: %v", err)
	}
}

// TestTooManyCodes: how long to wait is told, and the right code has to wait too.
func TestTooManyCodes(t *testing.T) {
	w := &wall{}
	a, _ := answering(t, w)
	order, right := codedOrder(t)
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	n := localNetwork{a} // without the pace of the socket
	for range 5 {
		wrong := releasecode.New(releasecode.NewKey(), "1").String()
		if _, err := n.ReleaseByCode(t.Context(), wrong, localapi.Peer{UID: ownUID()}); err == nil {
			t.Fatal("released")
		}
	}
	path := filepath.Join(shortDir(t), "s")
	s, err := localapi.Listen(localapi.Config{Path: path, Agent: localAgent{a}, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	go s.Run(t.Context())
	code, _, errOut := do(t, right.String(), "release", "--socket", path)
	if code != exitNotAccepted || !strings.Contains(errOut, "wait 15 min") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}

func TestIsolationStatus(t *testing.T) {
	w := &wall{}
	a, socket := answering(t, w)
	code, out, errOut := do(t, "", "isolation", "status", "--socket", socket)
	if code != exitOK || !strings.Contains(out, "not isolated (measured just now)") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	order, _ := codedOrder(t)
	order.Drill = true
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"ja", "en"} {
		code, out, errOut := do(t, "", "isolation", "status", "--socket", socket, "--lang", lang)
		if code != exitOK || strings.ContainsAny(out, "⟦\x1b\a{") {
			t.Errorf("exit %d\n%q\n%s", code, out, errOut)
		}
		for _, want := range []string{"1234-5678-9012", "03-1234-5678", "192.0.2.1:8443", "192.0.2.9/32", "443-444", "cmd_1", "情報システム部です"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not said:\n%s", want, out)
			}
		}
		if !strings.HasPrefix(out, map[string]string{"ja": "【訓練】", "en": "[DRILL]"}[lang]) {
			t.Errorf("the drill is not said first:\n%s", out)
		}
	}
	code, out, _ = do(t, "", "isolation", "status", "--json", "--socket", socket)
	var said localapi.NetworkStatus
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != exitOK || said.Format != localapi.NetworkFormat || said.Source != sourceAgent ||
		said.Observed != "isolated" || said.Mode != "selective" || !said.Drill || len(said.Permits) != 1 || said.LeaseUntil.IsZero() || said.MeasuredAt.IsZero() {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	// What is not as ordered is not told as good news.
	w.mu.Lock()
	w.closed = false
	w.mu.Unlock()
	code, out, _ = do(t, "", "isolation", "status", "--socket", socket)
	if code != exitNotInForce || !strings.Contains(out, "failed") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, _ := do(t, "", "isolation", "--socket", socket); code != exitUsage {
		t.Errorf("without a verb: exit %d", code)
	}
}

// TestAskingWithoutEnd: whoever asks all the time has the rules read now and then, root whenever
// they ask.
func TestAskingWithoutEnd(t *testing.T) {
	w := &wall{}
	a := isolating(t, w)
	looks := 0
	w.look = func() { looks++ }
	const asks = 200
	began := time.Now()
	for uid := range asks {
		a.isolationFor(localapi.WithUID(t.Context(), fmt.Sprint(100000+uid)))
	}
	most := 2 + 2*int(time.Since(began)/askedEvery) // the first look may be two
	if looks > most {
		t.Errorf("%d looks for %d questions, at most %d", looks, asks, most)
	}
	looks = 0
	for range 3 {
		a.isolationFor(localapi.WithUID(t.Context(), rootUID))
	}
	if looks < 3 {
		t.Errorf("%d looks for root", looks)
	}
}

// TestTunnelsHaveWords: what stays open for a tunnel is told with its outer end, its
// carrier, how it was found and since when, in both languages.
func TestTunnelsHaveWords(t *testing.T) {
	texts, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	st := networkStatus(isolate.Status{Desired: isolate.Isolated, Policy: isolate.Policy{Tunnels: []isolate.Tunnel{
		{Address: netip.MustParseAddr("192.0.2.9"), Protocol: isolate.ProtocolUDP, Port: 51820, Link: "wg0", Why: "WireGuard peer\x1b[31m", Since: since},
		{Address: netip.MustParseAddr("2001:db8::9"), Protocol: isolate.ProtocolGRE, Link: "gre6"},
	}}}, sourceAgent, since)
	for lang, want := range map[i18n.Language][]string{
		i18n.English:  {"UDP 192.0.2.9 port 51820, which carries the tunnel wg0", "(WireGuard peer [31m)", "2001:db8::9 (IP protocol 47), which carries the tunnel gre6", "2026"},
		i18n.Japanese: {"UDP 192.0.2.9 ポート 51820", "トンネル wg0", "2001:db8::9(IPプロトコル番号 47)"},
	} {
		var out bytes.Buffer
		c := &command{p: texts.Printer(lang), std: stdio{out: &out}}
		c.sayOpen(st)
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%q is missing in\n%s", w, out.String())
			}
		}
	}
}

// TestTrialsHaveWords: whatever a trial is called and comes to, people can read it.
func TestTrialsHaveWords(t *testing.T) {
	texts, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	c := &command{p: texts.Printer(i18n.English)}
	for name, want := range map[string]string{
		"tcp4": "new TCP connection IPv4", "raw6_bypass": "raw packet past the queue IPv6", "collector": "collector",
		"own6": "own address IPv6", "something new4": "something new4", "": "", "4": "4", "x\x1b[31m": "x [31m",
	} {
		if got := c.trial(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, outcome := range []string{"as_ordered", "contrary", "unknown", "something new"} {
		for _, cut := range []bool{true, false} {
			var out buffer
			c.std.out = &out
			c.sayTrials([]localapi.Trial{{Name: "dns4", Outcome: outcome, Reason: "no_counter", Cut: cut, At: time.Now().Add(-3 * time.Minute)}}, time.Now())
			if got := out.String(); strings.Contains(got, "⟦") || !strings.Contains(got, "3 min ago") || strings.Contains(got, "unknown") != (outcome == "unknown" || outcome == "something new") {
				t.Errorf("%s, %v: %s", outcome, cut, got)
			}
		}
	}
}

// TestUninstallOfAnIsolatedPC is refused before anything is touched, and says what to do.
func TestUninstallOfAnIsolatedPC(t *testing.T) {
	a, socket := answering(t, &wall{})
	order, _ := codedOrder(t)
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := do(t, "", "service", "uninstall", "--state", a.set.state, "--socket", socket)
	if code != exitIsolated || !strings.Contains(out, "service uninstall --release") || !strings.Contains(out, "1234-5678-9012") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if st := a.isolate.Status(t.Context()); st.Observed != isolate.Isolated {
		t.Errorf("%+v", st)
	}
}

func TestNeedsRelease(t *testing.T) {
	for _, c := range []struct {
		st   localapi.NetworkStatus
		want bool
	}{
		{localapi.NetworkStatus{Capable: true, Desired: "released", Observed: "released"}, false},
		{localapi.NetworkStatus{Capable: true, Desired: "isolated", Observed: "isolated"}, true},
		{localapi.NetworkStatus{Capable: true, Desired: "released", Observed: "failed"}, true}, // leftovers
		{localapi.NetworkStatus{Capable: true, Desired: "isolated", Observed: "failed"}, true},
		{localapi.NetworkStatus{Capable: true, Desired: "unknown", Observed: "unknown"}, true},
		{localapi.NetworkStatus{Desired: "released", Observed: "unknown", Reason: "unsupported"}, false},
		{localapi.NetworkStatus{Capable: true, Desired: "released", Observed: "unknown", Reason: "unmeasured"}, false},
		{localapi.NetworkStatus{Desired: "unknown", Observed: "unknown"}, false},
		{localapi.NetworkStatus{Desired: "isolated", Observed: "unknown", Reason: "unsupported"}, true},
	} {
		if got := needsRelease(c.st); got != c.want {
			t.Errorf("%+v: %v", c.st, got)
		}
	}
}

// TestReleaseForUninstallIsTold: the agent waits until the collector has the event, and no
// longer than it has to.
func TestReleaseForUninstallIsTold(t *testing.T) {
	a, _ := answering(t, &wall{})
	order, _ := codedOrder(t)
	if _, err := a.isolate.Isolate(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	go func() {
		look := time.NewTicker(5 * time.Millisecond)
		defer look.Stop()
		for range look.C { // the collector
			for _, e := range a.journal.Events() {
				if e.Kind == journal.EventReleasedByUninstall {
					if err := a.journal.ConfirmEvent(e.ID); err != nil {
						t.Error(err)
					}
					return
				}
			}
		}
	}()
	st, told, err := localNetwork{a}.ReleaseForUninstall(t.Context(), localapi.Peer{UID: "0", Name: "root", PID: 7})
	if err != nil || !told || st.Observed != "released" || st.Ended == nil || st.Ended.By != "root (uid 0), pid 7" {
		t.Errorf("%+v, told %v, %v", st, told, err)
	}
}

// TestAloneMakesNothing: reading without an agent leaves no file.
func TestAloneMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	s, err := readOnlyStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load(); err == nil {
		t.Errorf("%+v", r)
	}
	if err := s.Save(isolate.Record{Desired: isolate.Released}); err == nil {
		t.Error("saved")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made")
	}
}
