package rig

import (
	"os/exec"
	"runtime"
	"syscall"
)

// live runs on one thread for as long as the nursery lives: the kernel sends the
// signal below when the thread that started a child ends (PR_SET_PDEATHSIG(2const)).
func (n *Nursery) live() {
	runtime.LockOSThread()
	for {
		select {
		case f := <-n.work:
			f()
		case <-n.stop:
			return
		}
	}
}

func dieWithParent(cmd *exec.Cmd) {
	// A group of its own: Ctrl-C on the terminal reaches this process alone, which then
	// ends its children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
