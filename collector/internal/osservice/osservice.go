// Package osservice installs and controls the collector as a service of its operating
// system, and is the frame in which it runs there. It knows nothing of what the
// collector does.
//
// Installing and controlling go through kardianos/service, which runs systemctl on
// Linux; the running collector starts no program.
package osservice

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kardianos/service"
)

// Name is what the operating system calls the service.
const Name = "hozen-collector"

const description = "Hozen collector: receives evidence and gives orders"

// Config says how the service is installed.
type Config struct {
	Executable string   // the program's absolute path
	Arguments  []string // follow it
}

// State is what the operating system says of the service.
type State string

// The states.
const (
	NotInstalled State = "not_installed"
	Running      State = "running"
	Stopped      State = "stopped"
	Unknown      State = "unknown"
)

// The errors that callers act on.
var (
	ErrInstalled    = errors.New("the service is already installed")
	ErrNotInstalled = errors.New("the service is not installed")
	ErrNeedsRoot    = errors.New("this needs administrator rights")
	ErrNoManager    = errors.New("this system has no service manager that is known")
)

// nothing satisfies kardianos's interface: the collector never runs inside it.
type nothing struct{}

func (nothing) Start(service.Service) error { return nil }
func (nothing) Stop(service.Service) error  { return nil }

func control(c Config) (service.Service, error) {
	s, err := service.New(nothing{}, &service.Config{
		Name: Name, DisplayName: "Hozen collector", Description: description,
		Executable: c.Executable, Arguments: c.Arguments, Option: options(Unit(c)),
	})
	if errors.Is(err, service.ErrNoServiceSystemDetected) {
		return nil, ErrNoManager
	}
	if err != nil {
		return nil, fmt.Errorf("reach service manager: %w", err)
	}
	return s, nil
}

// Install makes the service start with the machine; it does not start it now. What is
// left of an installation that failed is taken away.
func Install(c Config) error {
	s, err := control(c)
	if err != nil {
		return err
	}
	if st, _ := state(s); st != NotInstalled {
		return ErrInstalled
	}
	if err := s.Install(); err != nil {
		err = rights(fmt.Errorf("install service: %w", err))
		// Otherwise an empty unit stays behind, which systemd takes for a masked one.
		if uerr := s.Uninstall(); uerr != nil && !errors.Is(uerr, service.ErrNotInstalled) {
			err = errors.Join(err, uerr)
		}
		return err
	}
	return nil
}

// Uninstall stops the service and takes it away; the data folder stays.
func Uninstall() error {
	s, err := installed()
	if err != nil {
		return err
	}
	if st, _ := state(s); st == Running {
		if err := s.Stop(); err != nil {
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

// Stop stops the installed service.
func Stop() error {
	s, err := installed()
	if err != nil {
		return err
	}
	if err := s.Stop(); err != nil {
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

// rights says so when the trouble is likely that the caller is not root: systemctl's
// own words can't be told apart.
func rights(err error) error {
	if errors.Is(err, fs.ErrPermission) || os.Geteuid() > 0 {
		return fmt.Errorf("%w: %w", ErrNeedsRoot, err)
	}
	return err
}
