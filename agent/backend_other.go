//go:build !linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/sever"
	"hozen/agent/internal/localapi"
)

// base is the folder of everything that the agent keeps.
func base() string {
	if dir := os.Getenv("ProgramData"); dir != "" {
		return filepath.Join(dir, "Hozen")
	}
	return "/var/lib/hozen"
}

func defaultConfig() string { return filepath.Join(base(), "agent.toml") }
func defaultState() string  { return filepath.Join(base(), "agent") }
func defaultSocket() string {
	if runtime.GOOS == "windows" {
		return localapi.DefaultPipe
	}
	return filepath.Join(base(), "run", "agent.sock")
}

func connections() isolate.Connections { return sever.New(sever.Config{}) }

// marker does nothing where sockets have no marks.
type marker struct{}

func (*marker) control(string, string, syscall.RawConn) error { return nil }
func (*marker) mark() uint32                                  { return 0 }
