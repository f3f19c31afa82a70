package logind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/msgbus"
)

const (
	busName   = msgbus.Name
	loginName = "org.freedesktop.login1"
	loginPath = dbus.ObjectPath("/org/freedesktop/login1")
	manager   = "org.freedesktop.login1.Manager"

	// callLimit is how long logind may take to answer; D-Bus may have to start it.
	callLimit = 5 * time.Second
	// askLimit is how long Allowed may take to ask anew.
	askLimit = 100 * time.Millisecond
)

var errNoLogind = fmt.Errorf("logind is not reachable: %w", errors.ErrUnsupported)

// Client holds the lock and hears the signals while Run runs. It is safe for concurrent
// use.
type Client struct {
	cfg    Config
	events chan Event
	wake   chan struct{} // the lock was let go

	mu      sync.Mutex
	conn    *msgbus.Conn // nil while not connected
	in      *inbox       // of conn
	lock    *os.File     // nil while not held
	sure    bool         // lock is of the logind that is there
	logind  bool
	allowed time.Duration
}

// New returns a Client that does nothing yet.
func New(cfg Config) *Client {
	return &Client{cfg: cfg.withDefaults(), events: make(chan Event, 16), wake: make(chan struct{}, 1)}
}

// Events is where everything that was told comes, in order. It must be read all the time:
// what is not taken holds up what comes after it.
func (c *Client) Events() <-chan Event { return c.events }

// Release lets the PC go. The lock is taken again when the PC does not go down or wakes
// up.
func (c *Client) Release() {
	c.drop()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) drop() {
	c.mu.Lock()
	lock := c.lock
	c.lock, c.sure = nil, false
	c.mu.Unlock()
	if lock != nil {
		lock.Close() // of a pipe: there is nothing to lose
	}
}

// hold keeps a lock, and lets the one before it go.
func (c *Client) hold(lock *os.File) {
	c.mu.Lock()
	old := c.lock
	c.lock, c.sure, c.logind = lock, true, true
	c.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// unsure notes that nobody may heed the lock any more. It is kept: logind finds the locks
// of its predecessor in /run/systemd/inhibit, and one that went with the bus comes back.
func (c *Client) unsure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sure = false
}

// State says how it stands.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{Connected: c.conn != nil, Logind: c.conn != nil && c.logind, Held: c.lock != nil && c.sure, Allowed: c.allowed}
}

// Allowed is how long the PC may be held: InhibitDelayMaxSec of logind.conf(5), asked
// anew where logind answers within 100 ms, for it can be changed without a word. It is 0
// when it was never known.
func (c *Client) Allowed() time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	c.readAllowed(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allowed
}

func (c *Client) readAllowed(ctx context.Context) {
	v, err := c.property(ctx, "InhibitDelayMaxUSec")
	if err != nil {
		return
	}
	if us, ok := v.(uint64); ok && us <= uint64(24*time.Hour/time.Microsecond) {
		c.mu.Lock()
		c.allowed = time.Duration(us) * time.Microsecond
		c.mu.Unlock()
	}
}

// Run holds the lock and tells events until ctx ends, then lets go and returns nil.
// Where there is no bus or no logind it says so once and looks again now and then.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.drop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		if err := c.watchSchedule(ctx); err != nil {
			c.cfg.Log.InfoContext(ctx, "scheduled shutdowns are not seen ahead", slog.Any("error", err))
		}
	})
	wait, told := c.cfg.MinRetry, false
	for {
		begun := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > c.cfg.MaxRetry || errors.Is(err, msgbus.ErrLost) {
			wait, told = c.cfg.MinRetry, false // it had worked
		}
		if !told {
			told = true
			c.cfg.Log.WarnContext(ctx, "no word of shutdowns comes from the system's login service", slog.Any("error", err))
		}
		retry := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			retry.Stop()
			return nil
		case <-retry.C:
		}
		wait = min(2*wait, c.cfg.MaxRetry)
	}
}

// once connects and serves until the connection ends.
func (c *Client) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := newInbox()
	limited, stop := context.WithTimeout(ctx, callLimit) // a bus may accept and never answer
	defer stop()
	conn, err := msgbus.Dial(limited, msgbus.Config{Address: c.cfg.Address, Signals: in})
	if err != nil {
		return err
	}
	defer conn.Close()
	c.setConn(conn, in)
	defer c.setConn(nil, nil)
	s := &session{c: c, conn: conn, in: in}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	return s.serve(ctx)
}

func (c *Client) setConn(conn *msgbus.Conn, in *inbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.in = conn, in
	if conn == nil {
		c.logind, c.sure = false, false
	}
}

func (c *Client) emit(ctx context.Context, e Event) {
	select {
	case c.events <- e:
	case <-ctx.Done():
	}
}

// call asks logind. Its errors wrap errors.ErrUnsupported when there is nobody to ask.
func (c *Client) call(ctx context.Context, method string, args ...any) ([]any, error) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil, errNoLogind
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	body, err := conn.Call(ctx, loginName, loginPath, method, args...)
	if absent(err) {
		return nil, fmt.Errorf("%w: %w", errNoLogind, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask logind: %w", err)
	}
	return body, nil
}

func (c *Client) property(ctx context.Context, name string) (any, error) {
	body, err := c.call(ctx, "org.freedesktop.DBus.Properties.Get", manager, name)
	if err != nil {
		return nil, err
	}
	var v dbus.Variant
	if err := dbus.Store(body, &v); err != nil {
		return nil, fmt.Errorf("read %s of logind: %w", name, err)
	}
	return v.Value(), nil
}

// absent reports whether err says that nobody owns logind's name.
func absent(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return false
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked":
		return true
	}
	return false
}

// PowerOff asks logind to switch the PC off without asking anybody. Our own lock holds
// that up as any other shutdown.
func (c *Client) PowerOff(ctx context.Context, l Locks) error { return c.goDown(ctx, "PowerOff", l) }

// Reboot is PowerOff with another boot after it.
func (c *Client) Reboot(ctx context.Context, l Locks) error { return c.goDown(ctx, "Reboot", l) }

// skipInhibitors is SD_LOGIND_SKIP_INHIBITORS of org.freedesktop.login1(5), of systemd 255
// and newer; since 257 a blocking lock of any program holds up root too.
const skipInhibitors = uint64(1) << 4

// goDown asks for it by the newer method where locks are to be passed by, and by the older
// one where logind does not know that: there root passes them by anyway.
func (c *Client) goDown(ctx context.Context, method string, l Locks) error {
	if l == PassLocks {
		_, err := c.call(ctx, manager+"."+method+"WithFlags", skipInhibitors)
		if !unknown(err) {
			return err
		}
	}
	_, err := c.call(ctx, manager+"."+method, false)
	return err
}

// unknown reports whether err says that logind knows no such method or no such flag.
func unknown(err error) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && (e.Name == "org.freedesktop.DBus.Error.UnknownMethod" || e.Name == "org.freedesktop.DBus.Error.InvalidArgs")
}

// SetWallMessage says what people at terminals are told when the PC next goes down; the
// empty text takes it back.
func (c *Client) SetWallMessage(ctx context.Context, text string) error {
	_, err := c.call(ctx, manager+".SetWallMessage", text, text != "")
	return err
}

// Sessions lists who is signed in.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	body, err := c.call(ctx, manager+".ListSessions")
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if err := dbus.Store(body, &list); err != nil {
		return nil, fmt.Errorf("read sessions of logind: %w", err)
	}
	out := make([]Session, 0, len(list))
	for _, s := range list {
		out = append(out, Session{s.ID, s.UID, s.User, s.Seat})
	}
	return out, nil
}
