package winsys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// The libraries of Windows, which are loaded from its own folder only, when first used.
var (
	advapi32 = windows.NewLazySystemDLL("advapi32.dll")
	dbghelp  = windows.NewLazySystemDLL("dbghelp.dll")
	dnsapi   = windows.NewLazySystemDLL("dnsapi.dll")
	iphlpapi = windows.NewLazySystemDLL("iphlpapi.dll")
	kernel32 = windows.NewLazySystemDLL("kernel32.dll")
	netapi32 = windows.NewLazySystemDLL("netapi32.dll")
	ntdll    = windows.NewLazySystemDLL("ntdll.dll")
	psapi    = windows.NewLazySystemDLL("psapi.dll")
	secur32  = windows.NewLazySystemDLL("secur32.dll")
	wintrust = windows.NewLazySystemDLL("wintrust.dll")
	wtsapi32 = windows.NewLazySystemDLL("wtsapi32.dll")
)

// find returns a function of a library; the error wraps errors.ErrUnsupported where this
// Windows has none.
func find(dll *windows.LazyDLL, name string) (*windows.LazyProc, error) {
	p := dll.NewProc(name)
	if err := p.Find(); err != nil {
		return nil, fmt.Errorf("find %s: %w: %w", name, errors.ErrUnsupported, err)
	}
	return p, nil
}
