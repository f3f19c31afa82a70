package act

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The entries about the keys of the evidence.
const (
	actStorageKey     = "storage.key"     // a data key was made
	actStorageLost    = "storage.lost"    // a data key is lost for good
	actStorageRotate  = "storage.rotate"  // another key file
	actStorageEncrypt = "storage.encrypt" // what lay there in the clear, or under an older key
)

// StorageKey is a data key of the evidence as the ledger names it: its public key is not
// told there, so that a stolen data folder or backup does not hold what one would begin with
// on the day when such keys are broken. USB kits do carry the newest one.
type StorageKey struct {
	Number      int
	Fingerprint string // SHA-256 of the public key, hexadecimal
}

// StorageKeys returns the data keys that an organisation's ledger names and that were not
// given up. One that is not there any more was removed, or the store was put back from before
// it was made. last is the highest number that one ever had.
func StorageKeys(ctx context.Context, q sqldb.Queryer, organisationID string) (keys []StorageKey, last int, err error) {
	named, err := storageEntries(ctx, q, organisationID, actStorageKey)
	if err != nil {
		return nil, 0, err
	}
	lost, err := storageEntries(ctx, q, organisationID, actStorageLost)
	if err != nil {
		return nil, 0, err
	}
	for _, k := range named {
		last = max(last, k.Number)
		if !slices.Contains(lost, k) {
			keys = append(keys, k)
		}
	}
	return keys, last, nil
}

func storageEntries(ctx context.Context, q sqldb.Queryer, organisationID, act string) ([]StorageKey, error) {
	list, err := ledger.Entries(ctx, q, ledger.Filter{OrganisationID: organisationID, Act: act})
	if err != nil {
		return nil, err
	}
	var out []StorageKey
	for _, e := range list {
		n, err := strconv.Atoi(e.Details["number"])
		if err != nil {
			continue // erased
		}
		out = append(out, StorageKey{n, e.Details["public_sha256"]})
	}
	return out, nil
}

// KnowStorageKeys records the data keys that the ledger does not name yet.
func (s *Acts) KnowStorageKeys(ctx context.Context, a Actor, keys []StorageKey) error {
	a, err := s.identify(ctx, s.db.Read(), a, maySettle)
	if err != nil {
		return known(err)
	}
	// Looked at first without writing: a collector starts more often than keys are made.
	fresh, err := unnamed(ctx, s.db.Read(), a.OrganisationID, keys)
	if err != nil || len(fresh) == 0 {
		return err
	}
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		fresh, err := unnamed(ctx, d.tx, d.actor.OrganisationID, keys)
		if err != nil {
			return err
		}
		return d.recordKeys(ctx, actStorageKey, fresh)
	})
}

// unnamed are those keys that the ledger does not name.
func unnamed(ctx context.Context, q sqldb.Queryer, organisationID string, keys []StorageKey) ([]StorageKey, error) {
	named, err := storageEntries(ctx, q, organisationID, actStorageKey)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k StorageKey) bool { return slices.Contains(named, k) }), nil
}

func (d *deed) recordKeys(ctx context.Context, act string, keys []StorageKey) error {
	for _, k := range keys {
		if _, err := d.record(ctx, act, d.actor.OrganisationID, map[string]string{"number": strconv.Itoa(k.Number), "public_sha256": k.Fingerprint}); err != nil {
			return err
		}
	}
	return nil
}

// StorageKeysLost records that data keys are lost for good, and what was encrypted to them
// with them, and that others are used from now on.
func (s *Acts) StorageKeysLost(ctx context.Context, a Actor, lost, now []StorageKey) error {
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		fresh, err := unnamed(ctx, d.tx, d.actor.OrganisationID, now)
		if err != nil {
			return err
		}
		return errors.Join(d.recordKeys(ctx, actStorageLost, lost), d.recordKeys(ctx, actStorageKey, fresh))
	})
}

// StorageRotated records that the data keys are encrypted to another key file, once: what was
// interrupted right after it had been recorded is recorded again.
func (s *Acts) StorageRotated(ctx context.Context, a Actor, from, to string) error {
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		last, err := ledger.Entries(ctx, d.tx, ledger.Filter{OrganisationID: d.actor.OrganisationID, Act: actStorageRotate, Limit: 1})
		if err != nil {
			return err
		}
		if len(last) > 0 && last[0].Details["from"] == from && last[0].Details["to"] == to {
			return nil
		}
		_, err = d.record(ctx, actStorageRotate, d.actor.OrganisationID, map[string]string{"from": from, "to": to})
		return err
	})
}

// StorageEncrypted records that blobs were encrypted that lay there in the clear or under an
// older key.
func (s *Acts) StorageEncrypted(ctx context.Context, a Actor, blobs int, bytes int64, corrupt int) error {
	return s.storage(ctx, a, actStorageEncrypt, map[string]string{"blobs": strconv.Itoa(blobs), "bytes": strconv.FormatInt(bytes, 10), "corrupt": strconv.Itoa(corrupt)})
}

func (s *Acts) storage(ctx context.Context, a Actor, act string, details map[string]string) error {
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		_, err := d.record(ctx, act, d.actor.OrganisationID, details)
		return err
	})
}
