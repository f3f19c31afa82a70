// Package buildinfo says which build this is: version, commit, build time. The
// linker sets the values; it knows nothing of what the programs do.
package buildinfo

import (
	"runtime"
	"time"
)

// Set at link time by the Makefile with -ldflags "-X hozen/internal/buildinfo.version=…".
var (
	version = "0.0.0-dev"
	commit  = "unknown"
	built   = "" // RFC 3339, UTC, time of the commit
)

// Info describes a build.
type Info struct {
	Version string    // semantic version, without "v"
	Commit  string    // abbreviated commit, "-dirty" when the tree had changes
	Built   time.Time // time of the commit; zero when unknown
	Go      string    // version of the Go toolchain
	OS      string
	Arch    string
}

// Get returns the description of the running program.
func Get() Info {
	t, _ := time.Parse(time.RFC3339, built) // zero when not set
	return Info{Version: version, Commit: commit, Built: t, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}
