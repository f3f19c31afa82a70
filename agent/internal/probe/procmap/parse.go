package procmap

import (
	"bytes"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// object is what makes two mappings ones of the same file. The device and the path are
// kept as texts of the input.
type object struct {
	dev   string
	inode uint64
	path  string
}

// Parse reads a text of memory maps into p; text makes strings of bytes. It stops after
// limit ranges and says so. bad is how many lines were none.
func Parse(p *record.ProcMap, b []byte, limit int, text func([]byte) (string, []byte)) (bad int) {
	known := make(map[object]int)
	p.Maps = make([]record.Mapping, 0, bytes.Count(b, []byte{'\n'}))
	for len(b) > 0 {
		m, rest, ok := procfs.NextMapping(b)
		b = rest
		if !ok {
			bad++
			continue
		}
		if len(p.Maps) >= limit {
			p.Cut = true
			return bad
		}
		r := record.Mapping{Start: record.Hex(m.Start), End: record.Hex(m.End), Perms: perms(m.Perms), Offset: record.Hex(m.Offset)}
		var o *record.MapObject
		if m.Inode != 0 {
			r.Object = objectOf(p, known, &m, text)
			o = &p.Objects[r.Object-1]
		} else {
			r.Name, _ = text(m.Path)
		}
		if r.Mark = mark(m.Perms, o, m.Path); r.Mark != "" {
			p.Marked++
		}
		if o != nil && m.Perms[2] == 'x' {
			o.Exec = true
		}
		p.Maps = append(p.Maps, r)
	}
	return bad
}

// objectOf returns the number of m's file, from 1.
func objectOf(p *record.ProcMap, known map[object]int, m *procfs.Mapping, text func([]byte) (string, []byte)) int {
	dev, _ := text(m.Dev)
	path, raw := text(m.Path)
	k := object{dev, m.Inode, path}
	if at, ok := known[k]; ok {
		return at
	}
	o := record.MapObject{Dev: dev, Inode: m.Inode, Path: path, PathRaw: raw}
	if name, marked := procfs.CutDeleted(m.Path); marked {
		o.Deleted = true
		o.Path, o.PathRaw = text(name)
		o.MemFD = procfs.IsMemFD(name)
	}
	p.Objects = append(p.Objects, o)
	known[k] = len(p.Objects)
	return len(p.Objects)
}

// mark says why executable memory is worth a look; o is its file or nil.
func mark(perms []byte, o *record.MapObject, name []byte) string {
	if perms[2] != 'x' {
		return ""
	}
	switch {
	case o != nil && o.MemFD:
		return record.MarkMemFD
	case o != nil && o.Deleted:
		return record.MarkDeleted
	case perms[1] == 'w':
		return record.MarkWritable
	case o == nil && !kernels(name):
		return record.MarkAnonymous
	}
	return ""
}

// kernels reports whether the kernel itself put the range there (vdso(7)).
func kernels(name []byte) bool {
	switch string(name) {
	case "[vdso]", "[vsyscall]", "[uprobes]", "[sigpage]", "[vectors]":
		return true
	}
	return false
}

// perms returns the usual rights without making a text of them.
func perms(b []byte) string {
	switch string(b) {
	case "r--p":
		return "r--p"
	case "r-xp":
		return "r-xp"
	case "rw-p":
		return "rw-p"
	case "---p":
		return "---p"
	case "rw-s":
		return "rw-s"
	case "r--s":
		return "r--s"
	}
	s, _ := record.Text(b)
	return s
}
