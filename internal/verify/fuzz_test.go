package verify_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"hozen/internal/custody"
	"hozen/internal/verify"
)

func FuzzManifest(f *testing.F) {
	for _, seed := range []*folder{newFolder(f), newEnrolledFolder(f)} {
		f.Add(seed.read("manifest.json"))
	}
	f.Add([]byte(`{"format":"hozen-manifest/1","format":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if verify.CheckManifest(b) != nil {
			return
		}
		// What is accepted means the same to everybody who reads JSON.
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	seed := newEnrolledFolder(f)
	f.Add(seed.read("receipt.json"))
	s, err := custody.DecodeFile(seed.read("receipt.json"))
	must(f, err)
	f.Add(s.Payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		if payload, err := verify.SignedPayload(b); err == nil {
			// The other reader of the same format sees the same bytes.
			if s, err := custody.DecodeFile(b); err != nil || !bytes.Equal(s.Payload, payload) {
				t.Fatalf("two readers disagree: %v", err)
			}
		}
		verify.CheckReceipt(b)
	})
}

func FuzzArtifact(f *testing.F) {
	f.Add(compress(f, []byte(processText)), true)
	f.Add([]byte(processText), false)
	f.Add(compress(f, bytes.Repeat([]byte("{}\n"), 1<<20)), true)
	f.Fuzz(func(t *testing.T, b []byte, zstd bool) {
		const limit = 1 << 16
		if n, err := verify.ReadArtifact(t.Context(), b, zstd, limit); n > limit {
			t.Fatalf("read %d bytes, at most %d were allowed (%v)", n, limit, err)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := verify.ParseJSON(b)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v is not %v: %v", got, want, err)
		}
	})
}
