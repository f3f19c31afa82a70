package acquire

import (
	"os"

	"golang.org/x/sys/windows"
)

// sinceBoot reads GetTickCount64: sleep included, steps of about 16 ms.
func sinceBoot() int64 { return int64(windows.DurationSinceBoot()) }

// bootID is empty: Windows has no identifier of a boot that every account can read.
func bootID() string { return "" }

func executable() (string, error) { return os.Executable() }
