package sockevent_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
	"hozen/agent/internal/recorder/sockevent"
)

func boot() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// watch runs a watcher until the test ends and returns what it tells.
func watch(t *testing.T) (*sockevent.Watcher, <-chan entry.Event) {
	t.Helper()
	owners, err := procevent.NewReader("/")
	if err != nil {
		t.Fatal(err)
	}
	w, err := sockevent.Open(sockevent.Config{Every: 20 * time.Millisecond, Boot: boot, Owners: owners})
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan entry.Event, 1<<16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, func(e *entry.Event) { events <- *e }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := errors.Join(w.Close(), owners.Close()); err != nil {
			t.Error(err)
		}
	})
	return w, events
}

func next(t *testing.T, events <-chan entry.Event, what string, want func(e *entry.Event) bool) entry.Event {
	t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case e := <-events:
			if want(&e) {
				return e
			}
		case <-end:
			t.Fatalf("never told: %s", what)
		}
	}
}

func tells(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: ends of sockets")
	}
}

func port(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }

func TestConnectionsOpenAndClose(t *testing.T) {
	tells(t)
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			w, events := watch(t)
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			addr := port(l.Addr())
			next(t, events, "listening", func(e *entry.Event) bool {
				return e.Type == entry.ConnectionOpened && e.Local == addr && e.State == 10
			})
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			mine := port(c.LocalAddr())
			opened := next(t, events, "opened", func(e *entry.Event) bool { return e.Type == entry.ConnectionOpened && e.Local == mine })
			if opened.Remote != addr || opened.State != 1 || opened.UID != int64(os.Getuid()) || opened.Inode == 0 || opened.Cookie == 0 || opened.BootNS < opened.AfterNS {
				t.Errorf("opened: %+v", opened)
			}
			if opened.PID == 0 { // somebody was asked a moment ago; it is asked again soon
				opened.PID = next(t, events, "holder", func(e *entry.Event) bool {
					return e.Type == entry.ConnectionChanged && e.Local == mine && e.PID != 0
				}).PID
			}
			if opened.PID != os.Getpid() {
				t.Errorf("held by process %d", opened.PID)
			}
			listed := false
			w.List(func(e *entry.Event) { listed = listed || e.Local == mine && e.PID == os.Getpid() })
			if !listed || w.Count() < 3 {
				t.Errorf("listed %t among %d", listed, w.Count())
			}
			if _, err := fmt.Fprint(c, "eleven byte"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Read(make([]byte, 11)); err != nil {
				t.Fatal(err)
			}
			s.Close()
			c.Close()
			closed := next(t, events, "closed", func(e *entry.Event) bool { return e.Type == entry.ConnectionClosed && e.Local == mine })
			if closed.Source != entry.SourceDestroy || closed.PID != os.Getpid() || closed.Cookie != opened.Cookie || !closed.HasBytes || closed.BytesSent < 11 || closed.BytesSent > 13 {
				t.Errorf("closed: %+v", closed)
			}
		})
	}
}

// What opens and closes between two looks is told by its end, with both addresses.
func TestShortConnectionsAreNotLost(t *testing.T) {
	tells(t)
	_, events := watch(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := port(l.Addr())
	const n = 300
	want := map[netip.AddrPort]bool{}
	for range n {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		want[port(c.LocalAddr())] = true
		c.Close()
		s.Close()
	}
	unseen := 0
	for len(want) > 0 {
		e := next(t, events, fmt.Sprintf("%d of %d ends", len(want), n), func(e *entry.Event) bool { return e.Type == entry.ConnectionClosed && want[e.Local] })
		if e.Remote != addr {
			t.Errorf("%+v", e)
		}
		if e.UID == -1 {
			unseen++
		}
		delete(want, e.Local)
	}
	t.Logf("%d connections, %d of them told by their end alone", n, unseen)
}

func TestUDP(t *testing.T) {
	tells(t)
	_, events := watch(t)
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	mine := port(c.LocalAddr())
	next(t, events, "opened", func(e *entry.Event) bool {
		return e.Type == entry.ConnectionOpened && e.Proto == unix.IPPROTO_UDP && e.Local == mine && e.Remote.Port() == 9
	})
	c.Close()
	next(t, events, "closed", func(e *entry.Event) bool {
		return e.Type == entry.ConnectionClosed && e.Proto == unix.IPPROTO_UDP && e.Local == mine
	})
}
