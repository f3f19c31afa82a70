package act_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb/sqldbtest"
	cp "hozen/internal/custody/checkpoint"
)

// TestWordsBesideASignedState: a witness that holds a state which the collector signed and
// does not remember is on record once, whatever it says beside it.
func TestWordsBesideASignedState(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	dir := t.TempDir()
	signer, err := checkpoint.Open(t.Context(), checkpoint.Config{DB: x.db, KeyFile: filepath.Join(dir, "key.pem"), Dir: filepath.Join(dir, "log"), Name: "hozen.test/log", Now: func() time.Time { return x.clock }})
	ok(t, err)
	x.Acts, err = act.New(act.Config{Checkpoints: signer, Addresses: []string{"192.0.2.1:7443"}, DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1},
		Now: func() time.Time { return x.clock }})
	ok(t, err)
	p := x.enrolled("pc-1")
	_, err = x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	forked, err := cp.Parse(x.EndpointCheckpoint(t.Context(), p.id, nil).Note)
	ok(t, err)
	forked.Root[0] ^= 1
	b, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	ok(t, err)
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ok(t, err)
	forked, err = cp.Sign(forked, key.(ed25519.PrivateKey))
	ok(t, err)
	tell := func(n int) {
		t.Helper()
		ok(t, x.LedgerConflict(t.Context(), p.id, act.ConflictCall{ID: strings.Repeat(strconv.Itoa(n), 64), Kind: strconv.Itoa(n), Seen: forked.Note, Shown: "shown " + strconv.Itoa(n), At: x.clock}))
	}
	before := x.lines(act.ActConflict)
	tell(0)
	once := len(x.acts(""))
	if n := x.lines(act.ActConflict); n <= before {
		t.Fatal("what the collector signed is not on record")
	}
	for n := range 5 {
		tell(n)
	}
	if n := len(x.acts("")); n != once {
		t.Errorf("%d entries more by words beside it", n-once)
	}
}
