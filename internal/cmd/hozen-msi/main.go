// Command hozen-msi makes the agent's Windows installers, one for each language, out of
// the files in agent/packaging/windows with wixl and msibuild. It knows nothing of what
// the agent does. Equal inputs give equal installers.
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
	"strings"
	"syscall"
)

const usage = `usage: hozen-msi -agent hozen-agent.exe -version VERSION [-source folder] [-out folder]

Makes hozen-agent_VERSION_LANGUAGE.msi for each language, and prints their names.

Exit code: 0 done, 1 something failed, 2 wrong usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("hozen-msi", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	var m maker
	flags.StringVar(&m.agent, "agent", "", "the agent's `program`")
	flags.StringVar(&m.version, "version", "", "its `version`")
	flags.StringVar(&m.source, "source", "agent/packaging/windows", "`folder` of agent.wxs")
	flags.StringVar(&m.out, "out", ".", "`folder` of the installers")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || m.agent == "" || m.version == "" {
		flags.Usage()
		return 2
	}
	for _, l := range languages() {
		path, err := m.make(ctx, l)
		if err != nil {
			fmt.Fprintln(os.Stderr, "hozen-msi:", err)
			return 1
		}
		fmt.Println(path)
	}
	return 0
}

// language is one of an installer. Windows itself says the rest in its own language.
type language struct {
	code        string // in the file's name
	lcid        string // MS-LCID
	name        string // of product and service
	description string
	newer       string // said when a newer version is there
	old         string // said when this Windows is too old
	report      string // entry of the start menu, see agent/packaging/desktop
	reportHint  string
}

func languages() []language {
	return []language{
		{"ja", "1041", "Hozen エージェント", "消える前に証拠を取り、指示があればネットワークを切り離します",
			"新しい版の Hozen エージェントがすでに入っています。", "Windows 10、Windows Server 2016 以降の 64 ビット版が必要です。",
			"おかしい！報告する", "このPCがおかしいことを担当者に知らせ、状態を証拠として残します"},
		{"en", "1033", "Hozen agent", "Keeps volatile evidence and cuts the network on command",
			"A newer version of the Hozen agent is installed already.", "This needs a 64-bit Windows 10, Windows Server 2016 or later.",
			"Report a problem", "Tell the people in charge that something is wrong with this PC, and keep its evidence"},
	}
}

// upgradeCode is the same in all versions and languages, for ever.
const upgradeCode = "{7019EFEB-BB28-43A3-9CC9-FC03DA06E35F}"

// maker makes installers of one build of the agent.
type maker struct {
	agent, version, source, out string
}

// make makes the installer of one language.
func (m *maker) make(ctx context.Context, l language) (path string, err error) {
	words, err := m.words(l)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "hozen-msi-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// A cabinet holds the times of its files.
	for from, to := range map[string]string{m.agent: "hozen-agent.exe", filepath.Join(m.source, "hozen.ico"): "hozen.ico"} {
		if err := copyFile(from, filepath.Join(dir, to)); err != nil {
			return "", err
		}
	}
	frame, err := os.ReadFile(filepath.Join(m.source, "agent.wxs"))
	if err != nil {
		return "", fmt.Errorf("read frame: %w", err)
	}
	text := comment.ReplaceAllString(fill(string(frame), words), "") // some of them make wixl crash
	if err := os.WriteFile(filepath.Join(dir, "agent.wxs"), []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write frame: %w", err)
	}
	if err := tool(ctx, dir, "wixl", "-a", "x64", "-o", "agent.msi", "agent.wxs"); err != nil {
		return "", err
	}
	if err := m.tables(ctx, dir, words); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(dir, "agent.msi"))
	if err != nil {
		return "", fmt.Errorf("read installer: %w", err)
	}
	if err := settle(b, l.lcid, words["PACKAGE"]); err != nil {
		return "", err
	}
	path = filepath.Join(m.out, fmt.Sprintf("hozen-agent_%s_%s.msi", m.version, l.code))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return "", fmt.Errorf("write installer: %w", err)
	}
	return path, nil
}

// tables puts the tables into the installer, the code page of their texts first.
func (m *maker) tables(ctx context.Context, dir string, words map[string]string) error {
	b, err := os.ReadFile(filepath.Join(m.source, "agent.tables"))
	if err != nil {
		return fmt.Errorf("read tables: %w", err)
	}
	args := []string{"agent.msi"}
	for i, text := range append([]string{"\n\n65001\t_ForceCodepage\n"}, splitTables(fill(string(b), words))...) {
		name := fmt.Sprintf("%d.idt", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
		args = append(args, "-i", name)
	}
	return tool(ctx, dir, "msibuild", args...)
}

// tool runs a program that is silent when all is well.
func tool(ctx context.Context, dir, name string, args ...string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed: apt-get install wixl msitools", name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, said)
	}
	if said != "" {
		return errors.New(name + ": " + said)
	}
	return nil
}
