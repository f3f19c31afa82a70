package machine

import (
	"context"
	"time"
)

// Machine is one boot of a guest: it runs until it goes down, and a further boot of
// the same disk is a further Machine.
type Machine interface {
	// Run runs a program as root inside, to its end, and returns what it printed on
	// both streams. An exit code other than 0 is an error.
	Run(ctx context.Context, cmd ...string) (out string, err error)
	// Start starts a program as root inside, as a unit of the guest's systemd; it lives
	// until it ends or the guest goes down.
	Start(ctx context.Context, cmd ...string) error
	// Trigger makes the guest go down in one of the ways. It returns as soon as that is
	// under way; errors.ErrUnsupported when this kind of guest knows no such way.
	Trigger(ctx context.Context, t Trigger) error
	// WaitDown waits until nothing of the guest runs any more and returns the time
	// since the trigger.
	WaitDown(ctx context.Context) (took time.Duration, err error)
	// Kill ends the guest at once, as a power cut does, and waits until it is gone. What
	// it had not synced is lost only where the guest has a kernel of its own.
	Kill() error
	// Close kills the guest if it still runs, and lets go of all that it took.
	Close() error
}

// Trigger is a way in which a PC goes down.
type Trigger string

// The triggers. What stands behind each one is what a person would type or press.
const (
	Poweroff         Trigger = "poweroff"          // systemctl poweroff
	ShutdownNow      Trigger = "shutdown-now"      // shutdown -h now
	Init0            Trigger = "init-0"            // init 0
	PoweroffIgnoring Trigger = "poweroff-i"        // systemctl poweroff -i: goes on in spite of inhibitors
	PowerButton      Trigger = "power-button"      // ACPI; virtual machines only
	IsolateTarget    Trigger = "isolate-target"    // systemctl isolate poweroff.target: past logind
	SigRTMin4        Trigger = "sigrtmin+4"        // kill -RTMIN+4 1: past logind, as managers of containers do
	CtrlAltDel       Trigger = "ctrl-alt-del"      // virtual machines only; the kernel tells PID 1 by SIGINT
	Force            Trigger = "poweroff-force"    // systemctl poweroff --force: no unit is stopped
	ForceForce       Trigger = "poweroff-force-ff" // systemctl poweroff -ff: no process is told
	PowerLoss        Trigger = "power-loss"        // the same as Machine.Kill
	Reboot           Trigger = "reboot"            // systemctl reboot
)

// Command returns what is typed inside the guest for a trigger, nil for one that
// nobody types.
func (t Trigger) Command() []string {
	switch t {
	case Poweroff:
		return []string{"systemctl", "poweroff"}
	case ShutdownNow:
		return []string{"shutdown", "-h", "now"}
	case Init0:
		return []string{"init", "0"}
	case PoweroffIgnoring:
		return []string{"systemctl", "poweroff", "-i"}
	case IsolateTarget:
		return []string{"systemctl", "isolate", "poweroff.target"}
	case SigRTMin4:
		return []string{"bash", "-c", "kill -s RTMIN+4 1"} // of bash's own: the smallest Debian has no program kill
	case Force:
		return []string{"systemctl", "poweroff", "--force"}
	case ForceForce:
		return []string{"systemctl", "poweroff", "-ff"}
	case Reboot:
		return []string{"systemctl", "reboot"}
	}
	return nil
}

// Orderly reports whether a shutdown by this trigger lets programs do something
// before it goes on: then the evidence must be whole. After the others only what was
// written before can be there.
func (t Trigger) Orderly() bool {
	switch t {
	case Force, ForceForce, PowerLoss:
		return false
	}
	return true
}
