package rig

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
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

func runAs(cmd *exec.Cmd, name string) error {
	c, err := credential(name)
	cmd.SysProcAttr.Credential = c
	return err
}

// HandTo makes a folder another account's own.
func HandTo(path, name string) error {
	c, err := credential(name)
	if err != nil {
		return err
	}
	if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
		return fmt.Errorf("hand folder to %s: %w", name, err)
	}
	return nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read user identifier of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read group identifier of %s: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
