package procmap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact/record"
)

// module is what is loaded into a process of Windows.
type module struct {
	base, size uint64
	path       string
	exact      []byte
}

// region is memory of a process that can be executed and is no part of a loaded module's file.
type region struct {
	base, size uint64
	protect    uint32 // PAGE_… (memoryapi.h)
	file       string // that is mapped there, as the kernel names it; empty for none
}

var errEnded = errors.New("the process has ended")

// teller tells of one process; the errors wrap errEnded and fs.ErrPermission.
type teller func(p *record.Process) ([]module, []region, error)

// each writes a line for every process that tells of itself.
func each(ctx context.Context, list []*record.Process, tell teller, w probe.Writer) error {
	var denied, broken, unreached int64
	var first error
	for i, p := range list {
		if ctx.Err() != nil {
			unreached = int64(len(list) - i)
			break
		}
		if p.KernelOnly {
			continue
		}
		modules, regions, err := tell(p)
		switch {
		case errors.Is(err, errEnded):
			continue
		case errors.Is(err, fs.ErrPermission):
			denied++
		case err != nil:
			broken++
		}
		if err != nil && first == nil {
			first = fmt.Errorf("process %d: %w", p.PID, err)
		}
		if len(modules)+len(regions) == 0 {
			continue
		}
		if err := w.Write(line(p, modules, regions)); err != nil {
			return err
		}
	}
	if denied+broken+unreached == 0 {
		return nil
	}
	return &probe.Missing{Skipped: denied + broken + unreached, Err: fmt.Errorf("read modules: %d processes refused, %d not whole, %d not reached: %w",
		denied, broken, unreached, cmp.Or(ctx.Err(), first))}
}

// line makes a record: modules by their address, then what has a mark.
func line(p *record.Process, modules []module, regions []region) *record.ProcMap {
	m := &record.ProcMap{PID: p.PID, StartTicks: p.StartTicks, Comm: p.Comm, Maps: []record.Mapping{}}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.base, b.base) })
	add := func(x record.Mapping) {
		if len(m.Maps) == maxMaps {
			m.Cut = true
			return
		}
		if x.Mark != "" {
			m.Marked++
		}
		m.Maps = append(m.Maps, x)
	}
	for _, l := range modules {
		m.Objects = append(m.Objects, record.MapObject{Path: l.path, PathRaw: l.exact, Exec: true})
		add(record.Mapping{Start: record.Hex(l.base), End: record.Hex(l.base + l.size), Object: len(m.Objects)})
	}
	for _, r := range regions {
		x := record.Mapping{Start: record.Hex(r.base), End: record.Hex(r.base + r.size), Perms: protection(r.protect), Name: r.file}
		switch writable := x.Perms[1] == 'w'; {
		case writable:
			x.Mark = record.MarkWritable
		case r.file == "":
			x.Mark = record.MarkAnonymous
		}
		add(x)
	}
	return m
}

// protection writes a protection of executable pages as that of the other systems is written.
func protection(protect uint32) string {
	const execute, executeRead, executeReadWrite, executeWriteCopy = 0x10, 0x20, 0x40, 0x80
	switch protect & 0xff {
	case execute:
		return "--xp"
	case executeRead:
		return "r-xp"
	case executeReadWrite, executeWriteCopy:
		return "rwxp"
	}
	return "---p"
}
