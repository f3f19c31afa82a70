package evt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	pastQuery = "*[System[(Provider[@Name='User32'] and EventID=1074) or (Provider[@Name='EventLog'] and (EventID=6006 or EventID=6008)) or (Provider[@Name='Microsoft-Windows-Kernel-Power'] and EventID=41)]]"
	// pastMost is how many are read, the newest first: those of the last few starts.
	pastMost = 32
	pastWait = 2000 // milliseconds, for each
)

// ReadPast reads the newest events that tell how starts of Windows ended, the oldest of them
// first (EvtQuery). The error wraps errors.ErrUnsupported where Windows has no event log of
// this kind (Wine).
func ReadPast() ([]Past, error) {
	api := windows.NewLazySystemDLL("wevtapi.dll")
	query, next, render, closeIt := api.NewProc("EvtQuery"), api.NewProc("EvtNext"), api.NewProc("EvtRender"), api.NewProc("EvtClose")
	for _, p := range []*windows.LazyProc{query, next, render, closeIt} {
		if err := p.Find(); err != nil {
			return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	if underWine() {
		return nil, errWine
	}
	name, err := windows.UTF16PtrFromString(channel)
	if err != nil {
		return nil, err
	}
	which, err := windows.UTF16PtrFromString(pastQuery)
	if err != nil {
		return nil, err
	}
	const channelPath, reverse = 0x1, 0x200 // EvtQueryChannelPath, EvtQueryReverseDirection
	q, _, err := query.Call(0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(which)), channelPath|reverse)
	runtime.KeepAlive(which)
	if q == 0 {
		if errors.Is(err, evtNoAccess) {
			err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
		return nil, fmt.Errorf("query event log: %w", err)
	}
	defer func() { _, _, _ = closeIt.Call(q) }()
	var xmls []string
	for len(xmls) < pastMost {
		event, n := new(uintptr), new(uint32)
		r, _, err := next.Call(q, 1, uintptr(unsafe.Pointer(event)), pastWait, 0, uintptr(unsafe.Pointer(n)))
		if r == 0 && !isEnd(err) {
			return parseAll(xmls), fmt.Errorf("read event log: %w", err)
		}
		if r == 0 || *n == 0 {
			break
		}
		xml, err := rendered(render, *event)
		_, _, _ = closeIt.Call(*event)
		if err == nil {
			xmls = append(xmls, xml)
		}
	}
	return parseAll(xmls), nil
}
