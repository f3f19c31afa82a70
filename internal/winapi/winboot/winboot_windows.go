package winboot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const (
	bootKey   = `SOFTWARE\HozenBoot`
	bootValue = "ID"
	// optionVolatile is REG_OPTION_VOLATILE: the key is kept in memory, so it lives exactly
	// as long as the kernel: through sleep and fast startup, and not through a restart.
	optionVolatile = 1
)

// ID returns the identifier of this start of Windows, in the form of Linux's boot_id;
// empty before [Mark].
func ID() string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, bootKey, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer k.Close()
	s, _, err := k.GetStringValue(bootValue)
	if err != nil {
		return ""
	}
	return s
}

// Mark gives this start of Windows an identifier if it has none, and returns it. Windows
// has no identifier of its own that every account can read and that no change of the
// clock disturbs. Only administrators may.
func Mark() (string, error) {
	if id := ID(); id != "" {
		return id, nil
	}
	path, err := windows.UTF16PtrFromString(bootKey)
	if err != nil {
		return "", err
	}
	var h windows.Handle
	var how uint32
	create := windows.NewLazySystemDLL("advapi32.dll").NewProc("RegCreateKeyExW")
	if r, _, _ := create.Call(uintptr(registry.LOCAL_MACHINE), uintptr(unsafe.Pointer(path)), 0, 0, optionVolatile,
		registry.QUERY_VALUE|registry.SET_VALUE, 0, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&how))); r != 0 {
		return "", fmt.Errorf("mark this start of Windows: %w", windows.Errno(r))
	}
	k := registry.Key(h)
	defer k.Close()
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("mark this start of Windows: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	if err := k.SetStringValue(bootValue, id); err != nil {
		return "", fmt.Errorf("mark this start of Windows: %w", err)
	}
	return id, nil
}

// Read reads what Windows keeps. What cannot be read is left unknown; the error says why.
func Read() (s Start, err error) {
	s.Began = time.Now().Add(-windows.DurationSinceBoot())
	if k, kerr := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Session Manager\Power`, registry.QUERY_VALUE); kerr != nil {
		err = errors.Join(err, fmt.Errorf("read whether fast startup is on: %w", kerr))
	} else {
		n, _, kerr := k.GetIntegerValue("HiberbootEnabled")
		k.Close()
		s.FastStartup, s.FastStartupKnown = n != 0, kerr == nil
	}
	k, kerr := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Windows`, registry.QUERY_VALUE)
	if kerr != nil {
		return s, errors.Join(err, fmt.Errorf("read time of last shutdown: %w", kerr))
	}
	defer k.Close()
	b, _, kerr := k.GetBinaryValue("ShutdownTime")
	if kerr != nil && !errors.Is(kerr, registry.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("read time of last shutdown: %w", kerr))
	}
	s.LastShutdown = filetime(b)
	return s, err
}

// Forget takes the identifier away; there may be none. Only administrators may.
func Forget() error {
	if err := registry.DeleteKey(registry.LOCAL_MACHINE, bootKey); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("forget this start of Windows: %w", err)
	}
	return nil
}
