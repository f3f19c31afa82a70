package logind

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls for what another goroutine or process is about to do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// bus is a private message bus.
type bus struct {
	t      *testing.T
	dir    string
	cancel context.CancelFunc
	cmd    *exec.Cmd
}

func newBus(t *testing.T) *bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("dbus-daemon (Debian package dbus) is not here")
	}
	dir, err := os.MkdirTemp("", "bus") // t.TempDir may be longer than a socket's address
	must(t, err)
	b := &bus{t: t, dir: dir}
	t.Cleanup(func() { b.stop(); os.RemoveAll(dir) })
	b.start()
	return b
}

func (b *bus) socket() string  { return filepath.Join(b.dir, "socket") }
func (b *bus) address() string { return "unix:path=" + b.socket() }

func (b *bus) start() {
	b.t.Helper()
	os.Remove(b.socket())
	conf := filepath.Join(b.dir, "conf")
	must(b.t, os.WriteFile(conf, fmt.Appendf(nil, busConfig, b.socket()), 0o600))
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	b.cmd = exec.CommandContext(ctx, "dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=1")
	out, err := b.cmd.StdoutPipe()
	must(b.t, err)
	must(b.t, b.cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.t.Fatalf("dbus-daemon: %v", err)
	}
}

func (b *bus) stop() {
	if b.cancel != nil {
		b.cancel()
		b.cmd.Wait() // it was killed
		b.cancel = nil
	}
}

// fake speaks as logind does.
type fake struct {
	t     *testing.T
	conn  *dbus.Conn
	props *prop.Properties

	mu    sync.Mutex
	locks []*held
	calls []string
	asked int         // for a lock
	fail  *dbus.Error // of Inhibit
	flags *dbus.Error // of the methods with flags
}

type held struct {
	what, who, mode string
	r, w            *os.File
}

func startLogind(t *testing.T, b *bus) *fake {
	t.Helper()
	return startLogindThat(t, b, nil)
}

// startLogindThat starts one whose Inhibit fails from the first call on.
func startLogindThat(t *testing.T, b *bus, fail *dbus.Error) *fake {
	t.Helper()
	conn, err := dbus.Connect(b.address())
	must(t, err)
	f := &fake{t: t, conn: conn, fail: fail}
	f.props, err = prop.Export(conn, loginPath, prop.Map{manager: {
		"InhibitDelayMaxUSec":  {Value: uint64(5_000_000), Writable: false, Emit: prop.EmitFalse},
		"PreparingForShutdown": {Value: false, Writable: false, Emit: prop.EmitFalse},
	}})
	must(t, err)
	must(t, conn.Export(methods{f}, loginPath, manager))
	f.own()
	t.Cleanup(f.stop)
	return f
}

func (f *fake) own() {
	f.t.Helper()
	reply, err := f.conn.RequestName(loginName, dbus.NameFlagDoNotQueue)
	must(f.t, err)
	if reply != dbus.RequestNameReplyPrimaryOwner {
		f.t.Fatalf("name not owned: %v", reply)
	}
}

// stop ends it as a crash does: its connection and its ends of the locks close.
func (f *fake) stop() {
	f.conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.locks {
		l.r.Close()
		l.w.Close()
	}
}

func (f *fake) signal(member string, args ...any) {
	f.t.Helper()
	must(f.t, f.conn.Emit(loginPath, manager+"."+member, args...))
}

// announce signals a shutdown as systemd 255 and newer do.
func (f *fake) announce(active bool, kind string) {
	f.signal("PrepareForShutdownWithMetadata", active, map[string]dbus.Variant{"type": dbus.MakeVariant(kind)})
	f.signal("PrepareForShutdown", active)
	f.props.SetMust(manager, "PreparingForShutdown", active)
}

func (f *fake) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.locks)
}

// tried is how often a lock was asked for.
func (f *fake) tried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// refuse makes Inhibit fail, or work again.
func (f *fake) refuse(err *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

// noFlags makes the methods with flags fail.
func (f *fake) noFlags(err *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flags = err
}

// forgotten is called, which it empties.
func (f *fake) forgotten() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) lock(i int) *held {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.locks[i]
}

// released reports whether the i-th lock was let go.
func (f *fake) released(i int) bool {
	l := f.lock(i)
	l.w.Close() // ours; the client has its own by now
	must(f.t, l.r.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := l.r.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

type methods struct{ f *fake }

func (m methods) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	f := m.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.fail != nil {
		return 0, f.fail
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	f.locks = append(f.locks, &held{what, who, mode, r, w})
	return dbus.UnixFD(w.Fd()), nil
}

func (m methods) note(what string) *dbus.Error {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.f.calls = append(m.f.calls, what)
	return nil
}

func (m methods) PowerOff(interactive bool) *dbus.Error {
	return m.note(fmt.Sprint("PowerOff ", interactive))
}
func (m methods) Reboot(interactive bool) *dbus.Error {
	return m.note(fmt.Sprint("Reboot ", interactive))
}
func (m methods) PowerOffWithFlags(flags uint64) *dbus.Error {
	return m.flagged(fmt.Sprint("PowerOffWithFlags ", flags))
}
func (m methods) RebootWithFlags(flags uint64) *dbus.Error {
	return m.flagged(fmt.Sprint("RebootWithFlags ", flags))
}
func (m methods) flagged(what string) *dbus.Error {
	m.f.mu.Lock()
	err := m.f.flags
	m.f.mu.Unlock()
	if err != nil {
		return err
	}
	return m.note(what)
}
func (m methods) SetWallMessage(text string, on bool) *dbus.Error {
	return m.note(fmt.Sprint("SetWallMessage ", text, " ", on))
}

type listed struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

func (m methods) ListSessions() ([]listed, *dbus.Error) {
	return []listed{{"1", 1000, "花子", "seat0", "/org/freedesktop/login1/session/_31"}, {"c2", 0, "root", "", "/x"}}, nil
}

// client is a Client that runs until the test ends.
type client struct {
	*Client
	t   *testing.T
	end func()
}

func runClient(t *testing.T, b *bus) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := New(Config{Address: b.address(), Scheduled: filepath.Join(b.dir, "run", "shutdown", "scheduled"), MinRetry: 5 * time.Millisecond, MaxRetry: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	out := &client{c, t, func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("run: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("run does not end")
			}
		})
	}}
	t.Cleanup(out.end)
	return out
}

// next is the next event.
func (c *client) next() Event {
	c.t.Helper()
	select {
	case e := <-c.Events():
		return e
	case <-time.After(10 * time.Second):
		c.t.Fatal("no event in 10 s")
		panic("unreachable")
	}
}

func (c *client) quiet() {
	c.t.Helper()
	select {
	case e := <-c.Events():
		c.t.Errorf("and then %+v", e)
	default:
	}
}

// descriptors counts the open files of this process by what they are.
func descriptors(t *testing.T) (n int, list string) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	var names []string
	for _, e := range dir {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			names = append(names, to)
		}
	}
	return len(names), strings.Join(names, "\n")
}
