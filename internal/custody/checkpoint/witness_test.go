package checkpoint_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/internal/custody/checkpoint"
)

func witness(t testing.TB, name string, n byte) (checkpoint.Witness, ed25519.PrivateKey) {
	t.Helper()
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	w, err := checkpoint.NewWitness(name, k.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return w, k
}

func TestCosignatures(t *testing.T) {
	priv, pub := key(1)
	c, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: 3}, priv)
	if err != nil {
		t.Fatal(err)
	}
	one, k1 := witness(t, "w.example/one", 11)
	two, k2 := witness(t, "w.example/two", 12)
	at := time.Unix(1_790_000_000, 0).UTC()
	l1, err := checkpoint.Cosign(c.Note, one, k1, at)
	if err != nil {
		t.Fatal(err)
	}
	l2, err := checkpoint.Cosign(c.Note, two, k2, at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	both := c.Note + l2 + l1
	got, err := checkpoint.Cosignatures(both, []checkpoint.Witness{one, two})
	if err != nil || len(got) != 2 || !got[0].At.Equal(at) || got[0].Line != l1 || got[1].Line != l2 || got[1].Witness.Name() != "w.example/two" {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := checkpoint.Open(both, pub); err != nil {
		t.Errorf("the log's own signature: %v", err)
	}
	if own, err := checkpoint.Own(both, pub); err != nil || own != c.Note {
		t.Errorf("%q, %v", own, err)
	}
	if got, err := checkpoint.Cosignatures(c.Note+l1, []checkpoint.Witness{two}); err != nil || len(got) != 0 {
		t.Errorf("a stranger's: %v, %v", got, err)
	}
	forged := strings.Replace(both, "\n3\n", "\n4\n", 1)
	if _, err := checkpoint.Cosignatures(forged, []checkpoint.Witness{one}); !errors.Is(err, checkpoint.ErrSignature) {
		t.Errorf("another size: %v", err)
	}
	// The time is signed too.
	name, sig, _ := strings.Cut(strings.TrimSuffix(l1[len("— "):], "\n"), " ")
	raw, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	raw[11]++
	later := "— " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	if _, err := checkpoint.Cosignatures(c.Note+later, []checkpoint.Witness{one}); !errors.Is(err, checkpoint.ErrSignature) {
		t.Errorf("another time: %v", err)
	}
}

// TestWitnessKeys: written and read back; keys of logs are none.
func TestWitnessKeys(t *testing.T) {
	w, _ := witness(t, "w.example/one", 11)
	back, err := checkpoint.ParseWitness(w.Text())
	if err != nil || back.Text() != w.Text() || back.Name() != w.Name() {
		t.Fatalf("%v", err)
	}
	_, pub := key(1)
	for _, bad := range []string{"", "a+b", pub.Text(origin), strings.Replace(w.Text(), "one", "two", 1), strings.Repeat("x", 1000), w.Text() + "="} {
		if _, err := checkpoint.ParseWitness(bad); !errors.Is(err, checkpoint.ErrMalformed) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzCosignatures(f *testing.F) {
	priv, _ := key(1)
	c, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: 3}, priv)
	if err != nil {
		f.Fatal(err)
	}
	w, k := witness(f, "w.example/one", 11)
	line, err := checkpoint.Cosign(c.Note, w, k, time.Unix(1_790_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Note + line)
	f.Add(c.Note)
	f.Add(line)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := checkpoint.Cosignatures(s, []checkpoint.Witness{w})
		if err == nil && len(got) > 0 && !strings.Contains(s, got[0].Line) {
			t.Errorf("a line that does not stand there: %q", got[0].Line)
		}
	})
}
