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

// Export has the service of the event log write the events of a channel, such as "Security",
// that a query selects ("*" for all) into a new file (EvtExportLog). It returns when that is
// done. The error wraps errors.ErrUnsupported where Windows has no event log of this kind (Wine).
func Export(channel, query, file string) error {
	export := windows.NewLazySystemDLL("wevtapi.dll").NewProc("EvtExportLog")
	if err := export.Find(); err != nil {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	if underWine() {
		return errWine
	}
	var p [3]*uint16
	for i, s := range []string{channel, query, file} {
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

// Measure asks the service how large the log of a channel is (EvtOpenLog, EvtGetLogInfo). The
// error wraps errors.ErrUnsupported as that of [Export] does.
func Measure(channel string) (l Log, err error) {
	api := windows.NewLazySystemDLL("wevtapi.dll")
	open, info, closeIt := api.NewProc("EvtOpenLog"), api.NewProc("EvtGetLogInfo"), api.NewProc("EvtClose")
	for _, p := range []*windows.LazyProc{open, info, closeIt} {
		if err := p.Find(); err != nil {
			return l, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	if underWine() {
		return l, errWine
	}
	name, err := windows.UTF16PtrFromString(channel)
	if err != nil {
		return l, fmt.Errorf("measure event log: %w", err)
	}
	const channelPath = 1 // EvtOpenChannelPath
	h, _, err := open.Call(0, uintptr(unsafe.Pointer(name)), channelPath)
	runtime.KeepAlive(name)
	if h == 0 {
		return l, fmt.Errorf("measure event log %s: %w", channel, err)
	}
	defer func() { _, _, _ = closeIt.Call(h) }()
	// EVT_LOG_PROPERTY_ID: EvtLogFileSize, EvtLogNumberOfLogRecords, EvtLogOldestRecordNumber
	var numbers [3]uint64
	for i, property := range []uintptr{3, 5, 6} {
		// EVT_VARIANT: a value, its count and its type.
		v := new(struct {
			value       uint64
			count, kind uint32
		})
		used := new(uint32)
		r, _, err := info.Call(h, property, unsafe.Sizeof(*v), uintptr(unsafe.Pointer(v)), uintptr(unsafe.Pointer(used)))
		const isUint64 = 10 // EvtVarTypeUInt64
		if r == 0 || v.kind != isUint64 {
			return l, fmt.Errorf("measure event log %s: property %d of type %d: %w", channel, property, v.kind, err)
		}
		numbers[i] = v.value
	}
	return Log{Size: int64(numbers[0]), Count: numbers[1], Oldest: numbers[2]}, nil
}

var errWine = fmt.Errorf("%w: this is Wine, which has no event log", errors.ErrUnsupported)

func underWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
