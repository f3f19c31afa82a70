//go:build !linux && !windows

package acquire

import "os"

func sinceBoot() int64 { return 0 }

func bootID() string { return "" }

func executable() (string, error) { return os.Executable() }
