package msgbus

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNobodyUsesOtherConnections: any user of the PC can end a program that uses one of
// godbus's, by a message with an array of descriptors.
func TestNobodyUsesOtherConnections(t *testing.T) {
	connects := regexp.MustCompile(`\bdbus\.(Connect|Dial|NewConn|System|Session)`)
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if connects.Match(b) {
			t.Errorf("%s connects by godbus", path)
		}
		seen++
		return err
	})
	if err != nil || seen < 50 {
		t.Errorf("%d files, %v", seen, err)
	}
}
