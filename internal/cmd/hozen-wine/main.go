// Command hozen-wine runs a command with Windows programs at hand: it starts Wine on a
// fresh disk, and what the command builds, tests or runs for Windows runs there. It knows
// nothing of what the programs do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"hozen/internal/e2e/wine"
)

const usage = `usage: hozen-wine COMMAND [ARGUMENT...]

Runs COMMAND with GOOS=windows, and with two programs first on its PATH: wine, which
runs a Windows program, and go_windows_amd64_exec, through which "go test" and "go run"
do. Programs under the current module and below $HOZEN_WINE_DIR are seen inside, on
drive Z; what is written to drive C and the registry is gone at the end. Windows's
filtering platform, which Wine lacks, is stood in for where a compiler is installed
(gcc-mingw-w64-x86-64-win32). For example:

  hozen-wine go test ./agent/internal/spool
  hozen-wine wine cmd /c ver

Exit code: COMMAND's, or 2 wrong usage, 3 there can be no Wine here, 4 it did not start.
`

// Exit codes of our own.
const (
	exitUsage       = 2
	exitUnavailable = 3
	exitFailed      = 4
)

// The session in which a program of ours runs as one of those on the PATH.
const (
	sessionVar = "HOZEN_WINE"     // the session's PID 1
	dirVar     = "HOZEN_WINE_DIR" // its shared folder
)

// The names under which this program enters a session.
const (
	wineName = "wine"
	execName = "go_windows_amd64_exec"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case wineName, execName:
		fmt.Fprintln(os.Stderr, enter(os.Args[1:]))
		os.Exit(exitFailed)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// enter becomes a Windows program of the session; it returns only when it cannot.
func enter(args []string) error {
	pid, err := strconv.Atoi(os.Getenv(sessionVar))
	if err != nil {
		return fmt.Errorf("enter Wine: $%s: %w", sessionVar, err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("enter Wine: %w", err)
	}
	entry := wine.Entry(pid, dir, append([]string{wineName}, args...)...)
	// Where go builds is no folder of Windows; drive C has one for temporary files.
	if err := os.Unsetenv("GOTMPDIR"); err != nil {
		return fmt.Errorf("enter Wine: %w", err)
	}
	for _, kv := range wine.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("enter Wine: %w", err)
		}
	}
	return fmt.Errorf("enter Wine: %w", syscall.Exec(entry[0], entry, os.Environ()))
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("hozen-wine", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		flags.Usage()
		return exitUsage
	}
	module, err := moduleDir()
	if err != nil {
		return failed(err)
	}
	libraries, clean, err := standIns(ctx, module)
	if err != nil {
		return failed(err)
	}
	defer clean()
	s, err := wine.Start(ctx, wine.Config{Folders: []string{module}, Libraries: libraries})
	if err != nil {
		return failed(err)
	}
	code, err := inside(ctx, s, flags.Args())
	if err := errors.Join(err, s.Close()); err != nil {
		return failed(err)
	}
	return code
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "hozen-wine:", err)
	if errors.Is(err, wine.ErrUnavailable) {
		return exitUnavailable
	}
	return exitFailed
}

// standIns makes the library that stands in for Windows's filtering platform, where this
// module has its source and this machine a compiler; clean removes it.
func standIns(ctx context.Context, module string) (libraries []string, clean func(), err error) {
	if _, err := os.Stat(filepath.Join(module, wine.FilterEngine)); err != nil {
		return nil, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "hozen-library-")
	if err != nil {
		return nil, nil, fmt.Errorf("make folder: %w", err)
	}
	clean = func() { _ = os.RemoveAll(dir) } // below the folder for temporary files
	path, err := wine.StandIn(ctx, module, dir)
	switch {
	case errors.Is(err, wine.ErrNoCompiler):
		return nil, clean, nil
	case err != nil:
		clean()
		return nil, nil, err
	}
	return []string{path}, clean, nil
}

// inside runs a command of this machine with the session at hand and returns its exit code.
func inside(ctx context.Context, s *wine.Session, args []string) (int, error) {
	env, err := hand(s)
	if err != nil {
		return 0, err
	}
	program := args[0]
	if program == wineName { // it is looked for on our own PATH
		program = filepath.Join(s.Dir(), "bin", wineName)
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// hand puts the programs that enter the session into its folder, and returns what a
// command needs in its environment to find them and to build for them.
func hand(s *wine.Session) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	bin, temp := filepath.Join(s.Dir(), "bin"), filepath.Join(s.Dir(), "tmp")
	err = errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(temp, 0o755),
		os.Symlink(self, filepath.Join(bin, wineName)), os.Symlink(self, filepath.Join(bin, execName)))
	if err != nil {
		return nil, fmt.Errorf("make folder of the session: %w", err)
	}
	return []string{
		"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOTMPDIR=" + temp,
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		sessionVar + "=" + strconv.Itoa(s.Init()), dirVar + "=" + s.Dir(),
	}, nil
}

// moduleDir returns the folder of the module around the current one, or the current one.
func moduleDir() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return here, nil
		}
	}
}
