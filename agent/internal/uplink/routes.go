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

	"hozen/agent/internal/identity"
	"hozen/agent/internal/sorted"
	"hozen/internal/durable"
	"hozen/internal/pki"
	"hozen/proto/wire"
)

// address is one place where the collector may be.
type address = netip.AddrPort

const (
	lookupTime = 5 * time.Second
	maxRoutes  = 64 << 10 // bytes of the file
	maxPerName = 8        // addresses of one name
	maxProven  = 4        // addresses at which the collector was met
	maxOrdered = wire.MaxCollectors
)

// routes turns the collector's names into addresses and remembers them, because an
// isolated endpoint has no DNS and must still find home. Where the collector was met,
// and where it says that it is, is tried after what its names say: whoever makes up an
// answer about a name costs time and nothing more.
type routes struct {
	path string

	mu   sync.Mutex
	file routesFile
	best address // where the last session was
}

// routesFile is the file.
type routesFile struct {
	Format string               `json:"format"`
	Names  map[string][]address `json:"names"` // by "host:port"
	// CA is the fingerprint of the collector's CA, of which the rest is; Proven are the
	// addresses at which it was met, the newest first, Ordered those that it named last.
	CA      string    `json:"ca,omitempty"`
	Proven  []address `json:"proven,omitempty"`
	Ordered []address `json:"ordered,omitempty"`
}

const routesFormat = "hozen-routes/2"

// openRoutes reads what was remembered. A damaged file is as good as none: it holds
// nothing but a cache.
func openRoutes(path string) *routes {
	r := &routes{path: path, file: parseRoutes(nil)}
	f, err := os.Open(path)
	if err != nil {
		return r
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRoutes))
	if err != nil {
		return r
	}
	r.file = parseRoutes(b)
	return r
}

// parseRoutes reads the file and passes over what is no route. Earlier versions wrote
// the names alone.
func parseRoutes(b []byte) routesFile {
	var f routesFile
	if err := json.Unmarshal(b, &f); err != nil || f.Format != routesFormat {
		f = routesFile{}
		if json.Unmarshal(b, &f.Names) != nil {
			f.Names = nil
		}
	}
	f.Format = routesFormat
	for name, list := range f.Names {
		if list = reachable(list, maxPerName); pki.CheckAddress(name) != nil || len(list) == 0 {
			delete(f.Names, name)
			continue
		}
		f.Names[name] = list
	}
	if f.Names == nil {
		f.Names = map[string][]address{}
	}
	f.Proven, f.Ordered = reachable(f.Proven, maxProven), reachable(f.Ordered, maxOrdered)
	return f
}

// reachable leaves out what is no address of a server.
func reachable(list []address, limit int) []address {
	list = slices.DeleteFunc(list, func(a address) bool { return !a.IsValid() || a.Port() == 0 })
	return list[:min(len(list), limit)]
}

// resolve returns every address of the names, where the last session was first, and
// then the others where the collector of that CA was met or says that it is.
func (r *routes) resolve(ctx context.Context, names []string, ca string) []address {
	var out []address
	add := func(list []address) {
		for _, a := range list {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	for _, name := range names {
		add(r.lookup(ctx, name))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(out, r.best); i > 0 {
		out = slices.Insert(slices.Delete(out, i, i+1), 0, r.best)
	}
	if r.file.CA == ca {
		add(r.file.Proven)
		add(r.file.Ordered)
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
		return slices.Clone(r.file.Names[name])
	}
	list := make([]address, 0, len(ips))
	for _, ip := range ips[:min(len(ips), maxPerName)] {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	sorted.Func(list, address.Compare)
	if !slices.Equal(list, r.file.Names[name]) {
		r.file.Names[name] = list
		r.save()
	}
	return slices.Clone(list)
}

// save keeps the routes. Holds r.mu. A failure costs only the memory of the next start.
func (r *routes) save() {
	b, err := json.Marshal(r.file)
	if err != nil {
		return
	}
	_ = durable.WriteFile(r.path, b, 0o600) // a cache; see above
}

// worked notes that the collector of that CA was met at a.
func (r *routes) worked(a address, ca string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.best = a
	if r.file.CA == ca && len(r.file.Proven) > 0 && r.file.Proven[0] == a {
		return
	}
	r.of(ca)
	proven := slices.DeleteFunc(r.file.Proven, func(p address) bool { return p == a })
	r.file.Proven = reachable(append([]address{a}, proven...), maxProven)
	r.save()
}

// learn notes that the collector of that CA says that it is there.
func (r *routes) learn(list []address, ca string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list = reachable(slices.Clone(list), maxOrdered)
	if r.file.CA == ca && slices.Equal(list, r.file.Ordered) {
		return
	}
	r.of(ca)
	r.file.Ordered = list
	r.save()
}

// of forgets what is known of another collector. Holds r.mu.
func (r *routes) of(ca string) {
	if r.file.CA != ca {
		r.file.CA, r.file.Proven, r.file.Ordered = ca, nil, nil
	}
}

// Pins returns every known address of the collector, that of the present or last
// session first: the ways that must stay open when the network is cut.
func (u *Uplink) Pins(ctx context.Context) ([]netip.AddrPort, error) {
	e, err := u.cfg.Identity.Enrolment()
	if err != nil {
		return nil, err
	}
	return u.resolve(ctx, e), nil
}

// Learn notes addresses at which the collector says that it can be reached. They take
// the place of those that it named before, and are tried after all others.
func (u *Uplink) Learn(list []netip.AddrPort) error {
	e, err := u.cfg.Identity.Enrolment()
	if err != nil {
		return err
	}
	u.routes.learn(list, pki.Fingerprint(e.CA))
	return nil
}

// resolve returns where the collector may be, in the order in which to try.
func (u *Uplink) resolve(ctx context.Context, e identity.Enrolment) []address {
	return u.routes.resolve(ctx, u.addresses(e), pki.Fingerprint(e.CA))
}
