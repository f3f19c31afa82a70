package pipe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ErrInUse means that somebody else has a pipe of this name.
var ErrInUse = errors.New("a pipe of this name is there")

// Listener takes connections at a pipe.
type Listener struct {
	name string
	sa   *windows.SecurityAttributes

	mu     sync.Mutex
	next   windows.Handle // the instance that the next client gets
	closed bool
}

// Listen makes a pipe that the security descriptor sddl guards. Programs on other PCs
// never reach it. The error wraps [ErrInUse] when there is one of this name.
func Listen(name, sddl string) (*Listener, error) {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return nil, fmt.Errorf("read rights of pipe: %w", err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	l := &Listener{name: name, sa: sa, next: windows.InvalidHandle}
	// Windows itself refuses a second first instance; asking before also finds one where
	// that flag means nothing (Wine).
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := Dial(ctx, name)
	if err == nil {
		c.Close()
	}
	if err == nil || ctx.Err() != nil {
		return nil, fmt.Errorf("make pipe %s: %w", name, ErrInUse)
	}
	if l.next, err = l.instance(windows.FILE_FLAG_FIRST_PIPE_INSTANCE); err != nil {
		return nil, fmt.Errorf("make pipe %s: %w", name, err)
	}
	return l, nil
}

func (l *Listener) instance(flags uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return windows.InvalidHandle, err
	}
	return windows.CreateNamedPipe(p, windows.PIPE_ACCESS_DUPLEX|flags,
		windows.PIPE_TYPE_BYTE|windows.PIPE_READMODE_BYTE|windows.PIPE_WAIT|windows.PIPE_REJECT_REMOTE_CLIENTS,
		windows.PIPE_UNLIMITED_INSTANCES, room, room, 0, l.sa)
}

// Accept waits for the next client. After [Listener.Close] it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		h, closed := l.next, l.closed
		var err error
		if h == windows.InvalidHandle && !closed {
			h, err = l.instance(0)
			l.next = h
		}
		if closed && h != windows.InvalidHandle {
			windows.CloseHandle(h)
			l.next = windows.InvalidHandle
		}
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if err != nil {
			return nil, fmt.Errorf("make pipe for the next client: %w", err)
		}
		err = windows.ConnectNamedPipe(h, nil)
		if errors.Is(err, windows.ERROR_PIPE_CONNECTED) {
			err = nil
		}
		l.mu.Lock()
		// The next is there before this one can go: as long as there is one, nobody else
		// can take the name.
		next := windows.Handle(windows.InvalidHandle)
		if !l.closed {
			next, _ = l.instance(0) // else it is tried again above
		}
		l.next, closed = next, l.closed
		l.mu.Unlock()
		if closed || err != nil {
			windows.CloseHandle(h)
		}
		switch {
		case closed:
			return nil, net.ErrClosed
		case errors.Is(err, windows.ERROR_NO_DATA): // it came and went
			continue
		case err != nil:
			return nil, fmt.Errorf("wait for the next client: %w", err)
		}
		return newConn(h, l.name), nil
	}
}

// Close ends Accept. Connections stay.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	// Who waits for a client without overlapped operations is woken by one.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := Dial(ctx, l.name); err == nil {
		c.Close()
	}
	return nil
}

// Addr is the pipe's name.
func (l *Listener) Addr() net.Addr { return addr(l.name) }
