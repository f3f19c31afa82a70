package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/config"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/i18n"
)

// stores a text as evidence and returns its digest.
func stores(t *testing.T, c *cli, cfg config.Config, text string) digest.Digest {
	t.Helper()
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	d := digest.Of([]byte(text))
	must(t, s.blobs.Put(t.Context(), d, int64(len(text)), strings.NewReader(text)))
	must(t, s.Close())
	return d
}

// fetches a text that is stored.
func fetches(ctx context.Context, c *cli, cfg config.Config, d digest.Digest) (string, error) {
	s, err := openStore(ctx, c.data, cfg, discard())
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	r, err := s.blobs.Open(ctx, d)
	if err == nil {
		_, err = b.ReadFrom(r)
		err = errors.Join(err, r.Close())
	}
	return b.String(), errors.Join(err, s.Close())
}

// runs a command of the program.
func runs(t *testing.T, c *cli, in string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c.std = stdio{strings.NewReader(in), &out, &out}
	args = append([]string{"--data", c.data}, args...) // root sets it to the default
	root := c.root()
	root.SetArgs(args)
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestEvidenceIsEncrypted(t *testing.T) {
	c, cfg, p := made(t)
	d := stores(t, c, cfg, "a secret")
	path := cfg.KeyFilePath(c.data)
	if atrest.Within(c.data, path) || path != c.data+"-evidence.key" {
		t.Errorf("the key file is %q", path)
	}
	must(t, filepath.WalkDir(c.data, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte("a secret")) || bytes.Contains(b, []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s tells a secret", name)
		}
		return err
	}))
	key, err := os.ReadFile(path)
	must(t, err)

	// Without the key, with another, and with one that others can read, nothing starts.
	must(t, os.Remove(path))
	_, err = fetches(t.Context(), c, cfg, d)
	if !errors.Is(err, atrest.ErrNoKeyFile) || !errors.Is(err, errNoEvidenceKey) || hintOf(exitFailure, err) != "hint.evidence_key" {
		t.Errorf("without the key file: %v", err)
	}
	other, err := atrest.MakeKeyFile(path, time.Now())
	must(t, err)
	if _, err = fetches(t.Context(), c, cfg, d); !errors.Is(err, atrest.ErrOtherKey) || hintOf(exitFailure, err) != "hint.evidence_other" {
		t.Errorf("with another key file: %v", err)
	}
	must(t, os.WriteFile(path, key, 0o644))
	must(t, os.Chmod(path, 0o644))
	// On Windows files have no such mode; the collector closes its key itself, see TestGuard.
	if _, err = fetches(t.Context(), c, cfg, d); runtime.GOOS != "windows" && (!errors.Is(err, atrest.ErrKeyFile) || hintOf(exitFailure, err) != "hint.evidence_file") {
		t.Errorf("with a key that others can read: %v", err)
	}
	must(t, os.Remove(path))

	// It is typed from paper; a wrong one changes nothing.
	text := string(key[bytes.Index(key, []byte("AGE-")):])
	for wrong, want := range map[string]error{other.Text(): act.ErrConflict, "AGE-SECRET-KEY-1": act.ErrInvalid, "": act.ErrInvalid} {
		if _, err := runs(t, c, wrong+"\n", "storage", "restore"); !errors.Is(err, want) {
			t.Errorf("%.20q: %v", wrong, err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Fatalf("%.20q lies there as the key", wrong)
		}
	}
	if _, err := runs(t, c, strings.ToLower(text), "storage", "restore"); err != nil {
		t.Fatal(err)
	}
	if _, err := runs(t, c, text, "storage", "restore"); !errors.Is(err, act.ErrConflict) {
		t.Errorf("overwritten: %v", err)
	}
	if got, err := fetches(t.Context(), c, cfg, d); err != nil || got != "a secret" {
		t.Errorf("%q, %v", got, err)
	}
	if out, err := runs(t, c, "", "storage", "key"); err != nil || strings.TrimSpace(out) != strings.TrimSpace(text) {
		t.Errorf("%q, %v", out, err)
	}

	// Who takes the data keys away does not make it store in the clear, or with new ones.
	aside := filepath.Join(t.TempDir(), "keys")
	must(t, os.Rename(cfg.EvidenceKeys(c.data), aside))
	if _, err = fetches(t.Context(), c, cfg, d); err == nil || !strings.Contains(err.Error(), "data key 1") {
		t.Errorf("without the data keys: %v", err)
	}
	must(t, os.RemoveAll(cfg.EvidenceKeys(c.data)))
	must(t, os.Rename(aside, cfg.EvidenceKeys(c.data)))

	// A key file in the data folder is refused.
	cfg.Storage.KeyFile = filepath.Join(p.Dir, "pki", "evidence.key")
	if _, err = fetches(t.Context(), c, cfg, d); err == nil || !strings.Contains(err.Error(), "storage.key_file") {
		t.Errorf("a key file in the data folder: %v", err)
	}
}

func TestKeysOfTheEvidenceAreChanged(t *testing.T) {
	c, cfg, _ := made(t)
	d := stores(t, c, cfg, "before")
	old, err := fsblob.Open(cfg.EvidencePath(c.data)) // as versions without keys did
	must(t, err)
	clear := digest.Of([]byte("in the clear"))
	must(t, old.Put(t.Context(), clear, 12, strings.NewReader("in the clear")))
	if out, err := runs(t, c, "", "storage", "show"); err != nil || !strings.Contains(out, "暗号化していない") && !strings.Contains(out, "not encrypted yet") {
		t.Errorf("%s, %v", out, err)
	}
	key, err := os.ReadFile(cfg.KeyFilePath(c.data))
	must(t, err)
	for _, args := range [][]string{{"storage", "rotate"}, {"storage", "rotate", "--data-key"}, {"storage", "encrypt"}, {"storage", "encrypt"}} {
		out, err := runs(t, c, "", args...)
		must(t, err)
		tame(t, out)
	}
	if now, err := os.ReadFile(cfg.KeyFilePath(c.data)); err != nil || bytes.Equal(now, key) {
		t.Errorf("the key file is the old one: %v", err)
	}
	for d, want := range map[digest.Digest]string{d: "before", clear: "in the clear"} {
		if got, err := fetches(t.Context(), c, cfg, d); err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(cfg.EvidencePath(c.data), "sha256", clear.String()[:2], clear.String())); err == nil {
		t.Error("it still lies in the clear")
	}
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	acts := map[string]int{}
	entries, err := s.acts.LedgerEntries(t.Context(), act.Actor{Kind: act.BySystem}, act.LedgerFilter{})
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Act, "storage.") {
			acts[e.Act]++
		}
	}
	if acts["storage.key"] != 2 || acts["storage.rotate"] != 1 || acts["storage.encrypt"] != 1 {
		t.Errorf("%v", acts)
	}
}

// TestHintsAboutKeysAreThere: in both languages, and whichever error it is.
func TestHintsAboutKeysAreThere(t *testing.T) {
	for _, l := range i18n.Languages() {
		c, _, _ := testCLI(t, l)
		for err, want := range map[error]string{atrest.ErrNoKeyFile: "hint.evidence_key", atrest.ErrOtherKey: "hint.evidence_other", atrest.ErrForged: "hint.evidence_other",
			atrest.ErrKeyFile: "hint.evidence_file"} {
			err := keyHint(fmt.Errorf("open: %w", err))
			if key := hintOf(exitFailure, err); key != want || !strings.Contains(c.sentence(key), "storage restore") {
				t.Errorf("%s: %v: %s: %s", l, err, key, c.sentence(key))
			}
		}
		if !c.text.Has("hint.evidence_broken") || !strings.Contains(c.sentence("hint.evidence_other"), "evidence_key") {
			t.Errorf("%s: a hint is missing", l)
		}
	}
}

// TestInterruptedRotationIsEnded: by whatever opens the store next. The ledger tells from which
// key to which, once, and the former key file opens nothing any more.
func TestInterruptedRotationIsEnded(t *testing.T) {
	for name, args := range map[string][]string{"by a start": nil, "by another rotation": {"storage", "rotate"}, "by a new data key": {"storage", "rotate", "--data-key"}} {
		for _, recorded := range []bool{false, true} {
			c, cfg, _ := made(t)
			d := stores(t, c, cfg, "before")
			s, err := openStore(t.Context(), c.data, cfg, discard())
			must(t, err)
			from := s.keys.Wrapping().String()[:16]
			old, err := s.keys.Rewrap() // and then the power fails
			must(t, err)
			to := s.keys.Wrapping().String()[:16]
			if recorded { // or a moment later
				must(t, s.acts.StorageRotated(t.Context(), act.Actor{Kind: act.BySystem}, from, to))
			}
			must(t, s.Close())
			if args != nil {
				out, err := runs(t, c, "", args...)
				must(t, err)
				tame(t, out)
			}
			if got, err := fetches(t.Context(), c, cfg, d); err != nil || got != "before" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			s, err = openStore(t.Context(), c.data, cfg, discard())
			must(t, err)
			if now := s.keys.Wrapping().String()[:16]; now != to {
				t.Errorf("%s: the key file was changed once more", name)
			}
			entries, err := s.acts.LedgerEntries(t.Context(), act.Actor{Kind: act.BySystem}, act.LedgerFilter{})
			must(t, err)
			entries = slices.DeleteFunc(entries, func(e ledger.Recorded) bool { return e.Act != "storage.rotate" })
			if len(entries) != 1 || entries[0].Details["from"] != from || entries[0].Details["to"] != to {
				t.Errorf("%s: %+v", name, entries)
			}
			must(t, s.Close())
			other := cfg
			other.Storage.KeyFile = old
			if _, err := fetches(t.Context(), c, other, d); !errors.Is(err, atrest.ErrOtherKey) {
				t.Errorf("%s: the former key file still opens the data keys: %v", name, err)
			}
		}
	}
}

// TestBrokenLedgerMakesNoKeys: it does not tell whether there were any.
func TestBrokenLedgerMakesNoKeys(t *testing.T) {
	c, cfg, p := made(t)
	d := stores(t, c, cfg, "a secret")
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: cfg.DatabaseURL(p.Dir)})
	must(t, err)
	must(t, db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE ledger_entries SET entry_json = 'x' WHERE act = 'storage.key'`)
		return err
	}))
	must(t, db.Close())
	if got, err := fetches(t.Context(), c, cfg, d); err != nil || got != "a secret" { // fsck needs them
		t.Errorf("with the keys: %q, %v", got, err)
	}
	aside := filepath.Join(t.TempDir(), "keys")
	must(t, os.Rename(cfg.EvidenceKeys(c.data), aside))
	if _, err := fetches(t.Context(), c, cfg, d); !errors.Is(err, atrest.ErrNoKeys) || hintOf(exitFailure, err) != "hint.evidence_broken" {
		t.Errorf("without the data keys: %v", err)
	}
	key := cfg.KeyFilePath(c.data)
	must(t, os.Rename(key, key+".aside"))
	if _, err := fetches(t.Context(), c, cfg, d); !errors.Is(err, atrest.ErrNoKeyFile) {
		t.Errorf("without both: %v", err)
	}
	if _, err := runs(t, c, "", "storage", "replace", "--yes"); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("replaced without telling what was lost: %v", err)
	}
	if _, err := os.Lstat(key); err == nil || atrest.Any(cfg.EvidenceKeys(c.data)) {
		t.Error("keys were made")
	}
}

func TestLostKeysAreReplaced(t *testing.T) {
	c, cfg, _ := made(t)
	d := stores(t, c, cfg, "lost")
	must(t, os.Remove(cfg.KeyFilePath(c.data)))
	if _, err := runs(t, c, "", "storage", "replace"); !errors.Is(err, act.ErrInvalid) {
		t.Errorf("without being sure: %v", err)
	}
	out, err := runs(t, c, "", "storage", "replace", "--yes")
	must(t, err)
	tame(t, out)
	if _, err := fetches(t.Context(), c, cfg, d); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	d = stores(t, c, cfg, "new")
	if got, err := fetches(t.Context(), c, cfg, d); err != nil || got != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

// A backup holds no key that reads the evidence in it, and is read with the key file.
func TestBackupStaysEncrypted(t *testing.T) {
	c, cfg, _ := made(t)
	d := stores(t, c, cfg, "a secret")
	dir := backedUp(t, c, cfg, 2)
	must(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte("a secret")) || bytes.Contains(b, []byte("AGE-SECRET-KEY")) {
			t.Errorf("%s tells a secret", name)
		}
		return err
	}))
	back, _ := restored(t, dir)
	if got, err := fetches(t.Context(), back, cfg, d); err != nil || got != "a secret" {
		t.Errorf("%q, %v", got, err)
	}
	cfg.Storage.KeyFile = filepath.Join(t.TempDir(), "other.key")
	if _, err := fetches(t.Context(), back, cfg, d); !errors.Is(err, atrest.ErrNoKeyFile) {
		t.Errorf("without the key file: %v", err)
	}
}

// What init says of the key file is there in both languages.
func TestInitTellsOfTheKeyFile(t *testing.T) {
	for _, l := range i18n.Languages() {
		c, out, _ := testCLI(t, l)
		c.data = filepath.Join(t.TempDir(), "data")
		o := initOptions{cfg: config.Default(), owner: act.NewOperator{Name: "owner"}}
		o.cfg.Addresses = []string{"collector.example:7443"}
		must(t, c.init(t.Context(), o))
		tame(t, out.String())
		if !strings.Contains(out.String(), c.data+"-evidence.key") || !strings.Contains(out.String(), "storage key") {
			t.Errorf("%s", out)
		}
	}
}
