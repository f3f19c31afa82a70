package act

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Hints is what would break if an endpoint were cut off, as its newest connections say.
type Hints struct {
	At time.Time // when the connections were captured; zero: there is no evidence
	// Services are what others use of it now, sorted by code.
	Services []ServiceHint
}

// ServiceHint is one thing that an endpoint does for others.
type ServiceHint struct {
	Code    ServiceCode
	Clients int // different addresses connected to it; 0: it listens, and nobody is
}

// ServiceCode is a kind of service, by the port that it listens at.
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
)

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
	case port == 902 || port == 16509 || port == 16514 || port == 8006:
		return ServiceHypervisor
	case port == 22 || port == 3389 || port == 5900:
		return ServiceWayIn
	}
	return ""
}

// hintsOf reads sockets and tells what others use.
func hintsOf(sockets func(yield func(record.Socket) bool)) []ServiceHint {
	type at struct {
		proto string
		port  uint16
	}
	listens := map[at]ServiceCode{}
	clients := map[ServiceCode]map[netip.Addr]bool{}
	var connected []record.Socket
	for k := range sockets {
		if k.Proto != record.ProtoTCP && k.Proto != record.ProtoUDP {
			continue
		}
		local, err := netip.ParseAddr(k.LocalAddr)
		if err != nil || local.Unmap().IsLoopback() {
			continue
		}
		code := serviceOf(k.Proto, k.LocalPort)
		if code == "" {
			continue
		}
		switch {
		case k.Proto == record.ProtoTCP && k.State == "LISTEN", k.Proto == record.ProtoUDP && k.RemoteAddr == "":
			listens[at{k.Proto, k.LocalPort}] = code
		case k.State == "ESTABLISHED" && len(connected) < maxHintSockets:
			connected = append(connected, k)
		}
	}
	for _, code := range listens {
		if clients[code] == nil {
			clients[code] = map[netip.Addr]bool{}
		}
	}
	for _, k := range connected {
		code, ok := listens[at{k.Proto, k.LocalPort}]
		if remote, err := netip.ParseAddr(k.RemoteAddr); ok && err == nil && !remote.Unmap().IsLoopback() {
			clients[code][remote.Unmap()] = true
		}
	}
	var hints []ServiceHint
	for code, who := range clients {
		if len(who) == 0 && (code == ServiceWayIn || code == ServiceWeb || code == ServicePrint) {
			continue // most PCs listen there, and nobody misses it
		}
		hints = append(hints, ServiceHint{code, len(who)})
	}
	slices.SortFunc(hints, func(a, b ServiceHint) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return hints
}

const (
	maxHintSockets = 100_000
	maxHintLine    = 1 << 20
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
	f, err := s.evidence.Open(ctx, it)
	if err != nil {
		return Hints{}, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return Hints{}, err
	}
	defer z.Close()
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, maxHintLine)
	h := Hints{At: a.ReceivedAt}
	h.Services = hintsOf(func(yield func(record.Socket) bool) {
		for n := 0; n < maxHintSockets && lines.Scan() && ctx.Err() == nil; n++ {
			var k record.Socket
			if json.Unmarshal(lines.Bytes(), &k) == nil && !yield(k) {
				return
			}
		}
	})
	if err := errors.Join(lines.Err(), ctx.Err()); err != nil {
		return Hints{}, err
	}
	s.hints.mu.Lock()
	defer s.hints.mu.Unlock()
	if len(s.hints.m) >= hintsMax {
		clear(s.hints.m)
	}
	s.hints.m[endpointID] = cachedHints{it.ID, h}
	return h, nil
}
