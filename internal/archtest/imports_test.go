package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	Standard   bool
}

var oses = []string{"linux", "windows"}

// list runs `go list -json` for one operating system.
func list(t *testing.T, goos string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Dir,Doc,Imports,Standard"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v", goos, err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

// under reports whether path is prefix or lies below it.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// broken returns the rule that an import breaks.
func broken(importer, imported string) (why string, bad bool) {
	if from, ok := edges[imported]; ok && !under(importer, imported) && !slices.Contains(from, importer) {
		return "only main imports an edge", true
	}
	for _, r := range rules {
		if !under(imported, r.to) || under(importer, r.to) {
			continue
		}
		if !slices.ContainsFunc(r.from, func(f string) bool { return under(importer, mod+f) }) {
			return r.why, true
		}
	}
	a, okA := contextOf(importer)
	b, okB := contextOf(imported)
	if okA && okB && a != b {
		if _, ok := contextMeets[a+" → "+b]; !ok {
			return "contexts meet in act, not in each other", true
		}
	}
	return "", false
}

func contextOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, mod+"collector/internal/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok && slices.Contains(contexts, name)
}

func TestImports(t *testing.T) {
	for _, goos := range oses {
		for _, p := range list(t, goos, "./...") {
			for _, imported := range p.Imports {
				if why, bad := broken(p.ImportPath, imported); bad {
					t.Errorf("%s: %s imports %s: %s", goos, strings.TrimPrefix(p.ImportPath, mod), imported, why)
				}
			}
		}
	}
}

// TestRulesBite shows that the rules refuse what they are for.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		importer, imported string
		bad                bool
	}{
		{"agent/internal/acquire", "os/exec", true},
		{"agent/internal/acquire", "google.golang.org/grpc/codes", true},
		{"agent/internal/uplink", "google.golang.org/grpc/codes", false},
		{"agent/internal/uplink/session", mod + "proto/hozen/agent/v1", false},
		{"collector/internal/incident", mod + "collector/internal/evidence", true},
		{"collector/internal/act", mod + "collector/internal/evidence", false},
		{"collector/internal/act", mod + "collector/internal/console", true},
		{"collector", mod + "collector/internal/console", false},
		{"collector/internal/console", mod + "collector/internal/console/form", false},
		{"agent", "text/template", true},
		{"collector/internal/consolex", "html/template", true},
	} {
		if _, bad := broken(mod+c.importer, c.imported); bad != c.bad {
			t.Errorf("broken(%s, %s) = %t, want %t", c.importer, c.imported, bad, c.bad)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	docs := map[string]string{}
	for _, goos := range oses {
		for _, p := range list(t, goos, "./...") {
			docs[p.ImportPath] += p.Doc
		}
	}
	for path, doc := range docs {
		if doc == "" && !under(path, mod+"proto") {
			t.Errorf("%s has no package comment", path)
		}
	}
}

func TestVerifierSharesNoCode(t *testing.T) {
	for _, goos := range oses {
		for _, p := range list(t, goos, "-deps", "./internal/cmd/hozen-verify") {
			if p.Standard {
				continue
			}
			known := false
			for allowed := range verifierDeps {
				known = known || under(p.ImportPath, allowed)
			}
			if !known {
				t.Errorf("%s: hozen-verify links %s, which is not on its list", goos, p.ImportPath)
			}
		}
	}
}
