package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder/procevent"
	"hozen/internal/bench/fakelogind"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOneTurn: a shutdown that is called off gives times in their order, of evidence
// that is there, and the next one can follow.
func TestOneTurn(t *testing.T) {
	dir, err := os.MkdirTemp("", "turn") // t.TempDir may be longer than a socket's address
	must(t, err)
	defer os.RemoveAll(dir)
	bus, err := fakelogind.StartBus(t.Context(), dir)
	if errors.Is(err, fakelogind.ErrNoDaemon) {
		t.Skip(err)
	}
	must(t, err)
	defer bus.Close()
	l, err := fakelogind.Start(bus.Address(), 30*time.Second)
	must(t, err)
	defer l.Close()
	p, err := newPlanned(dir, bus.Address(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	defer p.spool.Close()
	p.runner.Prepare()
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- p.bus.Run(ctx) }()
	for range 2 {
		must(t, p.held(ctx))
		type came struct {
			turn turn
			err  error
		}
		done := make(chan came, 1)
		go func() { var c came; c.turn, c.err = p.turn(ctx); done <- c }()
		went, err := l.GoDown(ctx, "poweroff")
		must(t, err)
		must(t, l.Stay())
		c := <-done
		must(t, c.err)
		got := c.turn
		sent, released := monotonic(went.Sent), monotonic(went.Released)
		if got.FirstArtifactAt <= sent || got.SealedAt < got.FirstArtifactAt || released < got.SealedAt {
			t.Errorf("sent %d, released %d, %+v", sent, released, got)
		}
		if got.Processes < 1 || got.BareNS <= 0 || got.HeldNS <= 0 || got.HeldNS > int64(time.Minute) {
			t.Errorf("%+v", got)
		}
		if list := p.spool.List(); len(list) != 0 {
			t.Errorf("the spool grows: %+v", list)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the client ended: %v", err)
	default:
	}
}

// A process of the scene has the sockets that it was given and sleeps.
func TestOneProcessOfTheScene(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	defer null.Close()
	pid, err := startOne(sleeper, int(null.Fd()), holderSockets)
	must(t, err)
	defer func() {
		syscall.Kill(pid, syscall.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}()
	links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	must(t, err)
	sockets := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	if sockets < holderSockets { // more when whoever runs the test leaks some
		t.Errorf("%d sockets", sockets)
	}
}

// Whatever was started between "on" and "off" is on record when "off" is answered.
func TestRecorderHasCaughtUpWhenItIsOff(t *testing.T) {
	c, err := procevent.Open(procevent.Config{})
	if err != nil {
		t.Skipf("needs root in the initial namespaces: %v", err)
	}
	c.Close()
	off, err := recordInto(t.Context(), filepath.Join(t.TempDir(), "ring"), slog.New(slog.DiscardHandler))
	must(t, err)
	const starts = 200
	for range starts {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
		must(t, err)
		_, err = unix.Wait4(pid, nil, 0, nil)
		must(t, err)
	}
	done, err := off()
	must(t, err)
	if done.Starts+int64(done.Lost) < starts {
		t.Errorf("%+v of %d", done, starts)
	}
}

func TestOrdersOutOfTurn(t *testing.T) {
	for _, orders := range []string{"off\n", "nonsense\n"} {
		if err := keepRecord(t.Context(), t.TempDir(), strings.NewReader(orders), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q was taken", orders)
		}
	}
}
