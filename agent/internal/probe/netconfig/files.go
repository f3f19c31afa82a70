package netconfig

import (
	"bytes"
	"path"
	"strings"

	"hozen/internal/artifact/record"
)

const (
	maxResolv    = 64 << 10
	maxHosts     = 4 << 20
	maxHostLines = 20_000
	maxAlias     = 256 // names of one line that are kept apart; the kernel's own limit is none
)

// parseResolv reads resolv.conf(5). The whole text is kept beside what was understood.
func parseResolv(file string, b []byte, cut bool) record.NetConfig {
	n := record.NetConfig{Type: record.NetDNS, File: file, Cut: cut}
	n.Text, n.TextRaw = record.Text(b)
	for line := range strings.Lines(n.Text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0][0] == '#' || f[0][0] == ';' {
			continue
		}
		switch f[0] {
		case "nameserver":
			n.Nameservers = append(n.Nameservers, f[1])
		case "search", "domain": // the last one counts
			n.Search = f[1:]
		case "options":
			n.Options = append(n.Options, f[1:]...)
		}
	}
	return n
}

// parseHosts reads hosts(5), a record per line that has an address and a name.
func parseHosts(file string, b []byte, cut bool) []record.NetConfig {
	var out []record.NetConfig
	for line := range bytes.Lines(b) {
		text, _, _ := bytes.Cut(line, []byte("#"))
		t, exact := record.Text(text)
		f := strings.Fields(t)
		if len(f) < 2 {
			continue
		}
		if len(out) == maxHostLines {
			cut = true
			break
		}
		names := f[1:]
		out = append(out, record.NetConfig{
			Type: record.NetHosts, File: file, Address: f[0], Names: names[:min(len(names), maxAlias)],
			Cut: len(names) > maxAlias, TextRaw: exact,
		})
	}
	if cut && len(out) > 0 {
		out[len(out)-1].Cut = true
	}
	return out
}

// relative returns the path below the root that a link named name leads to.
func relative(name, target string) string {
	if !strings.HasPrefix(target, "/") {
		target = path.Join(path.Dir(name), target)
	}
	return strings.TrimPrefix(path.Clean("/"+target), "/")
}
