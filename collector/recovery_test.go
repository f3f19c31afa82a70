package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/config"
	"hozen/internal/i18n"
	"hozen/internal/releasecode"
)

// made is a collector that init has made.
func made(t *testing.T) (*cli, config.Config, config.Paths) {
	t.Helper()
	return madeOn(t, config.Default().Storage.Database)
}

// madeOn is a collector in a data folder, with its database at that URL.
func madeOn(t *testing.T, database string) (*cli, config.Config, config.Paths) {
	t.Helper()
	c, _, _ := testCLI(t, i18n.English)
	c.data = filepath.Join(t.TempDir(), "data")
	o := initOptions{cfg: config.Default(), owner: act.NewOperator{Name: "owner"}}
	o.cfg.Addresses = []string{"collector.example:7443"}
	o.cfg.Storage.Database = database
	if err := c.init(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(c.data)
	if err != nil {
		t.Fatal(err)
	}
	return c, cfg, config.PathsOf(c.data)
}

func opens(ctx context.Context, c *cli, cfg config.Config) (releasecode.Key, error) {
	s, err := openStore(ctx, c.data, cfg, discard())
	if err != nil {
		return releasecode.Key{}, err
	}
	return s.recovery, s.Close()
}

// The key is made once and is only its owner's to read; one that is lost, damaged or
// another's is never replaced in silence.
func TestRecoveryKeyIsKept(t *testing.T) {
	c, cfg, p := made(t)
	k, err := opens(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := opens(t.Context(), c, cfg); err != nil || again != k {
		t.Errorf("another key the second time: %v", err)
	}
	if st, err := os.Stat(p.RecoveryKey); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	text, err := os.ReadFile(p.RecoveryKey)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, text...)
	damaged[3]++
	for name, b := range map[string][]byte{"damaged": damaged, "another": []byte(releasecode.NewKey().Text()), "missing": nil} {
		if err := os.Remove(p.RecoveryKey); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if b != nil {
			if err := os.WriteFile(p.RecoveryKey, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := opens(t.Context(), c, cfg)
		switch {
		case err == nil:
			t.Errorf("%s: the collector starts", name)
		case strings.Contains(err.Error(), string(text[:4])):
			t.Errorf("%s: the error tells of the key", name)
		case name != "damaged" && !strings.Contains(err.Error(), "recovery restore"):
			t.Errorf("%s: what to do is not told: %v", name, err)
		}
	}
}

func TestRecoveryKeyIsRestoredOrReplaced(t *testing.T) {
	c, cfg, p := made(t)
	k, err := loadRecoveryKey(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(p.RecoveryKey); err != nil {
		t.Fatal(err)
	}
	c.std.in = strings.NewReader(releasecode.NewKey().Text() + "\n")
	if err := c.restoreRecovery(t.Context()); !errors.Is(err, act.ErrConflict) {
		t.Errorf("another key was put back: %v", err)
	}
	c.std.in = strings.NewReader(k.Text() + "\n")
	if err := c.restoreRecovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := opens(t.Context(), c, cfg); err != nil || got != k {
		t.Errorf("not the key that was typed: %v", err)
	}
	if err := os.Remove(p.RecoveryKey); err != nil {
		t.Fatal(err)
	}
	if err := c.replaceRecovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := opens(t.Context(), c, cfg); err != nil || got == k {
		t.Errorf("not replaced: %v", err)
	}
	s, err := openStore(t.Context(), c.data, cfg, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.acts.LedgerEntries(t.Context(), act.Actor{Kind: act.ByLocal, BreakGlass: "test"}, act.LedgerFilter{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Act == "organisation.recovery_key" {
			if e.Details["from"] != k.Fingerprint() || e.Details["to"] == "" || e.Details["break_glass"] == "" {
				t.Errorf("the ledger keeps %q", e.Details)
			}
			return
		}
	}
	t.Error("the ledger keeps nothing")
}
