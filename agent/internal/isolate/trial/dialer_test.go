package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
)

func TestWhatSocketsOfWindowsSay(t *testing.T) {
	wrap := func(n syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("connectex", n)}
	}
	for name, tt := range map[string]struct {
		err  error
		want result
	}{
		"connected":        {nil, result{back: true, sent: 1}},
		"refused by peer":  {wrap(10061), result{back: true, sent: 1}},
		"port unreachable": {wrap(10054), result{back: true, sent: 1}},
		"filtered":         {wrap(10013), result{sent: 1, refused: true, counted: true}},
		"silence":          {fmt.Errorf("dial: %w", context.DeadlineExceeded), result{sent: 1}},
		"silence, too":     {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, result{sent: 1}},
		"no route":         {wrap(10051), result{reason: NoAddress}},
		"no IPv6":          {wrap(10047), result{reason: NoAddress}},
		"something else":   {wrap(10022), result{reason: Failed}},
		"no code":          {errors.New("?"), result{reason: Failed}},
	} {
		if got := heard(tt.err); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// Only what the kernel refused at once, and was open before, is called cut; silence and what
// nobody may send stay unknown; an answer is a leak.
func TestDialerCallsNothingCutWithoutProof(t *testing.T) {
	resolver, gw := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.1")
	d := &dialer{p: New(Config{}), scene: scene{resolvers: []netip.Addr{resolver}, gateways: []gateway{{addr: gw}}, own: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}}
	open := result{back: true, sent: 1}
	answer := open
	d.try = func(_ context.Context, w way) result {
		if w.kind == kindLoopback || w.kind == kindOwn {
			return open
		}
		return answer
	}
	c := isolate.Controls{At: time.Now(), Open: d.controls(t.Context())}
	if len(c.Open) < 5 {
		t.Fatalf("%+v", c)
	}
	of := func(name string) isolate.Trial {
		t.Helper()
		for _, o := range d.trials(t.Context(), isolate.Policy{Mode: isolate.Standard}, c) {
			if o.Name == name {
				return o
			}
		}
		t.Fatalf("%s is not tried", name)
		return isolate.Trial{}
	}
	is := func(name string, want isolate.TrialOutcome, reason string) {
		t.Helper()
		if o := of(name); o.Outcome != want || o.Reason != reason || (o.Chain == "") != (name == "loopback4" || name == "own4" || reason == NoRights || reason == NoControl) {
			t.Errorf("%+v, want %s %s", o, want, reason)
		}
	}
	answer = result{sent: 1, refused: true, counted: true}
	for _, name := range []string{"tcp4", "udp4", "dns4"} {
		is(name, isolate.AsOrdered, "")
	}
	is("loopback4", isolate.AsOrdered, "")
	is("own4", isolate.AsOrdered, "")
	for _, name := range []string{"icmp4", "raw4", "icmp6", "raw6"} {
		is(name, isolate.NotShown, NoRights)
	}
	is("tcp6", isolate.NotShown, NoControl)
	answer = result{sent: 1} // silence
	is("tcp4", isolate.NotShown, NoCounter)
	is("dns4", isolate.NotShown, NoCounter)
	answer = open
	is("tcp4", isolate.Contrary, Answered)
	c.Open = nil
	answer = result{sent: 1, refused: true, counted: true}
	if o := of("tcp4"); o.Outcome != isolate.NotShown || o.Reason != NoControl {
		t.Errorf("%+v", o)
	}
	if o := d.home(isolate.Policy{Mode: isolate.Full}, c, result{}); o.Outcome != isolate.NotShown {
		t.Errorf("%+v", o)
	}
}

// A way that hangs holds nobody up.
func TestAllEndWithTheirTime(t *testing.T) {
	got := all(t.Context(), time.Millisecond, []way{{name: "tcp4", kind: kindTCP}}, func(ctx context.Context, _ way) result {
		<-ctx.Done()
		return heard(ctx.Err())
	})
	if len(got) != 1 || got[0].back || got[0].sent != 1 {
		t.Errorf("%+v", got)
	}
}

// Sockets of this system, whatever it is: what listens answers, and so does what does not.
func TestDialed(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	at := netip.MustParseAddrPort(l.Addr().String())
	for name, w := range map[string]way{"tcp": {kind: kindTCP, to: at}, "loopback": {kind: kindLoopback, to: netip.AddrPortFrom(at.Addr(), 0)}} {
		if r := dialed(ctx, w); !r.back {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := dialed(ctx, way{kind: kindRaw}); r.reason != NoRights {
		t.Errorf("%+v", r)
	}
}
