//go:build !linux

package logind

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is for systems with logind; elsewhere nothing comes of it.
type Client struct{ cfg Config }

// New returns a Client.
func New(cfg Config) *Client { return &Client{cfg.withDefaults()} }

// Run fails with an error wrapping errors.ErrUnsupported.
func (c *Client) Run(context.Context) error {
	return fmt.Errorf("hear of shutdowns at %s: %w", c.cfg.Address, errors.ErrUnsupported)
}

// Events returns a channel on which nothing comes.
func (*Client) Events() <-chan Event { return nil }

// Release does nothing.
func (*Client) Release() {}

// Allowed is not known.
func (*Client) Allowed() time.Duration { return 0 }

// State is that of a system without logind.
func (*Client) State() State { return State{} }

// PowerOff is not supported.
func (*Client) PowerOff(context.Context, Locks) error { return errors.ErrUnsupported }

// Reboot is not supported.
func (*Client) Reboot(context.Context, Locks) error { return errors.ErrUnsupported }

// SetWallMessage is not supported.
func (*Client) SetWallMessage(context.Context, string) error { return errors.ErrUnsupported }

// Sessions is not supported.
func (*Client) Sessions(context.Context) ([]Session, error) { return nil, errors.ErrUnsupported }
