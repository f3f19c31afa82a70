package wts

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Styles of a message (MessageBox).
const (
	Warning = windows.MB_ICONWARNING | windows.MB_SETFOREGROUND | windows.MB_TOPMOST // with its sound
	Notice  = windows.MB_OK                                                          // without
)

// Message shows a text in a session, to whoever is signed in there, and returns before it is
// closed (WTSSendMessage). It goes by itself after stays, or with a click where that is 0. The
// error wraps [errors.ErrUnsupported] where Windows has no such function.
func Message(session uint32, title, text string, style uint32, stays time.Duration) error {
	send := windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSSendMessageW")
	if err := send.Find(); err != nil {
		return fmt.Errorf("show message in session %d: %w", session, errors.ErrUnsupported)
	}
	return message(send.Call, session, title, text, style, stays)
}

// message is Message by way of call.
func message(call func(...uintptr) (uintptr, uintptr, error), session uint32, title, text string, style uint32, stays time.Duration) error {
	t, err := windows.UTF16FromString(title)
	if err != nil {
		return fmt.Errorf("show message: %w", err)
	}
	b, err := windows.UTF16FromString(text)
	if err != nil {
		return fmt.Errorf("show message: %w", err)
	}
	const (
		thisServer = 0
		unit       = 2 // lengths are of bytes, without the zero at the end
		dontWait   = 0
	)
	var answer uint32
	r, _, err := call(thisServer, uintptr(session), uintptr(unsafe.Pointer(&t[0])), uintptr(unit*(len(t)-1)), uintptr(unsafe.Pointer(&b[0])), uintptr(unit*(len(b)-1)),
		uintptr(style), uintptr(stays/time.Second), uintptr(unsafe.Pointer(&answer)), dontWait)
	runtime.KeepAlive(t)
	runtime.KeepAlive(b)
	if r != 0 {
		return nil
	}
	if errors.Is(err, windows.ERROR_SUCCESS) { // it did nothing and says nothing, as under Wine
		err = errors.ErrUnsupported
	}
	return fmt.Errorf("show message in session %d: %w", session, err)
}
