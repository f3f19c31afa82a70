// Package atrest keeps evidence from being read by whoever has only the data folder: it
// encrypts files in the age format to a key that lies in the data folder encrypted itself, to
// the key file elsewhere. It knows nothing of what the files mean or how they are named.
package atrest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/envelope/unseal"
)

// The errors that callers act on.
var (
	// ErrNoKeyFile means that the key file is not there.
	ErrNoKeyFile = errors.New("the key file of the evidence is missing")
	// ErrKeyFile means that the key file cannot be used as it is.
	ErrKeyFile = errors.New("the key file of the evidence cannot be used")
	// ErrOtherKey means that the key file is not the one that the evidence was encrypted with.
	ErrOtherKey = errors.New("the key file is not the one of this evidence")
	// ErrForged means that a data key was not made by this collector with its key file.
	ErrForged = errors.New("a data key is not one of this collector")
	// ErrNoKeys means that there is no data key yet.
	ErrNoKeys = errors.New("there is no data key")
)

// Config says where the keys are.
type Config struct {
	// Dir is the folder of the data keys, each encrypted to the key file. It is made when it
	// is not there, and goes wherever the evidence goes.
	Dir string
	// KeyFile is an age identity file with one X25519 key, which nobody but its owner may
	// read. It must not lie where a thief of the data finds it.
	KeyFile string
	// Collector names the collector for good, so that data keys of another one are refused.
	Collector string
	// After is the highest number that a data key ever had. Optional.
	After int
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
}

// Key describes a data key.
type Key struct {
	Number      int // 1, 2, …; the highest encrypts
	Fingerprint digest.Digest
	Made        time.Time
}

// Ring is the keys of one collector's evidence. It does not change once it serves a store.
type Ring struct {
	cfg  Config
	wrap unseal.Identity
	keys []dataKey // in the order of their numbers
	ids  []unseal.Identity
	ages []age.Identity
}

var _ blob.Vault = (*Ring)(nil)

// Open opens all data keys with the key file. Without any data key it fails with
// [ErrNoKeys], and the Ring is good for [Ring.Add] only.
func Open(cfg Config) (*Ring, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open evidence keys: %w", err)
	}
	wrap, err := LoadKeyFile(cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	r := &Ring{cfg: cfg, wrap: wrap}
	list, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open evidence keys: %w", err)
	}
	for _, e := range list {
		if durable.IsTemp(e.Name()) || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		k, err := r.load(e.Name())
		if err != nil {
			return nil, fmt.Errorf("open evidence key %q: %w", filepath.Join(cfg.Dir, e.Name()), err)
		}
		r.keys = append(r.keys, k)
	}
	slices.SortFunc(r.keys, func(a, b dataKey) int { return a.Number - b.Number })
	r.index()
	if len(r.keys) == 0 {
		return r, ErrNoKeys
	}
	return r, nil
}

// Replace gives up keys that are lost for good: data keys that the key file does not open are
// put aside, under their names with ".lost" after them, and a key file and a data key are made
// where there is none. What was encrypted to the lost ones stays, and cannot be read. It may
// be repeated after a crash.
func Replace(cfg Config) (*Ring, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	wrap, err := LoadKeyFile(cfg.KeyFile)
	if errors.Is(err, ErrNoKeyFile) {
		wrap, err = MakeKeyFile(cfg.KeyFile, cfg.Now())
	}
	if err != nil {
		return nil, err
	}
	trial := &Ring{cfg: cfg, wrap: wrap}
	list, err := filepath.Glob(filepath.Join(cfg.Dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("replace evidence keys: %w", err)
	}
	for _, path := range list {
		if _, err := trial.load(filepath.Base(path)); err == nil {
			continue
		}
		if err := durable.Rename(path, path+".lost"); err != nil {
			return nil, fmt.Errorf("replace evidence keys: %w", err)
		}
	}
	r, err := Open(cfg)
	if errors.Is(err, ErrNoKeys) {
		_, err = r.Add()
	}
	return r, err
}

// Any reports whether the folder holds data keys, whatever they are.
func Any(dir string) bool {
	list, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	return err == nil && len(list) > 0
}

// index puts the newest key first: it opens most.
func (r *Ring) index() {
	r.ids, r.ages = nil, nil
	for _, k := range slices.Backward(r.keys) {
		r.ids, r.ages = append(r.ids, k.id), append(r.ages, k.id.Key())
	}
}

// Keys lists the data keys in the order of their numbers.
func (r *Ring) Keys() []Key {
	var out []Key
	for _, k := range r.keys {
		out = append(out, k.Key)
	}
	return out
}

// Wrapping names the key of the key file.
func (r *Ring) Wrapping() digest.Digest { return r.wrap.Recipient().Fingerprint() }

// Add makes a new data key, which encrypts from now on; the older ones go on opening what
// they encrypted.
func (r *Ring) Add() (Key, error) {
	id, err := unseal.New()
	if err != nil {
		return Key{}, err
	}
	k := dataKey{Key: Key{Number: r.cfg.After + 1, Fingerprint: id.Recipient().Fingerprint(), Made: r.cfg.Now().UTC().Truncate(time.Second)}, id: id}
	if len(r.keys) > 0 {
		k.Number = max(k.Number, r.keys[len(r.keys)-1].Number+1)
	}
	if k.Number > maxNumber {
		return Key{}, errors.New("there are too many evidence keys")
	}
	if err := r.store(k, r.wrap); err != nil {
		return Key{}, fmt.Errorf("store evidence key: %w", err)
	}
	r.keys = append(r.keys, k)
	r.index()
	return k.Key, nil
}

// Rewrap encrypts all data keys to another key file, which it makes at the path of the old
// one; the old one is kept under its name with the suffix that is returned. It may be
// repeated after a crash: at every moment the file at the path opens all data keys. Both key
// files open them until [Ring.EndRewrap].
func (r *Ring) Rewrap() (old string, err error) {
	next := r.cfg.KeyFile + ".new"
	wrap, err := LoadKeyFile(next) // of a run that was interrupted
	if errors.Is(err, ErrNoKeyFile) {
		wrap, err = MakeKeyFile(next, r.cfg.Now())
	}
	if err != nil {
		return "", err
	}
	if err := r.storeAll(r.wrap, wrap); err != nil {
		return "", err
	}
	old = r.cfg.KeyFile + "." + r.Wrapping().String()[:16]
	b, err := os.ReadFile(r.cfg.KeyFile)
	if err != nil {
		return "", fmt.Errorf("keep the old key file: %w", err)
	}
	if err := durable.WriteFile(old, b, 0o600); err != nil {
		return "", fmt.Errorf("keep the old key file: %w", err)
	}
	if err := durable.Rename(next, r.cfg.KeyFile); err != nil {
		return "", fmt.Errorf("put the new key file in place: %w", err)
	}
	former := r.Wrapping().String()[:16]
	r.wrap = wrap
	for n := range r.keys {
		r.keys[n].shared = former
	}
	return old, nil
}

// Rewrapped returns the name of the key, its first 16 digits, whose key file was changed for
// the one in place and that still opens data keys; it is empty when there is none, and when
// the new key file is not in its place yet.
func (r *Ring) Rewrapped() (former string) {
	if _, err := os.Lstat(r.cfg.KeyFile + ".new"); err == nil {
		return ""
	}
	for _, k := range r.keys {
		if k.shared != "" {
			return k.shared
		}
	}
	return ""
}

// EndRewrap encrypts the data keys to the key file in place alone, so that a former one opens
// none of them any more. It may be repeated after a crash.
func (r *Ring) EndRewrap() error { return r.storeAll(r.wrap) }

func (r *Ring) storeAll(wraps ...unseal.Identity) error {
	for n := range r.keys {
		if err := r.store(r.keys[n], wraps...); err != nil {
			return fmt.Errorf("store evidence key: %w", err)
		}
		r.keys[n].shared = ""
		if len(wraps) > 1 {
			r.keys[n].shared = wraps[1].Recipient().Fingerprint().String()[:16]
		}
	}
	return nil
}

// CopyKeys copies the data keys, encrypted as they are, into a folder.
func (r *Ring) CopyKeys(dir string) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("copy evidence keys: %w", err)
	}
	for _, k := range r.keys {
		b, err := os.ReadFile(filepath.Join(r.cfg.Dir, k.file()))
		if err == nil {
			err = durable.WriteFile(filepath.Join(dir, k.file()), b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy evidence keys: %w", err)
		}
	}
	return nil
}

// Begin implements [blob.Vault].
func (r *Ring) Begin(w io.Writer) (io.WriteCloser, error) {
	if len(r.keys) == 0 {
		return nil, ErrNoKeys
	}
	out, err := head(w, r.keys[len(r.keys)-1].id.Recipient().Key())
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out, nil
}

// Resume implements [blob.Vault].
func (r *Ring) Resume(f *os.File, take func([]byte)) (io.WriteCloser, error) {
	out, err := resume(f, take, r.ages)
	if err != nil {
		return nil, fmt.Errorf("go on with an encrypted file: %w", corrupt(err))
	}
	return out, nil
}

// Open implements [blob.Vault].
func (r *Ring) Open(src io.Reader) (io.Reader, error) {
	clear, err := unseal.Open(src, r.ids...)
	if err != nil {
		return nil, corrupt(err)
	}
	return proven{clear}, nil
}

// Size implements [blob.Vault].
func (r *Ring) Size(n int64, ended bool) int64 {
	if !ended {
		return grownSize(n)
	}
	return payloadSize(n)
}

// Current reports whether a file is encrypted to the newest key.
func (r *Ring) Current(src io.Reader) (bool, error) {
	if len(r.ids) == 0 {
		return false, ErrNoKeys
	}
	_, err := unseal.Open(src, r.ids[0])
	if errors.Is(err, unseal.ErrOtherKey) {
		return false, nil
	}
	return err == nil, corrupt(err)
}

// PayloadSize is how many clear bytes are in an ended file of n bytes, without any key. It
// is negative for a file that cannot be one.
func PayloadSize(n int64) int64 { return payloadSize(n) }
