package dnscache

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// Bounds of what is made of an answer, which itself has at most [maxAnswer] bytes: that of
// somebody who stands in for the resolver can be made of millions of empty things.
const (
	maxScopes  = 1 << 10
	maxItems   = 64 << 10 // names, of all scopes
	maxRRs     = 1 << 10  // of a name
	maxAddress = 128      // bytes of the text of an address
)

// reply is the answer of systemd-resolved to DumpCache
// (varlink-io.systemd.Resolve.Monitor.c of systemd).
type reply struct {
	Error      string `json:"error"`
	Parameters struct {
		Dump json.RawMessage `json:"dump"` // of scope
	} `json:"parameters"`
}

// scope is one cache: of a protocol, and where that is so of an interface.
type scope struct {
	Protocol string          `json:"protocol"`
	IfIndex  int             `json:"ifindex"`
	IfName   string          `json:"ifname"`
	Cache    json.RawMessage `json:"cache"` // of item
}

// item is one name and kind.
type item struct {
	Key struct {
		Class int    `json:"class"`
		Type  int    `json:"type"`
		Name  string `json:"name"`
	} `json:"key"`
	RRs   json.RawMessage `json:"rrs"`   // of resource
	Type  string          `json:"type"`  // of what does not exist
	Until uint64          `json:"until"` // µs of CLOCK_BOOTTIME
}

// resource is one answer.
type resource struct {
	RR struct {
		Address  json.RawMessage `json:"address"`  // list of bytes
		Name     string          `json:"name"`     // of a CNAME, PTR, NS, DNAME, SRV
		Exchange string          `json:"exchange"` // of an MX
	} `json:"rr"`
	Raw string `json:"raw"`
}

// parser hands on the names of an answer, one by one.
type parser struct {
	epoch time.Time // of the boot
	// miss hears of what is odd, and of how much was left out.
	miss  func(n int64, err error)
	emit  func(*record.DNSCache) error
	items int
}

// parse reads the answer. What is odd within it is left out and told to miss.
func (p *parser) parse(b []byte) error {
	var r reply
	err := json.Unmarshal(b, &r)
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd {
		return fmt.Errorf("read its answer: %w", err)
	}
	p.odd(err)
	switch e := r.Error; {
	case strings.HasSuffix(e, ".MethodNotFound") || strings.HasSuffix(e, ".InterfaceNotFound") || strings.HasSuffix(e, ".MethodNotImplemented"):
		return fmt.Errorf("it says %.200q: %w", e, errors.ErrUnsupported)
	case strings.HasSuffix(e, ".PermissionDenied") || strings.HasSuffix(e, ".InteractiveAuthenticationRequired"):
		return fmt.Errorf("it says %.200q: %w", e, fs.ErrPermission)
	case e != "":
		return fmt.Errorf("it says %.200q", e)
	}
	scopes := 0
	return p.list(r.Parameters.Dump, func(d *json.Decoder) (bool, error) {
		var s scope
		if p.odd(d.Decode(&s)); scopes == maxScopes {
			return false, nil
		}
		scopes++
		return true, p.list(s.Cache, func(d *json.Decoder) (bool, error) {
			var i item
			if p.odd(d.Decode(&i)); p.items == maxItems {
				return false, nil
			}
			p.items++
			line, err := p.line(s, i)
			if err != nil {
				return true, err
			}
			return true, p.emit(line)
		})
	})
}

// odd tells what is odd within something.
func (p *parser) odd(err error) {
	if err != nil {
		p.miss(1, fmt.Errorf("some of its answer not understood: %w", err))
	}
}

// list has each element of a list read, until one is told to be too many: that and all
// behind it are left out.
func (p *parser) list(b json.RawMessage, each func(*json.Decoder) (ok bool, err error)) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		if len(b) > 0 && string(b) != "null" {
			p.odd(errors.New("no list"))
		}
		return nil
	}
	for d.More() {
		ok, err := each(d)
		if err != nil {
			return err
		}
		if !ok {
			p.miss(1, errors.New("its answer has more than is kept of one"))
			return nil
		}
	}
	return nil
}

func (p *parser) line(s scope, i item) (*record.DNSCache, error) {
	d := &record.DNSCache{Resolver: "systemd-resolved", IfIndex: s.IfIndex, Class: i.Key.Class, Kind: kind(i.Key.Type), State: strings.ToLower(i.Type), UntilNS: ns(i.Until)}
	d.Protocol, _ = record.TextOf(s.Protocol)
	d.Iface, _ = record.TextOf(s.IfName)
	d.Name, d.NameRaw = record.TextOf(i.Key.Name)
	if d.UntilNS > 0 && !p.epoch.IsZero() {
		d.Until = p.epoch.Add(time.Duration(d.UntilNS)).UTC()
	}
	rrs := 0
	err := p.list(i.RRs, func(dec *json.Decoder) (bool, error) {
		var r resource
		if p.odd(dec.Decode(&r)); rrs == maxRRs {
			return false, nil
		}
		rrs++
		if a := answer(r.RR.Address, r.RR.Name, r.RR.Exchange); a != "" {
			d.Answers = append(d.Answers, a)
		}
		if raw, err := base64.StdEncoding.DecodeString(r.Raw); err == nil && len(raw) > 0 {
			d.Raw = append(d.Raw, raw)
		}
		return true, nil
	})
	if d.State == "" && rrs == 0 {
		d.State = "nodata" // the name exists, and has nothing of this kind
	}
	return d, err
}

// answer spells an address, a list of 4 or 16 bytes, or else the first of names.
func answer(address json.RawMessage, names ...string) string {
	var list []int
	if len(address) <= maxAddress && json.Unmarshal(address, &list) == nil {
		b := make([]byte, 0, 16)
		for _, v := range list {
			if v < 0 || v > 255 {
				return ""
			}
			b = append(b, byte(v))
		}
		if a, ok := netip.AddrFromSlice(b); ok {
			return a.String()
		}
	}
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// ns is a time of µs in ns; 0 when it is none.
func ns(us uint64) uint64 {
	if us > 1<<62/1000 {
		return 0
	}
	return us * 1000
}

// kind names what was asked for (IANA, "Resource Record (RR) TYPEs").
func kind(typ int) string {
	switch typ {
	case 1:
		return "A"
	case 2:
		return "NS"
	case 5:
		return "CNAME"
	case 6:
		return "SOA"
	case 12:
		return "PTR"
	case 15:
		return "MX"
	case 16:
		return "TXT"
	case 28:
		return "AAAA"
	case 33:
		return "SRV"
	case 39:
		return "DNAME"
	case 43:
		return "DS"
	case 46:
		return "RRSIG"
	case 47:
		return "NSEC"
	case 48:
		return "DNSKEY"
	case 64:
		return "SVCB"
	case 65:
		return "HTTPS"
	case 255: // so is kept that a name has nothing at all
		return "ANY"
	}
	return strconv.Itoa(typ)
}
