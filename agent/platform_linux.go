package main

import (
	"io"
	"os"
	"strings"
)

// platform names the distribution and its version, such as "debian 12" (os-release(5)).
func platform() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, 64<<10))
		f.Close()
		if err == nil {
			return osRelease(string(b))
		}
	}
	return ""
}

// osRelease reads ID and VERSION_ID.
func osRelease(text string) string {
	var name, version string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return strings.TrimSpace(name + " " + version)
}
