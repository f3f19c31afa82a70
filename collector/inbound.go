package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// answers opens a TCP connection and reports whether anything came back within answerTime. A
// refusal is an answer.
func answers(ctx context.Context, to netip.AddrPort) (bool, error) {
	d := net.Dialer{Timeout: answerTime, KeepAlive: -1}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err == nil {
		return true, c.Close()
	}
	if refused(err) {
		return true, nil
	}
	var slow net.Error
	if ctx.Err() == nil && errors.As(err, &slow) && slow.Timeout() {
		return false, nil
	}
	return false, err
}
