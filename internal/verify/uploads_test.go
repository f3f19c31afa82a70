package verify_test

import (
	"os"
	"path"
	"strings"
	"testing"

	"hozen/internal/verify"
)

// FuzzDocument: whatever package.json says, files that people sent lie below their folder, each
// once.
func FuzzDocument(f *testing.F) {
	for _, name := range []string{"v3", "v3-disposed", "v1"} {
		b, err := os.ReadFile("testdata/packages/" + name + ".zip")
		must(f, err)
		doc := open(f, b).files["data/package.json"]
		f.Add([]byte(doc))
		f.Add([]byte(strings.ReplaceAll(doc, `"uploads/`, `"uploads/../`)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := verify.ReadDocument(b)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, n := range list {
			if !strings.HasPrefix(n, "data/uploads/") || path.Clean(n) != n || strings.Count(n, "/") != 2 || seen[n] {
				t.Errorf("%q", n)
			}
			seen[n] = true
		}
	})
}
