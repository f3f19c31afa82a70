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
			if point, _ := record.Text(m.Point); len(n.Mounts) < maxHolds {
				n.Mounts = append(n.Mounts, point)
			}
		}
	}
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
		n.RootSource, _ = record.Text(m.Source)
		n.RootPath, _ = record.Text(m.Root)
		n.RootDev = fmt.Sprintf("%d:%d", m.Major, m.Minor)
		n.Lower, n.Upper, n.Work = nil, "", ""
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
					text, _ := record.Text(one)
					n.Lower = append(n.Lower, text)
				}
			}
		case "upperdir":
			n.Upper, _ = record.Text(value)
		case "workdir":
			n.Work, _ = record.Text(value)
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
