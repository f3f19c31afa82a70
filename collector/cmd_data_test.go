package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDataCheck: whoever edits the own steps hears of every fault by its line.
func TestDataCheck(t *testing.T) {
	dir := t.TempDir()
	check := func(text string) (int, string) {
		t.Helper()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, "own-steps.toml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		code := run(t.Context(), []string{"--lang", "en", "data", "check", dir}, func(string) string { return "" }, stdio{strings.NewReader(""), &out, &out})
		return code, out.String()
	}
	if code, out := check(""); code == exitOK || !strings.Contains(out, "own-steps.toml") {
		t.Errorf("no file: %d %s", code, out)
	}
	const good = "format = \"hozen-playbook-own/1\"\n[[item]]\nplaybook = \"common\"\nid = \"a\"\nsubstep = \"detect\"\nwho = [\"handler\"]\ntext = { ja = \"手順\" }\n"
	if code, out := check(good); code != exitOK || !strings.Contains(out, "1 steps") {
		t.Errorf("%d %s", code, out)
	}
	code, out := check(strings.NewReplacer("detect", "nowhere", "handler", "cook").Replace(good))
	if code != exitInvalid || !strings.Contains(out, "own-steps.toml:5: substep") || !strings.Contains(out, "own-steps.toml:6: who") {
		t.Errorf("%d %s", code, out)
	}
}
