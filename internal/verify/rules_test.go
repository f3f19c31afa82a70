package verify_test

import (
	"testing"

	"hozen/internal/artifact/manifesttest"
	"hozen/internal/verify"
)

// The collector's intake is tested with the same list.
func TestManifestsThatAreRefused(t *testing.T) {
	must(t, verify.CheckManifest([]byte(manifesttest.Good)))
	for _, c := range manifesttest.Bad() {
		if verify.CheckManifest([]byte(c.Manifest)) == nil {
			t.Errorf("%s: it was taken", c.Name)
		}
	}
}
