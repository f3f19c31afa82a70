package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/config"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/pki"
)

// errNoEvidenceKey is what is told when the key file is gone.
var errNoEvidenceKey = errors.New("without its key file the evidence cannot be read: put the file back from its copy, or type the key from paper (storage restore)")

// evidenceKeys opens the keys of the evidence. It makes them only where there never were
// any: with others, what is stored could not be read.
func evidenceKeys(ctx context.Context, dir string, cfg config.Config, ca *pki.CA, db *sqldb.DB) (*atrest.Ring, error) {
	named, last, err := namedKeys(ctx, db)
	broken := errors.Is(err, ledger.ErrBroken) // fsck tells that it is, and needs the keys
	if err != nil && !broken {
		return nil, err
	}
	at, err := keyPlace(dir, cfg, ca)
	if err != nil {
		return nil, err
	}
	at.After = last
	never := !broken && len(named) == 0 && !atrest.Any(at.Dir)
	ring, err := atrest.Open(at)
	if errors.Is(err, atrest.ErrNoKeyFile) && never {
		if _, err := atrest.MakeKeyFile(at.KeyFile, time.Now()); err != nil {
			return nil, err
		}
		ring, err = atrest.Open(at)
	}
	if errors.Is(err, atrest.ErrNoKeys) && never {
		_, err = ring.Add()
	}
	switch {
	case errors.Is(err, atrest.ErrNoKeys) && broken:
		return nil, &hinted{fmt.Errorf("%w in %q, and the ledger cannot be read that names what was there; none is made", err, at.Dir), "hint.evidence_broken"}
	case errors.Is(err, atrest.ErrNoKeys):
		err = nil // the next lines name them
	case err != nil:
		return nil, keyHint(err)
	}
	for _, k := range missing(named, ring) {
		return nil, &hinted{fmt.Errorf("the ledger names data key %d (%.16s) of the evidence, and it is not in %q: put the folder back from a backup", k.Number, k.Fingerprint, at.Dir), "hint.evidence_lost"}
	}
	return ring, err
}

// keyHint says beside an error about the keys what to do.
func keyHint(err error) error {
	switch {
	case errors.Is(err, atrest.ErrNoKeyFile):
		return &hinted{fmt.Errorf("%w; %w", err, errNoEvidenceKey), "hint.evidence_key"}
	case errors.Is(err, atrest.ErrOtherKey), errors.Is(err, atrest.ErrForged):
		return &hinted{err, "hint.evidence_other"}
	case errors.Is(err, atrest.ErrKeyFile):
		return &hinted{err, "hint.evidence_file"}
	}
	return err
}

// missing are those keys that a ring does not have.
func missing(named []act.StorageKey, ring *atrest.Ring) []act.StorageKey {
	have := storageKeys(ring)
	return slices.DeleteFunc(slices.Clone(named), func(k act.StorageKey) bool { return slices.Contains(have, k) })
}

func storageKeys(ring *atrest.Ring) []act.StorageKey {
	var list []act.StorageKey
	for _, k := range ring.Keys() {
		list = append(list, act.StorageKey{Number: k.Number, Fingerprint: k.Fingerprint.String()})
	}
	return list
}

// keyPlace says where the keys are, and refuses a key file that lies with what it locks.
func keyPlace(dir string, cfg config.Config, ca *pki.CA) (atrest.Config, error) {
	at := atrest.Config{Dir: cfg.EvidenceKeys(dir), KeyFile: cfg.KeyFilePath(dir), Collector: ca.Fingerprint()}
	for _, f := range []string{dir, cfg.EvidencePath(dir)} {
		if atrest.Within(f, at.KeyFile) {
			return at, fmt.Errorf("the key file %q lies in %q, where whoever steals the evidence finds it: move it elsewhere and set storage.key_file", at.KeyFile, f)
		}
	}
	return at, nil
}

// openBlobs opens the evidence with its keys.
func openBlobs(dir string, cfg config.Config, ring *atrest.Ring) (*fsblob.Store, error) {
	return fsblob.OpenSealed(cfg.EvidencePath(dir), ring)
}

// namedKeys are the data keys that the ledger names. A broken ledger, [ledger.ErrBroken], does
// not tell whether there were any: then none must be made.
func namedKeys(ctx context.Context, db *sqldb.DB) (keys []act.StorageKey, last int, err error) {
	o, err := organisation.Default(ctx, db.Read())
	if errors.Is(err, organisation.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return act.StorageKeys(ctx, db.Read(), o.ID)
}

// endRotation ends a change of the key file that was interrupted after the new one was in its
// place: it is recorded, and then the former one opens no data key any more. Before that
// nothing has changed for anybody, and only "storage rotate" goes on with it: a start must not
// change the key that somebody has on paper.
func (s *store) endRotation(ctx context.Context, a act.Actor) (from string, err error) {
	if from = s.keys.Rewrapped(); from == "" {
		return "", nil
	}
	if err := s.acts.StorageRotated(ctx, a, from, s.keys.Wrapping().String()[:16]); err != nil && !errors.Is(err, ledger.ErrBroken) {
		return "", err
	}
	return from, s.keys.EndRewrap()
}

// recordKeys names the data keys in the ledger.
func (s *store) recordKeys(ctx context.Context) error {
	err := s.acts.KnowStorageKeys(ctx, act.Actor{Kind: act.BySystem}, storageKeys(s.keys))
	if errors.Is(err, ledger.ErrBroken) {
		return nil // fsck tells
	}
	return err
}

// newKeyFile is where init puts the key file of the evidence: with the settings of the
// system for the collector of the machine, and beside the data folder for any other.
func newKeyFile(dir string) string {
	if runtime.GOOS != "windows" && os.Geteuid() == 0 && dir == defaultData(func(string) string { return "" }) {
		return "/etc/hozen/evidence.key"
	}
	return filepath.Clean(dir) + "-evidence.key"
}
