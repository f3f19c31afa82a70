package uplink_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/internal/capability"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// sealedSpool gives a PC a spool that encrypts to the collector.
func (p *pc) sealedSpool(t *testing.T, c *collector) (dir string) {
	t.Helper()
	key, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	c.opens = &key
	if err := p.spool.Close(); err != nil {
		t.Fatal(err)
	}
	wrap := func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, key.Recipient()) }
	dir = t.TempDir()
	if p.spool, err = spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, Wrap: func() func(io.Writer) (io.WriteCloser, error) { return wrap }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.spool.Close() })
	return dir
}

// TestDamagedEnvelopeIsRefused: evidence whose encrypted file lost its beginning, or everything,
// is sent as it lies there, so that the collector says what is wrong with it, once.
func TestDamagedEnvelopeIsRefused(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	dir := p.sealedSpool(t, c)
	var list []string
	for _, size := range []int64{0, 1, 20 << 10} {
		e := p.begin(t)
		e.part(t, "artifacts/process.jsonl.zst", 30_000)
		e.seal(t)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, e.ID(), "artifacts", "process.jsonl.zst.age")
		must(os.WriteFile(file, make([]byte, size), 0o600))
		list = append(list, e.ID())
	}
	if err := p.spool.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.spool, err = spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1}); err != nil {
		t.Fatal(err)
	}
	p.start(t, nil)
	for _, id := range list {
		await(t, "refusal", func() bool { return p.state(id).State == spool.Refused })
		if got := p.state(id).Reason; got != "malformed: artifacts/process.jsonl.zst" {
			t.Errorf("refused because of %s", got)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uploads != len(list) || c.clear > 0 {
		t.Errorf("%d uploads, %d parts taken for clear ones", c.uploads, c.clear)
	}
}

// TestFileCutOffWhileTheAgentRuns: what is left of a part's file, be it nothing, is sent, so that
// the collector refuses it; it is not tried for ever.
func TestFileCutOffWhileTheAgentRuns(t *testing.T) {
	for name, encrypted := range map[string]bool{"encrypted": true, "in the clear": false} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			p := newPC(t, c, time.Now())
			dir, suffix := filepath.Join(p.dir, "spool"), ""
			if encrypted {
				dir, suffix = p.sealedSpool(t, c), ".age"
			}
			what := map[string]func(file string) error{
				"half":    func(file string) error { return os.Truncate(file, 200_000) },
				"emptied": func(file string) error { return os.Truncate(file, 0) },
				"removed": os.Remove,
			}
			list := map[string]string{}
			for damage, do := range what {
				e := p.begin(t)
				e.part(t, "artifacts/process.jsonl.zst", 500_000)
				e.seal(t)
				if err := do(filepath.Join(dir, e.ID(), "artifacts", "process.jsonl.zst"+suffix)); err != nil {
					t.Fatal(err)
				}
				list[damage] = e.ID()
			}
			p.start(t, nil)
			for damage, id := range list {
				await(t, "refusal of "+damage, func() bool { return p.state(id).State == spool.Refused })
				if got := p.state(id).Reason; got != "digest_mismatch" && got != "malformed: artifacts/process.jsonl.zst" {
					t.Errorf("%s: refused because of %s", damage, got)
				}
			}
			if n := c.count(func() int { return c.uploads }); n != len(list) {
				t.Errorf("%d uploads of %d", n, len(list))
			}
		})
	}
}

// TestLackingKey: evidence that the collector has no key for waits for it to get one, and is
// handed over then.
func TestLackingKey(t *testing.T) {
	c := newCollector(t)
	c.refusal = &agentv1.Refusal{Code: agentv1.RefusalCode_REFUSAL_CODE_OTHER_KEY, Part: "artifacts/a"}
	p := newPC(t, c, time.Now())
	e := p.begin(t)
	e.part(t, "artifacts/a", 10)
	e.seal(t)
	p.start(t, func(cfg *uplink.Config) {
		cfg.Configure = func(s uplink.Configure) { p.spool.OfferAgain(s.Recipients[0]) }
	})
	tell := func(key string) {
		c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Configure{Configure: &agentv1.Configure{Recipients: []string{key}}}}
	}
	uploads := func() int { return c.count(func() int { return c.uploads }) }
	refused := func(after int) {
		t.Helper()
		await(t, "refusal", func() bool { return uploads() == after && p.state(e.ID()).State == spool.Refused })
	}
	refused(1)
	tell("age1one")
	refused(2)
	c.mu.Lock()
	c.refusal = nil
	c.mu.Unlock()
	tell("age1one") // which did not open it
	c.order(command(1))
	await(t, "an order to be carried out", func() bool { return len(c.told()) == 1 })
	if n, s := uploads(), p.state(e.ID()).State; n != 2 || s != spool.Refused {
		t.Errorf("%d uploads, %s", n, s)
	}
	tell("age1two")
	await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
	e.arrived(t, c)
}

// TestSealedEvidenceIsHandedOver: what waits encrypted is sent as it lies there, and goes on
// where it was cut; a collector that is too old to open it is not sent it.
func TestSealedEvidenceIsHandedOver(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	p.sealedSpool(t, c)
	c.cutAfter, c.capability = 2, capability.Sealed-1
	e := p.begin(t)
	e.part(t, "artifacts/process.jsonl.zst", 900_001)
	e.part(t, "artifacts/empty", 0)
	e.part(t, "artifacts/netconn.jsonl.zst", 128<<10) // exactly two chunks
	e.seal(t)
	p.start(t, nil)
	await(t, "the connection", func() bool { return c.count(func() int { return c.hellos }) > 0 })
	c.order(command(1))
	await(t, "an order to be carried out", func() bool { return len(c.told()) == 1 })
	c.mu.Lock()
	if c.bytes > 0 {
		t.Error("a collector was sent what it cannot open")
	}
	c.capability = capability.Current
	c.mu.Unlock()
	c.cut()
	await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
	e.arrived(t, c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uploads < 2 || c.clear > 0 {
		t.Errorf("%d uploads, %d parts in the clear", c.uploads, c.clear)
	}
}

// TestSealedEvidenceIsSentAsItGrows: the collector has what is on the disk before the
// acquisition is sealed.
func TestSealedEvidenceIsSentAsItGrows(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	p.sealedSpool(t, c)
	p.start(t, nil)
	e := p.begin(t)
	w, err := e.Create("artifacts/process.jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	b := noise(600_000)
	if _, err := w.Write(b[:500_000]); err != nil {
		t.Fatal(err)
	}
	await(t, "what is on the disk", func() bool { return c.count(func() int { return c.bytes }) >= 7*(64<<10) })
	if _, err := w.Write(b[500_000:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e.want["artifacts/process.jsonl.zst"] = b
	e.seal(t)
	await(t, "receipt", func() bool { return p.state(e.ID()).State == spool.Received })
	e.arrived(t, c)
}

// TestConfigure: what the organisation has set is passed on.
func TestConfigure(t *testing.T) {
	c := newCollector(t)
	var mu sync.Mutex
	var heard []uplink.Configure
	newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) {
		cfg.Configure = func(s uplink.Configure) { mu.Lock(); defer mu.Unlock(); heard = append(heard, s) }
	})
	for _, m := range []*agentv1.Configure{{Recipients: []string{"age1x"}}, {Triage: &agentv1.TriageScope{Histories: true}}} {
		c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Configure{Configure: m}}
	}
	await(t, "both words", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) == 2 })
	if a, b := heard[0], heard[1]; len(a.Recipients) != 1 || a.Triage != nil || len(b.Recipients) != 0 || b.Triage == nil || b.Triage.Private || !b.Triage.Histories {
		t.Errorf("%+v", heard)
	}
}
