package pipe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

const everyone = "D:(A;;GA;;;WD)"

// listen makes a pipe of this test's own.
func listen(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen(fmt.Sprintf(`\\.\pipe\hozen-test-%d-%s`, os.Getpid(), t.Name()), everyone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l *Listener) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestLines: many clients, and answers much larger than the pipe.
func TestLines(t *testing.T) {
	l := listen(t)
	big := strings.Repeat("証拠", 60000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				line, err := bufio.NewReader(c).ReadString('\n')
				if err == nil {
					_, _ = c.Write([]byte(line + big + "\n"))
				}
			}()
		}
	}()
	var wg sync.WaitGroup
	for i := range 12 {
		c := dial(t, l)
		wg.Go(func() {
			ask := fmt.Sprintf("client %d\n", i)
			if _, err := io.WriteString(c, ask); err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(c)
			if err != nil || string(got) != ask+big+"\n" {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

func TestDeadlinesAndClosing(t *testing.T) {
	l := listen(t)
	served := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			served <- c
		}
	}()
	c := dial(t, l)
	s := <-served
	if err := c.SetDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if n, err := c.Write(bytes.Repeat([]byte("x"), 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n >= 1<<20 {
		t.Errorf("write of a megabyte that nobody reads: %d, %v", n, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, s)
		ended <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the other end: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read from a closed end: %v", err)
	}
	go func() { _ = s.Close() }()
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("reading ends with the end that reads")
	}
}

func TestClient(t *testing.T) {
	l := listen(t)
	served := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			served <- c
		}
	}()
	dial(t, l)
	who, err := (<-served).(*Conn).Client()
	if err != nil || who.PID != uint32(os.Getpid()) {
		t.Fatalf("%+v, %v", who, err)
	}
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	if want := u.User.Sid.String(); who.SID != want {
		t.Errorf("%+v, want %s", who, want)
	}
	var tok windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &tok); err == nil {
		t.Error("this thread still acts in the client's name")
		tok.Close()
	}
	t.Logf("%+v", who)
}

func TestOneListener(t *testing.T) {
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if _, err := Listen(l.Addr().String(), everyone); !errors.Is(err, ErrInUse) {
		t.Errorf("a second listener: %v", err)
	}
	if _, err := Dial(t.Context(), `\\.\pipe\hozen-test-nobody`); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestCloseEndsAccept(t *testing.T) {
	l := listen(t)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := Dial(t.Context(), l.Addr().String()); err == nil {
		t.Error("the pipe is still there")
	}
}
