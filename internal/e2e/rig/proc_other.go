//go:build !linux

package rig

import "os/exec"

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
