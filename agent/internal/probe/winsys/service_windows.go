package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Service is a service or driver.
type Service struct {
	Name, Display []uint16
	Kind, State   uint32
	PID           uint32
	// Start, Command, Account and Library are not known when ConfigErr is set.
	Start            uint32
	Command, Account []uint16
	Library          string
	ConfigErr        error
}

// Services asks the service control manager for all services and drivers.
func (System) Services() ([]Service, error) {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_ENUMERATE_SERVICE|windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, fmt.Errorf("OpenSCManager: %w", told(err))
	}
	defer windows.CloseServiceHandle(m)
	const kinds, all = 0xff, 3 // SERVICE_TYPE_ALL, SERVICE_STATE_ALL
	for size := uint32(256 << 10); size <= maxSockets; size *= 4 {
		words := make([]uint64, size/8)
		var need, n, resume uint32
		err := windows.EnumServicesStatusEx(m, windows.SC_ENUM_PROCESS_INFO, kinds, all, (*byte)(unsafe.Pointer(&words[0])), size, &need, &n, &resume, nil)
		if err == windows.ERROR_MORE_DATA {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("EnumServicesStatusEx: %w", told(err))
		}
		if n == 0 {
			return nil, nil
		}
		var list []Service
		for _, s := range unsafe.Slice((*windows.ENUM_SERVICE_STATUS_PROCESS)(unsafe.Pointer(&words[0])), n) {
			x := Service{Name: units(s.ServiceName), Display: units(s.DisplayName), Kind: s.ServiceStatusProcess.ServiceType, State: s.ServiceStatusProcess.CurrentState, PID: s.ServiceStatusProcess.ProcessId}
			x.ConfigErr = x.configure(m, s.ServiceName)
			list = append(list, x)
		}
		return list, nil
	}
	return nil, fmt.Errorf("EnumServicesStatusEx: the answer is larger than %d bytes", maxSockets)
}

func (s *Service) configure(m windows.Handle, name *uint16) error {
	h, err := windows.OpenService(m, name, windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return fmt.Errorf("OpenService: %w", told(err))
	}
	defer windows.CloseServiceHandle(h)
	for size := uint32(4 << 10); ; size = 64 << 10 {
		words := make([]uint64, size/8)
		c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&words[0]))
		var need uint32
		err := windows.QueryServiceConfig(h, c, size, &need)
		if err == windows.ERROR_INSUFFICIENT_BUFFER && size < 64<<10 {
			continue
		}
		if err != nil {
			return fmt.Errorf("QueryServiceConfig: %w", told(err))
		}
		s.Start, s.Command, s.Account = c.StartType, units(c.BinaryPathName), units(c.ServiceStartName)
		break
	}
	key := `SYSTEM\CurrentControlSet\Services\` + windows.UTF16ToString(s.Name)
	for _, k := range []string{key + `\Parameters`, key} { // either is in use
		if v, err := value(k, "ServiceDll"); err == nil && s.Library == "" {
			s.Library = v
		}
	}
	return nil
}

// value is a text of HKLM, not expanded.
func value(key, name string) (string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
	if err != nil {
		return "", err
	}
	defer k.Close()
	v, _, err := k.GetStringValue(name)
	return v, err
}
