package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// platform names the version of Windows by its true number (RtlGetVersion).
func platform() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
