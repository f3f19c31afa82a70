package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/config"
	"hozen/collector/internal/playbook"
	"hozen/internal/digest"
)

func (c *cli) dataCmd() *cobra.Command {
	return group("data", "The organisation's own data: steps of playbooks", c.dataCheckCmd())
}

func (c *cli) dataCheckCmd() *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Short: "Check a folder with the organisation's own data",
		Long: `Check the file own-steps.toml of a folder: the steps that the organisation adds to the
playbooks. Everything that is wrong is named with its line. What is right goes into the folder
"own" of the data folder and is used from the next start of the collector on.`,
		Args: argsExactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := readOwnSteps(args[0])
			if err != nil {
				return err
			}
			b, err := playbook.Load()
			if err != nil {
				return err
			}
			_, n, err := b.With(text)
			if err != nil {
				return &act.Invalid{Field: "data", Code: "malformed", Err: err}
			}
			out := struct {
				File   string `json:"file"`
				Items  int    `json:"items"`
				SHA256 string `json:"sha256"`
			}{filepath.Join(args[0], playbook.OwnFile), n, digest.Of(text).String()}
			return c.print(out, func() { c.say("data.good", "file", out.File, "items", itoa(n), "sha256", out.SHA256) })
		},
	}
}

func readOwnSteps(dir string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, playbook.OwnFile))
	if err != nil {
		return nil, fmt.Errorf("read own steps: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, playbook.MaxOwn+1))
	if err != nil {
		return nil, fmt.Errorf("read own steps: %w", err)
	}
	return text, nil
}

// ownStepsOf reads the organisation's own steps; nil: it has none.
func ownStepsOf(p config.Paths) ([]byte, error) {
	text, err := readOwnSteps(p.Own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
