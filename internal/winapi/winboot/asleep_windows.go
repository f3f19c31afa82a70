package winboot

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Asleep is how much of the time since Windows started the PC slept or was hibernated: what
// GetTickCount64 counts and QueryUnbiasedInterruptTime leaves out. It is 0 where Windows
// does not say, and right to some 16 ms.
func Asleep() time.Duration {
	f := windows.NewLazySystemDLL("kernel32.dll").NewProc("QueryUnbiasedInterruptTime")
	if f.Find() != nil {
		return 0
	}
	var awake uint64 // in units of 100 ns
	if ok, _, _ := f.Call(uintptr(unsafe.Pointer(&awake))); ok == 0 {
		return 0
	}
	return max(0, windows.DurationSinceBoot()-100*time.Duration(awake))
}
