//go:build !windows

package main

import (
	"flag"
	"io/fs"

	"hozen/agent/internal/acquire"
	"hozen/internal/i18n"
	"hozen/internal/profile"
)

// chosenProcess: this system's agent dumps none. Nothing of it is in the program: what is asked
// for Windows alone is left out.
type chosenProcess struct{}

func (chosenProcess) flags(*flag.FlagSet)                            {}
func (chosenProcess) of(name string, _ i18n.Printer) (string, error) { return name, nil }
func (*profiles) dump(string) []acquire.Planned                      { return nil }

func findProfile(name string) (profile.Profile, error) { return profile.Find(name) }

func withWindowsWords(all fs.FS) (i18n.Catalogue, error) { return i18n.Load(all) }
