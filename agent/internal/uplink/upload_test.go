package uplink_test

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/spool"
	"hozen/internal/custody"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// evidence is an acquisition that a test writes by hand.
type evidence struct {
	*spool.Acquisition
	p    *pc
	want map[string][]byte
}

func (p *pc) begin(t *testing.T) *evidence {
	t.Helper()
	a, err := p.spool.Begin(id.New(id.Acquisition), []byte("plan"))
	if err != nil {
		t.Fatal(err)
	}
	return &evidence{Acquisition: a, p: p, want: map[string][]byte{}}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

func (e *evidence) part(t *testing.T, name string, size int) {
	t.Helper()
	w, err := e.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	b := noise(size)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.want[name] = b
}

func (e *evidence) seal(t *testing.T) {
	t.Helper()
	key, err := e.p.identity.Key()
	if err != nil {
		t.Fatal(err)
	}
	en, err := e.p.identity.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	e.sealWith(t, key, append(pki.CertificatePEM(en.Certificate), pki.CertificatePEM(en.CA)...))
}

func (e *evidence) sealWith(t *testing.T, key *ecdsa.PrivateKey, chain []byte) {
	t.Helper()
	manifest := []byte(`{"of":"` + e.ID() + `"}`)
	sig, err := pki.Sign(key, manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Seal(spool.Seal{Manifest: manifest, Signature: sig, SignerPEM: []byte("key"), CertPEM: chain}); err != nil {
		t.Fatal(err)
	}
}

func (p *pc) state(acquisitionID string) spool.Info {
	for _, i := range p.spool.List() {
		if i.AcquisitionID == acquisitionID {
			return i
		}
	}
	return spool.Info{State: -1}
}

// arrived compares what the collector has with what was written.
func (e *evidence) arrived(t *testing.T, c *collector) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, want := range e.want {
		p := c.parts[e.ID()][name]
		if p == nil || !p.ended || !bytes.Equal(p.data, want) {
			t.Errorf("%s of %s did not arrive as it was written", name, e.ID())
		}
	}
}

func TestEvidenceIsHandedOver(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	var all []*evidence
	for n := range 5 {
		e := p.begin(t)
		e.part(t, "artifacts/process.jsonl.zst", 1+n*300_000)
		e.part(t, "artifacts/empty", 0)
		e.part(t, "artifacts/netconn.jsonl.zst", 128<<10) // exactly one chunk
		e.seal(t)
		all = append(all, e)
	}
	p.start(t, nil)
	for _, e := range all {
		await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
		e.arrived(t, c)
		r, err := p.spool.Open(e.ID())
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.Receipt()
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		s, err := custody.DecodeFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := custody.Verify(s, c.ca.Certificate()); err != nil || got.AcquisitionID != e.ID() {
			t.Fatal(got, err)
		}
	}
}

// TestStreamsWhileCapturing: bytes are there before the acquisition is sealed, and a
// part that was given up does not stand in the way.
func TestStreamsWhileCapturing(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now()).start(t, nil)
	e := p.begin(t)
	w, err := e.Create("artifacts/process.jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	b := noise(400_000)
	have := func(name string) func() int {
		return func() int {
			if part := c.parts[e.ID()][name]; part != nil {
				return len(part.data)
			}
			return -1
		}
	}
	for n := 0; n < len(b); n += 100_000 {
		if _, err := w.Write(b[n : n+100_000]); err != nil {
			t.Fatal(err)
		}
		await(t, "growing part", func() bool { return c.count(have("artifacts/process.jsonl.zst")) == n+100_000 })
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.want["artifacts/process.jsonl.zst"] = b
	lost, err := e.Create("artifacts/lost")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lost.Write(noise(1000)); err != nil {
		t.Fatal(err)
	}
	await(t, "lost part begun", func() bool { return c.count(have("artifacts/lost")) == 1000 })
	if err := lost.Discard(); err != nil {
		t.Fatal(err)
	}
	e.part(t, "artifacts/netconn.jsonl.zst", 10)
	if p.state(e.ID()).State != spool.Live {
		t.Fatal("not live any more")
	}
	e.seal(t)
	await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
	e.arrived(t, c)
}

// TestResumes cuts the upload at every chunk; each byte arrives once and in order.
func TestResumes(t *testing.T) {
	for cut := 1; cut <= 8; cut++ {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			c.cutAfter = cut
			p := newPC(t, c, time.Now())
			e := p.begin(t)
			e.part(t, "artifacts/a", 1_000_000)
			e.part(t, "artifacts/b", 700_001) // at least 7 chunks together
			e.seal(t)
			p.start(t, nil)
			await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
			e.arrived(t, c)
			if want := 2; cut <= 7 && c.uploads != want {
				t.Errorf("%d uploads, want %d", c.uploads, want)
			}
		})
	}
}

// TestLostReceipt: the collector has it, the agent was not told.
func TestLostReceipt(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	e := p.begin(t)
	e.part(t, "artifacts/a", 10)
	e.seal(t)
	c.mu.Lock()
	_, err := c.receipt(e.ID(), &agentv1.Seal{Manifest: []byte(`{"of":"` + e.ID() + `"}`)})
	c.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
	if c.uploads != 0 {
		t.Error("it was sent again")
	}
}

// TestWrongReceipts are not believed: the evidence stays sealed and waits.
func TestWrongReceipts(t *testing.T) {
	other := newCollector(t)
	for name, change := range map[string]func(*collector){
		"another acquisition": func(c *collector) {
			c.badReceipt = func(r custody.Receipt) custody.Receipt { r.AcquisitionID = id.New(id.Acquisition); return r }
		},
		"another manifest": func(c *collector) {
			c.badReceipt = func(r custody.Receipt) custody.Receipt { r.ManifestSHA256 = digest.Of([]byte("x")).String(); return r }
		},
		"another CA": func(c *collector) {
			c.badReceipt = func(r custody.Receipt) custody.Receipt {
				c.key, c.cert = other.key, other.cert
				return r
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			change(c)
			p := newPC(t, c, time.Now())
			e := p.begin(t)
			e.part(t, "artifacts/a", 10)
			e.seal(t)
			p.start(t, nil)
			await(t, "upload", func() bool { return c.count(func() int { return c.uploads }) >= 2 }) // it tries again
			if s := p.state(e.ID()).State; s != spool.Sealed {
				t.Fatalf("state %s", s)
			}
		})
	}
}

func TestRefusalIsKept(t *testing.T) {
	c := newCollector(t)
	c.refusal = &agentv1.Refusal{Code: agentv1.RefusalCode_REFUSAL_CODE_CONFLICT, Part: "artifacts/a", Detail: "other bytes"}
	p := newPC(t, c, time.Now())
	e := p.begin(t)
	e.part(t, "artifacts/a", 10)
	e.seal(t)
	p.start(t, nil)
	await(t, "refusal", func() bool { return p.state(e.ID()).State == spool.Refused })
	if got := p.state(e.ID()).Reason; got != "conflict: artifacts/a: other bytes" {
		t.Fatalf("%q", got)
	}
	// The session is not hurt.
	c.order(command(1))
	await(t, "result", func() bool { return c.count(func() int { return len(c.results) }) == 1 })
}

func TestEvidenceWithoutCertificateIsNotSentForEver(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	e := p.begin(t)
	e.part(t, "artifacts/a", 10)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	e.sealWith(t, key, nil)
	p.start(t, nil)
	await(t, "refusal", func() bool { return p.state(e.ID()).State == spool.Refused })
	if !strings.Contains(p.state(e.ID()).Reason, "without a certificate") {
		t.Errorf("%q", p.state(e.ID()).Reason)
	}
}
