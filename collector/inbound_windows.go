package main

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
)

// answerTime is longer than Windows takes to tell of a refusal: it asks a port that refuses
// twice more, half a second apart, before it believes it.
const answerTime = 3 * time.Second

// refused reports whether the other side said no. Windows' own numbers are not those that
// package syscall has for it.
func refused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, windows.WSAECONNRESET)
}
