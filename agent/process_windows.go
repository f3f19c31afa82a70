package main

import (
	"embed"
	"errors"
	"flag"
	"io/fs"
	"os"
	"strings"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/probe/procdump"
	"hozen/internal/i18n"
	"hozen/internal/profile"
)

// findProfile finds the profile of one process.
func findProfile(name string) (profile.Profile, error) {
	if name != profile.Process && !strings.HasPrefix(name, profile.Process+".") {
		return profile.Find(name)
	}
	_, _, err := profile.ParseProcess(name)
	return profile.OfProcess(), err
}

// chosenProcess is the process whose memory the profile process takes, on the command line.
type chosenProcess struct {
	pid  uint
	from uint64
}

func (c *chosenProcess) flags(set *flag.FlagSet) {
	set.UintVar(&c.pid, "pid", 0, "")
	set.Uint64Var(&c.from, "start-ticks", 0, "")
}

// of returns the name of the profile with the process in it.
func (c chosenProcess) of(name string, p i18n.Printer) (string, error) {
	switch {
	case name == profile.Process && c.pid > 0 && c.pid < 1<<32:
		return profile.ProcessName(uint32(c.pid), c.from), nil
	case name == profile.Process:
		return name, errors.New(p.Text("acquire.want_pid"))
	case c.pid != 0 || c.from != 0:
		return name, errors.New(p.Text("acquire.pid_only"))
	}
	return name, nil
}

// dumpLimit is for a process with much memory on a slow disk.
const dumpLimit = 15 * time.Minute

// dump returns the probes of the memory of the process that a profile names; none of others.
func (p *profiles) dump(name string) []acquire.Planned {
	pid, ticks, err := profile.ParseProcess(name)
	if err != nil {
		return nil
	}
	room := p.room
	if room == "" {
		room = os.TempDir()
	}
	d := procdump.New(procdump.Target{PID: int(pid), StartTicks: ticks}, procdump.PC{Room: room})
	return []acquire.Planned{planned(dumpLimit, d.Memory()), planned(time.Second, d.Told())}
}

//go:embed translations_windows
var windowsTranslations embed.FS

// withWindowsWords returns the texts of all agents, and those that this system's alone has.
func withWindowsWords(all fs.FS) (i18n.Catalogue, error) {
	c, err := i18n.Load(all)
	if err != nil {
		return c, err
	}
	sub, err := fs.Sub(windowsTranslations, "translations_windows")
	if err != nil {
		return c, err
	}
	more, err := i18n.Load(sub)
	if err != nil {
		return c, err
	}
	return c.With(more)
}
