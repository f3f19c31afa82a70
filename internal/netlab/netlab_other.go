//go:build !linux

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
)

var errNoNamespaces = fmt.Errorf("network namespaces: %w", errors.ErrUnsupported)

// Available returns an error wrapping errors.ErrUnsupported: only Linux has network
// namespaces.
func Available() error { return errNoNamespaces }

// Host is a network namespace; there is none on this system.
type Host struct{}

// NewHost returns an error wrapping errors.ErrUnsupported.
func NewHost() (*Host, error) { return nil, errNoNamespaces }

// Do returns an error wrapping errors.ErrUnsupported.
func (*Host) Do(func() error) error { return errNoNamespaces }

// FD returns -1.
func (*Host) FD() int { return -1 }

// Dial returns an error wrapping errors.ErrUnsupported.
func (*Host) Dial(context.Context, string, string) (net.Conn, error) { return nil, errNoNamespaces }

// Listen returns an error wrapping errors.ErrUnsupported.
func (*Host) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errNoNamespaces
}

// ListenPacket returns an error wrapping errors.ErrUnsupported.
func (*Host) ListenPacket(context.Context, string, string) (net.PacketConn, error) {
	return nil, errNoNamespaces
}

// Start returns an error wrapping errors.ErrUnsupported.
func (*Host) Start(*exec.Cmd) error { return errNoNamespaces }

// Close does nothing.
func (*Host) Close() error { return nil }

// Practice is a PC to practise on; there is none on this system.
type Practice struct {
	PC              *Host
	Inside, Outside Addrs
}

// NewPractice returns an error wrapping errors.ErrUnsupported.
func NewPractice(*Host) (*Practice, error) { return nil, errNoNamespaces }

// Close does nothing.
func (*Practice) Close() error { return nil }
