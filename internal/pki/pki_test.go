package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"hozen/internal/id"
	"hozen/internal/pki"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// party is a CA with a collector and an endpoint.
type party struct {
	ca         *pki.CA
	endpointID string
	agentKey   *ecdsa.PrivateKey
	agent      tls.Certificate
	collector  tls.Certificate
}

func newParty(t *testing.T, issued time.Time) *party {
	t.Helper()
	ca, err := pki.NewCA("test", issued)
	if err != nil {
		t.Fatal(err)
	}
	p := &party{ca: ca, endpointID: id.New(id.Endpoint), agentKey: newKey(t)}
	der, serial, err := ca.IssueAgent(p.endpointID, p.agentKey.Public(), issued)
	if err != nil {
		t.Fatal(err)
	}
	if p.agent, err = pki.TLSCertificate(der, p.agentKey, ca.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	if got := pki.Serial(p.agent.Leaf); got != serial || len(serial) != 32 {
		t.Fatalf("serial %q and %q", got, serial)
	}
	key := newKey(t)
	der, _, err = ca.IssueCollector([]string{"collector.example"}, []net.IP{net.IPv4(192, 0, 2, 1)}, key.Public(), issued)
	if err != nil {
		t.Fatal(err)
	}
	if p.collector, err = pki.TLSCertificate(der, key, ca.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCARoundTrip(t *testing.T) {
	p := newParty(t, now)
	keyPEM, err := p.ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.LoadCA(p.ca.CertificatePEM(), keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	if again.Fingerprint() != p.ca.Fingerprint() {
		t.Fatal("fingerprint changed")
	}
	other, _ := pki.NewCA("", now)
	otherKey, _ := other.KeyPEM()
	for name, pair := range map[string][2][]byte{
		"foreign key": {p.ca.CertificatePEM(), otherKey},
		"no CA":       {pki.CertificatePEM(p.agent.Certificate[0]), keyPEM},
		"swapped":     {keyPEM, p.ca.CertificatePEM()},
		"empty":       {nil, nil},
	} {
		if _, err := pki.LoadCA(pair[0], pair[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIssuedNames(t *testing.T) {
	p := newParty(t, now)
	got, pub, err := pki.VerifyAgent(p.ca.Certificate(), p.agent.Leaf)
	if err != nil || got != p.endpointID || !pub.Equal(p.agentKey.Public()) {
		t.Fatal(got, err)
	}
	if _, err := pki.VerifyCollector(p.ca.Certificate(), p.agent.Leaf, now); err == nil {
		t.Error("an endpoint passed for a collector")
	}
	if _, _, err := pki.VerifyAgent(p.ca.Certificate(), p.collector.Leaf); err == nil {
		t.Error("a collector passed for an endpoint")
	}
	if _, _, err := pki.VerifyAgent(p.ca.Certificate(), p.ca.Certificate()); err == nil {
		t.Error("the CA passed for an endpoint")
	}
	foreign := newParty(t, now)
	if _, _, err := pki.VerifyAgent(foreign.ca.Certificate(), p.agent.Leaf); err == nil {
		t.Error("a foreign CA vouched")
	}
	if d := p.agent.Leaf.NotAfter.Sub(now); d != pki.AgentLife {
		t.Errorf("agent certificate is good for %s", d)
	}
	if _, _, err := p.ca.IssueAgent("end_../../etc", newKey(t).Public(), now); err == nil {
		t.Error("issued to a name that is no endpoint")
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if _, _, err := p.ca.IssueAgent(p.endpointID, p384.Public(), now); !errors.Is(err, pki.ErrKey) {
		t.Errorf("P-384: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	p := newParty(t, now)
	if _, err := pki.VerifyCollector(p.ca.Certificate(), p.collector.Leaf, now.Add(pki.CollectorLife+time.Second)); err == nil {
		t.Error("expired collector certificate accepted")
	}
	if _, err := pki.VerifyCollector(p.ca.Certificate(), p.collector.Leaf, time.Unix(0, 0)); err != nil {
		t.Errorf("slow clock refused a collector: %v", err)
	}
	if _, err := pki.VerifyCollector(p.ca.Certificate(), p.collector.Leaf, time.Time{}); err != nil {
		t.Errorf("receipt of an old certificate refused: %v", err)
	}
	if _, _, err := p.ca.IssueAgent(p.endpointID, p.agentKey.Public(), now.Add(pki.CALife+24*time.Hour)); err == nil {
		t.Error("issued after the CA's end")
	}
	short, _, err := p.ca.IssueAgent(p.endpointID, p.agentKey.Public(), now.Add(pki.CALife-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(short)
	if cert.NotAfter.After(p.ca.Certificate().NotAfter) {
		t.Error("certificate outlives its CA")
	}
}

func TestClock(t *testing.T) {
	dead := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC)
	c := pki.NewClock(func() time.Time { return dead }, now)
	if !c.Now().Equal(now) {
		t.Fatal("dead clock believed over the build time")
	}
	c.See(now.Add(time.Hour))
	c.See(now)
	if !c.Now().Equal(now.Add(time.Hour)) {
		t.Fatal("last seen time forgotten")
	}
	dead = now.Add(48 * time.Hour)
	if !c.Now().Equal(dead) {
		t.Fatal("own clock ignored although it is ahead")
	}
}

func TestCSR(t *testing.T) {
	key := newKey(t)
	der, err := pki.NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := pki.CheckCSR(der)
	if err != nil || !pub.Equal(key.Public()) {
		t.Fatal(err)
	}
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	rsaCSR, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	broken := append([]byte{}, der...)
	broken[len(broken)-1] ^= 1
	for name, bad := range map[string][]byte{
		"empty": nil, "RSA": rsaCSR, "signature": broken, "cut": der[:len(der)-3],
		"trailing": append(append([]byte{}, der...), 0), "huge": make([]byte, pki.MaxCSR+1),
	} {
		if _, err := pki.CheckCSR(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSignature(t *testing.T) {
	key := newKey(t)
	sig, err := pki.Sign(key, []byte("manifest"))
	if err != nil {
		t.Fatal(err)
	}
	if !pki.Verify(&key.PublicKey, []byte("manifest"), sig) {
		t.Fatal("own signature refused")
	}
	if pki.Verify(&key.PublicKey, []byte("manifesT"), sig) || pki.Verify(&newKey(t).PublicKey, []byte("manifest"), sig) {
		t.Fatal("wrong signature accepted")
	}
}

// handshake runs both sides over a pipe and returns their errors.
func handshake(t *testing.T, server, client *tls.Config) (peers []*x509.Certificate, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		} else {
			a.Close()
		}
		done <- err
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // TLS 1.3 tells a client of its refusal here
	} else {
		b.Close()
	}
	serverErr = <-done
	return s.ConnectionState().PeerCertificates, serverErr, clientErr
}

func TestHandshake(t *testing.T) {
	p, foreign := newParty(t, now), newParty(t, now)
	give := func(c tls.Certificate) func() (*tls.Certificate, error) {
		return func() (*tls.Certificate, error) { return &c, nil }
	}
	clock := func(at time.Time) func() time.Time { return func() time.Time { return at } }
	server := pki.ServerConfig(p.ca.Certificate(), give(p.collector))
	enroll := func(fp string) *tls.Config {
		cfg, err := pki.EnrollConfig(fp, clock(now))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	old := pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now))
	old.MaxVersion, old.MinVersion = tls.VersionTLS12, tls.VersionTLS12

	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"enrolled", server, pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now)), true},
		{"expired agent is let in to renew", server, pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now.Add(pki.AgentLife+time.Hour))), true},
		{"dead clock", server, pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(time.Unix(0, 0))), true},
		{"expired collector", server, pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now.Add(2*pki.CollectorLife))), false},
		{"foreign agent", server, pki.ClientConfig(p.ca.Certificate(), give(foreign.agent), clock(now)), false},
		{"collector poses as agent", server, pki.ClientConfig(p.ca.Certificate(), give(p.collector), clock(now)), false},
		{"foreign collector", pki.ServerConfig(foreign.ca.Certificate(), give(foreign.collector)), pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now)), false},
		{"agent poses as collector", pki.ServerConfig(p.ca.Certificate(), give(p.agent)), pki.ClientConfig(p.ca.Certificate(), give(p.agent), clock(now)), false},
		{"TLS 1.2", server, old, false},
		{"enrol", server, enroll(p.ca.Fingerprint()), true},
		{"enrol at a foreign collector", server, enroll(foreign.ca.Fingerprint()), false},
		{"enrol at an agent", pki.ServerConfig(p.ca.Certificate(), give(p.agent)), enroll(p.ca.Fingerprint()), false},
	} {
		peers, serverErr, clientErr := handshake(t, c.server, c.client)
		if ok := serverErr == nil && clientErr == nil; ok != c.ok {
			t.Errorf("%s: server %v, client %v", c.name, serverErr, clientErr)
		}
		if c.name == "enrolled" {
			if got, err := pki.EndpointID(peers[0]); got != p.endpointID {
				t.Errorf("server saw %q, %v", got, err)
			}
		}
	}
	if _, err := pki.EnrollConfig("abc", clock(now)); err == nil {
		t.Error("short fingerprint accepted")
	}
}

func TestToken(t *testing.T) {
	secret, err := pki.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	tok := pki.Token{Addresses: []string{"192.0.2.1:8443", "[2001:db8::1]:8443", "collector.example:8443"}, CASHA256: strings.Repeat("ab", 32), Secret: secret}
	s, err := tok.Format()
	if err != nil {
		t.Fatal(err)
	}
	got, err := pki.ParseToken("  " + s + "\r\n")
	if err != nil || got.Secret != secret || len(got.Addresses) != 3 || got.CASHA256 != tok.CASHA256 {
		t.Fatal(got, err)
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix": strings.TrimPrefix(s, "hzt1."), "cut": s[:len(s)-5], "doubled": s + s, "long": s + strings.Repeat("A", pki.MaxToken),
		"changed": s[:20] + "!" + s[21:],
	} {
		_, err := pki.ParseToken(bad)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error tells the secret", name)
		}
	}
	for name, bad := range map[string]pki.Token{
		"no address":  {CASHA256: tok.CASHA256, Secret: secret},
		"port":        {Addresses: []string{"host"}, CASHA256: tok.CASHA256, Secret: secret},
		"port 0":      {Addresses: []string{"host:0"}, CASHA256: tok.CASHA256, Secret: secret},
		"host":        {Addresses: []string{"ho st:1"}, CASHA256: tok.CASHA256, Secret: secret},
		"fingerprint": {Addresses: tok.Addresses, CASHA256: strings.ToUpper(tok.CASHA256), Secret: secret},
		"secret":      {Addresses: tok.Addresses, CASHA256: tok.CASHA256, Secret: "short"},
		"letters":     {Addresses: tok.Addresses, CASHA256: tok.CASHA256, Secret: secret + "\n"},
	} {
		if _, err := bad.Format(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	secret, _ := pki.NewSecret()
	s, _ := pki.Token{Addresses: []string{"[::1]:1"}, CASHA256: strings.Repeat("ab", 32), Secret: secret}.Format()
	f.Add(s)
	f.Add("hzt1.e30")
	f.Add("hzt1.")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := pki.ParseToken(s)
		if err != nil {
			return
		}
		again, err := tok.Format()
		if err != nil {
			t.Fatalf("%q was read but cannot be written: %v", s, err)
		}
		if back, err := pki.ParseToken(again); err != nil || back.Secret != tok.Secret {
			t.Fatalf("%q does not survive: %v", s, err)
		}
	})
}

func FuzzCheckCSR(f *testing.F) {
	key, _ := pki.NewKey()
	der, _ := pki.NewCSR(key)
	f.Add(der)
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if pub, err := pki.CheckCSR(b); err == nil && pub.Curve != elliptic.P256() {
			t.Fatalf("accepted curve %s", pub.Params().Name)
		}
	})
}

func FuzzParseCertificate(f *testing.F) {
	ca, _ := pki.NewCA("fuzz", now)
	key, _ := pki.NewKey()
	der, _, _ := ca.IssueAgent(id.New(id.Endpoint), key.Public(), now)
	f.Add(der)
	f.Add(ca.Certificate().Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		cert, err := pki.ParseCertificate(b)
		if err != nil {
			return
		}
		if endpointID, _, err := pki.VerifyAgent(ca.Certificate(), cert); err == nil && id.Check(id.Endpoint, endpointID) != nil {
			t.Fatalf("verified %q", endpointID)
		}
	})
}
