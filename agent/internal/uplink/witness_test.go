package uplink_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/agent/internal/uplink"
	"hozen/agent/internal/witness"
	"hozen/internal/capability"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// signedLedger is what a collector shows of ledgers whose entries begin with what.
func signedLedger(t *testing.T, c *collector, what string, size, from int64) *agentv1.Checkpoint {
	t.Helper()
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	for n := range size {
		h, err := tlog.StoredHashes(n, fmt.Append(nil, what, n), reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, h...)
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	origin := "hozen-custody/" + pki.Fingerprint(c.ca.Certificate().Raw)[:16] + "/org_1"
	signed, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: size, Root: root}, key)
	if err != nil {
		t.Fatal(err)
	}
	m := &agentv1.Checkpoint{Note: []byte(signed.Note), VerifierKey: checkpoint.Key(key.Public().(ed25519.PublicKey)).Text(origin)}
	if from > 0 && from < size {
		p, err := tlog.ProveTree(size, from, reader)
		if err != nil {
			t.Fatal(err)
		}
		m.FromSize, m.Consistency = uint64(from), checkpoint.Hashes(p)
	}
	return m
}

// TestWitness: the agent remembers what it is shown and says it at the next connection;
// of a ledger that was put back it tells once, keeps both states, and works on.
func TestWitness(t *testing.T) {
	c := newCollector(t)
	c.checkpoint = signedLedger(t, c, "a", 9, 0)
	w := witness.Open(t.TempDir(), nil)
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.Witness = w })
	e, err := p.identity.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	seen := func() int64 { s, _ := w.Seen(uplink.LedgerOwner(e)); return s.Size }
	await(t, "the first checkpoint", func() bool { return seen() == 9 })
	c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Checkpoint{Checkpoint: signedLedger(t, c, "a", 12, 9)}}
	await(t, "a newer checkpoint", func() bool { return seen() == 12 })

	c.mu.Lock()
	hellos := c.hellos
	c.checkpoint = signedLedger(t, c, "a", 5, 0) // yesterday's backup
	c.capability = capability.Witness - 1        // and an older collector with it
	c.mu.Unlock()
	c.cut()
	await(t, "the next connection", func() bool { return c.count(func() int { return c.hellos }) > hellos })
	c.mu.Lock()
	held := string(c.hello.GetCheckpointNote())
	c.mu.Unlock()
	if got, err := checkpoint.Parse(held); err != nil || got.Size != 12 {
		t.Errorf("hello told of %d entries, %v", got.Size, err)
	}
	c.order(command(1))
	await(t, "the order to be carried out", func() bool { return len(c.told()) == 1 })
	if n := c.count(func() int { return len(c.conflicts) }); n != 0 {
		t.Error("an older collector was told what it does not understand")
	}
	c.mu.Lock()
	c.capability = capability.Current
	c.mu.Unlock()
	c.cut()
	await(t, "the conflict to be told", func() bool {
		return len(w.Untold(uplink.LedgerOwner(e))) == 0 && c.count(func() int { return len(c.conflicts) }) > 0
	})
	c.mu.Lock()
	told := c.conflicts[0]
	c.mu.Unlock()
	a, aerr := checkpoint.Parse(string(told.GetSeen()))
	b, berr := checkpoint.Parse(string(told.GetShown()))
	if aerr != nil || berr != nil || a.Size != 12 || b.Size != 5 || told.GetKind() != agentv1.LedgerConflictKind_LEDGER_CONFLICT_KIND_SHORTER {
		t.Errorf("told %v of %d and %d entries", told.GetKind(), a.Size, b.Size)
	}
	if seen() != 12 {
		t.Errorf("the agent remembers %d entries", seen())
	}
	c.order(command(2))
	await(t, "the next order to be carried out", func() bool { return len(c.told()) == 2 })
}
