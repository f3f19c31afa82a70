package act_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/pki"
	"hozen/internal/releasecode"
)

// fixture is a collector of one organisation with one owner who has a password.
type fixture struct {
	*act.Acts
	t     testing.TB
	db    *sqldb.DB
	hub   *act.Hub
	ca    *pki.CA
	clock time.Time
	owner act.Actor
	blobs *fsblob.Store
	own   bool // every address is one of the collector's machine
	// passwords are those that welcome gave, by identifier.
	passwords map[string]string
}

const ownerPassword = "correct horse battery"

func run(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Helper()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { f(t, newFixture(t, db)) })
}

func newFixture(t testing.TB, db *sqldb.DB) *fixture {
	t.Helper()
	x := &fixture{t: t, db: db, hub: act.NewHub(), clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), passwords: map[string]string{}}
	var err error
	if x.ca, err = pki.NewCA("test", x.clock); err != nil {
		t.Fatal(err)
	}
	blobs, err := fsblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	x.blobs = blobs
	recovery := releasecode.NewKey()
	secrets, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ledger.NewKey(secrets).Bind(db)
	x.Acts, err = act.New(act.Config{Secrets: &secrets, DB: db, CA: x.ca, Recovery: &recovery, OwnAddr: func(netip.Addr) bool { return x.own }, Lookup: lookup, Hub: x.hub, Blobs: blobs, Backup: func(context.Context, string) error { return nil }, Addresses: []string{"192.0.2.1:7443"},
		PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: func() time.Time { return x.clock }})
	if err != nil {
		t.Fatal(err)
	}
	o, once, err := x.Found(t.Context(), "組織", act.NewOperator{Name: "owner", DisplayName: "社長"})
	if err != nil {
		t.Fatal(err)
	}
	x.owner = x.welcome(o, once, ownerPassword)
	return x
}

// welcome takes an operator from the one-time password to an own one.
func (x *fixture) welcome(o operator.Operator, once, password string) act.Actor {
	x.t.Helper()
	a := act.Actor{Kind: act.ByOperator, ID: o.ID}
	if err := x.ChangePassword(x.t.Context(), a, once, password); err != nil {
		x.t.Fatal(err)
	}
	x.passwords[o.ID] = password
	return a
}

// person makes an operator of a role who can act.
func (x *fixture) person(name string, r operator.Role) act.Actor {
	x.t.Helper()
	o, once, err := x.AddOperator(x.t.Context(), act.Actor{Kind: act.BySystem}, act.NewOperator{Name: name, Role: r}) // what somebody handed over is a test of its own
	if err != nil {
		x.t.Fatal(err)
	}
	return x.welcome(o, once, "a long password of "+string(name[0])+"xyz")
}

// pc is an agent as the collector sees it.
type pc struct {
	id, serial string
	csr, cert  []byte
}

// enrolled makes an endpoint.
func (x *fixture) enrolled(hostname string) pc {
	x.t.Helper()
	m, err := x.MintToken(x.t.Context(), x.owner, act.NewToken{Auto: true})
	if err != nil {
		x.t.Fatal(err)
	}
	p, err := x.enroll(m, newCSR(x.t), hostname)
	if err != nil {
		x.t.Fatal(err)
	}
	if p.id == "" {
		x.t.Fatal("an auto token did not enrol")
	}
	return p
}

func (x *fixture) enroll(m act.MintedToken, csr []byte, hostname string) (pc, error) {
	x.t.Helper()
	tok, err := pki.ParseToken(m.Text)
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := x.Enroll(x.t.Context(), act.EnrollCall{Secret: tok.Secret, CSR: csr, Host: endpoint.Description{Hostname: hostname, OS: "linux"}, RemoteAddr: "192.0.2.7"})
	if err != nil || r.EndpointID == "" {
		return pc{csr: csr}, err
	}
	cert, err := pki.ParseCertificate(r.Certificate)
	if err != nil {
		x.t.Fatal(err)
	}
	return pc{id: r.EndpointID, serial: pki.Serial(cert), csr: csr, cert: r.Certificate}, nil
}

func newCSR(t testing.TB) []byte {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// acts returns the names of the ledger's entries about a subject, oldest first; an
// empty subject means all.
func (x *fixture) acts(subject string) []string {
	x.t.Helper()
	list, err := x.LedgerEntries(x.t.Context(), x.owner, act.LedgerFilter{Subject: subject, Limit: 1000})
	if err != nil {
		x.t.Fatal(err)
	}
	var names []string
	for i := len(list) - 1; i >= 0; i-- {
		names = append(names, list[i].Act)
	}
	return names
}

// rowAudits hold rows against the ledger, as fsck does.
func rowAudits() map[string]func(context.Context, sqldb.Queryer) (map[string][]ledger.Difference, error) {
	of := map[string]func(context.Context, sqldb.Queryer) (map[string][]ledger.Difference, error){}
	for _, a := range fsck.RowAudits() {
		of[a.Of] = a.Audit
	}
	return of
}

// ledgerStands recomputes the tree, and holds rows against it.
func (x *fixture) ledgerStands() {
	x.t.Helper()
	err := x.db.ReadTx(x.t.Context(), func(ctx context.Context, q sqldb.Queryer) error {
		problems, err := ledger.Verify(ctx, q, nil)
		for _, p := range problems {
			x.t.Error(p)
		}
		for name, audit := range rowAudits() {
			found, aerr := audit(ctx, q)
			for _, list := range found {
				for _, f := range list {
					x.t.Errorf("%s %+v", name, f)
				}
			}
			err = errors.Join(err, aerr)
		}
		return err
	})
	if err != nil {
		x.t.Error(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// wantInvalid checks which field an act complained about.
func wantInvalid(t *testing.T, err error, field, code string) {
	t.Helper()
	inv, ok := errors.AsType[*act.Invalid](err)
	if !ok || inv.Field != field || inv.Code != code || !errors.Is(err, act.ErrInvalid) {
		t.Errorf("got %v, want %s about %s", err, code, field)
	}
}

// lookup knows one name.
func lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if host != "bank.example" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:192.0.2.80")}, nil
}
