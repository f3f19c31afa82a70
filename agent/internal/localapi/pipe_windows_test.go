package localapi

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/pipe"
)

// ownUID is who this process is, in the words of a Peer.
func ownUID(t *testing.T) string {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := windows.Token(0).IsMember(admins); err == nil && yes || u.User.Sid.IsWellKnown(windows.WinLocalSystemSid) {
		return rootUser
	}
	return u.User.Sid.String()
}

// TestRights: what guards the pipe can be read, and nobody but administrators may make
// an instance of it.
func TestRights(t *testing.T) {
	l, err := pipe.Listen(PipeName(t.TempDir()), pipeRights)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
}

// TestWhoHidesIsNotHeard: a client that lets nobody know who it is (SECURITY_ANONYMOUS) takes
// no place that everybody shares.
func TestWhoHidesIsNotHeard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := pipe.Listen(PipeName(path), pipeRights)
	if err != nil {
		t.Fatal(err)
	}
	known := make(chan Peer, 1)
	go func() {
		defer close(known)
		if c, err := l.Accept(); err == nil {
			known <- peerOf(c)
			c.Close()
		}
	}()
	const anonymous = 0
	// It stays until it was looked at: one that came and went is nobody to Accept, which
	// would wait for another.
	c := dialRaw(t, path, anonymous)
	hidden, taken := <-known
	c.Close()
	l.Close()
	if !taken {
		t.Fatal("the listener took nobody")
	}
	if hidden.UID != unknownUser {
		t.Skip("here a client cannot hide")
	}
	c = dialRaw(t, serve(t, &agent{}), anonymous)
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it is answered")
		}
	case <-time.After(10 * time.Second):
		t.Error("it keeps its connection")
	}
}

// strangers is a listener whose clients nobody knows.
type strangers struct {
	net.Listener
	next chan net.Conn
}

func (s strangers) Accept() (net.Conn, error) {
	if c, ok := <-s.next; ok {
		return c, nil
	}
	return s.Listener.Accept()
}

// TestStrangersAreNotHeard: who is not known is cut off, however many places there are.
func TestStrangersAreNotHeard(t *testing.T) {
	s, err := Listen(Config{Path: filepath.Join(t.TempDir(), "agent.sock"), Agent: &agent{}})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	if err := ours.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	next := make(chan net.Conn, 1)
	next <- theirs
	close(next)
	s.l = strangers{s.l, next}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if _, err := ours.Write([]byte("{}\n")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("heard: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// dialRaw connects with flags of its own.
func dialRaw(t *testing.T, path string, level uint32) *os.File {
	t.Helper()
	name, err := windows.UTF16PtrFromString(PipeName(path))
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, windows.SECURITY_SQOS_PRESENT|level, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(h), path)
}
