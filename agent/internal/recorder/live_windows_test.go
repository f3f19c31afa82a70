package recorder_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/internal/artifact"
)

const childEnv = "HOZEN_RECORDER_CHILD"

// TestChild is the program that the next test starts.
func TestChild(t *testing.T) {
	to := os.Getenv(childEnv)
	if to == "" {
		t.Skip("it is the child of another test")
	}
	c, err := net.Dial("tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Println("connected")
	bufio.NewReader(os.Stdin).ReadByte()
}

// TestThisPC records a start, a connection and both ends.
func TestThisPC(t *testing.T) {
	k := new(kept)
	r, err := recorder.New(recorder.Config{Ring: k, PollEvery: 100 * time.Millisecond, Clock: func() artifact.Instant {
		return artifact.Instant{Wall: time.Now().UTC(), BootNS: int64(windows.DurationSinceBoot())}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(what string, typ entry.Type, is func(told) bool) told {
		t.Helper()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
			if r.Flush() != nil {
				continue
			}
			all := k.of(t, typ)
			if i := slices.IndexFunc(all, is); i >= 0 {
				return all[i]
			}
		}
		t.Fatalf("%s is not on record", what)
		return told{}
	}
	await("a heartbeat", entry.Heartbeat, func(told) bool { return true })
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), childEnv+"="+l.Addr().String())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	e := await("the start", entry.ProcessStarted, func(e told) bool { return e.PID == pid })
	if e.PPID != os.Getpid() || e.StartTicks == 0 || !strings.Contains(string(e.Cmdline), "\x00-test.run=^TestChild$\x00") || !strings.HasSuffix(string(e.Exe), ".exe") || e.Unread != 0 {
		t.Errorf("%+v", e.Event)
	}
	s := await("the connection", entry.ConnectionOpened, func(e told) bool { return e.PID == pid })
	if s.Remote.String() != l.Addr().String() || s.Local.String() != c.RemoteAddr().String() {
		t.Errorf("%+v", s.Event)
	}
	c.Close()
	in.Close()
	_ = cmd.Wait()
	await("the end of the connection", entry.ConnectionClosed, func(e told) bool { return e.Cookie == s.Cookie })
	await("the end", entry.ProcessEnded, func(e told) bool { return e.PID == pid })
}
