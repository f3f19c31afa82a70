package act

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
)

// PermitCall is a permit as a person writes it.
type PermitCall struct {
	Target   string // address, network "192.0.2.0/24", or host name, which is resolved here
	Protocol string // "tcp" or "udp"; empty means tcp
	Ports    string // "443" or "8000-8010"
	Reason   string
	Expires  time.Time
}

// resolveTime is how long all names of an order may take.
const resolveTime = 5 * time.Second

// Permits makes permits of what a person wrote. An isolated endpoint asks no name
// server, so names are resolved now and here; each address of a name becomes a permit.
func (s *Acts) Permits(ctx context.Context, calls []PermitCall) ([]dispatch.Permit, error) {
	if len(calls) > maxPermits {
		return nil, &Invalid{Field: "permits", Code: "too_many", Err: fmt.Errorf("%d, at most %d are taken", len(calls), maxPermits)}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	var permits []dispatch.Permit
	for n, c := range calls {
		field := "permits." + strconv.Itoa(n+1)
		p := dispatch.Permit{Protocol: strings.ToLower(strings.TrimSpace(c.Protocol)), Reason: strings.TrimSpace(c.Reason), ExpiresAt: c.Expires}
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		var err error
		if p.First, p.Last, err = ports(c.Ports); err != nil {
			return nil, &Invalid{Field: field, Code: "malformed", Err: err}
		}
		networks, host, err := s.networks(ctx, strings.TrimSpace(c.Target))
		if err != nil {
			return nil, &Invalid{Field: field, Code: "unresolved", Err: err}
		}
		for _, n := range networks {
			p.Network, p.Host = n, host
			permits = append(permits, p)
		}
	}
	if len(permits) > maxPermits {
		return nil, &Invalid{Field: "permits", Code: "too_many", Err: fmt.Errorf("%d addresses, at most %d are taken", len(permits), maxPermits)}
	}
	return permits, nil
}

// networks finds the networks of a target, and its name if it has one.
func (s *Acts) networks(ctx context.Context, target string) ([]netip.Prefix, string, error) {
	if p, err := netip.ParsePrefix(target); err == nil {
		return []netip.Prefix{p.Masked()}, "", nil
	}
	if a, err := netip.ParseAddr(target); err == nil {
		a = a.Unmap().WithZone("")
		return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, "", nil
	}
	if target == "" || len(target) > maxHost || !hostName(target) {
		return nil, "", fmt.Errorf("%.60q is no address, network or host name", target)
	}
	addrs, err := s.lookup(ctx, target)
	if err != nil {
		return nil, "", fmt.Errorf("resolve %.253q: %w", target, err)
	}
	var list []netip.Prefix
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); a.IsGlobalUnicast() {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	list = slices.Compact(list)
	if len(list) == 0 {
		return nil, "", fmt.Errorf("%.253q has no address", target)
	}
	return list, target, nil
}

// hostName reports whether s is made of what a host name is made of; agents take no other.
func hostName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}

func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func ports(s string) (first, last uint16, err error) {
	from, to, ranged := strings.Cut(strings.TrimSpace(s), "-")
	if !ranged {
		to = from
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, errors.New("ports are written as 443 or 8000-8010")
	}
	return uint16(a), uint16(b), nil
}
