package winboot

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// reason is "other, planned" (SHTDN_REASON_MAJOR_OTHER | SHTDN_REASON_FLAG_PLANNED).
const reason = 0x80000000

// ShutDown has Windows end, by the way of a full shutdown also where fast startup is on
// (InitiateSystemShutdownEx): programs are told and then ended, services get their time.
// Whoever asks needs the privilege to shut down.
func ShutDown(text string, reboot bool) error {
	var t windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &t); err != nil {
		return fmt.Errorf("shut Windows down: %w", err)
	}
	defer t.Close()
	name, err := windows.UTF16PtrFromString("SeShutdownPrivilege")
	if err != nil {
		return err
	}
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	if err := windows.LookupPrivilegeValue(nil, name, &p.Privileges[0].Luid); err != nil {
		return fmt.Errorf("shut Windows down: %w", err)
	}
	if err := windows.AdjustTokenPrivileges(t, false, &p, 0, nil, nil); err != nil {
		return fmt.Errorf("shut Windows down: %w", err)
	}
	message, err := windows.UTF16PtrFromString(text)
	if err != nil {
		return err
	}
	const force = true // a program that asks its user something would keep the PC on
	if err := windows.InitiateSystemShutdownEx(nil, message, 0, force, reboot, reason); err != nil {
		return fmt.Errorf("shut Windows down: %w", err)
	}
	return nil
}
