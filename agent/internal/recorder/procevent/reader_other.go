//go:build !linux && !windows

package procevent

import (
	"errors"

	"hozen/agent/internal/recorder/entry"
)

// Reader does not exist on this system.
type Reader struct{}

// NewReader returns [errors.ErrUnsupported].
func NewReader(string) (*Reader, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (*Reader) Close() error { return nil }

// PIDs returns [errors.ErrUnsupported].
func (*Reader) PIDs() ([]int, error) { return nil, errors.ErrUnsupported }

// Read reads nothing.
func (*Reader) Read(*entry.Event) {}

// Plain reads nothing.
func (*Reader) Plain(*entry.Event) {}

// Stat reads nothing.
func (*Reader) Stat(*entry.Event) byte { return 0 }

// Sockets reads nothing.
func (*Reader) Sockets(int, func(uint64)) error { return errors.ErrUnsupported }

// Find returns [errors.ErrUnsupported].
func (*Reader) Find([]int, map[uint32]struct{}, func(uint32, int)) error {
	return errors.ErrUnsupported
}
