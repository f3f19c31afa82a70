package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/config"
	"hozen/collector/internal/localapi"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/durable"
	"hozen/internal/releasecode"
)

// errNoRecoveryKey is what is told when the file is gone.
var errNoRecoveryKey = errors.New("the recovery key is missing: put pki/recovery-key.txt back from a backup or type it from paper (recovery restore), or make a new one (recovery replace)")

// recoveryKey returns the recovery key of a data folder and whether the database knows it
// as the one that codes are made with. It makes one only where none was ever used: with
// another key, what is printed and what isolated PCs were told would open nothing.
func recoveryKey(ctx context.Context, p config.Paths, db *sqldb.DB) (k releasecode.Key, known bool, err error) {
	used, err := usedRecoveryKey(ctx, db)
	if err != nil {
		return k, false, err
	}
	k, err = loadRecoveryKey(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && used == "":
		k = releasecode.NewKey()
		return k, false, storeRecoveryKey(p, k)
	case errors.Is(err, fs.ErrNotExist):
		return k, false, errNoRecoveryKey
	case err != nil:
		return k, false, err
	case used != "" && used != k.Fingerprint():
		return k, false, fmt.Errorf("%q is not the recovery key that release codes were made with (%s, it is %s): put that back (recovery restore), or use a new one (recovery replace)", p.RecoveryKey, used, k.Fingerprint())
	}
	return k, used != "", nil
}

// usedRecoveryKey is the fingerprint of the key that codes were made with; empty: none.
func usedRecoveryKey(ctx context.Context, db *sqldb.DB) (string, error) {
	o, err := organisation.Default(ctx, db.Read())
	if errors.Is(err, organisation.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return organisation.RecoveryKey(ctx, db.Read(), o.ID)
}

func loadRecoveryKey(p config.Paths) (releasecode.Key, error) {
	b, err := os.ReadFile(p.RecoveryKey)
	if err != nil {
		return releasecode.Key{}, fmt.Errorf("load recovery key: %w", err)
	}
	k, err := releasecode.ParseKey(string(b))
	if err != nil {
		return k, fmt.Errorf("load recovery key %q: %w", p.RecoveryKey, err)
	}
	return k, nil
}

func storeRecoveryKey(p config.Paths, k releasecode.Key) error {
	if err := durable.WriteFile(p.RecoveryKey, []byte(k.Text()+"\n"), 0o600); err != nil {
		return fmt.Errorf("store recovery key: %w", err)
	}
	return nil
}

// stopped runs fn on the data folder of a collector that does not run.
func (c *cli) stopped(ctx context.Context, fn func(dir string, cfg config.Config, db *sqldb.DB) error) error {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return err
	}
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: cfg.DatabaseURL(dir)})
	if err != nil {
		return err
	}
	return errors.Join(fn(dir, cfg, db), db.Close())
}

// restoreRecovery puts a key back that was typed.
func (c *cli) restoreRecovery(ctx context.Context) error {
	text, err := c.askSecret(c.sentence("recovery.ask"))
	if err != nil {
		return err
	}
	k, err := releasecode.ParseKey(text)
	if err != nil {
		return &act.Invalid{Field: "recovery_key", Code: "malformed", Err: err}
	}
	err = c.stopped(ctx, func(dir string, _ config.Config, db *sqldb.DB) error {
		used, err := usedRecoveryKey(ctx, db)
		if err != nil {
			return err
		}
		if used != "" && used != k.Fingerprint() {
			return fmt.Errorf("%w: this is the key %s, and release codes were made with %s", act.ErrConflict, k.Fingerprint(), used)
		}
		return storeRecoveryKey(config.PathsOf(dir), k)
	})
	if err != nil {
		return fmt.Errorf("restore recovery key: %w", err)
	}
	return c.saidKey(k, false)
}

// replaceRecovery makes a new key in place of one that is lost for good.
func (c *cli) replaceRecovery(ctx context.Context) error {
	k := releasecode.NewKey()
	err := c.stopped(ctx, func(dir string, cfg config.Config, db *sqldb.DB) error {
		p := config.PathsOf(dir)
		ca, err := loadCA(p)
		if err != nil {
			return err
		}
		blobs, err := fsblob.Open(cfg.EvidencePath(dir))
		if err != nil {
			return err
		}
		acts, err := act.New(act.Config{DB: db, CA: ca, Blobs: blobs, Hub: act.NewHub(), Recovery: &k})
		if err != nil {
			return err
		}
		// The file first: a collector whose file and database differ does not start, and
		// this is simply done again.
		if err := storeRecoveryKey(p, k); err != nil {
			return err
		}
		return acts.UseRecoveryKey(ctx, c.offline(), true)
	})
	if err != nil {
		return fmt.Errorf("replace recovery key: %w", err)
	}
	return c.saidKey(k, true)
}

// saidKey names a key, and tells it where it is new.
func (c *cli) saidKey(k releasecode.Key, tell bool) error {
	said := struct {
		Fingerprint string `json:"fingerprint"`
		RecoveryKey string `json:"recovery_key,omitempty"`
	}{Fingerprint: k.Fingerprint()}
	if tell {
		said.RecoveryKey = k.Text()
	}
	return c.print(said, func() {
		if tell {
			c.say("init.recovery", "key", said.RecoveryKey)
		}
		c.say("recovery.fingerprint", "fingerprint", said.Fingerprint)
	})
}

func (c *cli) recoveryCmd() *cobra.Command {
	var yes bool
	replace := &cobra.Command{Use: "replace", Short: "Make a new recovery key in place of one that is lost for good",
		Long: `Make a new recovery key while the collector is stopped. PCs that are isolated now keep the
release codes of the old key, which this collector can then show no more: release them by
order first, or find the old key. The ledger keeps that it was replaced.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return &act.Invalid{Field: "yes", Code: "required", Err: errors.New("codes of PCs that are isolated now are lost; say --yes")}
			}
			return c.replaceRecovery(cmd.Context())
		}}
	replace.Flags().BoolVar(&yes, "yes", false, "confirm that codes in force are lost")
	return group("recovery", "Get isolated PCs back when the collector is lost",
		&cobra.Command{Use: "key", Short: "Show the recovery key, to be printed and locked away",
			Long: `Show the recovery key of the data folder, on the collector's machine. Print it and lock it
away: with it and the number that an isolated PC shows, its release code is found even when
this collector is gone. Whoever has it can release any PC at that PC.`,
			Args: argsExactly(0),
			RunE: func(*cobra.Command, []string) error {
				dir, err := filepath.Abs(c.data)
				if err != nil {
					return fmt.Errorf("show recovery key: %w", err)
				}
				if _, err := loadConfig(dir); err != nil {
					return err
				}
				k, err := loadRecoveryKey(config.PathsOf(dir))
				if errors.Is(err, fs.ErrNotExist) {
					return errNoRecoveryKey
				}
				if err != nil {
					return err
				}
				said := struct {
					RecoveryKey string `json:"recovery_key"`
				}{k.Text()}
				return c.print(said, func() { c.line(said.RecoveryKey) })
			}},
		&cobra.Command{Use: "restore", Short: "Put the recovery key back that was typed from paper",
			Long: `Put the recovery key back into the data folder while the collector is stopped. It is read
from standard input or asked for, and must be the one that release codes were made with.`,
			Args: argsExactly(0),
			RunE: func(cmd *cobra.Command, _ []string) error { return c.restoreRecovery(cmd.Context()) }},
		replace,
		&cobra.Command{Use: "code NUMBER", Short: "Find a release code from the recovery key, without any collector",
			Long: `Find the release code of the number that an isolated PC shows (hozen-agent isolation
status). The recovery key is read from standard input or asked for. It needs no data folder
and no network, and leaves no entry in a ledger: write down who asked, when and why.
While the collector works, take the code from the console instead.`,
			Args: argsExactly(1),
			RunE: func(_ *cobra.Command, args []string) error {
				number, err := releasecode.ParseNumber(args[0])
				if err != nil {
					return &act.Invalid{Field: "number", Code: "malformed", Err: err}
				}
				text, err := c.askSecret(c.sentence("recovery.ask"))
				if err != nil {
					return err
				}
				k, err := releasecode.ParseKey(text)
				if err != nil {
					return &act.Invalid{Field: "recovery_key", Code: "malformed", Err: err}
				}
				said := struct {
					Number string `json:"number"`
					Code   string `json:"code"`
				}{number, releasecode.New(k, number).String()}
				return c.print(said, func() { c.line(said.Code) })
			}})
}
