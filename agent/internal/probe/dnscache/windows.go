package dnscache

import (
	"net/netip"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// winAnswer is a record of the DNS as the client of Windows gives it.
type winAnswer struct {
	kind uint16
	ttl  uint32 // seconds
	data []byte
	name []uint16
}

// remembered makes a record of a name and what is remembered of the answer. The soonest end
// counts.
func remembered(name []uint16, typ uint16, answers []winAnswer, now time.Time) *record.DNSCache {
	d := &record.DNSCache{Resolver: "dnsclient", Protocol: "dns", Class: 1, Kind: kind(int(typ))}
	d.Name, d.NameRaw = winbytes.Text16(name)
	for _, a := range answers {
		until := now.Add(time.Duration(a.ttl) * time.Second).UTC().Truncate(time.Second)
		if d.Until.IsZero() || until.Before(d.Until) {
			d.Until = until
		}
		if ip, ok := netip.AddrFromSlice(a.data); ok {
			d.Answers = append(d.Answers, ip.String())
		} else if text, _ := winbytes.Text16(a.name); text != "" {
			d.Answers = append(d.Answers, text)
		}
	}
	return d
}
