package wts

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shown is what WTSSendMessage was asked for, as it reads its arguments.
type shown struct {
	server, session, style, seconds, wait uintptr
	title, text                           string
}

// TestMessage: a function with the form of WTSSendMessage reads what was meant, and what it
// answers is understood.
func TestMessage(t *testing.T) {
	var got shown
	answer, why := uintptr(1), windows.ERROR_SUCCESS
	text := func(p *uint16, size uintptr) string { return windows.UTF16ToString(unsafe.Slice(p, size/2)) }
	function := windows.NewCallback(func(server, session uintptr, title *uint16, titleSize uintptr, body *uint16, size, style, seconds uintptr, reply *uint32, wait uintptr) uintptr {
		got = shown{server, session, style, seconds, wait, text(title, titleSize), text(body, size)}
		*reply = 1
		return answer
	})
	call := func(a ...uintptr) (uintptr, uintptr, error) {
		r, r2, _ := syscall.SyscallN(function, a...)
		return r, r2, why
	}
	want := shown{session: 3, style: windows.MB_ICONWARNING | windows.MB_SETFOREGROUND | windows.MB_TOPMOST, seconds: 60, title: "【ネットワーク隔離中】", text: "電話してください: 03-1234-5678\n𠮷"}
	if err := message(call, 3, want.title, want.text, Warning, time.Minute); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	answer, why = 0, windows.ERROR_ACCESS_DENIED
	if err := message(call, 3, "t", "", Notice, 0); !errors.Is(err, windows.ERROR_ACCESS_DENIED) || got.style != 0 || got.seconds != 0 || got.text != "" {
		t.Errorf("%+v, %v", got, err)
	}
	why = windows.ERROR_SUCCESS
	if err := message(call, 3, "t", "b", Notice, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no answer and no error: %v", err)
	}
	if err := message(call, 3, "t\x00", "b", Notice, 0); err == nil || fmt.Sprint(err) == "" {
		t.Error("a title with a zero")
	}
}
