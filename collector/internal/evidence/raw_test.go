package evidence_test

import (
	"bytes"
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
)

// TestBytesThatAreNoLines: an image of memory and files of a kernel are taken in as they
// are. Most of a PC's memory may be zeros, which is no bomb.
func TestBytesThatAreNoLines(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	in := site.Open(t, nil)
	ep := site.Endpoint(t)
	image := append([]byte("EMiL\x01\x00\x00\x00"), make([]byte, 100<<20)...)
	send := func(change func(a *evidencetest.Acquisition)) error {
		a := ep.Acquisition(t, 3, artifact.KindProcess)
		change(a)
		ep.Sign(t, a)
		_, err := evidencetest.Send(t.Context(), in, ep.ID, a)
		return err
	}
	if err := send(func(a *evidencetest.Acquisition) {
		a.Add(t, artifact.KindMemory, image, 1)
		a.Add(t, artifact.KindKallsyms, []byte("no line ends here"), 1)
	}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, evidence.Malformed, func() error {
		return send(func(a *evidencetest.Acquisition) { a.Add(t, artifact.KindMemory, []byte("EMiL\n\n"), 2) })
	})
	wantRefusal(t, evidence.Malformed, func() error {
		return send(func(a *evidencetest.Acquisition) { a.Add(t, artifact.KindBTF, bytes.Repeat([]byte{0}, 100<<20), 1) })
	})
}
