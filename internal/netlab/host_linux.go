package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Available returns nil where this process may make network namespaces, else the
// reason, short enough for t.Skip. It wraps fs.ErrPermission without the rights.
func Available() error {
	h, err := NewHost()
	if err != nil {
		return err
	}
	return h.Close()
}

// Host is one network namespace with its loopback up. It is safe for concurrent use.
type Host struct {
	fd   int
	work chan func()   // runs on the thread that lives in the namespace
	stop chan struct{} // closed by Close
	gone chan struct{} // closed when that thread has ended
	once sync.Once
}

// NewHost makes a namespace that has nothing but loopback. The error wraps
// fs.ErrPermission when the process lacks CAP_SYS_ADMIN (unshare(2)).
func NewHost() (*Host, error) {
	h := &Host{fd: -1, work: make(chan func()), stop: make(chan struct{}), gone: make(chan struct{})}
	ready := make(chan error, 1)
	go apart(func() { h.live(ready) })
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	if err := loopbackUp(h.fd); err != nil {
		return nil, errors.Join(fmt.Errorf("bring loopback up: %w", err), h.Close())
	}
	return h, nil
}

// apart runs fn on a thread that ends with it: the goroutine never unlocks it. That is
// never the process's first thread, which the runtime keeps for ever: what was started on
// it would never be told of its end, and /proc/self would show its namespace.
func apart(fn func()) { apartFrom(unix.Getpid(), fn) }

func apartFrom(first int, fn func()) {
	runtime.LockOSThread()
	if unix.Gettid() != first {
		fn()
		return
	}
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread() // another one: the first is taken until here
		close(locked)
		fn()
	}()
	<-locked
	runtime.UnlockOSThread()
}

// live is the life of the host's own thread. When it returns the thread ends, and with it
// its hold on the namespace.
func (h *Host) live(ready chan<- error) {
	defer close(h.gone)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- err
		return
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	h.fd = fd
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-h.work:
			f()
		case <-h.stop:
			return
		}
	}
}

// FD returns the namespace's file descriptor, valid until Close. Netlink libraries
// take it.
func (h *Host) FD() int { return h.fd }

// Do runs fn on a thread of its own inside the namespace and returns its error.
// Sockets that fn opens stay in the namespace; goroutines that fn starts do not run
// there. Files under /proc/thread-self/net and /proc/sys/net are the namespace's.
func (h *Host) Do(fn func() error) error {
	err := errors.New("function left by runtime.Goexit") // t.FailNow inside fn, for one
	done := make(chan struct{})
	go apart(func() { // a thread that was elsewhere is not given back
		defer close(done)
		if e := unix.Setns(h.fd, unix.CLONE_NEWNET); e != nil {
			err = fmt.Errorf("enter network namespace: %w", e)
			return
		}
		err = fn()
	})
	<-done
	return err
}

// Dial is net.Dialer.DialContext inside the namespace. Give literal addresses: no
// resolver runs in there.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.Do(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen is net.ListenConfig.Listen inside the namespace. Connections that it
// accepts belong to the namespace too.
func (h *Host) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// ListenPacket is net.ListenConfig.ListenPacket inside the namespace.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (c net.PacketConn, err error) {
	err = h.Do(func() error {
		c, err = new(net.ListenConfig).ListenPacket(ctx, network, address)
		return err
	})
	return c, err
}

// Start starts cmd as a process inside the namespace. It dies with the lab: unless
// cmd says otherwise it gets SIGKILL when this process ends or the host is closed.
// It still sees this machine's files, and in /sys the network devices of the
// namespace in which /sys was mounted.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	// The signal comes when the starting thread ends (PR_SET_PDEATHSIG(2const)), so it
	// must be the thread that lives as long as the host.
	done := make(chan error, 1)
	select {
	case h.work <- func() { done <- cmd.Start() }:
		return <-done
	case <-h.gone:
		return fmt.Errorf("start in network namespace: %w", os.ErrClosed)
	}
}

// Close kills what Start started and lets go of the namespace. Sockets that are still
// open keep it alive until they are closed. Close may be called more than once, not
// while other calls run.
func (h *Host) Close() error {
	var err error
	h.once.Do(func() {
		close(h.stop)
		<-h.gone
		err = unix.Close(h.fd)
		h.fd = -1
	})
	return err
}
