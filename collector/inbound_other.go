//go:build !windows

package main

import (
	"errors"
	"syscall"
	"time"
)

// answerTime is that of one SYN, which Linux repeats after a second only (tcp(7), RFC 6298).
const answerTime = time.Second

// refused reports whether the other side said no.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}
