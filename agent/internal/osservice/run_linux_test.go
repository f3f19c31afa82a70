package osservice

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRunSpeaksToSystemd stands in for systemd's notification socket.
func TestRunSpeaksToSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000")
	said := make(chan string, 1000)
	go func() {
		b := make([]byte, 100)
		for {
			n, _, err := l.ReadFromUnix(b)
			if err != nil {
				return
			}
			said <- string(b[:n])
		}
	}()
	hear := func(want string) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			select {
			case got := <-said:
				if strings.Contains(got, want) {
					return
				}
			case <-limit:
				t.Fatalf("systemd was never told %s", want)
			}
		}
	}
	ended := make(chan error, 1)
	begun := make(chan struct{})
	errWork := errors.New("on purpose")
	go func() {
		ended <- Run(context.Background(), Hooks{Healthy: func(context.Context) bool { return true }}, func(ctx context.Context, ready func()) error {
			close(begun)
			ready()
			<-ctx.Done()
			return errWork
		})
	}()
	<-begun
	hear("READY=1")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errWork) {
		t.Fatal(err)
	}
	hear("STOPPING=1")
}
