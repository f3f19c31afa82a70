package notify_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

const org = "org_test"

// public is an address of the internet at large that stands for a server of the test.
const public = "8.8.8.8"

// rig is a sender with servers that pretend to stand in the internet.
type rig struct {
	*notify.Sender
	t      *testing.T
	db     *sqldb.DB
	clock  time.Time
	names  map[string][]string // host to the addresses of each question, one after the other
	mu     sync.Mutex
	dialed []string
	to     string // where connections to public really go
	roots  *x509.CertPool
}

func run(t *testing.T, f func(x *rig)) {
	t.Helper()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := &rig{t: t, db: db, clock: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), names: map[string][]string{}, roots: x509.NewCertPool()}
		x.make("https://console.example:8443")
		f(x)
	})
}

func (x *rig) make(base string) {
	x.t.Helper()
	var err error
	x.Sender, err = notify.NewSender(notify.Config{
		DB: x.db, Open: func(_, sealed string) ([]byte, error) { return []byte(sealed), nil },
		Base:   func(context.Context, string) (string, error) { return base, nil },
		Lookup: x.lookup, Dial: x.dial, Roots: x.roots, Now: func() time.Time { return x.clock },
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// lookup answers the next of the addresses of a name, and the last one from then on.
func (x *rig) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.names[host]
	if len(list) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(list) > 1 {
		x.names[host] = list[1:]
	}
	return []netip.Addr{netip.MustParseAddr(list[0])}, nil
}

func (x *rig) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	x.mu.Lock()
	x.dialed = append(x.dialed, addr)
	x.mu.Unlock()
	if host, _, _ := net.SplitHostPort(addr); host == public && x.to != "" {
		addr = x.to
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// serve starts an HTTPS server under the name example.com, which is in its certificate.
func (x *rig) serve(h http.HandlerFunc) {
	s := httptest.NewTLSServer(h)
	x.t.Cleanup(s.Close)
	x.roots.AddCert(s.Certificate())
	u, err := url.Parse(s.URL)
	if err != nil {
		x.t.Fatal(err)
	}
	x.to = u.Host
	x.names["example.com"] = []string{public}
}

// channel stores a channel that carries everything.
func (x *rig) channel(kind notify.ChannelKind, s notify.Settings, secret notify.Secret) notify.Channel {
	x.t.Helper()
	b, err := json.Marshal(secret)
	if err != nil {
		x.t.Fatal(err)
	}
	c := notify.Channel{ID: id.New(id.Channel), OrganisationID: org, Kind: kind, Name: "n", Language: "ja", Settings: s, Sealed: string(b), Kinds: notify.Kinds(), Enabled: true, CreatedAt: x.clock, ChangedAt: x.clock}
	x.save(c)
	return c
}

func (x *rig) save(c notify.Channel) {
	x.t.Helper()
	x.tx(func(ctx context.Context, tx *sqldb.Tx) error { return notify.SaveChannel(ctx, tx, c) })
}

func (x *rig) tx(f func(ctx context.Context, tx *sqldb.Tx) error) {
	x.t.Helper()
	if err := x.db.Tx(x.t.Context(), f); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) put(e notify.Event, people ...string) {
	x.t.Helper()
	e.OrganisationID, e.At = org, x.clock
	x.tx(func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := notify.Put(ctx, tx, e, people)
		return err
	})
}

func (x *rig) look() []notify.Delivery {
	x.t.Helper()
	if err := x.Look(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	list, err := notify.Newest(x.t.Context(), x.db.Read(), org, 100)
	if err != nil {
		x.t.Fatal(err)
	}
	return list
}
