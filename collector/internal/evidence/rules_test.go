package evidence_test

import (
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact/manifesttest"
)

// The verifier is tested with the same list: nothing is taken in that it would refuse.
func TestManifestsThatAreRefused(t *testing.T) {
	if _, err := evidence.DecodeManifest([]byte(manifesttest.Good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range manifesttest.Bad() {
		if _, err := evidence.DecodeManifest([]byte(c.Manifest)); err == nil {
			t.Errorf("%s: it was taken", c.Name)
		}
	}
}
