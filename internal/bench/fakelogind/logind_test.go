package fakelogind_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/internal/bench/fakelogind"
)

const path, manager = dbus.ObjectPath("/org/freedesktop/login1"), "org.freedesktop.login1.Manager"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPair is a login service and a client of its bus.
func newPair(t *testing.T, allowed time.Duration) (*fakelogind.Logind, *dbus.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") // t.TempDir may be longer than a socket's address
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := fakelogind.StartBus(t.Context(), dir)
	if errors.Is(err, fakelogind.ErrNoDaemon) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(b.Close)
	l, err := fakelogind.Start(b.Address(), allowed)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	conn, err := dbus.Connect(b.Address())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return l, conn
}

func inhibit(conn *dbus.Conn, mode string) (*os.File, error) {
	var fd dbus.UnixFD
	err := conn.Object("org.freedesktop.login1", path).Call(manager+".Inhibit", 0, "shutdown:sleep", "test", "for a test", mode).Store(&fd)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "lock"), nil
}

// A shutdown waits for the lock, is refused a new one meanwhile, and can be taken back.
func TestLockHoldsTheShutdown(t *testing.T) {
	l, conn := newPair(t, 10*time.Second)
	must(t, conn.AddMatchSignal(dbus.WithMatchInterface(manager)))
	signals := make(chan *dbus.Signal, 8)
	conn.Signal(signals)
	lock, err := inhibit(conn, "delay")
	must(t, err)
	const hold = 30 * time.Millisecond
	refused := make(chan error, 1)
	go func() {
		for _, want := range []string{"PrepareForShutdownWithMetadata", "PrepareForShutdown"} {
			if s := <-signals; s.Name != manager+"."+want || s.Body[0] != true {
				t.Errorf("%+v, want %s", s, want)
			}
		}
		_, err := inhibit(conn, "delay")
		refused <- err
		time.AfterFunc(hold, func() { lock.Close() })
	}()
	went, err := l.GoDown(t.Context(), "poweroff")
	must(t, err)
	if d := went.Released.Sub(went.Sent); d < hold || d > 5*time.Second {
		t.Errorf("let go after %s", d)
	}
	if e, ok := errors.AsType[dbus.Error](<-refused); !ok || e.Name != "org.freedesktop.login1.OperationInProgress" {
		t.Errorf("a lock meanwhile: %v", e)
	}
	must(t, l.Stay())
	if s := <-signals; s.Body[0] != false {
		t.Errorf("%+v", s)
	}
	again, err := inhibit(conn, "delay")
	must(t, err)
	defer again.Close()
	must(t, l.Held(t.Context()))
}

// A lock that is not let go is an error when its time is over, and nobody's lock is
// waited for without end.
func TestLockThatStays(t *testing.T) {
	l, conn := newPair(t, 50*time.Millisecond)
	none, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := l.Held(none); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("held by nobody: %v", err)
	}
	lock, err := inhibit(conn, "delay")
	must(t, err)
	defer lock.Close()
	if _, err := l.GoDown(t.Context(), "reboot"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
