package evt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Codes of winerror.h.
const (
	evtChannelNotFound = windows.Errno(15007) // ERROR_EVT_CHANNEL_NOT_FOUND
	evtNoAccess        = windows.Errno(5)
)

// Export has the service of the event log write all events of a channel, such as "Security",
// into a new file (EvtExportLog). It returns when that is done. The error wraps
// errors.ErrUnsupported where Windows has no event log of this kind (Wine).
func Export(channel, file string) error {
	export := windows.NewLazySystemDLL("wevtapi.dll").NewProc("EvtExportLog")
	if err := export.Find(); err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if underWine() {
		return errWine
	}
	var p [3]*uint16
	for i, s := range []string{channel, "*", file} {
		var err error
		if p[i], err = windows.UTF16PtrFromString(s); err != nil {
			return fmt.Errorf("export event log: %w", err)
		}
	}
	const channelPath = 1 // EvtExportLogChannelPath
	r, _, err := export.Call(0, uintptr(unsafe.Pointer(p[0])), uintptr(unsafe.Pointer(p[1])), uintptr(unsafe.Pointer(p[2])), channelPath)
	runtime.KeepAlive(&p)
	switch {
	case r != 0:
		return nil
	case errors.Is(err, evtChannelNotFound):
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case errors.Is(err, evtNoAccess):
		err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
	}
	return fmt.Errorf("export event log %s: %w", channel, err)
}

var errWine = fmt.Errorf("%w: this is Wine, which has no event log", errors.ErrUnsupported)

func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
