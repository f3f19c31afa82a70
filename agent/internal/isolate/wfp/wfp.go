// Package wfp isolates a Windows endpoint with the Windows Filtering Platform: one
// transaction puts all filters in force, and all of them are read back from the base
// filtering engine (BFE). It knows nothing of orders, files or the collector.
//
// There is one provider and one sublayer of the highest weight, with filters at six
// layers: connections that the endpoint opens (ALE_AUTH_CONNECT), those that it accepts
// (ALE_AUTH_RECV_ACCEPT), and packets that it passes on for others (IPFORWARD), IPv4 and
// IPv6. The last filter of each layer blocks everything; of the forwarding ones it is the
// only one. Nearly every filter stands there twice, once persistent and once for the
// time of the start before BFE runs, because one filter cannot be both.
//
// Adding and removing filters at these layers has every flow that exists authorized
// anew, so those that are not permitted are cut with the next packet ("ALE
// Re-authorization", Windows Filtering Platform). What is not an IP packet of this
// endpoint's own stack never comes here: ARP, other systems in virtual machines, frames
// written by a driver.
//
// What an engine is asked and what it answers is read and written here on every system,
// as bytes; only the calls themselves are Windows'.
package wfp

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID names an object of the engine. It stands here as it does in memory: the first
// three parts little-endian.
type GUID [16]byte

// guid reads "c38d57d1-05a7-4c33-904f-7fbceee60e82"; anything else is a mistake in this
// package.
func guid(s string) (g GUID) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(g) {
		panic("guid " + s)
	}
	binary.LittleEndian.PutUint32(g[0:], binary.BigEndian.Uint32(b[0:]))
	binary.LittleEndian.PutUint16(g[4:], binary.BigEndian.Uint16(b[4:]))
	binary.LittleEndian.PutUint16(g[6:], binary.BigEndian.Uint16(b[6:]))
	copy(g[8:], b[8:])
	return g
}

// String is the usual form, in lower case and without braces.
func (g GUID) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(g[0:]),
		binary.LittleEndian.Uint16(g[4:]), binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:])
}

// The keys of our provider and sublayer. They never change: whoever has only this
// program finds and removes by them what any version of it put in force.
var (
	ProviderKey = guid("6f0d5e3a-94c1-4b7e-8a52-1d3f7c9e2b60")
	SublayerKey = guid("6f0d5e3a-94c1-4b7e-8a52-1d3f7c9e2b61")
)

// filterKey is the key of the filter with a name: version 5 as RFC 9562 makes it, in the
// name space of our provider.
func filterKey(name string) GUID {
	h := sha1.New()
	h.Write(ProviderKey[:])
	h.Write([]byte(name))
	g := GUID(h.Sum(nil)[:16])
	g[7] = g[7]&0x0f | 0x50 // the high byte of the third part, which is little-endian here
	g[8] = g[8]&0x3f | 0x80
	return g
}

// Layers and fields, as fwpmu.h names them: FWPM_LAYER_ALE_AUTH_…, FWPM_LAYER_IPFORWARD_…,
// FWPM_CONDITION_….
var (
	layerConnect4 = guid("c38d57d1-05a7-4c33-904f-7fbceee60e82")
	layerConnect6 = guid("4a72393b-319f-44bc-84c3-ba54dcb3b6b4")
	layerAccept4  = guid("e1cd9fe7-f4b5-4273-96c0-592e487b8650")
	layerAccept6  = guid("a3b42c97-9f04-4672-b87e-cee9c483257f")
	layerForward4 = guid("a82acc24-4ee1-4ee1-b465-fd1d25cb10a4")
	layerForward6 = guid("7b964818-19c7-493a-b71f-832c3684d28c")

	fieldRemoteAddress = guid("b235ae9a-1d64-49b8-a44c-5ff3d9095045")
	fieldProtocol      = guid("3971ef2b-623e-4f9a-8cb1-6e79b806b9a7")
	fieldLocalPort     = guid("0c1ba1af-5765-453f-af22-a8f791ac775b")
	fieldRemotePort    = guid("c35a604d-d22b-4e1a-91b4-68f674ee674b")
	fieldApp           = guid("d78e1e87-8644-4ea5-9437-d809ecefc971")
	fieldUser          = guid("af043a0a-b34d-4f86-979c-c90371af6e66")
	fieldFlags         = guid("632ce23b-5167-435c-86d7-e903684aa80c")
)

// ICMP has no ports; the engine uses the same fields (FWPM_CONDITION_ICMP_TYPE and _CODE).
var fieldICMPType, fieldICMPCode = fieldLocalPort, fieldRemotePort

// namePrefix begins the name of each of our filters, for who lists them.
const namePrefix = "Hozen: "

// layer is one of those at which we stand.
type layer struct {
	key  GUID
	name string
	out  bool
	six  bool
	// forward: packets between others, of which neither program nor user is known.
	forward bool
}

var layers = [...]layer{
	{layerConnect4, "connect4", true, false, false},
	{layerConnect6, "connect6", true, true, false},
	{layerAccept4, "accept4", false, false, false},
	{layerAccept6, "accept6", false, true, false},
	{layerForward4, "forward4", false, false, true},
	{layerForward6, "forward6", false, true, true},
}

func layerName(key GUID) string {
	if l, ok := layerOf(key); ok {
		return l.name
	}
	return key.String()
}

// Flags, actions and matches (fwpmtypes.h, fwptypes.h).
const (
	filterPersistent   = 0x01
	filterBootTime     = 0x02
	filterHasContext   = 0x04
	filterHard         = 0x08 // FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT
	filterDisabled     = 0x20
	filterIndexed      = 0x40
	filterIgnored      = filterDisabled | filterIndexed | filterHasContext // BFE's own, or of no consequence
	objectPersistent   = 0x01
	actionBlock        = 0x1001
	actionPermit       = 0x1002
	actionCallout      = 0x4000 // bit of every action that asks a driver
	actionTerminating  = 0x1000
	matchEqual         = 0
	matchRange         = 5
	matchFlagsAll      = 6
	conditionLoopback  = 0x01
	sublayerWeight     = 0xffff
	protocolICMPv6     = 58
	protocolTCP        = 6
	protocolUDP        = 17
	weightCollector    = 15
	weightPermitted    = 14
	weightLoopback     = 13
	weightConfigured   = 12
	weightBlock        = 0
	enumIncludeBoot    = 0x08
	enumIncludeOff     = 0x10
	transactionReading = 0x01
)

// provider, sublayer and filter are the engine's objects, as we ask for them and as it
// answers.
type provider struct {
	key     GUID
	name    string
	flags   uint32
	service string
}

type sublayer struct {
	key      GUID
	name     string
	flags    uint32
	provider GUID
	weight   uint16
}

type filter struct {
	key      GUID
	name     string
	flags    uint32
	provider GUID // zero: none
	layer    GUID
	sublayer GUID
	// weight is the range, 0 to 15; BFE orders the filters of a range itself. Others may
	// have asked for a weight of 64 bits, or for none.
	weight     value
	conditions []condition
	action     uint32
	// What BFE says of one that it has.
	id        uint64
	effective uint64
	// unread is why its weight or conditions were not understood.
	unread error
}

type condition struct {
	field GUID
	match uint32
	value value
}

// installed is what an engine has: all sublayers, the filters at our layers whosever they
// are, and those of ours anywhere.
type installed struct {
	provider  *provider
	sublayers []sublayer
	filters   []filter
}

// ours reports whether a filter is one of ours: it stands in our sublayer, or says that it
// is of our provider, whoever put it there.
func (f filter) ours() bool { return f.sublayer == SublayerKey || f.provider == ProviderKey }
