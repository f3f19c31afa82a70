package atrest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

func config(t testing.TB) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{Dir: filepath.Join(dir, "data", "keys"), KeyFile: filepath.Join(dir, "etc", "evidence.key"), Collector: "collector-1"}
}

// made is a ring with one data key.
func made(t testing.TB, cfg Config) *Ring {
	t.Helper()
	if _, err := MakeKeyFile(cfg.KeyFile, time.Now()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(cfg)
	if !errors.Is(err, ErrNoKeys) {
		t.Fatal(err)
	}
	if _, err := r.Begin(io.Discard); !errors.Is(err, ErrNoKeys) {
		t.Errorf("encrypted without a key: %v", err)
	}
	if _, err := r.Add(); err != nil {
		t.Fatal(err)
	}
	return r
}

func ring(t testing.TB) *Ring { return made(t, config(t)) }

func seal(t *testing.T, r *Ring, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := r.Begin(&b)
	if err != nil {
		t.Fatal(err)
	}
	pour(t, w, []byte(text), 100)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func reads(r *Ring, file []byte) (string, error) {
	clear, err := r.Open(bytes.NewReader(file))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(clear)
	return string(b), err
}

func opened(t *testing.T, cfg Config) *Ring {
	t.Helper()
	r, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeysAreKept(t *testing.T) {
	cfg := config(t)
	first := made(t, cfg)
	one := seal(t, first, "one")
	if _, err := first.Add(); err != nil {
		t.Fatal(err)
	}
	two := seal(t, first, "two")
	r := opened(t, cfg)
	keys := r.Keys()
	if len(keys) != 2 || keys[0].Number != 1 || keys[1].Number != 2 || keys[0].Fingerprint == keys[1].Fingerprint || keys[0] != first.Keys()[0] {
		t.Errorf("%+v", keys)
	}
	for text, file := range map[string][]byte{"one": one, "two": two} {
		if got, err := reads(r, file); err != nil || got != text {
			t.Errorf("%q, %v", got, err)
		}
		if current, err := r.Current(bytes.NewReader(file)); err != nil || current != (text == "two") {
			t.Errorf("%s is current: %t, %v", text, current, err)
		}
	}
	if _, err := r.Current(strings.NewReader("nothing")); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if fi, err := os.Stat(cfg.KeyFile); err != nil || fi.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	// Nothing of the data folder tells a key, public or secret.
	err := filepath.WalkDir(filepath.Dir(cfg.Dir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("SECRET-KEY")) || bytes.Contains(b, []byte(r.keys[0].id.Recipient().String())) {
			t.Errorf("%s tells a key", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKeyFilesAreRefused(t *testing.T) {
	cfg := config(t)
	if _, err := Open(cfg); !errors.Is(err, ErrNoKeyFile) {
		t.Errorf("none: %v", err)
	}
	r := made(t, cfg)
	text, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MakeKeyFile(cfg.KeyFile, time.Now()); err == nil {
		t.Error("a key file was overwritten")
	}
	other, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want error
	}{
		"readable by others": {string(text), 0o640, ErrKeyFile},
		"empty":              {"", 0o600, ErrKeyFile},
		"words":              {"# a comment\n", 0o600, ErrKeyFile},
		"cut off":            {string(text[:len(text)-9]), 0o600, ErrKeyFile},
		"the public key":     {r.wrap.Recipient().String(), 0o600, ErrKeyFile},
		"two keys":           {string(text) + other.Text() + "\n", 0o600, ErrKeyFile},
		"another one":        {other.Text() + "\n", 0o600, ErrOtherKey},
	} {
		if runtime.GOOS == "windows" && c.mode != 0o600 {
			continue
		}
		if err := os.WriteFile(cfg.KeyFile, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(cfg.KeyFile, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if strings.Contains(err.Error(), "SECRET-KEY-1Q") {
			t.Errorf("%s: the error tells the key", name)
		}
		if err := os.Remove(cfg.KeyFile); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(cfg.KeyFile, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a folder: %v", err)
	}
}

// Who can write into the data folder, and knows the public key of the key file, cannot make
// the collector encrypt to a key of his own.
func TestForgedKeysAreRefused(t *testing.T) {
	cfg := config(t)
	r := made(t, cfg)
	mine, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	record := func(text string) []byte {
		var b bytes.Buffer
		w, err := envelope.Seal(&b, r.wrap.Recipient())
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	k := dataKey{Key: Key{Number: 2, Fingerprint: mine.Recipient().Fingerprint(), Made: time.Now().UTC().Truncate(time.Second)}, id: mine}
	lines := func(collector, proof string) string {
		return "# " + recordFormat + "\n# collector " + collector + "\n# number 2\n# made " + k.Made.Format(time.RFC3339) + "\n# proof " + r.Wrapping().String()[:16] + " " + proof + "\n" + mine.Text() + "\n"
	}
	byOther, err := proof(mine, k.facts(cfg.Collector))
	if err != nil {
		t.Fatal(err)
	}
	good, err := proof(r.wrap, k.facts(cfg.Collector))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := proof(r.wrap, k.facts("collector-2"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join(cfg.Dir, r.keys[0].file()))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		b    []byte
		want error
	}{
		"without proof":      {k.file(), record(strings.Replace(lines(cfg.Collector, good), "# proof", "# other", 1)), ErrForged},
		"proof by another":   {k.file(), record(lines(cfg.Collector, byOther)), ErrForged},
		"another collector":  {k.file(), record(lines("collector-2", elsewhere)), ErrForged},
		"renamed":            {"0009-" + k.file()[5:], record(lines(cfg.Collector, good)), ErrForged},
		"only a key":         {k.file(), record(mine.Text() + "\n"), ErrForged},
		"two keys":           {k.file(), record(lines(cfg.Collector, good) + mine.Text() + "\n"), ErrForged},
		"nothing":            {k.file(), record(""), ErrForged},
		"under another name": {k.file(), own, ErrForged},
		"not encrypted":      {k.file(), []byte(lines(cfg.Collector, good)), unseal.ErrDamaged},
		"cut off":            {k.file(), own[:len(own)-1], unseal.ErrDamaged},
		"right":              {k.file(), record(lines(cfg.Collector, good)), nil},
	} {
		path := filepath.Join(cfg.Dir, c.file)
		if err := os.WriteFile(path, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	// A copy of the folder serves no other collector.
	cfg.Collector = "collector-2"
	if _, err := Open(cfg); !errors.Is(err, ErrForged) {
		t.Errorf("as another collector: %v", err)
	}
}

func TestRewrapping(t *testing.T) {
	cfg := config(t)
	r := made(t, cfg)
	file, was := seal(t, r, "evidence"), r.Wrapping()
	old, err := r.Rewrap()
	if err != nil {
		t.Fatal(err)
	}
	if r.Rewrapped() != was.String()[:16] {
		t.Errorf("the former key is %q", r.Rewrapped())
	}
	if err := r.EndRewrap(); err != nil {
		t.Fatal(err)
	}
	after := seal(t, r, "more")
	if r = opened(t, cfg); r.Rewrapped() != "" {
		t.Errorf("%q still opens data keys", r.Rewrapped())
	}
	for text, b := range map[string][]byte{"evidence": file, "more": after} {
		if got, err := reads(r, b); err != nil || got != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if r.Wrapping() == was {
		t.Error("the key file is the old one")
	}
	cfg.KeyFile = old
	if _, err := Open(cfg); !errors.Is(err, ErrOtherKey) {
		t.Errorf("the old key file opens the new records: %v", err)
	}
}

// A crash at any step leaves a key file that opens everything, and calling again ends it.
func TestRewrappingIsInterrupted(t *testing.T) {
	for step := range 3 {
		cfg := config(t)
		r := made(t, cfg)
		file, was := seal(t, r, "evidence"), r.Wrapping()
		next, err := MakeKeyFile(cfg.KeyFile+".new", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if step > 0 {
			if err := r.storeAll(r.wrap, next); err != nil {
				t.Fatal(err)
			}
		}
		if step > 1 {
			if err := os.Rename(cfg.KeyFile+".new", cfg.KeyFile); err != nil {
				t.Fatal(err)
			}
		}
		r = opened(t, cfg)
		if got, err := reads(r, file); err != nil || got != "evidence" {
			t.Errorf("step %d: %q, %v", step, got, err)
		}
		if got, want := r.Rewrapped(), ""; step > 1 {
			if want = was.String()[:16]; got != want {
				t.Errorf("step %d: the former key is %q, want %q", step, got, want)
			}
		} else if got != want {
			t.Errorf("step %d: the former key is %q", step, got)
		} else if _, err := r.Rewrap(); err != nil {
			t.Fatal(err)
		}
		if err := r.EndRewrap(); err != nil {
			t.Fatal(err)
		}
		r = opened(t, cfg)
		if got, err := reads(r, file); err != nil || got != "evidence" || r.Wrapping() != next.Recipient().Fingerprint() || r.Wrapping() == was {
			t.Errorf("step %d: %q under %s, %v", step, got, r.Wrapping(), err)
		}
		for _, k := range r.keys {
			if k.shared != "" {
				t.Errorf("step %d: the old key file still opens a data key", step)
			}
		}
		if _, err := os.Lstat(cfg.KeyFile + ".new"); err == nil {
			t.Errorf("step %d: the new key file is still beside its place", step)
		}
	}
}

// Keys that are lost for good are put aside, and what they encrypted is told to be theirs.
func TestReplacing(t *testing.T) {
	cfg := config(t)
	r := made(t, cfg)
	file := seal(t, r, "evidence")
	if err := os.Remove(cfg.KeyFile); err != nil {
		t.Fatal(err)
	}
	cfg.After = 1
	for range 2 { // the second time nothing is lost
		got, err := Replace(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if keys := got.Keys(); len(keys) != 1 || keys[0].Number != 2 {
			t.Errorf("%+v", keys)
		}
		if _, err := reads(got, file); !errors.Is(err, unseal.ErrOtherKey) {
			t.Errorf("%v", err)
		}
		if s, err := reads(got, seal(t, got, "more")); err != nil || s != "more" {
			t.Errorf("%q, %v", s, err)
		}
	}
	if list, err := filepath.Glob(filepath.Join(cfg.Dir, "*.lost")); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// What fails before the new key file is in place leaves the old one good.
func TestRewrappingFails(t *testing.T) {
	cfg := config(t)
	r := made(t, cfg)
	file := seal(t, r, "evidence")
	obstacle := cfg.KeyFile + "." + r.Wrapping().String()[:16]
	if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Rewrap(); err == nil {
		t.Fatal("the old key file was lost in silence")
	}
	if got, err := reads(opened(t, cfg), file); err != nil || got != "evidence" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, cfg).Rewrap(); err != nil {
		t.Error(err)
	}
}

func TestWithin(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		filepath.Join(data, "k"): true, filepath.Join(data, "pki", "k"): true, filepath.Join(data, "..", "data", "x", "y"): true,
		filepath.Join(dir, "k"): false, filepath.Join(dir, "data-k"): false, filepath.Join(data, "..", "k"): false, filepath.Join(dir, "..x", "k"): false,
	} {
		if Within(data, path) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
	if err := os.Symlink(data, filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here")
	}
	if !Within(data, filepath.Join(dir, "link", "k")) || !Within(filepath.Join(dir, "link"), filepath.Join(data, "k")) {
		t.Error("a link leads around it")
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("# hozen-evidence-key/1\n# collector x\n# number 1\n# made 2026-01-02T03:04:05Z\n# proof a b\nAGE-SECRET-KEY-1QQQ\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, _, _, err := parseRecord(b)
		if err == nil && (k.Number < 1 || k.id.Text() == "") {
			t.Errorf("%q was read as key %d", b, k.Number)
		}
	})
}
