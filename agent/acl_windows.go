package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// rightsOf reads who may use a folder.
func rightsOf(path string) (sddl string, err error) {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return "", fmt.Errorf("read who may use %s: %w", path, err)
	}
	return sd.String(), nil
}
