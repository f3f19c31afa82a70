package evidence_test

import (
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
)

// BenchmarkIntake takes in parts of 64 MiB in chunks of 256 KiB, from the first byte
// to the receipt: hashed, decompressed, synced, recorded. MB/s are stored bytes.
func BenchmarkIntake(b *testing.B) {
	random := make([]byte, 64<<20)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(random)
	text := make([]byte, 0, 96<<20) // compresses to about three quarters
	for n := 0; len(text) < 80<<20; n += 60 {
		text = append(base64.StdEncoding.AppendEncode(text, random[n%len(random):][:60]), '\n')
	}
	for name, plain := range map[string][]byte{"incompressible": append(random[:len(random)-1:len(random)-1], '\n'), "text": text} {
		b.Run(name, func(b *testing.B) {
			site := evidencetest.New(b, sqldbtest.Open(b))
			in := site.Open(b, nil)
			ep := site.Endpoint(b)
			var lines int64
			for _, c := range plain {
				if c == '\n' {
					lines++
				}
			}
			made := ep.Acquisition(b, 0)
			made.Add(b, artifact.KindProcess, plain, lines)
			stored := made.Parts[processPart]
			sum := sha256.Sum256(stored)
			b.SetBytes(int64(len(stored)))
			for b.Loop() {
				b.StopTimer()
				a := ep.Acquisition(b, 0)
				a.Manifest.Artifacts, a.Manifest.Probes = made.Manifest.Artifacts, made.Manifest.Probes
				ep.Sign(b, a)
				if err := emptyBlobs(site); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				u, err := in.Begin(b.Context(), ep.ID, a.Manifest.AcquisitionID)
				if err == nil {
					err = u.Part(processPart, 0, nil)
				}
				for off := 0; err == nil && off < len(stored); off += 256 << 10 {
					err = u.Write(stored[off:min(off+256<<10, len(stored))])
				}
				if err == nil {
					err = u.EndPart(int64(len(stored)), sum[:])
				}
				if err == nil {
					_, err = u.Seal(b.Context(), a.Raw, a.Signature, a.Certificate)
				}
				if err != nil {
					b.Fatal(err)
				}
				u.Close()
			}
		})
	}
}

// emptyBlobs forgets all blobs, so that the next round writes them again.
func emptyBlobs(site *evidencetest.Site) error {
	return os.RemoveAll(filepath.Join(site.Dir, "blobs", "sha256"))
}
