package namespace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

const maxLayers = 256

// parseLink reads what a link of /proc/PID/ns, a descriptor or a mount of nsfs is named:
// "net:[4026531840]". kind is empty when it is none.
func parseLink(s string) (kind string, inode uint64) {
	kind, rest, ok := strings.Cut(s, ":[")
	if !ok || !strings.HasSuffix(rest, "]") || !slices.Contains(kinds(), kind) {
		return "", 0
	}
	v, ok := procfs.Number([]byte(rest[:len(rest)-1]))
	if !ok || v == 0 {
		return "", 0
	}
	return kind, v
}

// mounted adds where namespaces are mounted, from a text of mountinfo.
func (t *table) mounted(b []byte) {
	for len(b) > 0 {
		var line []byte
		line, b = procfs.Line(b)
		m, ok := procfs.ParseMount(line)
		if !ok || string(m.FSType) != "nsfs" {
			continue
		}
		if kind, inode := parseLink(string(m.Root)); kind != "" {
			n := t.get(kind, inode)
			if len(n.Mounts) < maxHolds {
				add(&n.Mounts, &n.MountsRaw, m.Point)
			}
		}
	}
}

// add appends a name to a list, whose bytes are kept from the first one on that is not UTF-8.
func add(list *[]string, raw *[][]byte, name []byte) {
	text, exact := record.Text(name)
	if exact != nil && *raw == nil {
		for _, before := range *list {
			*raw = append(*raw, []byte(before))
		}
	}
	if *list = append(*list, text); exact != nil || *raw != nil {
		*raw = append(*raw, bytes.Clone(name))
	}
}

// whole cuts a text that is too long behind its last whole line, and says so.
func whole(b []byte, limit int) (_ []byte, problem string) {
	if len(b) <= limit {
		return b, ""
	}
	return b[:bytes.LastIndexByte(b[:limit], '\n')+1], "more mounts than are read"
}

// root tells the root of a mount namespace, from a member's text of mountinfo.
func root(b []byte, n *record.Namespace) {
	for len(b) > 0 {
		var line []byte
		line, b = procfs.Line(b)
		m, ok := procfs.ParseMount(line)
		if !ok {
			continue
		}
		n.MountsSeen++
		if string(m.Point) != "/" { // of several, the last is on top
			continue
		}
		n.RootFS, _ = record.Text(m.FSType)
		n.RootSource, n.RootSourceRaw = record.Text(m.Source)
		n.RootPath, n.RootPathRaw = record.Text(m.Root)
		n.RootDev = fmt.Sprintf("%d:%d", m.Major, m.Minor)
		n.Lower, n.Upper, n.Work = nil, "", ""
		n.LowerRaw, n.UpperRaw, n.WorkRaw = nil, nil, nil
		if string(m.FSType) == "overlay" || string(m.FSType) == "fuse.fuse-overlayfs" {
			layers(m.SuperOptions, n)
		}
	}
}

// layers reads the folders of an overlay from its options. A colon within a name has a
// backslash before it; the kernel writes blanks and backslashes as octal numbers besides.
func layers(options []byte, n *record.Namespace) {
	for len(options) > 0 {
		var option []byte
		option, options, _ = bytes.Cut(options, []byte{','})
		name, value, _ := bytes.Cut(option, []byte{'='})
		value = procfs.Unescape(value)
		switch string(name) {
		case "lowerdir", "lowerdir+", "datadir+":
			for len(value) > 0 && len(n.Lower) < maxLayers {
				var one []byte
				one, value = untilColon(value)
				if len(one) > 0 {
					add(&n.Lower, &n.LowerRaw, one)
				}
			}
		case "upperdir":
			n.Upper, n.UpperRaw = record.Text(value)
		case "workdir":
			n.Work, n.WorkRaw = record.Text(value)
		}
	}
}

func untilColon(b []byte) (one, rest []byte) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '\\' && i+1 < len(b):
			i++
			one = append(one, b[i])
		case b[i] == ':':
			return one, b[i+1:]
		default:
			one = append(one, b[i])
		}
	}
	return one, nil
}
