//go:build !linux

package scan

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact/record"
)

type place struct{}

func (p *Pass) stroll(context.Context, probe.Writer, string, Reader) error {
	return errors.ErrUnsupported
}

// File is for Linux alone.
func (a *At) File(string, int) (b []byte, cut bool, err error) {
	return nil, false, errors.ErrUnsupported
}

// Link is for Linux alone.
func (a *At) Link(string) ([]byte, error) { return nil, errors.ErrUnsupported }

// Names is for Linux alone.
func (a *At) Names(string, func(name string) bool) error { return errors.ErrUnsupported }

// Text is [record.Text].
func (a *At) Text(b []byte) (string, []byte) { return record.Text(b) }
