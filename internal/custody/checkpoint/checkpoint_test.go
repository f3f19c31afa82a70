package checkpoint_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"hozen/internal/custody/checkpoint"
)

const origin = "hozen-custody/0123456789abcdef/org_1"

func key(n byte) (ed25519.PrivateKey, checkpoint.Key) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	return k, checkpoint.Key(k.Public().(ed25519.PublicKey))
}

// log is a tree in memory.
type log struct {
	hashes []tlog.Hash
	n      int64
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

func (l *log) add(t *testing.T, data string) {
	t.Helper()
	h, err := tlog.StoredHashes(l.n, []byte(data), l)
	if err != nil {
		t.Fatal(err)
	}
	l.hashes, l.n = append(l.hashes, h...), l.n+1
}

func (l *log) at(t *testing.T, size int64) checkpoint.Checkpoint {
	t.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint.Checkpoint{Origin: origin, Size: size, Root: root}
}

func TestSignedIsReadByOthers(t *testing.T) {
	priv, pub := key(1)
	var l log
	for i := range 5 {
		l.add(t, fmt.Sprint(i))
	}
	c, err := checkpoint.Sign(l.at(t, 5), priv)
	if err != nil {
		t.Fatal(err)
	}
	// As any reader of signed notes does it.
	v, err := note.NewVerifier(pub.Text(origin))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(c.Note), note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	want := origin + "\n5\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
	if n.Text != want {
		t.Errorf("the text is %q, want %q", n.Text, want)
	}
	got, err := checkpoint.Open(c.Note, pub)
	if err != nil || !got.Same(c) || got.Note != c.Note {
		t.Errorf("%+v, %v", got, err)
	}
	name, k, err := checkpoint.ParseKey(pub.Text(origin))
	if err != nil || name != origin || !k.Equal(pub) || len(k.Fingerprint()) != 64 {
		t.Errorf("%q %x, %v", name, k, err)
	}
	_, other := key(2)
	if _, err := checkpoint.Open(c.Note, other); !errors.Is(err, checkpoint.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	for _, forged := range []string{
		strings.Replace(c.Note, "\n5\n", "\n6\n", 1),
		strings.Replace(c.Note, "org_1\n5", "org_2\n5", 1), // another organisation's log
	} {
		if _, err := checkpoint.Open(forged, pub); !errors.Is(err, checkpoint.ErrSignature) {
			t.Errorf("forged: %v", err)
		}
	}
}

func TestMalformed(t *testing.T) {
	priv, _ := key(1)
	good, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: 3}, priv)
	if err != nil {
		t.Fatal(err)
	}
	text, signatures, _ := strings.Cut(good.Note, "\n\n")
	lines := strings.Split(text, "\n")
	for name, note := range map[string]string{
		"empty":           "",
		"unsigned":        text + "\n",
		"two lines":       strings.Join(lines[:2], "\n") + "\n\n" + signatures,
		"space in origin": strings.Replace(good.Note, "org_1\n", "org 1\n", 1),
		"plus":            strings.Replace(good.Note, "org_1\n", "org+1\n", 1),
		"leading zero":    strings.Replace(good.Note, "\n3\n", "\n03\n", 1),
		"signed number":   strings.Replace(good.Note, "\n3\n", "\n+3\n", 1),
		"negative":        strings.Replace(good.Note, "\n3\n", "\n-3\n", 1),
		"hexadecimal":     strings.Replace(good.Note, lines[2], strings.Repeat("ab", 32), 1),
		"empty tree":      strings.Replace(good.Note, "\n3\n", "\n0\n", 1),
		"too long":        good.Note + strings.Repeat("x", checkpoint.MaxNote),
	} {
		if c, err := checkpoint.Parse(note); !errors.Is(err, checkpoint.ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for _, vkey := range []string{"", "a+b", origin + "+00000000+AAAA", strings.Repeat("x", 1000)} {
		if _, _, err := checkpoint.ParseKey(vkey); !errors.Is(err, checkpoint.ErrMalformed) {
			t.Errorf("key %.20q: %v", vkey, err)
		}
	}
}

func TestConsistency(t *testing.T) {
	var l, other log
	for i := range 70 {
		l.add(t, fmt.Sprint(i))
		if i != 40 {
			other.add(t, fmt.Sprint(i))
		} else {
			other.add(t, "rewritten")
		}
	}
	for _, old := range []int64{1, 2, 7, 32, 40, 41, 69, 70} {
		proof, err := tlog.ProveTree(70, old, &l)
		if err != nil {
			t.Fatal(err)
		}
		p := checkpoint.Hashes(proof)
		if err := checkpoint.CheckConsistency(l.at(t, old), l.at(t, 70), p); err != nil {
			t.Errorf("from %d: %v", old, err)
		}
		forged, err := tlog.ProveTree(70, old, &other)
		if err != nil {
			t.Fatal(err)
		}
		err = checkpoint.CheckConsistency(l.at(t, old), other.at(t, 70), checkpoint.Hashes(forged))
		if old <= 40 && err != nil || old > 40 && !errors.Is(err, checkpoint.ErrInconsistent) {
			t.Errorf("rewritten after %d: %v", old, err)
		}
		if len(p) > 0 {
			bad := append([][]byte{bytes.Repeat([]byte{1}, 32)}, p[1:]...)
			if err := checkpoint.CheckConsistency(l.at(t, old), l.at(t, 70), bad); !errors.Is(err, checkpoint.ErrInconsistent) {
				t.Errorf("a wrong proof from %d: %v", old, err)
			}
			if err := checkpoint.CheckConsistency(l.at(t, old), l.at(t, 70), p[1:]); !errors.Is(err, checkpoint.ErrInconsistent) {
				t.Errorf("a short proof from %d: %v", old, err)
			}
		}
	}
	if err := checkpoint.CheckConsistency(l.at(t, 70), l.at(t, 60), nil); !errors.Is(err, checkpoint.ErrInconsistent) {
		t.Errorf("a shorter ledger: %v", err)
	}
	elsewhere := l.at(t, 70)
	elsewhere.Origin += "/2"
	if err := checkpoint.CheckConsistency(l.at(t, 70), elsewhere, nil); !errors.Is(err, checkpoint.ErrInconsistent) {
		t.Errorf("another origin: %v", err)
	}
	leaf := tlog.RecordHash([]byte("13"))
	proof, err := tlog.ProveRecord(70, 13, &l)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.CheckInclusion(l.at(t, 70), 13, leaf, checkpoint.Hashes(proof)); err != nil {
		t.Error(err)
	}
	for _, index := range []int64{-1, 12, 14, 70} {
		if err := checkpoint.CheckInclusion(l.at(t, 70), index, leaf, checkpoint.Hashes(proof)); err == nil {
			t.Errorf("the entry is taken for entry %d", index)
		}
	}
}

func FuzzOpen(f *testing.F) {
	priv, pub := key(1)
	good, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: 3}, priv)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Note, pub.Text(origin))
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, vkey string) {
		name, k, err := checkpoint.ParseKey(vkey)
		if err == nil && k.Text(name) == "" {
			t.Errorf("key %q is read and not written", vkey)
		}
		c, err := checkpoint.Parse(text)
		if err != nil {
			return
		}
		if got, err := checkpoint.Open(text, pub); err == nil && (!got.Same(c) || !got.Same(good) && got.Origin == good.Origin) {
			t.Errorf("%+v is taken for signed", got)
		}
	})
}

func FuzzProofs(f *testing.F) {
	f.Add(int64(1), int64(2), int64(0), []byte("0123456789abcdef0123456789abcdef"))
	f.Add(int64(1<<62), int64(1<<62+1), int64(1<<61), []byte{})
	f.Fuzz(func(t *testing.T, old, next, index int64, raw []byte) {
		var proof [][]byte
		for len(raw) >= 32 {
			proof, raw = append(proof, raw[:32]), raw[32:]
		}
		if len(raw) > 0 {
			proof = append(proof, raw)
		}
		a, b := checkpoint.Checkpoint{Origin: origin, Size: old, Root: tlog.Hash{1}}, checkpoint.Checkpoint{Origin: origin, Size: next, Root: tlog.Hash{2}}
		if err := checkpoint.CheckConsistency(a, b, proof); err == nil && old > 0 {
			t.Error("proven by chance")
		}
		if err := checkpoint.CheckInclusion(b, index, tlog.Hash{3}, proof); err == nil {
			t.Error("included by chance")
		}
	})
}
