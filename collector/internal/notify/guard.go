package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// guard opens connections for channels. A channel's address is typed by a person who need
// not be allowed to see what lies inside the collector's network: every address that a name
// has is looked at, and the connection goes to the one that was looked at, never to what
// the name means a moment later (DNS rebinding).
type guard struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// connect is a dial function for one host. inside allows addresses of one's own network.
func (g guard) connect(inside bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		addrs, err := g.addresses(ctx, host)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if !inside && !outside(a) {
				return nil, fmt.Errorf("connect to %s: %w", host, ErrInside)
			}
			if inside && !reachable(a) {
				return nil, fmt.Errorf("connect to %s: %w", host, ErrInside)
			}
		}
		var wrong []error
		for _, a := range addrs {
			c, err := g.dial(ctx, "tcp", net.JoinHostPort(a.String(), port))
			if err == nil {
				return c, nil
			}
			wrong = append(wrong, err)
		}
		return nil, errors.Join(wrong...)
	}
}

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 8

func (g guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	list, err := g.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("find address of %s: %w", host, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("find address of %s: it has none", host)
	}
	list = list[:min(len(list), maxAddresses)]
	for i := range list {
		list[i] = list[i].Unmap()
	}
	return list, nil
}

// special are the networks that are no other people's, by the IANA special-purpose address
// registries (RFC 6890), beside those that package netip knows.
func special() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		// IPv6 that carries IPv4 inside, where the inner address could be anything, and site-local.
		"64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "::/96", "::ffff:0:0:0/96", "fec0::/10", "100::/64", "2001:db8::/32",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// outside reports whether an address belongs to the internet at large.
func outside(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, p := range special() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// reachable reports whether an address may be talked to at all, where the owner allowed a
// host inside: link-local addresses hold cloud metadata and never a mail server.
func reachable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

// checkURL reports why a webhook can't have that address. http is for hosts inside alone.
func checkURL(s string, inside bool) error {
	if s == "" || len(s) > MaxURL {
		return fmt.Errorf("want 1 to %d bytes", MaxURL)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || !printable(s):
		return errors.New("it is no address")
	case u.Scheme != "https" && (u.Scheme != "http" || !inside):
		return errors.New("want https")
	case u.User != nil:
		return errors.New("no sign-in may stand in it")
	case u.Fragment != "":
		return errors.New("no fragment may stand in it")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("its port is none")
		}
	}
	return nil
}

// withoutURL takes addresses out of an error: a webhook's address is a secret.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err
}

// hostOf is the host of an address for people, without the secret rest.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
