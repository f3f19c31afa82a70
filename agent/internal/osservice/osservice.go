// Package osservice installs and controls the agent as a service of its operating
// system, checks that what it installed is in force, and is the frame in which the
// service runs there. It knows nothing of what the agent does.
//
// Under systemd the files are written here, whole or not at all, and systemd is spoken
// to over D-Bus. Starting and stopping by hand, and installing anywhere else, go
// through kardianos/service, which runs systemctl or its like; the running service
// starts no program.
package osservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/kardianos/service"
)

// Name is what the operating system calls the service.
const Name = "hozen-agent"

// Config says how the service is installed.
type Config struct {
	// Executable is the program's absolute path.
	Executable string
	// Paths are handed to the agent. When all are empty, those of an earlier
	// installation stay, for an agent that lost sight of its state folder would lose its
	// evidence and its identity.
	Paths Paths
	// KeepDisabled leaves an agent that an administrator disabled or masked as it is.
	// For upgrades.
	KeepDisabled bool
	// Root is the folder in which the system's files are, for tests. Default "/".
	Root string
}

// Paths are the agent's paths, absolute; an empty one means the default.
type Paths struct{ Config, State, Socket string }

// options spells them as options.
func (p Paths) options() (args []string) {
	for _, f := range [][2]string{{"--config", p.Config}, {"--state", p.State}, {"--socket", p.Socket}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	return args
}

// defaultState is systemd's StateDirectory=hozen.
const defaultState = "/var/lib/hozen"

func (c Config) state() string {
	if c.Paths.State != "" {
		return c.Paths.State
	}
	return defaultState
}

// Change is one thing that installing or uninstalling did.
type Change struct {
	What What   `json:"what"`
	Path string `json:"path"`
}

// What says what was done; it is the end of a text's key.
type What string

// The things that are done.
const (
	Written   What = "written"   // was not there
	Rewritten What = "rewritten" // was different
	Removed   What = "removed"
	Packaged  What = "packaged" // left alone: the system's package manager has it
	Offline   What = "offline"  // written, but no systemd runs here that could be told
	NotSet    What = "not_set"  // this system does not take the setting; the rest is in force
)

// State is what the operating system says of the service.
type State string

// The states.
const (
	NotInstalled State = "not_installed"
	Running      State = "running"
	Stopped      State = "stopped"
	Unknown      State = "unknown"
)

// Errors on which callers act.
var (
	ErrInstalled    = errors.New("the service is already installed")
	ErrNotInstalled = errors.New("the service is not installed")
	ErrNeedsRoot    = errors.New("this needs administrator rights")
	ErrNoManager    = errors.New("this system has no service manager that is known")
)

// nothing satisfies kardianos's interface: the service never runs inside it.
type nothing struct{}

func (nothing) Start(service.Service) error { return nil }
func (nothing) Stop(service.Service) error  { return nil }

// control returns kardianos's hand on the service.
func control(c Config) (service.Service, error) {
	s, err := service.New(nothing{}, &service.Config{
		Name:        Name,
		DisplayName: "Hozen agent",
		Description: description,
		Executable:  c.Executable,
		Arguments:   append([]string{"run", "--service"}, c.Paths.options()...),
		Option:      options(),
	})
	if errors.Is(err, service.ErrNoServiceSystemDetected) {
		return nil, ErrNoManager
	}
	if err != nil {
		return nil, fmt.Errorf("reach service manager: %w", err)
	}
	return s, nil
}

const description = "Hozen agent: keeps volatile evidence and cuts the network on command"

// Install installs the service so that it starts with the PC; it does not start it now.
// Under systemd it may be repeated at will: what differs is written anew, what an
// earlier version left is removed, and the changes are returned. Elsewhere it fails
// with [ErrInstalled] when there is one.
func Install(ctx context.Context, c Config) ([]Change, error) { return install(ctx, c) }

// Uninstall stops the service and takes it away; what it kept on disk stays. Under
// systemd it is no error that there is nothing to take away.
func Uninstall(ctx context.Context, c Config) ([]Change, error) { return uninstall(ctx, c) }

// installElsewhere installs where there is no systemd. What is left of an installation
// that failed is taken away.
func installElsewhere(c Config) error {
	s, err := control(c)
	if err != nil {
		return err
	}
	if st, _ := state(s); st != NotInstalled {
		return ErrInstalled
	}
	if err := s.Install(); err != nil {
		err = rights(fmt.Errorf("install service: %w", err))
		if uerr := s.Uninstall(); uerr != nil && !errors.Is(uerr, service.ErrNotInstalled) {
			err = errors.Join(err, uerr)
		}
		return err
	}
	return nil
}

func uninstallElsewhere() error {
	s, err := installed()
	if err != nil {
		return err
	}
	if st, _ := state(s); st == Running {
		if err := stop(s); err != nil {
			return rights(fmt.Errorf("stop service: %w", err))
		}
	}
	if err := s.Uninstall(); err != nil {
		return rights(fmt.Errorf("uninstall service: %w", err))
	}
	return nil
}

// Start starts the installed service.
func Start() error {
	s, err := installed()
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return rights(fmt.Errorf("start service: %w", err))
	}
	return nil
}

// Stop stops the installed service and waits until it has.
func Stop() error {
	s, err := installed()
	if err != nil {
		return err
	}
	if err := stop(s); err != nil {
		return rights(fmt.Errorf("stop service: %w", err))
	}
	return nil
}

// Status asks the operating system how the service is.
func Status() (State, error) {
	s, err := control(Config{})
	if err != nil {
		return Unknown, err
	}
	return state(s)
}

func installed() (service.Service, error) {
	s, err := control(Config{})
	if err != nil {
		return nil, err
	}
	if st, _ := state(s); st == NotInstalled {
		return nil, ErrNotInstalled
	}
	return s, nil
}

func state(s service.Service) (State, error) {
	st, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return NotInstalled, nil
	case err != nil:
		return Unknown, rights(fmt.Errorf("ask for the state of the service: %w", err))
	case st == service.StatusRunning:
		return Running, nil
	case st == service.StatusStopped:
		return Stopped, nil
	}
	return Unknown, nil
}

func rights(err error) error {
	if errors.Is(err, fs.ErrPermission) || needsRoot() {
		return fmt.Errorf("%w: %w", ErrNeedsRoot, err)
	}
	return err
}

// needsRoot reports whether the caller has no rights, where systemctl's own words
// cannot be told apart.
func needsRoot() bool { return os.Geteuid() > 0 }

// Hooks are called by [Run] at the turns of a service's life.
type Hooks struct {
	// Healthy reports whether the agent still does its work; it is asked as often as the
	// service manager wants to know, and may block. A service that is not healthy is
	// restarted by its manager. Optional.
	Healthy func(ctx context.Context) bool
	// Managed says that the service manager started this, by "run --service". It is not
	// guessed: what asks for it (svc.IsWindowsService) looks at the parent's session.
	Managed bool
	// GoingDown is called when the service manager says that the PC goes down; the service
	// ends when it returns. In a rehearsal the PC does not. Optional; Windows only, for
	// systemd has a unit of its own for it.
	GoingDown func(ctx context.Context, rehearsal bool)
	// Heard is called with what the system tells; it must return at once. Optional;
	// Windows only.
	Heard func(Heard)
	// Log hears how the service is set up and how long stopping took. Optional.
	Log *slog.Logger
}
