package main

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// What is below %ProgramData% can be read, and new files made there, by every account,
// unless it is said otherwise (SDDL, https://learn.microsoft.com/windows/win32/secauthz/ace-strings):
// the system and the administrators (BA) may do everything, others (BU) nothing or read.
const (
	closedFolder = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
	openFolder   = closedFolder + "(A;OICI;0x1200a9;;;BU)"
)

// guardState makes the folder of state, and all that is in it, the system's and the
// administrators' alone. The usual one lies in a folder with the configuration, which
// everybody may read. An agent without administrator rights has a folder of its own
// account, which stays as it is.
func guardState(state string) error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return nil
	}
	if state == defaultState() {
		if err := guardFolder(filepath.Dir(state), openFolder); err != nil {
			return err
		}
	}
	return guardFolder(state, closedFolder)
}

func guardFolder(dir, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return fmt.Errorf("guard folder: %w", err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("guard folder: %w", err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("guard folder: %w", err)
	}
	what := windows.SECURITY_INFORMATION(windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION)
	if err := windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, what, owner, nil, dacl, nil); err != nil {
		return fmt.Errorf("guard folder %s: %w", dir, err)
	}
	return nil
}
