package acquire

import (
	"os"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/winboot"
)

// sinceBoot reads GetTickCount64: sleep included, steps of about 16 ms.
func sinceBoot() int64 { return int64(windows.DurationSinceBoot()) }

// bootID is the name that the agent's service gave to this start of Windows; empty
// before, for Windows has none that every account can read.
func bootID() string { return winboot.ID() }

func executable() (string, error) { return os.Executable() }
