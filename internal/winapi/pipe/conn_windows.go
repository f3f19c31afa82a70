package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	// piece is how much is written at once; it fits into an empty pipe.
	piece = 4 << 10
	room  = 64 << 10 // of a pipe, in each direction
	// soon and later are how often is looked whether there is something to read or room to
	// write, at first and when it takes longer.
	soon  = 2 * time.Millisecond
	later = 15 * time.Millisecond
	eager = 25 // times
)

// procs are what golang.org/x/sys/windows does not have.
type procs struct{ peek, impersonate *windows.LazyProc }

func lookUp() procs {
	return procs{
		windows.NewLazySystemDLL("kernel32.dll").NewProc("PeekNamedPipe"),
		windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient"),
	}
}

// Conn is one end of a pipe.
type Conn struct {
	name  string
	procs procs

	mu       sync.Mutex // guards the handle: a closed one may be somebody else's at once
	h        windows.Handle
	rd, wd   time.Time
	over     chan struct{}
	overOnce sync.Once
}

func newConn(h windows.Handle, name string) *Conn {
	mode := uint32(windows.PIPE_READMODE_BYTE | windows.PIPE_NOWAIT)
	_ = windows.SetNamedPipeHandleState(h, &mode, nil, nil) // without it writing may wait for a reader; the server gives up by its limits
	return &Conn{name: name, procs: lookUp(), h: h, over: make(chan struct{})}
}

// addr is a pipe's name.
type addr string

func (addr) Network() string  { return "pipe" }
func (a addr) String() string { return string(a) }

// LocalAddr is the pipe's name, as is RemoteAddr.
func (c *Conn) LocalAddr() net.Addr { return addr(c.name) }

// RemoteAddr is the pipe's name.
func (c *Conn) RemoteAddr() net.Addr { return addr(c.name) }

// Close ends the connection. What was written can still be read at the other end.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.overOnce.Do(func() {
		close(c.over)
		c.mu.Lock()
		defer c.mu.Unlock()
		err = windows.CloseHandle(c.h)
		c.h = windows.InvalidHandle
	})
	return err
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rd, c.wd = t, t
	return nil
}

// SetReadDeadline ends reads that last longer with [os.ErrDeadlineExceeded].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rd = t
	return nil
}

// SetWriteDeadline ends writes that last longer with [os.ErrDeadlineExceeded].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wd = t
	return nil
}

// again tries do until it has done something, the deadline passes or the end is closed.
func (c *Conn) again(deadline func() time.Time, do func(h windows.Handle) (n int, err error)) (int, error) {
	for try := 0; ; try++ {
		c.mu.Lock()
		if c.h == windows.InvalidHandle {
			c.mu.Unlock()
			return 0, net.ErrClosed
		}
		n, err := do(c.h)
		limit := deadline()
		c.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		if !limit.IsZero() && !time.Now().Before(limit) {
			return 0, os.ErrDeadlineExceeded
		}
		pause := soon
		if try > eager {
			pause = later
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-c.over:
			t.Stop()
		}
	}
}

// Read reads what is there, and waits until something is.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.again(func() time.Time { return c.rd }, func(h windows.Handle) (int, error) {
		var there uint32
		if r, _, err := c.procs.peek.Call(uintptr(h), 0, 0, 0, uintptr(unsafe.Pointer(&there)), 0); r == 0 {
			return 0, gone("look into pipe", err)
		}
		if there == 0 {
			return 0, nil
		}
		var n uint32
		if err := windows.ReadFile(h, b[:min(len(b), int(there))], &n, nil); err != nil {
			return int(n), gone("read from pipe", err)
		}
		return int(n), nil
	})
}

// Write writes all of b.
func (c *Conn) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := c.again(func() time.Time { return c.wd }, func(h windows.Handle) (int, error) {
			var n uint32
			if err := windows.WriteFile(h, b[written:min(len(b), written+piece)], &n, nil); err != nil {
				return int(n), gone("write to pipe", err)
			}
			return int(n), nil
		})
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// gone gives the errors of an end that left the meaning of [io.EOF].
func gone(what string, err error) error {
	switch {
	case errors.Is(err, windows.ERROR_NO_DATA) && what == "read from pipe":
		return nil
	case errors.Is(err, windows.ERROR_BROKEN_PIPE), errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED), errors.Is(err, windows.ERROR_NO_DATA):
		return io.EOF
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Dial connects to a pipe as a client. The server may learn who this is, and may not act
// in its name. The error wraps fs.ErrNotExist when there is no such pipe.
func Dial(ctx context.Context, name string) (*Conn, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("dial pipe: %w", err)
	}
	// Not GENERIC_WRITE: it holds the right to make more instances of the pipe
	// (FILE_APPEND_DATA), which people do not have.
	const access = windows.GENERIC_READ | windows.FILE_WRITE_DATA | windows.FILE_WRITE_ATTRIBUTES
	for {
		h, err := windows.CreateFile(p, access, 0, nil, windows.OPEN_EXISTING, windows.SECURITY_SQOS_PRESENT|windows.SECURITY_IDENTIFICATION, 0)
		if err == nil {
			return newConn(h, name), nil
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) {
			return nil, fmt.Errorf("dial pipe: %w", err)
		}
		t := time.NewTimer(later)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("dial pipe: all of it is busy: %w", ctx.Err())
		}
	}
}

// Client says who is at the other end of a server's connection. It is the account of
// whoever opened the pipe (ImpersonateNamedPipeClient), not that of a process number,
// which may be another's by now. The error is that of asking; what is known stands beside
// it.
func (c *Conn) Client() (who Client, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.h == windows.InvalidHandle {
		return who, net.ErrClosed
	}
	if err := windows.GetNamedPipeClientProcessId(c.h, &who.PID); err != nil {
		return who, fmt.Errorf("ask for client of pipe: %w", err)
	}
	runtime.LockOSThread() // the identity is the thread's
	if r, _, err := c.procs.impersonate.Call(uintptr(c.h)); r == 0 {
		runtime.UnlockOSThread()
		return who, fmt.Errorf("ask for client of pipe: %w", err)
	}
	err = who.read()
	if rerr := windows.RevertToSelf(); rerr != nil {
		return who, errors.Join(err, rerr) // the thread stays locked and dies with the goroutine
	}
	runtime.UnlockOSThread()
	return who, err
}

// read reads the token of this thread.
func (who *Client) read() error {
	var t windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &t); err != nil {
		return fmt.Errorf("open client's token: %w", err)
	}
	defer t.Close()
	user, err := t.GetTokenUser()
	if err != nil {
		return fmt.Errorf("read client's account: %w", err)
	}
	who.SID = user.User.Sid.String()
	var n uint32
	_ = windows.GetTokenInformation(t, windows.TokenSessionId, (*byte)(unsafe.Pointer(&who.Session)), uint32(unsafe.Sizeof(who.Session)), &n) // else 0, the services' session
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return err
	}
	if user.User.Sid.IsWellKnown(windows.WinLocalSystemSid) {
		who.Admin = true
		return nil
	}
	who.Admin, err = t.IsMember(admins)
	return err
}
