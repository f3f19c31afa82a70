package logind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

func TestHoldsADelayLock(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { s := c.State(); return s.Held && s.Logind && s.Connected && s.Allowed == 5*time.Second })
	if l := f.lock(0); l.what != "shutdown:sleep" || l.mode != "delay" || l.who != "hozen-agent" {
		t.Errorf("took %+v", l)
	}
	c.mu.Lock()
	flags, err := unix.FcntlInt(c.lock.Fd(), unix.F_GETFD, 0)
	c.mu.Unlock()
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a child would inherit the lock: %x, %v", flags, err)
	}
	f.props.SetMust(manager, "InhibitDelayMaxUSec", uint64(30_000_000)) // as a reload does
	if d := c.Allowed(); d != 30*time.Second {
		t.Errorf("allowed %s after the reload", d)
	}
	if f.released(0) {
		t.Error("let go at once")
	}
	c.end()
	until(t, "let go at the end", func() bool { return f.released(0) })
	if f.taken() != 1 {
		t.Errorf("%d locks", f.taken())
	}
}

// TestShutdown: both signals are one event; the lock is let go when asked and taken again
// when the shutdown is called off.
func TestShutdown(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	for i, kind := range []string{"poweroff", "reboot", "soft-reboot"} {
		f.announce(true, kind)
		if e := c.next(); e.Kind != Down || e.Type != kind || e.Late || e.UID != -1 || time.Since(e.Received) > 5*time.Second {
			t.Errorf("%+v", e)
		}
		if !c.State().Held {
			t.Error("let go too early")
		}
		c.Release()
		until(t, "let go", func() bool { return f.released(i) })
		f.announce(false, kind)
		if e := c.next(); e.Kind != Cancelled {
			t.Errorf("%+v", e)
		}
		until(t, "held again", func() bool { return c.State().Held })
		if f.taken() != i+2 {
			t.Errorf("%d locks after %d shutdowns", f.taken(), i+1)
		}
	}
	c.quiet()
}

// TestOldSystemd sends one signal only, and repeats it.
func TestOldSystemd(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.signal("PrepareForShutdown", true)
	f.signal("PrepareForShutdown", true)
	f.signal("PrepareForSleep", true) // marks the end
	if e := c.next(); e.Kind != Down || e.Type != "" {
		t.Errorf("%+v", e)
	}
	if e := c.next(); e.Kind != Sleep {
		t.Errorf("%+v", e)
	}
}

func TestSleepAndResume(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.signal("PrepareForSleep", true)
	if e := c.next(); e.Kind != Sleep {
		t.Errorf("%+v", e)
	}
	c.Release()
	until(t, "let go", func() bool { return f.released(0) })
	f.signal("PrepareForSleep", false)
	if e := c.next(); e.Kind != Resumed {
		t.Errorf("%+v", e)
	}
	until(t, "held again", func() bool { return c.State().Held && f.taken() == 2 })
}

// TestLetGoLate: a release that comes after the shutdown was called off must not leave
// the next one unheld.
func TestLetGoLate(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.announce(true, "reboot")
	c.next()
	f.announce(false, "reboot")
	c.next()
	c.Release()
	until(t, "held again", func() bool { return c.State().Held && f.taken() == 2 && f.released(0) })
}

// TestRestartsLeakNothing: each new logind is asked for one lock, and the old one closed.
func TestRestartsLeakNothing(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.stop()
	until(t, "gone", func() bool { return !c.State().Logind })
	if c.State().Held {
		t.Error("the lock of a dead logind is held")
	}
	before, _ := descriptors(t)
	for range 20 {
		f = startLogind(t, b)
		until(t, "held", func() bool { s := c.State(); return s.Held && s.Logind && s.Allowed == 5*time.Second })
		if f.taken() != 1 {
			t.Fatalf("%d locks of one logind", f.taken())
		}
		f.announce(true, "poweroff")
		if e := c.next(); e.Kind != Down {
			t.Errorf("%+v", e)
		}
		f.stop()
		until(t, "gone", func() bool { return !c.State().Logind })
	}
	until(t, "all descriptors closed", func() bool { n, _ := descriptors(t); return n <= before })
	// A logind that gives its name up and takes it again is the same story.
	f = startLogind(t, b)
	until(t, "held", func() bool { return c.State().Held })
	_, err := f.conn.ReleaseName(loginName)
	must(t, err)
	until(t, "gone", func() bool { return !c.State().Logind })
	if c.State().Held || f.released(0) {
		t.Error("the lock of a logind that may come back was let go")
	}
	f.own()
	until(t, "held again", func() bool { return c.State().Held && f.taken() == 2 && f.released(0) })
}

// TestStartedBeforeLogind: the first appearance brings one lock, not two.
func TestStartedBeforeLogind(t *testing.T) {
	b := newBus(t)
	c := runClient(t, b)
	until(t, "connected", func() bool { return c.State().Connected })
	if _, err := c.Sessions(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without logind: %v", err)
	}
	f := startLogind(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.announce(true, "halt")
	if e := c.next(); e.Kind != Down || e.Type != "halt" {
		t.Errorf("%+v", e)
	}
	if f.taken() != 1 {
		t.Errorf("%d locks", f.taken())
	}
}

// TestActivated: when D-Bus starts logind because we ask, its appearance is signalled
// after the lock is ours; a second lock would leave the first one open for ever.
func TestActivated(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held && c.State().Allowed > 0 })
	c.mu.Lock()
	in := c.in
	c.mu.Unlock()
	in.Deliver(&dbus.Signal{Sender: busName, Name: busName + ".NameOwnerChanged", Body: []any{loginName, "", *in.owner.Load()}})
	f.announce(true, "poweroff") // comes behind it
	if e := c.next(); e.Kind != Down {
		t.Errorf("%+v", e)
	}
	if f.taken() != 1 || f.released(0) || !c.State().Held {
		t.Errorf("%d locks", f.taken())
	}
}

func TestBusRestarts(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	for range 3 {
		b.stop()
		f.stop()
		until(t, "lost", func() bool { return !c.State().Connected })
		b.start()
		f = startLogind(t, b)
		until(t, "held again", func() bool { s := c.State(); return s.Connected && s.Held && f.taken() == 1 })
		f.announce(true, "reboot")
		if e := c.next(); e.Kind != Down {
			t.Errorf("%+v", e)
		}
	}
}

// TestLockOutlivesTheBus: a lock is let go only when another is held, for logind heeds it
// whether there is a bus or not.
func TestLockOutlivesTheBus(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	b.stop()
	until(t, "lost", func() bool { return !c.State().Connected })
	b.start()
	busy := dbus.NewError("org.freedesktop.login1.OperationInProgress", nil)
	next := startLogindThat(t, b, busy)
	until(t, "asked for another", func() bool { return next.tried() > 1 })
	if f.released(0) {
		t.Fatal("let go before another was held")
	}
	if c.State().Held {
		t.Error("said to be held by a logind that refused")
	}
	next.refuse(nil)
	until(t, "held again", func() bool { return c.State().Held && next.taken() == 1 && f.released(0) })
	c.Release()
	until(t, "let go", func() bool { return next.released(0) })
}

// TestReleasedWithoutABus: what is let go stays so, connected or not.
func TestReleasedWithoutABus(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	b.stop()
	until(t, "lost", func() bool { return !c.State().Connected })
	c.Release()
	until(t, "let go", func() bool { return f.released(0) })
}

// TestStartedInAShutdown: nothing was signalled to us, and still we know.
func TestStartedInAShutdown(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	f.props.SetMust(manager, "PreparingForShutdown", true)
	f.refuse(dbus.NewError("org.freedesktop.login1.OperationInProgress", []any{"The operation inhibition has been requested for is already running"}))
	c := runClient(t, b)
	if e := c.next(); e.Kind != Down || !e.Late {
		t.Errorf("%+v", e)
	}
	f.refuse(nil)
	f.announce(false, "")
	if e := c.next(); e.Kind != Cancelled {
		t.Errorf("%+v", e)
	}
	until(t, "held", func() bool { return c.State().Held })
}

// TestRefusedLockIsTriedAgain without anybody telling.
func TestRefusedLockIsTriedAgain(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	f.refuse(dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", nil))
	c := runClient(t, b)
	until(t, "connected", func() bool { return c.State().Connected })
	f.refuse(nil)
	until(t, "held", func() bool { return c.State().Held })
}

// TestStrangersAreNotBelieved: any user may send us such signals, with descriptors too.
func TestStrangersAreNotBelieved(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	c.mu.Lock()
	to := c.conn.Name()
	c.mu.Unlock()
	stranger, err := dbus.Connect(b.address())
	must(t, err)
	defer stranger.Close()
	send := func(iface, member string, path dbus.ObjectPath, body ...any) {
		m := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
			dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
		}, Body: body}
		if call := stranger.Send(m, nil); call != nil && call.Err != nil {
			t.Fatal(call.Err)
		}
	}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	// A long one first: what comes behind it must be heard.
	send("x.y", "Z", "/x", strings.Repeat("x", 3<<20))
	for range 200 {
		send(manager, "PrepareForShutdown", loginPath, true)
		send(busName, "NameOwnerChanged", "/org/freedesktop/DBus", loginName, "", ":9.9")
		send(manager, "PrepareForShutdown", loginPath, dbus.UnixFD(w.Fd()))
		send("x.y", "Z", "/x", []dbus.UnixFD{dbus.UnixFD(w.Fd())})
	}
	// The bus keeps order per sender only, so what the stranger sent is behind us when a
	// question of his is answered.
	must(t, stranger.BusObject().Call(busName+".GetId", 0).Err)
	must(t, w.Close())
	must(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	if n, err := r.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("descriptors that strangers send stay open: %v", err)
	}
	f.announce(true, "poweroff")
	if e := c.next(); e.Kind != Down || e.Type != "poweroff" {
		t.Errorf("%+v", e)
	}
	c.quiet()
	if f.taken() != 1 || f.released(0) {
		t.Errorf("a stranger made us begin anew: %d locks", f.taken())
	}
}

// TestOddSignals of logind itself do no harm.
func TestOddSignals(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	f.signal("PrepareForShutdown")
	f.signal("PrepareForShutdown", "yes")
	f.signal("PrepareForShutdownWithMetadata", true)
	if e := c.next(); e.Kind != Down || e.Type != "" {
		t.Errorf("%+v", e)
	}
	f.signal("PrepareForShutdownWithMetadata", false, map[string]dbus.Variant{"type": dbus.MakeVariant(7)})
	if e := c.next(); e.Kind != Cancelled {
		t.Errorf("%+v", e)
	}
	f.signal("PrepareForShutdownWithMetadata", true, map[string]dbus.Variant{"type": dbus.MakeVariant("Bad\nType")})
	if e := c.next(); e.Kind != Down || e.Type != "" {
		t.Errorf("%+v", e)
	}
}

func TestCalls(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	must(t, c.SetWallMessage(t.Context(), "hello"))
	must(t, c.SetWallMessage(t.Context(), ""))
	must(t, c.PowerOff(t.Context(), HonourLocks))
	must(t, c.Reboot(t.Context(), HonourLocks))
	must(t, c.PowerOff(t.Context(), PassLocks))
	must(t, c.Reboot(t.Context(), PassLocks))
	if want := []string{"SetWallMessage hello true", "SetWallMessage  false", "PowerOff false", "Reboot false", "PowerOffWithFlags 16", "RebootWithFlags 16"}; !slices.Equal(f.called(), want) {
		t.Errorf("%q", f.called())
	}
	list, err := c.Sessions(t.Context())
	must(t, err)
	if want := []Session{{"1", 1000, "花子", "seat0"}, {"c2", 0, "root", ""}}; !slices.Equal(list, want) {
		t.Errorf("%+v", list)
	}
}

// TestOlderLogind: one that knows no flags, or not this one, is asked in the old way; one that
// refuses is not asked twice.
func TestOlderLogind(t *testing.T) {
	b := newBus(t)
	f := startLogind(t, b)
	c := runClient(t, b)
	until(t, "held", func() bool { return c.State().Held })
	for name, want := range map[string]string{
		"org.freedesktop.DBus.Error.UnknownMethod": "PowerOff false", "org.freedesktop.DBus.Error.InvalidArgs": "PowerOff false",
		"org.freedesktop.DBus.Error.AccessDenied": "",
	} {
		f.noFlags(dbus.NewError(name, []any{"no"}))
		err := c.PowerOff(t.Context(), PassLocks)
		if got := strings.Join(f.forgotten(), ", "); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: called %q, %v", name, got, err)
		}
	}
}

func TestNoBusAtAll(t *testing.T) {
	c := New(Config{Address: "unix:path=" + filepath.Join(t.TempDir(), "none"), Scheduled: filepath.Join(t.TempDir(), "none", "none", "x"), MinRetry: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if err := c.PowerOff(ctx, PassLocks); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("power off: %v", err)
	}
	if c.Allowed() != 0 || c.State() != (State{}) {
		t.Errorf("%+v", c.State())
	}
	c.Release()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
