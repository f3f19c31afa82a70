package main

import (
	"os"
	"strings"
	"testing"

	"hozen/collector/internal/config"
	"hozen/internal/releasecode"
)

// The key is made once, is refused when it is damaged, and is only its owner's to read.
func TestRecoveryKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	p := config.PathsOf(dir)
	if err := os.Mkdir(dir+"/pki", 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := recoveryKey(p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := recoveryKey(p); err != nil || again != k {
		t.Errorf("another key the second time: %v", err)
	}
	if st, err := os.Stat(p.RecoveryKey); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	b, err := os.ReadFile(p.RecoveryKey)
	if err != nil {
		t.Fatal(err)
	}
	b[3]++
	if err := os.WriteFile(p.RecoveryKey, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recoveryKey(p); err == nil {
		t.Error("a damaged key passed")
	} else if strings.Contains(err.Error(), string(b[:4])) {
		t.Error("the error tells of the key")
	}
	if got := releasecode.New(k, "123456789012"); len(got) != 20 {
		t.Errorf("code of %d digits", len(got))
	}
}
