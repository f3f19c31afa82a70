package export

import (
	"archive/zip"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// maxObserved bounds what is held in memory of a package's addresses and hashes.
const (
	maxObserved      = 500_000
	maxObservedBytes = 128 << 20
)

// sighting is one row of iocs.csv but its times and evidence.
type sighting struct {
	typ, value, endpointID, detail, scope string
}

type seen struct {
	evidence    string // number of the first evidence
	acquisition string
	first, last time.Time // of acquisitions, endpoint's clock
	count       int64
}

// observed gathers remote addresses and hashes of executables as they stand in the
// evidence. It judges nothing.
type observed struct {
	rows map[sighting]*seen
	size int64 // bytes of their texts
	more int64 // sightings that found no place
}

func newObserved() *observed { return &observed{rows: map[sighting]*seen{}} }

func (o *observed) line(it *Item, a *Acquisition, members []member) {
	var remote, proto, event string
	var port uint16
	var owners []record.Owner
	switch artifact.Kind(it.Kind) {
	case artifact.KindNetConn, artifact.KindSevered:
		if !into(members, func(name []byte) any {
			switch string(name) {
			case "proto":
				return &proto
			case "remote_addr":
				return &remote
			case "remote_port":
				return &port
			case "owners":
				return &owners
			}
			return nil
		}) || remote == "" {
			return
		}
		comm := ""
		if len(owners) > 0 {
			comm = owners[0].Comm
		}
		o.address(it, a, remote, proto, port, comm)
	case artifact.KindFlight:
		if into(members, func(name []byte) any {
			switch string(name) {
			case "event":
				return &event
			case "proto":
				return &proto
			case "remote_addr":
				return &remote
			case "remote_port":
				return &port
			}
			return nil
		}) && remote != "" && strings.HasPrefix(event, "connection_") {
			o.address(it, a, remote, proto, port, "")
		}
	case artifact.KindExeHash:
		var e record.ExeHash
		if into(members, func(name []byte) any {
			switch string(name) {
			case "path":
				return &e.Path
			case "sha256":
				return &e.SHA256
			}
			return nil
		}) && e.SHA256 != "" {
			o.add(it, a, sighting{"sha256", e.SHA256, a.EndpointID, e.Path, ""})
		}
	}
}

func (o *observed) address(it *Item, a *Acquisition, addr, proto string, port uint16, comm string) {
	detail := strings.TrimSpace(proto + " " + strconv.Itoa(int(port)) + " " + comm)
	o.add(it, a, sighting{"ip", addr, a.EndpointID, detail, reach(addr)})
}

// reach says what kind of address it is, by the registries of special addresses
// (RFC 6890).
func reach(addr string) string {
	ip, err := netip.ParseAddr(addr)
	switch ip = ip.Unmap(); {
	case err != nil:
		return "unknown"
	case ip.IsLoopback():
		return "loopback"
	case ip.IsUnspecified():
		return "unspecified"
	case ip.IsMulticast():
		return "multicast"
	case ip.IsLinkLocalUnicast():
		return "link_local"
	case ip.IsPrivate():
		return "private"
	}
	return "global"
}

func (o *observed) add(it *Item, a *Acquisition, s sighting) {
	r := o.rows[s]
	if r == nil {
		n := int64(len(s.typ) + len(s.value) + len(s.detail))
		if len(o.rows) == maxObserved || o.size+n > maxObservedBytes {
			o.more++
			return
		}
		o.size += n
		r = &seen{evidence: it.Number, acquisition: a.ID, first: a.StartedAt, last: a.StartedAt}
		o.rows[s] = r
	}
	r.count++
	if a.StartedAt.Before(r.first) {
		r.first, r.evidence, r.acquisition = a.StartedAt, it.Number, a.ID
	}
	if a.StartedAt.After(r.last) {
		r.last = a.StartedAt
	}
}

// iocs writes data/iocs.csv and data/iocs.stix.json.
func (x *writer) iocs() error {
	x.hostnames = map[string]string{}
	for _, h := range x.doc.Hosts {
		x.hostnames[h.EndpointID] = h.Hostname
	}
	keys := make([]sighting, 0, len(x.ioc.rows))
	for s := range x.ioc.rows {
		keys = append(keys, s)
	}
	slices.SortFunc(keys, func(a, b sighting) int {
		return cmpAll(strings.Compare(a.typ, b.typ), strings.Compare(a.value, b.value), strings.Compare(a.endpointID, b.endpointID),
			strings.Compare(a.detail, b.detail), strings.Compare(a.scope, b.scope))
	})
	_, err := x.bag.data("iocs.csv", zip.Deflate, func(w io.Writer) error {
		if _, err := io.WriteString(w, byteOrderMark); err != nil {
			return err
		}
		if err := row(w, "type", "value", "address_reach", "detail", "hostname", "endpoint_id", "first_seen_utc", "last_seen_utc", "lines", "first_evidence", "first_acquisition"); err != nil {
			return err
		}
		for _, s := range keys {
			r := x.ioc.rows[s]
			if err := row(w, s.typ, s.value, s.scope, s.detail, x.hostnames[s.endpointID], s.endpointID, stamp(r.first), stamp(r.last),
				strconv.FormatInt(r.count, 10), r.evidence, r.acquisition); err != nil {
				return err
			}
		}
		if x.ioc.more > 0 {
			return row(w, "left_out", strconv.FormatInt(x.ioc.more, 10), "", "lines for which there was no room here; the evidence has them", "", "", "", "", "", "", "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.stix(keys)
}

func cmpAll(all ...int) int {
	for _, n := range all {
		if n != 0 {
			return n
		}
	}
	return 0
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
