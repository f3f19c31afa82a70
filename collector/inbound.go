package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// answers opens a TCP connection and reports whether anything came back within a second: one
// SYN, which Linux repeats after a second only (tcp(7), RFC 6298). A refusal is an answer.
func answers(ctx context.Context, to netip.AddrPort) (bool, error) {
	d := net.Dialer{Timeout: time.Second, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err == nil {
		return true, c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return true, nil
	}
	var slow net.Error
	if ctx.Err() == nil && errors.As(err, &slow) && slow.Timeout() {
		return false, nil
	}
	return false, err
}
