package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/config"
	"hozen/collector/internal/localapi"
	"hozen/collector/internal/sqldb"
	"hozen/internal/durable"
	"hozen/internal/envelope/unseal"
)

func (c *cli) storageCmd() *cobra.Command {
	return group("storage", "Keep the evidence encrypted: show, keep, restore and change its keys",
		c.storageShowCmd(), c.storageKeyCmd(), c.storageRestoreCmd(), c.storageEncryptCmd(), c.storageRotateCmd(), c.storageReplaceCmd())
}

// stored is what "storage show" says.
type stored struct {
	KeyFile     string       `json:"key_file"`
	Fingerprint string       `json:"key_fingerprint"`
	Keys        []storedKey  `json:"data_keys"`
	Encrypted   storedAmount `json:"encrypted"`
	Clear       storedAmount `json:"clear"`
}

type storedKey struct {
	Number      int       `json:"number"`
	Fingerprint string    `json:"fingerprint"`
	Made        time.Time `json:"made"`
}

type storedAmount struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"` // clear
}

func (a *storedAmount) add(bytes int64) { a.Blobs, a.Bytes = a.Blobs+1, a.Bytes+bytes }

func (c *cli) storageShowCmd() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Show how much of the evidence is encrypted, and with which keys",
		Long: `Show on the collector's machine how much of the evidence is encrypted, where the key file is
and which keys there are. The collector may go on working. No secret is shown.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, cfg, err := c.folder()
			if err != nil {
				return err
			}
			said, err := storedIn(cmd.Context(), dir, cfg)
			if err != nil {
				return fmt.Errorf("show storage: %w", err)
			}
			return c.print(said, func() {
				c.fields([2]string{"key_file", said.KeyFile}, [2]string{"key_fingerprint", said.Fingerprint},
					[2]string{"encrypted", strconv.Itoa(said.Encrypted.Blobs) + " (" + size(said.Encrypted.Bytes) + ")"},
					[2]string{"clear", strconv.Itoa(said.Clear.Blobs) + " (" + size(said.Clear.Bytes) + ")"})
				var rows [][]string
				for _, k := range said.Keys {
					rows = append(rows, []string{itoa(k.Number), k.Fingerprint, when(k.Made)})
				}
				c.list("storage", []string{"number", "key_fingerprint", "at"}, rows)
				if said.Clear.Blobs > 0 {
					c.say("storage.clear")
				}
			})
		}}
}

// folder is the data folder and its settings.
func (c *cli) folder() (string, config.Config, error) {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return "", config.Config{}, fmt.Errorf("find data folder: %w", err)
	}
	cfg, err := loadConfig(dir)
	return dir, cfg, err
}

// ringOf opens the keys of a data folder as they are; it makes none.
func ringOf(dir string, cfg config.Config) (*atrest.Ring, error) {
	ca, err := loadCA(config.PathsOf(dir))
	if err != nil {
		return nil, err
	}
	at, err := keyPlace(dir, cfg, ca)
	if err != nil {
		return nil, err
	}
	ring, err := atrest.Open(at)
	if err != nil {
		return nil, keyHint(err)
	}
	return ring, nil
}

func storedIn(ctx context.Context, dir string, cfg config.Config) (stored, error) {
	ring, err := ringOf(dir, cfg)
	if err != nil {
		return stored{}, err
	}
	said := stored{KeyFile: cfg.KeyFilePath(dir), Fingerprint: ring.Wrapping().String()[:16]}
	for _, k := range ring.Keys() {
		said.Keys = append(said.Keys, storedKey{k.Number, k.Fingerprint.String()[:16], k.Made})
	}
	blobs, err := openBlobs(dir, cfg, ring)
	if err != nil {
		return stored{}, err
	}
	for info, err := range blobs.List(ctx) {
		switch {
		case err != nil:
			return stored{}, err
		case info.Sealed:
			said.Encrypted.add(info.Size)
		default:
			said.Clear.add(info.Size)
		}
	}
	return said, nil
}

func (c *cli) storageKeyCmd() *cobra.Command {
	return &cobra.Command{Use: "key", Short: "Show the key of the evidence, to be printed and locked away",
		Long: `Show the key of the key file, on the collector's machine. Print it and lock it away, apart
from the backups: without it the evidence of this collector and of its backups is lost, and
whoever has it and the data folder or a backup reads the evidence.`,
		Args: argsExactly(0),
		RunE: func(*cobra.Command, []string) error {
			dir, cfg, err := c.folder()
			if err != nil {
				return err
			}
			id, err := atrest.LoadKeyFile(cfg.KeyFilePath(dir))
			if err != nil {
				return keyHint(err)
			}
			said := struct {
				Key         string `json:"key"`
				Fingerprint string `json:"key_fingerprint"`
			}{id.Text(), atrest.Name(id)}
			return c.print(said, func() { c.line(said.Key) })
		}}
}

func (c *cli) storageRestoreCmd() *cobra.Command {
	return &cobra.Command{Use: "restore", Short: "Put the key of the evidence back that was typed from paper",
		Long: `Put the key file of the evidence back while the collector is stopped. The key is read from
standard input or asked for, and must be the one that the evidence was encrypted with. A key
file that is there is never overwritten.`,
		Args: argsExactly(0),
		RunE: func(*cobra.Command, []string) error { return c.restoreEvidenceKey() }}
}

func (c *cli) restoreEvidenceKey() error {
	dir, cfg, err := c.folder()
	if err != nil {
		return err
	}
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	path := cfg.KeyFilePath(dir)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("restore evidence key: %w: %q exists", act.ErrConflict, path)
	}
	text, err := c.askSecret(c.sentence("storage.ask"))
	if err != nil {
		return err
	}
	id, err := unseal.Parse(text)
	if err != nil {
		return &act.Invalid{Field: "evidence_key", Code: "malformed", Err: err}
	}
	// Tried beside its place first, so that a wrong one never lies there.
	trial := path + ".restored"
	if err := durable.Remove(trial); err != nil {
		return fmt.Errorf("restore evidence key: %w", err)
	}
	if err := atrest.WriteKeyFile(trial, id, time.Now()); err != nil {
		return fmt.Errorf("restore evidence key: %w", err)
	}
	other := cfg
	other.Storage.KeyFile = trial
	if _, err := ringOf(dir, other); err != nil && !errors.Is(err, atrest.ErrNoKeys) {
		if errors.Is(err, atrest.ErrOtherKey) {
			err = fmt.Errorf("%w: %w", act.ErrConflict, err)
		}
		return errors.Join(fmt.Errorf("restore evidence key: %w", err), os.Remove(trial))
	}
	if err := durable.Rename(trial, path); err != nil {
		return fmt.Errorf("restore evidence key: %w", err)
	}
	return c.print(map[string]string{"key_file": path, "key_fingerprint": atrest.Name(id)}, func() {
		c.say("storage.restored", "file", path, "fingerprint", atrest.Name(id))
	})
}

func (c *cli) storageEncryptCmd() *cobra.Command {
	return &cobra.Command{Use: "encrypt", Short: "Encrypt what was stored in the clear or with an older key",
		Long: `Encrypt while the collector is stopped what was stored before there was a key, or with an
older key than the newest. Every piece is proven before and after. It may be interrupted and
called again. The bytes of the removed clear files stay on the disk until something is written
over them: encrypt the disk too, or replace it, where that matters. Exit code 9 means that
damaged evidence was found and left as it is.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var said struct {
				Blobs   int      `json:"blobs"`
				Bytes   int64    `json:"bytes"`
				Before  int      `json:"encrypted_before"`
				Corrupt []string `json:"corrupt"`
			}
			err := c.offlineStore(cmd.Context(), func(ctx context.Context, s *store) error {
				r, err := s.blobs.Encrypt(ctx, func(done int) { c.step("blobs", done, 0) })
				said.Blobs, said.Bytes, said.Before = r.Blobs, r.Bytes, r.Before
				for _, d := range r.Corrupt {
					said.Corrupt = append(said.Corrupt, d.String())
				}
				if r.Blobs+len(r.Corrupt) > 0 { // also of a run that was interrupted
					err = errors.Join(err, s.acts.StorageEncrypted(context.WithoutCancel(ctx), c.offline(), r.Blobs, r.Bytes, len(r.Corrupt)))
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("encrypt evidence: %w", err)
			}
			if err := c.print(said, func() {
				for _, d := range said.Corrupt {
					c.say("storage.corrupt", "sha256", d)
				}
				c.say("storage.encrypted", "blobs", itoa(said.Blobs), "bytes", size(said.Bytes), "before", itoa(said.Before))
			}); err != nil {
				return err
			}
			if len(said.Corrupt) > 0 {
				return errProblems
			}
			return nil
		}}
}

func (c *cli) storageRotateCmd() *cobra.Command {
	var data bool
	cmd := &cobra.Command{Use: "rotate", Short: "Make a new key file, or a new data key, for the evidence",
		Long: `Make a new key file while the collector is stopped. The old one is kept beside it, for backups
that were made before; keep or destroy it as they are. The evidence itself is not written again.

With --data-key a new data key is made instead, which encrypts what comes from now on; storage
encrypt then encrypts the rest with it. Do both, the key file first, when somebody may have
seen a key.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			said := struct {
				KeyFile     string `json:"key_file"`
				Fingerprint string `json:"key_fingerprint"`
				Old         string `json:"old_key_file,omitempty"`
				DataKey     int    `json:"data_key,omitempty"`
			}{}
			err := c.offlineStore(cmd.Context(), func(ctx context.Context, s *store) (err error) {
				if data {
					k, err := s.keys.Add()
					if err != nil {
						return err
					}
					said.DataKey = k.Number
					err = s.recordKeys(ctx)
					said.KeyFile, said.Fingerprint = s.cfg.KeyFilePath(s.dir), s.keys.Wrapping().String()[:16]
					return err
				}
				if s.rotatedFrom == "" { // else opening the store has ended what was interrupted
					if said.Old, err = s.keys.Rewrap(); err == nil {
						_, err = s.endRotation(ctx, c.offline())
					}
				}
				said.KeyFile, said.Fingerprint = s.cfg.KeyFilePath(s.dir), s.keys.Wrapping().String()[:16]
				return err
			})
			if err != nil {
				return fmt.Errorf("rotate evidence key: %w", err)
			}
			return c.print(said, func() {
				switch {
				case data:
					c.say("storage.data_key", "n", itoa(said.DataKey))
				case said.Old == "":
					c.say("storage.rotation_ended", "file", said.KeyFile, "fingerprint", said.Fingerprint)
				default:
					c.say("storage.rotated", "file", said.KeyFile, "fingerprint", said.Fingerprint, "old", said.Old)
				}
			})
		}}
	cmd.Flags().BoolVar(&data, "data-key", false, "make a new data key; the key file stays")
	return cmd
}

func (c *cli) storageReplaceCmd() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "replace", Short: "Make new keys in place of ones that are lost for good, and their evidence with them",
		Long: `Make new keys while the collector is stopped, when the key file or data keys are lost for good,
so that the collector can work again. Evidence that was encrypted with the lost ones can never
be read again, and fsck names it; look for a copy first, on paper and in backups. The ledger
keeps that it was done, and which keys were lost.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &act.Invalid{Field: "yes", Code: "required", Err: errors.New("evidence that was encrypted with the lost keys is lost; say --yes")}
			}
			lost, path, err := c.replaceEvidenceKeys(cmd.Context())
			if err != nil {
				return fmt.Errorf("replace evidence keys: %w", err)
			}
			return c.print(map[string]any{"lost_data_keys": lost, "key_file": path}, func() {
				c.say("storage.replaced", "n", itoa(lost))
				c.say("init.evidence_key", "file", path)
			})
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the evidence of the lost keys is lost")
	return cmd
}

func (c *cli) replaceEvidenceKeys(ctx context.Context) (lost int, path string, err error) {
	err = c.stopped(ctx, func(dir string, cfg config.Config, db *sqldb.DB) error {
		ca, err := loadCA(config.PathsOf(dir))
		if err != nil {
			return err
		}
		named, last, err := namedKeys(ctx, db)
		if err != nil { // also of a broken ledger: it must say which keys were lost
			return err
		}
		at, err := keyPlace(dir, cfg, ca)
		if err != nil {
			return err
		}
		at.After = last
		ring, err := atrest.Replace(at)
		if err != nil {
			return err
		}
		blobs, err := openBlobs(dir, cfg, ring)
		if err != nil {
			return err
		}
		acts, err := act.New(act.Config{DB: db, CA: ca, Blobs: blobs, Hub: act.NewHub()})
		if err != nil {
			return err
		}
		gone := missing(named, ring)
		lost, path = len(gone), at.KeyFile
		return acts.StorageKeysLost(ctx, c.offline(), gone, storageKeys(ring))
	})
	return lost, path, err
}

// offlineStore runs fn on the data folder of a collector that does not run.
func (c *cli) offlineStore(ctx context.Context, fn func(ctx context.Context, s *store) error) error {
	dir, cfg, err := c.folder()
	if err != nil {
		return err
	}
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := openStore(ctx, dir, cfg, newLog(c.std.err, cfg.Log))
	if err != nil {
		return err
	}
	return errors.Join(fn(ctx, s), s.Close())
}
