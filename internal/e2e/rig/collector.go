package rig

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Owner is the sign-in name of a collector's first operator, and Password the one
// that [Collector.SignIn] gives them.
const (
	Owner    = "owner"
	Password = "correct horse battery staple 9"
)

// CollectorConfig says how to make a collector.
type CollectorConfig struct {
	Program string // file of hozen-collector
	Dir     string // data folder, may hold a collector already
	Log     string // file that gets what it logs
	// Agents is the address for agents. Default: a loopback address of its own.
	Agents string
	// Address is where agents find it, "host:port". Default: Agents.
	Address string
	// Console is the address of the console. Default: a loopback address of its own.
	Console string
	// Socket is the path of the local socket. Default: in Dir.
	Socket string
	// Database is the URL of the database. Default: SQLite in Dir.
	Database string
	Env      []string
	// Flags are further flags of init.
	Flags []string
}

// Collector is a collector in a folder; it runs between Serve and Stop or Kill.
type Collector struct {
	CollectorConfig
	OneTime  string // the owner's one-time password
	CASHA256 string // fingerprint of its CA
	Proc     *Proc  // the one that serves
	n        *Nursery
}

// Loopback returns an address of this machine that nobody else is likely to use:
// all of 127.0.0.0/8 is loopback on Linux.
func Loopback(port int) string {
	return fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250), port)
}

// Init makes a collector.
func (n *Nursery) Init(ctx context.Context, cfg CollectorConfig) (*Collector, error) {
	if cfg.Agents == "" {
		cfg.Agents = Loopback(7443)
	}
	if cfg.Console == "" {
		cfg.Console = Loopback(7480)
	}
	c := &Collector{CollectorConfig: cfg, n: n}
	args := []string{"init", "--json", "--owner", Owner, "--listen-agents", cfg.Agents, "--listen-console", cfg.Console, "--address", cmp.Or(cfg.Address, cfg.Agents)}
	if cfg.Socket != "" {
		args = append(args, "--socket", cfg.Socket)
	}
	if cfg.Database != "" {
		args = append(args, "--database", cfg.Database)
	}
	r, err := c.CLI(ctx, append(args, cfg.Flags...)...)
	if err != nil {
		return nil, err
	}
	if r.Code != 0 {
		return nil, fmt.Errorf("hozen-collector init: exit code %d\n%s", r.Code, r.Stderr)
	}
	var said struct {
		OneTime  string `json:"one_time_password"`
		CASHA256 string `json:"ca_sha256"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &said); err != nil {
		return nil, fmt.Errorf("read answer of init: %w", err)
	}
	c.OneTime, c.CASHA256 = said.OneTime, said.CASHA256
	return c, nil
}

// Existing returns the collector that an earlier Init made in cfg.Dir, moved to the
// addresses of cfg.
func (n *Nursery) Existing(cfg CollectorConfig) (*Collector, error) {
	path := filepath.Join(cfg.Dir, "collector.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		switch key, _, _ := strings.Cut(line, " = "); key {
		case "addresses":
			lines[i] = fmt.Sprintf("addresses = [%q]", cfg.Agents)
		case "agents":
			lines[i] = fmt.Sprintf("agents = %q", cfg.Agents)
		case "console":
			lines[i] = fmt.Sprintf("console = %q", cfg.Console)
		case "socket":
			if cfg.Socket != "" {
				lines[i] = fmt.Sprintf("socket = %q", cfg.Socket)
			}
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	return &Collector{CollectorConfig: cfg, n: n}, nil
}

// CLI runs a command of hozen-collector on the data folder.
func (c *Collector) CLI(ctx context.Context, args ...string) (Result, error) {
	env := append([]string{"LC_ALL=C.UTF-8", "XDG_STATE_HOME=" + filepath.Join(c.Dir, "..", "state")}, c.Env...)
	return c.n.Run(ctx, Spec{Path: c.Program, Args: append([]string{"--data", c.Dir}, args...), Env: env}, "")
}

// Serve starts the collector and waits until it answers.
func (c *Collector) Serve(ctx context.Context, env ...string) error {
	p, err := c.n.Start(Spec{Path: c.Program, Args: []string{"--data", c.Dir, "serve"}, Env: append(env, c.Env...), Log: c.Log})
	if err != nil {
		return err
	}
	c.Proc = p
	return c.Ready(ctx)
}

// Ready waits until the collector answers.
func (c *Collector) Ready(ctx context.Context) error {
	return Until(ctx, "the collector", func() (bool, error) {
		err := c.Local().Call(ctx, "status", nil, nil)
		return err == nil, err
	}, c.Proc)
}

// Local returns a client of the local socket that speaks as nobody.
func (c *Collector) Local() *Local {
	if c.Socket != "" {
		return DialLocal(c.Socket)
	}
	return DialLocal(filepath.Join(c.Dir, "collector.sock"))
}

// Glass returns a client that breaks the glass.
func (c *Collector) Glass() *Local { return c.Local().BreakGlass("test of the whole system") }

// SignIn returns a client that speaks as the owner, whose password it sets the first
// time.
func (c *Collector) SignIn(ctx context.Context) (*Local, error) {
	if c.OneTime != "" {
		once := c.OneTime
		c.OneTime = ""
		return c.Local().SignIn(ctx, Owner, once, Password)
	}
	return c.Local().SignIn(ctx, Owner, Password, "")
}

// Token mints an enrolment token that needs no approval.
func (c *Collector) Token(ctx context.Context, uses int) (string, error) {
	var t struct {
		Text string `json:"token"`
	}
	err := c.Glass().Call(ctx, "token.create", map[string]any{"auto": true, "max_uses": uses}, &t)
	return t.Text, err
}

// Fsck looks at everything that the collector keeps.
func (c *Collector) Fsck(ctx context.Context) (Check, error) {
	var check Check
	err := c.Glass().Call(ctx, "fsck", nil, &check)
	return check, err
}

// Endpoints lists the PCs.
func (c *Collector) Endpoints(ctx context.Context) (list []Endpoint, err error) {
	err = c.Glass().Call(ctx, "endpoint.list", nil, &list)
	return list, err
}

// Acquisitions lists what came from a PC.
func (c *Collector) Acquisitions(ctx context.Context, endpoint string) (list []Acquisition, err error) {
	err = c.Glass().Call(ctx, "acquisition.list", map[string]string{"endpoint": endpoint}, &list)
	return list, err
}

// Download copies an acquisition into a new folder that hozen-verify checks.
func (c *Collector) Download(ctx context.Context, acquisition, dir string) error {
	r, err := c.CLI(ctx, "--break-glass", "verify the evidence", "evidence", "get", acquisition, "--out", dir)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("hozen-collector evidence get: exit code %d\n%s", r.Code, r.Stderr)
	}
	return err
}

// LogTail returns the last lines that the collector logged.
func (c *Collector) LogTail(lines int) string {
	b, err := os.ReadFile(c.Log)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
