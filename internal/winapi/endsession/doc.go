// Package endsession hears in a user's session that it ends, before any other program of
// the session is told. It knows nothing of what is done then.
//
// Interface: WM_QUERYENDSESSION and WM_ENDSESSION (WinUser.h), which a window gets that
// nobody sees, and SetProcessShutdownParameters, by which its program is the first.
package endsession

import "time"

// Ending is how a session ends.
type Ending string

// The endings.
const (
	Down      Ending = "down"      // the PC goes down, or nothing says that it does not
	Logoff    Ending = "logoff"    // its user signs out
	Cancelled Ending = "cancelled" // it does not after all
)

// Messages and their parameters (WinUser.h).
const (
	wmQueryEndSession = 0x11
	wmEndSession      = 0x16
	endLogoff         = 0x80000000 // ENDSESSION_LOGOFF, of lParam
)

// endingOf reads a message; ok is false where it says nothing of an ending.
func endingOf(message uint32, wParam, lParam uintptr) (e Ending, ok bool) {
	switch {
	case message == wmQueryEndSession && lParam&endLogoff != 0:
		return Logoff, true
	case message == wmQueryEndSession:
		return Down, true
	case message == wmEndSession && wParam == 0:
		return Cancelled, true
	}
	return "", false
}

// waiting does something and returns when it is done, or after limit with what is closed
// then; nil when it was done.
func waiting(do func(), limit time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return done
	}
}
