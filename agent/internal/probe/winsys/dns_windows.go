package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// CachedName is an entry of the DNS client's cache.
type CachedName struct {
	Name []uint16
	Type uint16
}

// dnsEntry is what DnsGetCacheDataTable makes a list of. Microsoft does not document it; every
// Windows since XP has it.
type dnsEntry struct {
	next   *dnsEntry
	name   *uint16
	typ    uint16
	length uint16
	flags  uint32
}

// maxNames bounds the entries that are read.
const maxNames = 1 << 16

// CachedNames lists the names that the DNS client remembers. How the list is given back is not
// known, so its memory stays with the program: some tens of bytes for a name.
func (System) CachedNames() (list []CachedName, err error) {
	call, err := find(dnsapi, "DnsGetCacheDataTable")
	if err != nil {
		return nil, err
	}
	var first *dnsEntry
	if r, _, _ := call.Call(uintptr(unsafe.Pointer(&first))); r == 0 && first == nil {
		return nil, nil // an empty cache is answered with false too
	}
	for e := first; e != nil && len(list) < maxNames; e = e.next {
		if e.name != nil {
			list = append(list, CachedName{units(e.name), e.typ})
		}
	}
	return list, nil
}

// CachedAnswer is one record of the DNS.
type CachedAnswer struct {
	Type uint16
	TTL  uint32
	Data []byte   // of an address
	Name []uint16 // of a kind that names another
}

// Kinds of records whose answer is a name (RFC 1035, 3.2.2).
const (
	dnsNS    = 2
	dnsCNAME = 5
	dnsPTR   = 12
	dnsA     = 1
	dnsAAAA  = 28
)

// CachedAnswers asks the cache, and nobody else, for the answers to a name.
func (System) CachedAnswers(name []uint16, typ uint16) (list []CachedAnswer, err error) {
	const (
		cacheOnly      = 0x10 // DNS_QUERY_NO_WIRE_QUERY
		freeRecordList = 1    // DnsFreeRecordList
	)
	call, err := find(dnsapi, "DnsQuery_W")
	if err != nil {
		return nil, err
	}
	text := append(append([]uint16(nil), name...), 0)
	var first *windows.DNSRecord
	r, _, _ := call.Call(uintptr(unsafe.Pointer(&text[0])), uintptr(typ), cacheOnly, 0, uintptr(unsafe.Pointer(&first)), 0)
	if r != 0 {
		return nil, fmt.Errorf("DnsQuery: %w", told(windows.Errno(r)))
	}
	if first == nil {
		return nil, nil
	}
	defer windows.DnsRecordListFree(first, freeRecordList)
	for d := first; d != nil && len(list) < maxNames; d = d.Next {
		a := CachedAnswer{Type: d.Type, TTL: d.Ttl}
		switch d.Type {
		case dnsA:
			a.Data = append(a.Data, d.Data[:4]...)
		case dnsAAAA:
			a.Data = append(a.Data, d.Data[:16]...)
		case dnsNS, dnsCNAME, dnsPTR:
			a.Name = units(*(**uint16)(unsafe.Pointer(&d.Data[0])))
		}
		list = append(list, a)
	}
	return list, nil
}
