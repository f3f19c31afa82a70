//go:build !linux

package logind

import (
	"context"
	"errors"
	"time"
)

// Client is for systems with logind; elsewhere nothing comes of it.
type Client struct{}

// New returns a Client.
func New(Config) *Client { return &Client{} }

// Run fails with an error wrapping errors.ErrUnsupported.
func (*Client) Run(context.Context) error { return errors.ErrUnsupported }

// Events returns a channel on which nothing comes.
func (*Client) Events() <-chan Event { return nil }

// Release does nothing.
func (*Client) Release() {}

// Allowed is not known.
func (*Client) Allowed() time.Duration { return 0 }

// State is that of a system without logind.
func (*Client) State() State { return State{} }

// PowerOff is not supported.
func (*Client) PowerOff(context.Context) error { return errors.ErrUnsupported }

// Reboot is not supported.
func (*Client) Reboot(context.Context) error { return errors.ErrUnsupported }

// SetWallMessage is not supported.
func (*Client) SetWallMessage(context.Context, string) error { return errors.ErrUnsupported }

// Sessions is not supported.
func (*Client) Sessions(context.Context) ([]Session, error) { return nil, errors.ErrUnsupported }
