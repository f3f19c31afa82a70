package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"hozen/internal/e2e/rig"
)

// The victims of a scene, by the mark in their command lines.
const (
	InSession = "victim-in-session" // started by the shell of a login session
	Detached  = "victim-detached"   // the same, then detached from it (setsid(1), nohup(1))
	InUser    = "victim-in-user"    // a unit of the account's own systemd
	InSystem  = "victim-in-system"  // a service of the system
	Gone      = "victim-gone"       // its program's file is deleted, as malware likes it
)

// Victims lists all of them.
func Victims() []string { return []string{InSession, Detached, InUser, InSystem, Gone} }

// victimPath is the program in the guest.
const victimPath = "/usr/local/bin/victim"

// File is something to put on a guest's disk before it boots.
type File struct {
	Path    string
	Content string
	Mode    fs.FileMode
	Target  string // of a symbolic link; Content and Mode do not count then
}

// Scene is programs in a guest that evidence must show, each with a connection to a
// server outside, which knows what is true.
type Scene struct {
	listener net.Listener

	mu    sync.Mutex
	flows Flows // by mark: the guest's end of the connection that lives
}

// NewScene starts the server at an address that the guest can reach.
func NewScene(ctx context.Context, address string) (*Scene, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for victims: %w", err)
	}
	s := &Scene{listener: l, flows: Flows{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

// serve reads a victim's mark and then sends back what it sends.
func (s *Scene) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	mark, err := r.ReadString('\n')
	if err != nil {
		return
	}
	mark = strings.TrimSpace(mark)
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	s.mu.Lock()
	s.flows[mark] = at
	s.mu.Unlock()
	for {
		b, err := r.ReadByte()
		if err != nil {
			return
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
	}
}

// Server is where the victims connect to.
func (s *Scene) Server() string { return s.listener.Addr().String() }

// Close stops the server.
func (s *Scene) Close() error { return s.listener.Close() }

// Files are what the guest's disk needs: the program and the units. The session is
// opened when the guest runs, see [Scene.Session].
func (s *Scene) Files(program string) ([]File, error) {
	b, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read victim's program: %w", err)
	}
	unit := func(mark, target string) string {
		return "[Unit]\nDescription=" + mark + "\n[Service]\nExecStart=" + s.command(mark) + "\n[Install]\nWantedBy=" + target + "\n"
	}
	return []File{
		{Path: victimPath, Content: string(b), Mode: 0o755},
		{Path: "/etc/systemd/system/victim.service", Content: unit(InSystem, "multi-user.target"), Mode: 0o644},
		{Path: "/etc/systemd/system/multi-user.target.wants/victim.service", Target: "../victim.service"},
		{Path: "/etc/systemd/user/victim.service", Content: unit(InUser, "default.target"), Mode: 0o644},
		{Path: "/etc/systemd/user/default.target.wants/victim.service", Target: "../victim.service"},
		{Path: "/var/lib/systemd/linger/alice", Mode: 0o644},
	}, nil
}

func (s *Scene) command(mark string) string {
	return victimPath + " -mark " + mark + " -to " + s.Server()
}

// Login are the files with which the guest's console logs alice in by itself, as a PC
// without a password does; her shell runs [Scene.Session]. Such a session ends as a
// real one does, which one of su(1) doesn't: su waits for 2 s when it is stopped, and
// stops itself when systemd stops its shell for a moment.
func (s *Scene) Login() []File {
	return []File{
		{Path: "/etc/systemd/system/console-getty.service.d/login.conf", Mode: 0o644,
			Content: "[Service]\nType=simple\nExecStart=\nExecStart=-/sbin/agetty --autologin alice --noclear --keep-baud - 115200 vt220\n"},
		{Path: "/home/alice/.bash_profile", Content: s.Session() + "\n", Mode: 0o644},
	}
}

// Session is what the shell of alice's session runs.
func (s *Scene) Session() string {
	return s.command(InSession) + " & nohup setsid " + s.command(Detached) + " >/dev/null 2>&1 & " +
		"cp " + victimPath + " $HOME/.cache-update && { $HOME/.cache-update -gone -mark " + Gone + " -to " + s.Server() + " & }; wait"
}

// Await waits until the victims with these marks have their connections.
func (s *Scene) Await(ctx context.Context, marks ...string) error {
	return rig.Until(ctx, "the victims' connections", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range marks {
			if _, ok := s.flows[m]; !ok {
				return false, fmt.Errorf("of %v only %v are connected", marks, slices.Sorted(maps.Keys(s.flows)))
			}
		}
		return true, nil
	})
}

// Flows are connections as the server knows them.
type Flows map[string]netip.AddrPort

// Flows returns the connections as they are now.
func (s *Scene) Flows() Flows {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.flows)
}

// Forget makes the server forget the connections of a guest that is down.
func (s *Scene) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.flows)
}

// Missing is [Scene.MissingOf] with the connections as they are now.
func (s *Scene) Missing(e *Evidence, marks ...string) error {
	return s.MissingOf(s.Flows(), e, marks...)
}

// MissingOf compares evidence with what was true, and says what of these victims it
// lacks: the process, its connection with the right owner, the mark of a deleted
// program. Nil: nothing.
func (s *Scene) MissingOf(flows Flows, e *Evidence, marks ...string) error {
	server, err := netip.ParseAddrPort(s.Server())
	if err != nil {
		return err
	}
	var errs []error
	for _, mark := range marks {
		pid := 0
		for i := range e.Processes {
			p := &e.Processes[i]
			if at := slices.Index(p.Args, "-mark"); at < 0 || at+1 >= len(p.Args) || p.Args[at+1] != mark {
				continue
			}
			pid = p.PID
			if mark == Gone && !p.ExeDeleted {
				errs = append(errs, fmt.Errorf("%s: the process is there, but not that its program is deleted: %+v", mark, p.Exe))
			}
		}
		if pid == 0 {
			errs = append(errs, fmt.Errorf("%s: the process is not there", mark))
		}
		if err := owned(e, flows[mark], server, pid); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", mark, err))
		}
	}
	return errors.Join(errs...)
}

// owned looks for an established connection and for its owner.
func owned(e *Evidence, from, to netip.AddrPort, pid int) error {
	for i := range e.Sockets {
		c := &e.Sockets[i]
		if c.Proto != "tcp" || c.LocalPort != from.Port() || c.RemotePort != to.Port() || c.LocalAddr != from.Addr().String() || c.RemoteAddr != to.Addr().String() {
			continue
		}
		if c.State != "ESTABLISHED" {
			return fmt.Errorf("the connection is %s", c.State)
		}
		for _, o := range c.Owners {
			if o.PID == pid {
				return nil
			}
		}
		return fmt.Errorf("the connection is there, but process %d does not own it: %+v", pid, c.Owners)
	}
	return fmt.Errorf("the connection %s to %s is not there", from, to)
}
