package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAttacksNameTheirTests: each row of the page on attacks names the test that made it, and
// there is one of that name.
func TestAttacksNameTheirTests(t *testing.T) {
	page, err := os.ReadFile("../docs/design/isolation-attacks.md")
	must(t, err)
	name := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	for _, dir := range []string{".", "../../agent/internal"} {
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, f := range function.FindAllSubmatch(b, -1) {
				defined[string(f[1])] = true
			}
			return err
		}))
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		named := name.FindAllStringSubmatch(line, -1)
		for _, n := range named {
			if !defined[n[1]] {
				t.Errorf("there is no %s, which made %.80s", n[1], line)
			}
		}
		if !strings.HasPrefix(line, "| ") || strings.Contains(line, "| test |") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), " | ")
		if !name.MatchString(cells[len(cells)-1]) {
			t.Errorf("no test is named by %.80s", line)
		}
	}
	if rows < 40 {
		t.Errorf("%d rows: the page is not read", rows)
	}
}
