package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// from gives each agent an address of its own, as PCs have: all of 127.0.0.0/8 is this
// machine (ip(7)).
func from(number int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		at := &unix.SockaddrInet4{Addr: [4]byte{127, 77, byte(1 + number/250), byte(1 + number%250)}}
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.Bind(int(fd), at) }); cerr != nil {
			return cerr
		}
		return err
	}
}
