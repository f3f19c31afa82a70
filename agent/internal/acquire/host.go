package acquire

import (
	"os"
	"runtime"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/buildinfo"
	"hozen/internal/digest"
)

// SystemClock reads both clocks of the endpoint.
func SystemClock() artifact.Instant {
	return artifact.Instant{Wall: time.Now().UTC(), BootNS: sinceBoot()}
}

// ThisHost describes the endpoint. What cannot be known is left empty.
func ThisHost() artifact.Host {
	name, _ := os.Hostname() // a nameless host is still a host
	return artifact.Host{Hostname: name, OS: runtime.GOOS, Arch: runtime.GOARCH, BootID: bootID()}
}

// ThisTool describes the running program, its executable file included.
func ThisTool() artifact.Tool {
	t := thisBuild()
	t.SHA256 = ownDigest()
	return t
}

// thisBuild is [ThisTool] as far as it can be known without reading a file.
func thisBuild() artifact.Tool {
	b := buildinfo.Get()
	return artifact.Tool{Name: "hozen-agent", Version: b.Version, Commit: b.Commit}
}

// ownDigest returns "" when the executable cannot be read.
func ownDigest() string {
	path, err := executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	d, _, err := digest.OfReader(f)
	if err != nil {
		return ""
	}
	return d.String()
}
