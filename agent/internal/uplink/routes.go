package uplink

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"hozen/internal/durable"
	"hozen/internal/pki"
)

// address is one place where the collector may be.
type address = netip.AddrPort

const (
	lookupTime = 5 * time.Second
	maxRoutes  = 64 << 10 // bytes of the file
	maxPerName = 8        // addresses of one name
)

// routes turns the collector's names into addresses and remembers them, because an
// isolated endpoint has no DNS and must still find home.
type routes struct {
	path string

	mu    sync.Mutex
	known map[string][]address // by "host:port"
	best  address              // where the last session was
}

// openRoutes reads what was remembered. A damaged file is as good as none: it holds
// nothing but a cache.
func openRoutes(path string) *routes {
	r := &routes{path: path, known: map[string][]address{}}
	f, err := os.Open(path)
	if err != nil {
		return r
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRoutes))
	if err != nil {
		return r
	}
	r.known = parseRoutes(b)
	return r
}

// parseRoutes reads the file and passes over what is no route.
func parseRoutes(b []byte) map[string][]address {
	var known map[string][]address
	if err := json.Unmarshal(b, &known); err != nil {
		return map[string][]address{}
	}
	for name, list := range known {
		list = slices.DeleteFunc(list, func(a address) bool { return !a.IsValid() || a.Port() == 0 })
		if pki.CheckAddress(name) != nil || len(list) == 0 {
			delete(known, name)
			continue
		}
		known[name] = list[:min(len(list), maxPerName)]
	}
	if known == nil {
		known = map[string][]address{}
	}
	return known
}

// resolve returns every address of the names, where the last session was first.
func (r *routes) resolve(ctx context.Context, names []string) []address {
	var out []address
	for _, name := range names {
		for _, a := range r.lookup(ctx, name) {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(out, r.best); i > 0 {
		out = slices.Insert(slices.Delete(out, i, i+1), 0, r.best)
	}
	return out
}

// lookup resolves one "host:port"; when that fails, what was known before counts.
func (r *routes) lookup(ctx context.Context, name string) []address {
	host, portText, err := net.SplitHostPort(name)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []address{netip.AddrPortFrom(ip.Unmap(), uint16(port))}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || len(ips) == 0 {
		return slices.Clone(r.known[name])
	}
	list := make([]address, 0, len(ips))
	for _, ip := range ips[:min(len(ips), maxPerName)] {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	slices.SortFunc(list, address.Compare)
	if !slices.Equal(list, r.known[name]) {
		r.known[name] = list
		r.save()
	}
	return slices.Clone(list)
}

// save keeps the routes. Holds r.mu. A failure costs only the memory of the next start.
func (r *routes) save() {
	b, err := json.Marshal(r.known)
	if err != nil {
		return
	}
	_ = durable.WriteFile(r.path, b, 0o600) // a cache; see above
}

func (r *routes) worked(a address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.best = a
}

// Pins returns every known address of the collector, that of the present or last
// session first: the ways that must stay open when the network is cut.
func (u *Uplink) Pins(ctx context.Context) ([]netip.AddrPort, error) {
	e, err := u.cfg.Identity.Enrolment()
	if err != nil {
		return nil, err
	}
	return u.routes.resolve(ctx, u.addresses(e)), nil
}
