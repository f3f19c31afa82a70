package endsession

import (
	"context"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// first is the highest level that programs may choose: who has it is asked first
// (SetProcessShutdownParameters, "300-3FF: application reserved first shutdown range").
const first = 0x3ff

const (
	wsOverlapped = 0x00cf0000
	wmQuit       = 0x12
)

// windowClass is WNDCLASSEXW.
type windowClass struct {
	size, style      uint32
	proc             uintptr
	class, window    int32
	instance         windows.Handle
	icon, cursor, bg windows.Handle
	menu, name       *uint16
	small            windows.Handle
}

// message is MSG.
type message struct {
	window  uintptr
	message uint32
	w, l    uintptr
	time    uint32
	x, y    int32
	private uint32
}

// reasonAfter is when a session that still waits says why: what is over before needs no
// words, and a screen that flashes frightens.
const reasonAfter = time.Second

// Run listens until ctx ends, and calls told when the session is about to end. Windows
// waits until it returns, but for no more than some five seconds (HungAppTimeout); reason
// is what it may show meanwhile, where it shows who keeps the session
// (ShutdownBlockReasonCreate, at most 256 characters). It may be called once in a process.
func Run(ctx context.Context, reason string, told func(Ending)) error {
	runtime.LockOSThread() // a window is its thread's
	defer runtime.UnlockOSThread()
	user, kernel := windows.NewLazySystemDLL("user32.dll"), windows.NewLazySystemDLL("kernel32.dll")
	defaultProc := user.NewProc("DefWindowProcW")
	if r, _, err := kernel.NewProc("SetProcessShutdownParameters").Call(first, 0); r == 0 {
		return fmt.Errorf("ask to be told first: %w", err)
	}
	var module windows.Handle
	if err := windows.GetModuleHandleEx(0, nil, &module); err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	name, err := windows.UTF16PtrFromString("HozenSession")
	if err != nil {
		return err
	}
	why, err := windows.UTF16PtrFromString(reason)
	if err != nil {
		return err
	}
	say, unsay := user.NewProc("ShutdownBlockReasonCreate"), user.NewProc("ShutdownBlockReasonDestroy")
	class := windowClass{instance: module, name: name, proc: windows.NewCallback(func(window uintptr, m uint32, w, l uintptr) uintptr {
		if e, ok := endingOf(m, w, l); ok {
			late := waiting(func() { told(e) }, reasonAfter)
			if late != nil { // only the window's own thread may say so
				_, _, _ = say.Call(window, uintptr(unsafe.Pointer(why)))
				<-late
				_, _, _ = unsay.Call(window)
			}
		}
		switch m {
		case wmQueryEndSession:
			return 1 // it may end: nobody is held up beyond what told took
		case wmEndSession:
			return 0
		}
		r, _, _ := defaultProc.Call(window, uintptr(m), w, l)
		return r
	})}
	class.size = uint32(unsafe.Sizeof(class))
	if r, _, err := user.NewProc("RegisterClassExW").Call(uintptr(unsafe.Pointer(&class))); r == 0 {
		return fmt.Errorf("register window class: %w", err)
	}
	// A message-only window is not told of endings; this one is only never shown.
	if r, _, err := user.NewProc("CreateWindowExW").Call(0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(name)), wsOverlapped, 0, 0, 10, 10, 0, 0, uintptr(module), 0); r == 0 {
		return fmt.Errorf("make window: %w", err)
	}
	thread := windows.GetCurrentThreadId()
	post := user.NewProc("PostThreadMessageW")
	stop := context.AfterFunc(ctx, func() { _, _, _ = post.Call(uintptr(thread), wmQuit, 0, 0) })
	defer stop()
	get, dispatch := user.NewProc("GetMessageW"), user.NewProc("DispatchMessageW")
	for {
		var m message
		r, _, err := get.Call(uintptr(unsafe.Pointer(&m)), 0, 0, 0)
		switch int32(r) {
		case 0:
			return nil
		case -1:
			return fmt.Errorf("wait for messages: %w", err)
		}
		_, _, _ = dispatch.Call(uintptr(unsafe.Pointer(&m)))
	}
}
