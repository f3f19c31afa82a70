package dnscache

import (
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

// reply is the answer of systemd-resolved to DumpCache
// (varlink-io.systemd.Resolve.Monitor.c of systemd).
type reply struct {
	Error      string `json:"error"`
	Parameters struct {
		Dump []scope `json:"dump"`
	} `json:"parameters"`
}

// scope is one cache: of a protocol, and where that is so of an interface.
type scope struct {
	Protocol string `json:"protocol"`
	IfIndex  int    `json:"ifindex"`
	IfName   string `json:"ifname"`
	Cache    []item `json:"cache"`
}

// item is one name and kind.
type item struct {
	Key struct {
		Class int    `json:"class"`
		Type  int    `json:"type"`
		Name  string `json:"name"`
	} `json:"key"`
	RRs []struct {
		RR struct {
			Address  []int  `json:"address"`
			Name     string `json:"name"`     // of a CNAME, PTR, NS, DNAME, SRV
			Exchange string `json:"exchange"` // of an MX
		} `json:"rr"`
		Raw string `json:"raw"`
	} `json:"rrs"`
	Type  string `json:"type"`  // of what does not exist
	Until uint64 `json:"until"` // µs of CLOCK_BOOTTIME
}

// parse reads the answer. epoch is the time of the boot. What is odd within it is left
// out, and comes with an error.
func parse(b []byte, epoch time.Time) (list []record.DNSCache, err error) {
	var r reply
	err = json.Unmarshal(b, &r)
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	switch e := r.Error; {
	case strings.HasSuffix(e, ".MethodNotFound") || strings.HasSuffix(e, ".InterfaceNotFound") || strings.HasSuffix(e, ".MethodNotImplemented"):
		return nil, fmt.Errorf("it says %.200q: %w", e, errors.ErrUnsupported)
	case strings.HasSuffix(e, ".PermissionDenied") || strings.HasSuffix(e, ".InteractiveAuthenticationRequired"):
		return nil, fmt.Errorf("it says %.200q: %w", e, fs.ErrPermission)
	case e != "":
		return nil, fmt.Errorf("it says %.200q", e)
	}
	for _, s := range r.Parameters.Dump {
		for _, i := range s.Cache {
			d := record.DNSCache{Resolver: "systemd-resolved", IfIndex: s.IfIndex, Class: i.Key.Class, Kind: kind(i.Key.Type), State: strings.ToLower(i.Type), UntilNS: ns(i.Until)}
			d.Protocol, _ = record.TextOf(s.Protocol)
			d.Iface, _ = record.TextOf(s.IfName)
			d.Name, d.NameRaw = record.TextOf(i.Key.Name)
			if d.UntilNS > 0 && !epoch.IsZero() {
				d.Until = epoch.Add(time.Duration(d.UntilNS)).UTC()
			}
			if d.State == "" && len(i.RRs) == 0 {
				d.State = "nodata" // the name exists, and has nothing of this kind
			}
			for _, rr := range i.RRs {
				if a := answer(rr.RR.Address, rr.RR.Name, rr.RR.Exchange); a != "" {
					d.Answers = append(d.Answers, a)
				}
				if raw, err := base64.StdEncoding.DecodeString(rr.Raw); err == nil && len(raw) > 0 {
					d.Raw = append(d.Raw, raw)
				}
			}
			list = append(list, d)
		}
	}
	if err != nil {
		err = fmt.Errorf("some of its answer not understood: %w", err)
	}
	return list, err
}

func answer(address []int, names ...string) string {
	if n := len(address); n == 4 || n == 16 {
		b := make([]byte, n)
		for i, v := range address {
			b[i] = byte(v)
		}
		a, _ := netip.AddrFromSlice(b)
		return a.String()
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
