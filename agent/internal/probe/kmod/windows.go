package kmod

import (
	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// driver makes a record of what is loaded into the kernel of Windows.
func driver(d *winbytes.Driver) *record.KernelModule {
	m := &record.KernelModule{Size: uint64(d.Size), State: "live"}
	m.Name, m.NameRaw = record.Text(d.Path[d.Name:])
	m.Path, m.PathRaw = record.Text(d.Path)
	return m
}
