package act

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Hints is what would break if an endpoint were cut off, as its newest connections and
// network devices say.
type Hints struct {
	At time.Time // when the connections were captured; zero: there is no evidence
	// Services are what others use of it now, sorted by code.
	Services []ServiceHint
}

// ServiceHint is one thing that an endpoint does for others, or needs the network for.
type ServiceHint struct {
	Code    ServiceCode
	Clients int // different addresses connected to it, counted to 1,000 a port; 0: it listens, and nobody is
}

// ServiceCode is a kind of service, by the port that it listens at, or of use.
type ServiceCode string

// The services that an office misses at once.
const (
	ServiceFiles      ServiceCode = "file_server"
	ServiceDomain     ServiceCode = "domain_server"
	ServiceDNS        ServiceCode = "dns_server"
	ServiceDHCP       ServiceCode = "dhcp_server"
	ServiceVPN        ServiceCode = "vpn_server"
	ServiceDatabase   ServiceCode = "database_server"
	ServiceMail       ServiceCode = "mail_server"
	ServiceWeb        ServiceCode = "web_server"
	ServicePrint      ServiceCode = "print_server"
	ServiceHypervisor ServiceCode = "hypervisor"
	ServiceWayIn      ServiceCode = "remote_login" // somebody works on it from elsewhere
	// What is told by other things than a port that it listens at.
	ServiceGuests    ServiceCode = "guests"      // virtual machines or containers reach the network by a bridge of it
	ServiceVPNLink   ServiceCode = "vpn_client"  // a tunnel or VPN is up
	ServiceAdmin     ServiceCode = "administers" // somebody works on other machines from it
	ServiceLastWayIn ServiceCode = "last_way_in" // both: others are reached by way of it
)

// ServiceCodes are all of them.
func ServiceCodes() []ServiceCode {
	return []ServiceCode{ServiceFiles, ServiceDomain, ServiceDNS, ServiceDHCP, ServiceVPN, ServiceDatabase, ServiceMail, ServiceWeb, ServicePrint, ServiceHypervisor,
		ServiceWayIn, ServiceGuests, ServiceVPNLink, ServiceAdmin, ServiceLastWayIn}
}

// serviceOf tells what listens at a port (IANA service names and port numbers).
func serviceOf(proto string, port uint16) ServiceCode {
	switch {
	case proto == record.ProtoTCP && (port == 445 || port == 139 || port == 2049 || port == 548):
		return ServiceFiles
	case port == 88 || port == 389 || port == 636 || port == 3268:
		return ServiceDomain
	case port == 53:
		return ServiceDNS
	case proto == record.ProtoUDP && (port == 67 || port == 547):
		return ServiceDHCP
	case proto == record.ProtoUDP && (port == 1194 || port == 51820 || port == 500 || port == 4500 || port == 1701):
		return ServiceVPN
	case proto != record.ProtoTCP:
		return ""
	case port == 1433 || port == 1521 || port == 3306 || port == 5432:
		return ServiceDatabase
	case port == 25 || port == 143 || port == 587 || port == 993:
		return ServiceMail
	case port == 80 || port == 443:
		return ServiceWeb
	case port == 515 || port == 631 || port == 9100:
		return ServicePrint
	case port == 902 || port == 16509 || port == 16514 || port == 8006 || port == 2179:
		return ServiceHypervisor
	case port == 22 || port == 3389 || port == 5900:
		return ServiceWayIn
	}
	return ""
}

// place is where something listens.
type place struct {
	proto string
	port  uint16
}

// hintSocket is what the hints need of a [record.Socket].
type hintSocket struct {
	Proto      string `json:"proto"`
	State      string `json:"state"`
	LocalAddr  string `json:"local_addr"`
	LocalPort  uint16 `json:"local_port"`
	RemoteAddr string `json:"remote_addr"`
	RemotePort uint16 `json:"remote_port"`
}

// remote is who is at the other end; false for nobody, and for the PC itself.
func (k hintSocket) remote() (netip.Addr, bool) {
	a, err := netip.ParseAddr(k.RemoteAddr)
	a = a.Unmap().WithZone("")
	return a, err == nil && !a.IsLoopback()
}

// use is what was read of one place. The PC that wrote it may be the attacker's: what is
// kept of it is small, however much it says.
type use struct {
	listens bool
	clients map[netip.Addr]bool // at most maxHintClients
}

// uses is what was read so far. There are as many places as [serviceOf] knows.
type uses struct {
	at           map[place]*use
	administered map[netip.Addr]bool // at most maxHintClients
	tunnel       bool
}

// administers reports whether somebody works on another machine by a connection with that
// port of it: SSH, RDP, VNC, WinRM.
func administers(port uint16) bool {
	switch port {
	case 22, 3389, 5900, 5985, 5986:
		return true
	}
	return false
}

// goes takes one socket that was opened here.
func (u *uses) goes(k hintSocket) {
	remote, ok := k.remote()
	if !ok || k.State != "ESTABLISHED" {
		return
	}
	switch {
	case k.Proto == record.ProtoTCP && administers(k.RemotePort) && len(u.administered) < maxHintClients:
		u.administered[remote] = true
	case k.Proto == record.ProtoUDP && serviceOf(k.Proto, k.RemotePort) == ServiceVPN:
		u.tunnel = true
	}
}

// add takes one socket.
func (u *uses) add(k hintSocket) {
	if k.Proto != record.ProtoTCP && k.Proto != record.ProtoUDP {
		return
	}
	if serviceOf(k.Proto, k.LocalPort) == "" {
		u.goes(k)
		return
	}
	local, err := netip.ParseAddr(k.LocalAddr)
	if err != nil || local.Unmap().IsLoopback() {
		return
	}
	at := place{record.ProtoTCP, k.LocalPort}
	if k.Proto == record.ProtoUDP {
		at.proto = record.ProtoUDP
	}
	of := u.at[at]
	if of == nil {
		of = &use{}
		u.at[at] = of
	}
	switch {
	case k.Proto == record.ProtoTCP && k.State == "LISTEN", k.Proto == record.ProtoUDP && k.RemoteAddr == "":
		of.listens = true
	case k.State == "ESTABLISHED" && len(of.clients) < maxHintClients:
		remote, ok := k.remote()
		if !ok {
			return
		}
		if of.clients == nil {
			of.clients = map[netip.Addr]bool{}
		}
		of.clients[remote] = true
	}
}

// hints tells what others use.
func (u *uses) hints() []ServiceHint {
	clients := map[ServiceCode]map[netip.Addr]bool{}
	for at, of := range u.at {
		if !of.listens {
			continue
		}
		code := serviceOf(at.proto, at.port)
		if clients[code] == nil {
			clients[code] = map[netip.Addr]bool{}
		}
		maps.Copy(clients[code], of.clients)
	}
	var hints []ServiceHint
	for code, who := range clients {
		if len(who) == 0 && (code == ServiceWayIn || code == ServiceWeb || code == ServicePrint) {
			continue // most PCs listen there, and nobody misses it
		}
		hints = append(hints, ServiceHint{code, len(who)})
	}
	if u.tunnel {
		hints = append(hints, ServiceHint{ServiceVPNLink, 0})
	}
	if n := len(u.administered); n > 0 {
		hints = append(hints, ServiceHint{ServiceAdmin, n})
		if in := len(clients[ServiceWayIn]); in > 0 {
			hints = append(hints, ServiceHint{ServiceLastWayIn, in})
		}
	}
	return sortHints(hints)
}

// sortHints sorts hints and leaves each code once, with the higher number.
func sortHints(hints []ServiceHint) []ServiceHint {
	slices.SortFunc(hints, func(a, b ServiceHint) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(b.Clients, a.Clients))
	})
	return slices.CompactFunc(hints, func(a, b ServiceHint) bool { return a.Code == b.Code })
}

// readHints reads lines of sockets, see [hintLines].
func readHints(ctx context.Context, r io.Reader) ([]ServiceHint, error) {
	u := &uses{at: map[place]*use{}, administered: map[netip.Addr]bool{}}
	err := hintLines(ctx, r, func(line []byte) {
		var k hintSocket
		if json.Unmarshal(line, &k) == nil {
			u.add(k)
		}
	})
	if err != nil {
		return nil, err
	}
	return u.hints(), nil
}

// hintLines reads lines until they end or enough was read. A line that is longer than any
// of ours is passed over.
func hintLines(ctx context.Context, r io.Reader, each func(line []byte)) error {
	in, long := bufio.NewReaderSize(r, maxHintLine), false
	for n := 0; n < maxHintSockets; {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = true
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		if !long {
			each(line)
		}
		n, long = n+1, false
		if errors.Is(err, io.EOF) {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

const (
	maxHintSockets = 100_000
	maxHintClients = 1_000    // addresses at one place; more than that is many
	maxHintLine    = 64 << 10 // bytes
	maxHintWindow  = 8 << 20  // bytes that decompressing may look back
	// hintTime is how long a preview reads evidence; what is not read by then is not known.
	hintTime = 3 * time.Second
	hintsMax = 5_000 // endpoints that are remembered
)

// hintCache remembers hints by the evidence that they were read from.
type hintCache struct {
	mu sync.Mutex
	m  map[string]cachedHints // by endpoint
}

type cachedHints struct {
	evidenceID string
	hints      Hints
}

func newHintCache() *hintCache { return &hintCache{m: map[string]cachedHints{}} }

// fillHints reads what would break, as far as there is evidence and time.
func (s *Acts) fillHints(ctx context.Context, organisationID string, members []PreviewMember) {
	ctx, cancel := context.WithTimeout(ctx, hintTime)
	defer cancel()
	next := make(chan *PreviewMember)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for m := range next {
				h, err := s.hintsFor(ctx, organisationID, m.Endpoint.ID)
				if err == nil {
					m.Hints = h
				}
			}
		})
	}
	for i := range members {
		if members[i].LeftOut == "" && ctx.Err() == nil {
			next <- &members[i]
		}
	}
	close(next)
	wg.Wait()
}

func (s *Acts) hintsFor(ctx context.Context, organisationID, endpointID string) (Hints, error) {
	a, err := s.evidence.Counted(ctx, organisationID, endpointID, artifact.KindNetConn)
	if err != nil {
		return Hints{}, err
	}
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: organisationID, AcquisitionID: a.ID})
	if err != nil {
		return Hints{}, err
	}
	i := slices.IndexFunc(items, func(it evidence.Item) bool { return it.Kind == artifact.KindNetConn })
	if i < 0 {
		return Hints{}, evidence.ErrNotFound
	}
	it := items[i]
	s.hints.mu.Lock()
	old, ok := s.hints.m[endpointID]
	s.hints.mu.Unlock()
	if ok && old.evidenceID == it.ID {
		return old.hints, nil
	}
	h := Hints{At: a.ReceivedAt}
	if h.Services, err = s.hintsOf(ctx, it, readHints); err != nil {
		return Hints{}, err
	}
	if i := slices.IndexFunc(items, func(it evidence.Item) bool { return it.Kind == artifact.KindNetConfig }); i >= 0 {
		links, err := s.hintsOf(ctx, items[i], readLinkHints)
		if err != nil {
			return Hints{}, err
		}
		h.Services = sortHints(append(h.Services, links...))
	}
	s.hints.mu.Lock()
	defer s.hints.mu.Unlock()
	if len(s.hints.m) >= hintsMax {
		clear(s.hints.m)
	}
	s.hints.m[endpointID] = cachedHints{it.ID, h}
	return h, nil
}

// hintsOf reads hints from a piece of evidence.
func (s *Acts) hintsOf(ctx context.Context, it evidence.Item, read func(context.Context, io.Reader) ([]ServiceHint, error)) ([]ServiceHint, error) {
	f, err := s.evidence.Open(ctx, it)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxHintWindow), zstd.WithDecoderMaxMemory(maxHintWindow))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return read(ctx, z)
}
