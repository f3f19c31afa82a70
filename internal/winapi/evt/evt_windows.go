package evt

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	channel = "System"
	query   = "*[System[Provider[@Name='User32'] and (EventID=1074 or EventID=1075)]]"

	toFuture  = 1 // EvtSubscribeToFutureEvents
	renderXML = 1 // EvtRenderEventXml
)

// Watch calls told with every event until ctx ends. The error wraps
// errors.ErrUnsupported where Windows has no event log of this kind (Wine).
func Watch(ctx context.Context, told func(Shutdown)) error {
	api := windows.NewLazySystemDLL("wevtapi.dll")
	subscribe, next, render, closeIt := api.NewProc("EvtSubscribe"), api.NewProc("EvtNext"), api.NewProc("EvtRender"), api.NewProc("EvtClose")
	for _, p := range []*windows.LazyProc{subscribe, next, render, closeIt} {
		if err := p.Find(); err != nil {
			return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	if underWine() {
		return errWine
	}
	signal, err := windows.CreateEvent(nil, 1, 1, nil) // signalled as long as there is something
	if err != nil {
		return fmt.Errorf("watch event log: %w", err)
	}
	defer windows.CloseHandle(signal)
	name, err := windows.UTF16PtrFromString(channel)
	if err != nil {
		return err
	}
	which, err := windows.UTF16PtrFromString(query)
	if err != nil {
		return err
	}
	s, _, err := subscribe.Call(0, uintptr(signal), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(which)), 0, 0, 0, toFuture)
	if s == 0 {
		return fmt.Errorf("watch event log: %w", err)
	}
	defer func() { _, _, _ = closeIt.Call(s) }()
	stop := context.AfterFunc(ctx, func() { _ = windows.SetEvent(signal) })
	defer stop()
	for ctx.Err() == nil {
		if _, err := windows.WaitForSingleObject(signal, uint32(time.Minute/time.Millisecond)); err != nil {
			return fmt.Errorf("wait for event log: %w", err)
		}
		// First: what comes while these are taken must wake the next wait.
		_ = windows.ResetEvent(signal)
		for ctx.Err() == nil {
			var event uintptr
			var n uint32
			r, _, err := next.Call(s, 1, uintptr(unsafe.Pointer(&event)), 0, 0, uintptr(unsafe.Pointer(&n)))
			if r == 0 && !isEnd(err) {
				return fmt.Errorf("read event log: %w", err)
			}
			if r == 0 || n == 0 {
				break // no more for now
			}
			if xml, err := rendered(render, event); err == nil {
				if e, err := Parse(xml); err == nil {
					told(e)
				}
			}
			_, _, _ = closeIt.Call(event)
		}
	}
	return nil
}

// isEnd reports whether EvtNext only means that there is no more for now.
func isEnd(err error) bool {
	return errors.Is(err, windows.ERROR_NO_MORE_ITEMS) || errors.Is(err, windows.WAIT_TIMEOUT) || errors.Is(err, windows.ERROR_TIMEOUT)
}

func rendered(render *windows.LazyProc, event uintptr) (string, error) {
	b := make([]uint16, maxXML/2)
	var used, properties uint32
	if r, _, err := render.Call(0, event, renderXML, uintptr(len(b)*2), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&used)), uintptr(unsafe.Pointer(&properties))); r == 0 {
		return "", fmt.Errorf("render event: %w", err)
	}
	return windows.UTF16ToString(b), nil
}
