//go:build !linux

package rig

import (
	"errors"
	"fmt"
	"os/exec"
)

func (n *Nursery) live() {
	for {
		select {
		case f := <-n.work:
			f()
		case <-n.stop:
			return
		}
	}
}

func dieWithParent(*exec.Cmd) {}

func runAs(*exec.Cmd, string) error {
	return fmt.Errorf("run as another account: %w", errors.ErrUnsupported)
}

// HandTo returns an error wrapping errors.ErrUnsupported.
func HandTo(string, string) error {
	return fmt.Errorf("hand folder to another account: %w", errors.ErrUnsupported)
}
