package export

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Namespaces of identifiers that follow from what they name (RFC 4122, version 5): that of
// STIX 2.1, section 2.9, for observables, and one of our own for everything else, as
// that section asks.
//
// The objects are those of STIX 2.1 (OASIS Standard, 2021): an identity, observed data and
// what was observed. There is no indicator among them: what stands in evidence was seen, and
// nobody judged it.
const (
	stixObservables = "00abedb4aa42466c9c01fed23315a9b7"
	stixOurs        = "6d5d1d1c2b0e4f0c8f3f5b7d9a1c3e57"
)

// mostNumber is the largest number_observed (section 4.14).
const mostNumber = 999_999_999

// stixID makes an identifier of version 5.
func stixID(kind, namespace, name string) string {
	space, err := hex.DecodeString(namespace)
	if err != nil {
		return "" // it is a constant
	}
	sum := sha1.Sum(append(space, name...)) // as version 5 is made; nothing relies on its strength
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	s := hex.EncodeToString(u)
	return kind + "--" + s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func stixTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// stixObject begins an object; its maker adds members and the end.
func stixObject(b []byte, kind, id string) []byte {
	return append(append(append(append(append(b, `{"type":"`...), kind...), `","spec_version":"2.1","id":"`...), id...), '"')
}

func stixText(b []byte, name, v string) []byte {
	return appendString(append(append(append(b, `,"`...), name...), `":`...), v)
}

// stix writes data/iocs.stix.json: what stands in iocs.csv and means something elsewhere,
// addresses of the Internet and hashes, as a bundle of STIX 2.1.
func (x *writer) stix(keys []sighting) error {
	_, err := x.bag.data("iocs.stix.json", zip.Deflate, func(w io.Writer) error {
		by, at := stixID("identity", stixOurs, x.p.OrganisationID), stixTime(x.p.At)
		b := append([]byte(`{"type":"bundle","id":"`+stixID("bundle", stixOurs, x.p.ID)+`","objects":[`), '\n')
		b = stixText(stixText(stixObject(b, "identity", by), "created", at), "modified", at)
		b = append(stixText(stixText(b, "name", visible(x.p.Frozen.Organisation)), "identity_class", "organization"), '}')
		for len(keys) > 0 {
			n := 1
			for n < len(keys) && keys[n].typ == keys[0].typ && keys[n].value == keys[0].value {
				n++
			}
			b = x.observation(b, by, keys[:n])
			if _, err := w.Write(b); err != nil {
				return err
			}
			b, keys = b[:0], keys[n:]
		}
		_, err := w.Write(append(b, "\n]}\n"...))
		return err
	})
	return err
}

// observation appends one value and what was observed of it.
func (x *writer) observation(b []byte, by string, of []sighting) []byte {
	b, ref := observable(b, of[0])
	if ref == "" {
		return b
	}
	var first, last time.Time
	var number int64
	var evidence []string
	for _, s := range of {
		r := x.ioc.rows[s]
		if first.IsZero() || r.first.Before(first) {
			first = r.first
		}
		if r.last.After(last) {
			last = r.last
		}
		number = min(number+r.count, mostNumber)
		evidence = append(evidence, r.evidence)
	}
	slices.Sort(evidence)
	evidence = slices.Compact(evidence)
	at := stixTime(x.p.At)
	b = stixObject(append(b, ",\n"...), "observed-data", stixID("observed-data", stixOurs, x.p.ID+" "+ref))
	b = stixText(stixText(stixText(b, "created_by_ref", by), "created", at), "modified", at)
	b = stixText(stixText(b, "first_observed", stixTime(first)), "last_observed", stixTime(last))
	b = strconv.AppendInt(append(b, `,"number_observed":`...), number, 10)
	b = append(append(append(b, `,"object_refs":["`...), ref...), `"],"external_references":[`...)
	for i, e := range evidence[:min(len(evidence), 100)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"source_name":"evidence"`...)
		b = append(stixText(stixText(b, "external_id", e), "description", x.p.Number), '}')
	}
	return append(b, "]}"...)
}

// observable appends the object of a value and returns its identifier, or "" where the value
// means nothing outside the PC that it was seen on.
func observable(b []byte, s sighting) ([]byte, string) {
	switch s.typ {
	case "ip":
		ip, err := netip.ParseAddr(s.value)
		if err != nil || s.scope != "global" || ip.Zone() != "" {
			break
		}
		kind := "ipv6-addr"
		if ip = ip.Unmap(); ip.Is4() {
			kind = "ipv4-addr"
		}
		id := stixID(kind, stixObservables, `{"value":"`+ip.String()+`"}`)
		return append(stixText(stixObject(append(b, ",\n"...), kind, id), "value", ip.String()), '}'), id
	case "sha256":
		if len(s.value) != 64 || strings.Trim(s.value, "0123456789abcdef") != "" {
			break
		}
		hashes := `"hashes":{"SHA-256":"` + s.value + `"}`
		key, name := "{"+hashes, ""
		if s.detail != "" {
			name = visible(path.Base(s.detail))
			key += `,"name":` + string(appendString(nil, name))
		}
		id := stixID("file", stixObservables, key+"}")
		b = append(append(stixObject(append(b, ",\n"...), "file", id), ','), hashes...)
		if name != "" {
			b = stixText(b, "name", name)
		}
		return append(b, '}'), id
	}
	return b, ""
}

// compact is the JSON of v on one line without its LF.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
