package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hozen/collector/internal/console"
	"hozen/collector/internal/localapi"
	"hozen/internal/i18n"
)

// cli is what all commands share.
type cli struct {
	std        stdio
	getenv     func(string) string
	text       i18n.Printer
	words      i18n.Printer // the console's, see [cli.word]
	speak      func(i18n.Language)
	data       string
	json       bool
	breakGlass string
}

// envData names the data folder when --data does not.
const envData = "HOZEN_COLLECTOR_DATA"

const helpLong = `hozen-collector receives the evidence that agents acquire, keeps it with a custody
ledger, and gives its operators' orders.

Start with:
  hozen-collector init --address collector.example:7443
  hozen-collector serve
  hozen-collector operator sign-in owner

Most commands speak to the running collector over its local socket, on behalf of the operator who signed in, or, as root with
--break-glass, on nobody's behalf but with a reason that stays in the ledger.`

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	texts, err := catalogue()
	if err != nil {
		fmt.Fprintln(std.err, "hozen-collector:", err)
		return exitFailure
	}
	words, err := console.Texts()
	if err != nil {
		fmt.Fprintln(std.err, "hozen-collector:", err)
		return exitFailure
	}
	language := i18n.FromLocale(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"))
	c := &cli{std: std, getenv: getenv}
	c.speak = func(l i18n.Language) { c.text, c.words = texts.Printer(l), words.Printer(l) }
	c.speak(language)
	root := c.root()
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	err = root.ExecuteContext(ctx)
	return c.exit(ctx, err)
}

// root is the whole tree of commands.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use: "hozen-collector", Short: "Receive evidence, keep it, isolate PCs", Long: helpLong,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&c.data, "data", defaultData(c.getenv), "data `folder` (environment "+envData+")")
	f.BoolVar(&c.json, "json", false, "print JSON")
	f.Func("lang", "language of the output, `ja|en` (default: LC_ALL, LC_MESSAGES, LANG)", func(s string) error {
		if !slices.Contains(i18n.Languages(), i18n.Language(s)) {
			return errors.New("want ja or en")
		}
		c.speak(i18n.Language(s))
		return nil
	})
	f.StringVar(&c.breakGlass, "break-glass", "", "act without sign-in, as root, for this `reason`")
	root.AddCommand(c.initCmd(), c.serveCmd(), c.statusCmd(), c.operatorCmd(), c.tokenCmd(), c.apiTokenCmd(), c.endpointCmd(), c.incidentCmd(),
		c.acquireCmd(), c.isolateCmd(), c.releaseCmd(), c.releaseCodeCmd(), c.groupCmd(), c.settingsCmd(), c.preserveCmd(), c.commandCmd(), c.evidenceCmd(), c.ledgerCmd(), c.fsckCmd(), c.kitCmd(), c.importCmd(), c.backupCmd(), c.restoreDatabaseCmd(), c.storageCmd(), c.recoveryCmd(), c.serviceCmd(), c.versionCmd())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(c.custodyCmd(), c.dataCmd())
	root.InitDefaultHelpCmd()
	root.SetUsageFunc(func(cmd *cobra.Command) error { return c.usage(cmd) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { c.help(cmd) })
	return root
}

func defaultData(getenv func(string) string) string {
	if d := getenv(envData); d != "" {
		return d
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(getenv("ProgramData"), "Hozen", "Collector")
	}
	return "/var/lib/hozen-collector"
}

// argsExactly is cobra.ExactArgs whose error is a mistake of usage.
func argsExactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}

// group is a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return &usageError{fmt.Errorf("unknown command %q for %q", args[0], "hozen-collector "+use)}
		}
		return nil
	}, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(subs...)
	return g
}

// client returns a client of the collector of the data folder.
func (c *cli) client() (*localapi.Client, error) {
	path, err := c.socket()
	if err != nil {
		return nil, err
	}
	token := ""
	if c.breakGlass == "" {
		if token, err = c.readToken(path); err != nil {
			return nil, err
		}
	}
	return localapi.NewClient(path, token, c.breakGlass), nil
}

// call asks the collector.
func (c *cli) call(ctx context.Context, verb string, in, out any) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if in == nil {
		in = localapi.None{}
	}
	return cl.Call(ctx, verb, in, out)
}

// exit prints err with what to do next, and returns the exit code.
func (c *cli) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	if !errors.Is(err, errQuiet) {
		said := inert(err.Error())
		if c.japanese() {
			// What happened in a word that everybody knows; the rest is for who helps.
			said = c.sentence("error."+itoa(code), "detail", err.Error())
		}
		fmt.Fprintln(c.std.err, "hozen-collector:", said)
	}
	if e, ok := errors.AsType[*localapi.Error](err); ok && c.words.Has("invalid."+e.Invalid) {
		fmt.Fprintln(c.std.err, c.words.Text("invalid."+e.Invalid))
	} else if key := hintOf(code, err); key != "" {
		c.note(key)
	}
	return code
}

// readSecret reads a password from a file, without its final line break.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
