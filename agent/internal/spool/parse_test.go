package spool

import (
	"testing"

	"hozen/internal/digest"
)

func FuzzParseNotes(f *testing.F) {
	f.Add([]byte("\n" + `{"name":"artifacts/a.jsonl.zst","size":3,"sha256":"` + digest.Of(nil).String() + `","note":{"x":1}}` + "\n\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, n := range parseNotes(b) {
			p := &part{name: name}
			if checkPart(name) != nil || n.Name != name || !p.known(map[string]partNote{name: n}) || p.size < 0 {
				t.Errorf("%q: %+v", name, n)
			}
		}
	})
}

func FuzzEnvelopeSize(f *testing.F) {
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\ny\n--- z\n0123456789abcdef and more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := envelopeSize(b); n < 0 || n > len(b) || n > 0 && n < sealedNonce {
			t.Errorf("%d of %d bytes", n, len(b))
		}
	})
}

func FuzzParseStored(f *testing.F) {
	f.Add([]byte(`{"artifacts":[{"name":"artifacts/a.jsonl.zst","stored":{"size":3,"sha256":"` + digest.Of(nil).String() + `"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range parseStored(b) {
			p := &part{name: n.Name}
			if checkPart(n.Name) != nil || !p.known(map[string]partNote{n.Name: n}) || p.size < 0 {
				t.Errorf("%+v", n)
			}
		}
	})
}
