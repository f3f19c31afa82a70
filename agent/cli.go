package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/internal/i18n"
)

// The exit codes of all verbs but acquire, which has its own; --help explains them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotRunning  = 3
	exitNotEnrolled = 4
	exitUnreachable = 5
	exitNotAccepted = 6
	exitNeedsRoot   = 7
	// exitNotInForce is what "service doctor" and "isolation status" end with when
	// something is not as it should be, and releases when rules of ours stay in force.
	exitNotInForce = 8
	exitIsolated   = 9 // of "service uninstall": the PC is isolated
)

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, localapi.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, identity.ErrNotEnrolled):
		return exitNotEnrolled
	case errors.Is(err, uplink.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, uplink.ErrNotAccepted), errors.Is(err, localapi.ErrRefused):
		return exitNotAccepted
	case errors.Is(err, fs.ErrPermission), errors.Is(err, osservice.ErrNeedsRoot):
		return exitNeedsRoot
	}
	return exitFailed
}

// hints are what a person can do about an exit code or an error, as keys of texts.
func hint(err error) string {
	switch {
	case errors.Is(err, localapi.ErrInUse), errors.Is(err, spool.ErrInUse):
		return "hint.in_use"
	case errors.Is(err, osservice.ErrInstalled):
		return "hint.installed"
	case errors.Is(err, osservice.ErrNotInstalled):
		return "hint.not_installed"
	}
	return map[int]string{
		exitNotRunning: "hint.not_running", exitNotEnrolled: "hint.not_enrolled", exitUnreachable: "hint.unreachable",
		exitNotAccepted: "hint.not_accepted", exitNeedsRoot: "hint.needs_root",
	}[exitCode(err)]
}

// verb is one subcommand. The help leaves out those that only units run.
type verb struct {
	name string
	run  func(ctx context.Context, args []string, getenv func(string) string, std stdio) int
}

func verbs() []verb {
	return []verb{
		{"run", runRun}, {"enroll", runEnroll}, {"acquire", runAcquire}, {"report", runReport},
		{"status", runStatus}, {"isolation", runIsolation}, {"release", runRelease}, {"preserve", runPreserve}, {"service", runService}, {"selftest", runSelfTest}, {"version", runVersion},
		{"boot-isolation", runBootIsolation}, {"shutdown-capture", runShutdownCapture}, {"notice", runNotice}, {"session-helper", runSessionHelper},
	}
}

// run dispatches to the subcommands.
func run(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	texts, err := catalogue()
	if err != nil {
		fmt.Fprintln(std.err, "hozen-agent:", err)
		return exitFailed
	}
	p := texts.Printer(languageOf(getenv))
	if len(args) == 0 {
		fmt.Fprint(std.err, p.Text("main.help"))
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) == 2 {
			return run(ctx, []string{args[1], "--help"}, getenv, std)
		}
		fmt.Fprint(std.out, p.Text("main.help"))
		return exitOK
	case "-version", "--version":
		args[0] = "version"
	}
	for _, v := range verbs() {
		if v.name == args[0] {
			return v.run(ctx, args[1:], getenv, std)
		}
	}
	fmt.Fprintln(std.err, "hozen-agent:", p.Text("main.unknown", "verb", fmt.Sprintf("%.40q", args[0])))
	if near := nearest(args[0]); near != "" {
		fmt.Fprintln(std.err, p.Text("main.did_you_mean", "verb", near))
	}
	fmt.Fprintln(std.err, p.Text("main.see_help"))
	return exitUsage
}

// nearest returns the verb that shares the longest beginning with what was typed.
func nearest(typed string) string {
	best, most := "", 1
	for _, v := range verbs() {
		n := 0
		for n < len(typed) && n < len(v.name) && typed[n] == v.name[n] {
			n++
		}
		if n > most {
			best, most = v.name, n
		}
	}
	return best
}

func languageOf(getenv func(string) string) i18n.Language {
	return i18n.FromLocale(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"))
}

// command is the command line of one verb.
type command struct {
	name string
	set  *flag.FlagSet
	p    i18n.Printer
	std  stdio

	lang, config, state, socket string
}

// newCommand declares the flags that verbs have in common.
func newCommand(name string, getenv func(string) string, std stdio) *command {
	c := &command{name: name, set: flag.NewFlagSet(name, flag.ContinueOnError), std: std}
	c.set.SetOutput(io.Discard)
	c.set.StringVar(&c.lang, "lang", "", "")
	c.set.StringVar(&c.config, "config", "", "")
	c.set.StringVar(&c.state, "state", "", "")
	c.set.StringVar(&c.socket, "socket", "", "")
	if texts, err := catalogue(); err == nil { // run has loaded it before
		c.p = texts.Printer(languageOf(getenv))
	}
	return c
}

// parse reads the command line. Flags may stand before and after at most most words,
// which it returns. When done, the verb ends with code.
func (c *command) parse(args []string, most int) (words []string, code int, done bool) {
	var err error
	for err == nil {
		if err = c.set.Parse(args); err != nil {
			break
		}
		if args = c.set.Args(); len(args) == 0 {
			break
		}
		if len(words) == most {
			err = errors.New(c.p.Text("main.too_much", "word", fmt.Sprintf("%.40q", args[0])))
			break
		}
		words, args = append(words, args[0]), args[1:]
	}
	if l, ok := i18n.Parse(c.lang); ok {
		if texts, terr := catalogue(); terr == nil {
			c.p = texts.Printer(l)
		}
	} else if c.lang != "" && err == nil {
		err = fmt.Errorf("lang %.20q: want ja or en", c.lang)
	}
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(c.std.out, c.p.Text(c.name+".help"), c.p.Text("main.codes"))
		return nil, exitOK, true
	}
	if err != nil {
		return nil, c.usage(err), true
	}
	return words, exitOK, false
}

// usage reports a mistake in the command line.
func (c *command) usage(err error) int {
	fmt.Fprintf(c.std.err, "hozen-agent %s: %v\n", c.name, err)
	fmt.Fprintln(c.std.err, c.p.Text("main.see_verb_help", "verb", c.name))
	return exitUsage
}

// failed reports an error and what can be done about it, and returns its exit code.
func (c *command) failed(err error) int {
	fmt.Fprintf(c.std.err, "hozen-agent %s: %v\n", c.name, err)
	if h := hint(err); h != "" {
		fmt.Fprintln(c.std.err, c.p.Text(h))
	}
	return exitCode(err)
}

func (c *command) say(key string, args ...string) {
	fmt.Fprintln(c.std.out, c.p.Text(key, args...))
}

// folder returns the state folder.
func (c *command) folder() string {
	if c.state != "" {
		return c.state
	}
	return defaultState()
}

// socketPath returns where the running agent listens: with a state folder of its own
// it is there, so that several agents can live on one PC.
func (c *command) socketPath() string {
	switch {
	case c.socket != "":
		return c.socket
	case c.state != "":
		return filepath.Join(c.state, "agent.sock")
	}
	return defaultSocket()
}

// absolute makes the paths independent of the working folder.
func (c *command) absolute() error {
	for _, p := range []*string{&c.config, &c.state, &c.socket} {
		if *p == "" {
			continue
		}
		a, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = a
	}
	return nil
}

// openIdentity opens the identity in the state folder.
func openIdentity(state string) (*identity.Store, error) {
	return identity.Open(filepath.Join(state, "identity"))
}

// clean makes a text from elsewhere harmless on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // the Japanese space is none to IsPrint, and a space will do
			return ' '
		}
		return r
	}, s)
}

// isTerminal reports whether r is a terminal.
func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
