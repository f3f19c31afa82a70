package fakelogind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

const (
	loginName = "org.freedesktop.login1"
	loginPath = dbus.ObjectPath("/org/freedesktop/login1")
	manager   = "org.freedesktop.login1.Manager"
)

// settle is how old a lock must be before it counts as handed out: the answer that
// carries it leaves right after it was made, and only then may our own copy of the
// pipe's end be closed.
const settle = 20 * time.Millisecond

// Logind speaks as systemd-logind does. It is safe for concurrent use.
type Logind struct {
	conn    *dbus.Conn
	props   *prop.Properties
	allowed time.Duration

	mu        sync.Mutex
	preparing bool
	locks     []*lock
	taken     chan struct{} // closed and made anew when a lock is taken
}

// lock is one inhibitor: whoever has it holds the pipe's other end open.
type lock struct {
	what, who, why, mode string
	at                   time.Time
	r, w                 *os.File
}

// Start takes the login service's name on the bus at address. allowed is
// InhibitDelayMaxSec of logind.conf(5).
func Start(address string, allowed time.Duration) (*Logind, error) {
	conn, err := dbus.Connect(address)
	if err != nil {
		return nil, fmt.Errorf("connect to the private bus: %w", err)
	}
	l := &Logind{conn: conn, allowed: allowed, taken: make(chan struct{})}
	l.props, err = prop.Export(conn, loginPath, prop.Map{manager: {
		"InhibitDelayMaxUSec":  {Value: uint64(allowed / time.Microsecond), Emit: prop.EmitFalse},
		"PreparingForShutdown": {Value: false, Emit: prop.EmitFalse},
		"PreparingForSleep":    {Value: false, Emit: prop.EmitFalse},
	}})
	if err == nil {
		err = conn.Export(methods{l}, loginPath, manager)
	}
	var reply dbus.RequestNameReply
	if err == nil {
		reply, err = conn.RequestName(loginName, dbus.NameFlagDoNotQueue)
	}
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = errors.New("somebody else is the login service there")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("be the login service: %w", err), conn.Close())
	}
	return l, nil
}

// Close leaves the bus as a crash of the login service would.
func (l *Logind) Close() error {
	err := l.conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.locks {
		k.r.Close() // of a pipe: there is nothing to lose
		k.w.Close()
	}
	l.locks = nil
	return err
}

// Held returns when somebody has a delay lock for shutdowns.
func (l *Logind) Held(ctx context.Context) error {
	for {
		l.mu.Lock()
		taken, wait := l.taken, settle
		i := slices.IndexFunc(l.locks, func(k *lock) bool { return k.delays("shutdown") })
		if i >= 0 {
			wait = time.Until(l.locks[i].at.Add(settle))
		}
		l.mu.Unlock()
		if i >= 0 && wait <= 0 {
			return nil
		}
		var settled <-chan time.Time
		if i >= 0 {
			settled = time.After(wait)
		}
		select {
		case <-taken:
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("wait for a lock: %w", ctx.Err())
		}
	}
}

func (k *lock) delays(what string) bool {
	return k.mode == "delay" && slices.Contains(strings.Split(k.what, ":"), what)
}

// Went is what came of a shutdown.
type Went struct {
	Sent     time.Time // when the first signal of it left
	Released time.Time // when the last delay lock was let go
}

// GoDown signals a shutdown of a kind, such as "poweroff", the way systemd 255 and newer
// do, and returns when all delay locks are let go. Whoever holds one longer than allowed
// is an error: the PC would have gone down with the lock held.
func (l *Logind) GoDown(ctx context.Context, kind string) (Went, error) {
	if err := l.Held(ctx); err != nil {
		return Went{}, err
	}
	l.mu.Lock()
	l.preparing = true
	var held []*lock
	for _, k := range l.locks {
		k.w.Close() // ours; whoever has the lock has its own
		if k.delays("shutdown") {
			held = append(held, k)
		}
	}
	l.mu.Unlock()
	l.props.SetMust(manager, "PreparingForShutdown", true)
	went := Went{Sent: time.Now()}
	if err := l.signal(true, kind); err != nil {
		return went, err
	}
	limit := went.Sent.Add(l.allowed)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	for _, k := range held {
		if err := k.gone(limit); err != nil {
			return went, fmt.Errorf("%s has not let go of its lock: %w", k.who, err)
		}
	}
	went.Released = time.Now()
	l.forget(held)
	return went, nil
}

// gone waits until nobody has the lock any more.
func (k *lock) gone(limit time.Time) error {
	if err := k.r.SetReadDeadline(limit); err != nil {
		return err
	}
	if _, err := k.r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (l *Logind) forget(gone []*lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range gone {
		k.r.Close()
	}
	l.locks = slices.DeleteFunc(l.locks, func(k *lock) bool { return slices.Contains(gone, k) })
}

// Stay takes the shutdown back.
func (l *Logind) Stay() error {
	l.mu.Lock()
	l.preparing = false
	l.mu.Unlock()
	l.props.SetMust(manager, "PreparingForShutdown", false)
	return l.signal(false, "")
}

func (l *Logind) signal(active bool, kind string) error {
	about := map[string]dbus.Variant{}
	if kind != "" {
		about["type"] = dbus.MakeVariant(kind)
	}
	err := l.conn.Emit(loginPath, manager+".PrepareForShutdownWithMetadata", active, about)
	if err == nil {
		err = l.conn.Emit(loginPath, manager+".PrepareForShutdown", active)
	}
	if err != nil {
		return fmt.Errorf("signal a shutdown: %w", err)
	}
	return nil
}

// methods are those that are called over the bus.
type methods struct{ l *Logind }

// Inhibit takes a lock.
func (m methods) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	l := m.l
	if mode != "delay" && mode != "block" {
		return 0, dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"Invalid mode specification"})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.preparing {
		return 0, dbus.NewError("org.freedesktop.login1.OperationInProgress", []any{"The operation inhibition has been requested for is already running"})
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	l.locks = append(l.locks, &lock{what, who, why, mode, time.Now(), r, w})
	close(l.taken)
	l.taken = make(chan struct{})
	return dbus.UnixFD(w.Fd()), nil
}

// inhibitor is one line of ListInhibitors.
type inhibitor struct {
	What, Who, Why, Mode string
	UID, PID             uint32
}

// ListInhibitors lists the locks.
func (m methods) ListInhibitors() ([]inhibitor, *dbus.Error) {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	list := []inhibitor{}
	for _, k := range m.l.locks {
		list = append(list, inhibitor{What: k.what, Who: k.who, Why: k.why, Mode: k.mode})
	}
	return list, nil
}

// session is one line of ListSessions.
type session struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// ListSessions lists nobody.
func (m methods) ListSessions() ([]session, *dbus.Error) { return []session{}, nil }

// SetWallMessage is taken and goes nowhere.
func (m methods) SetWallMessage(string, bool) *dbus.Error { return nil }
