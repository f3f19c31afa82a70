package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/config"
	"hozen/internal/durable"
	"hozen/internal/releasecode"
)

// recoveryKey returns the recovery key of a data folder and makes it where there is
// none: a new collector, or one that is older than release codes.
func recoveryKey(p config.Paths) (releasecode.Key, error) {
	b, err := os.ReadFile(p.RecoveryKey)
	if errors.Is(err, fs.ErrNotExist) {
		k := releasecode.NewKey()
		if err := durable.CreateFile(p.RecoveryKey, []byte(k.Text()+"\n"), 0o600); err != nil {
			return k, fmt.Errorf("store recovery key: %w", err)
		}
		return k, nil
	}
	if err != nil {
		return releasecode.Key{}, fmt.Errorf("load recovery key: %w", err)
	}
	k, err := releasecode.ParseKey(string(b))
	if err != nil {
		return k, fmt.Errorf("load recovery key %q: %w", p.RecoveryKey, err)
	}
	return k, nil
}

func (c *cli) recoveryCmd() *cobra.Command {
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
				k, err := recoveryKey(config.PathsOf(dir))
				if err != nil {
					return err
				}
				said := struct {
					RecoveryKey string `json:"recovery_key"`
				}{k.Text()}
				return c.print(said, func() { c.line(said.RecoveryKey) })
			}},
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
