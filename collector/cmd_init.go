package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/config"
	"hozen/internal/durable"
	"hozen/internal/pki"
)

type initOptions struct {
	cfg          config.Config
	organisation string
	owner        act.NewOperator
	passwordFile string
}

// initialised is what init says.
type initialised struct {
	Data         string   `json:"data"`
	Addresses    []string `json:"addresses"`
	CASHA256     string   `json:"ca_sha256"`
	Owner        string   `json:"owner"`
	Password     string   `json:"one_time_password,omitempty"`
	PasswordFile string   `json:"password_file,omitempty"`
	// RecoveryKey is for paper: see "recovery key".
	RecoveryKey string `json:"recovery_key"`
	// EvidenceKeyFile is what the evidence cannot be read without: see "storage key".
	EvidenceKeyFile string `json:"evidence_key_file"`
}

func (c *cli) initCmd() *cobra.Command {
	o := initOptions{cfg: config.Default()}
	cmd := &cobra.Command{
		Use: "init", Short: "Make a collector: data folder, keys, database, first operator",
		Long: `Make a collector in the data folder, which must not hold one: settings
(` + config.FileName + `), its own CA, the database, and the first operator, the owner, with a
one-time password that is printed once or written to a file. The evidence is kept encrypted;
its key file is made outside of the data folder, and without it the evidence is lost.

On PostgreSQL the database must exist and be empty.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.init(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.cfg.Name, "name", o.cfg.Name, "what the collector calls itself")
	f.StringVar(&o.organisation, "organisation", "", "whose data it is (default: the name)")
	f.StringVar(&o.owner.Name, "owner", "owner", "sign-in name of the first operator")
	f.StringVar(&o.owner.DisplayName, "owner-name", "", "display name of the first operator")
	f.StringArrayVar(&o.cfg.Addresses, "address", nil, "`host:port` where agents find the collector; may be repeated (default: this host's own addresses)")
	f.StringVar(&o.cfg.Listen.Agents, "listen-agents", o.cfg.Listen.Agents, "`address` to listen at for agents")
	f.StringVar(&o.cfg.Listen.Console, "listen-console", o.cfg.Listen.Console, "`address` of the web console")
	f.StringVar(&o.cfg.Listen.Socket, "socket", o.cfg.Listen.Socket, "`path` of the local socket")
	f.StringVar(&o.cfg.Storage.Database, "database", o.cfg.Storage.Database, "database `URL`")
	f.StringVar(&o.cfg.Storage.Evidence, "evidence", o.cfg.Storage.Evidence, "`folder` of evidence bytes")
	f.StringVar(&o.cfg.Storage.KeyFile, "evidence-key", "", "key `file` of the evidence, outside the data folder; made when it is not there (default: /etc/hozen/evidence.key for root's default folder, else beside the data folder)")
	f.StringVar(&o.passwordFile, "password-file", "", "write the one-time password to this new `file` (mode 0600) instead of printing it")
	return cmd
}

func (c *cli) init(ctx context.Context, o initOptions) error {
	if o.organisation == "" {
		o.organisation = o.cfg.Name
	}
	if len(o.cfg.Addresses) == 0 {
		o.cfg.Addresses = ownAddresses(o.cfg.Listen.Agents)
	}
	if err := o.cfg.Check(); err != nil {
		return &act.Invalid{Field: "settings", Code: "malformed", Err: err}
	}
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if o.cfg.Storage.KeyFile == "" {
		o.cfg.Storage.KeyFile = newKeyFile(dir)
	}
	if o.cfg.Storage.KeyFile, err = filepath.Abs(o.cfg.Storage.KeyFile); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	p := config.PathsOf(dir)
	if _, err := os.Lstat(p.Settings); err == nil {
		return fmt.Errorf("make collector: %w: %q exists", act.ErrConflict, p.Settings)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make collector: %w", err)
	}
	if err := durable.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if err := guardFolder(dir); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if err := durable.MkdirAll(filepath.Dir(p.CAKey), 0o700); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if o.passwordFile != "" {
		// Taken before anything is made: a password that can't be written down is lost.
		if err := durable.CreateFile(o.passwordFile, nil, 0o600); err != nil {
			return fmt.Errorf("write one-time password: %w", err)
		}
	}
	ca, err := makeCA(p, o.cfg.Name)
	if err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if _, err := collectorCertificate(p, ca, o.cfg, time.Now()); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	a, err := openStore(ctx, dir, o.cfg, discard())
	if err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	if err := guardFile(o.cfg.Storage.KeyFile); err != nil {
		return fmt.Errorf("make collector: %w", errors.Join(err, a.Close()))
	}
	owner, password, err := a.acts.Found(ctx, o.organisation, o.owner)
	if err == nil {
		err = a.recordKeys(ctx)
	}
	if err := errors.Join(err, a.Close()); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	said := initialised{Data: dir, Addresses: o.cfg.Addresses, CASHA256: ca.Fingerprint(), Owner: owner.Name, Password: password, RecoveryKey: a.recovery.Text(),
		EvidenceKeyFile: o.cfg.Storage.KeyFile}
	if o.passwordFile != "" {
		if err := durable.WriteFile(o.passwordFile, []byte(password+"\n"), 0o600); err != nil {
			return fmt.Errorf("write one-time password: %w", err)
		}
		said.Password, said.PasswordFile = "", o.passwordFile
	}
	// Last: with this file the collector exists.
	if err := durable.CreateFile(p.Settings, []byte(o.cfg.Text()), 0o600); err != nil {
		return fmt.Errorf("make collector: %w", err)
	}
	return c.print(said, func() {
		c.say("init.done", "data", dir)
		c.say("init.ca", "sha256", said.CASHA256)
		c.say("init.owner", "name", owner.Name)
		if said.Password != "" {
			c.say("init.password", "password", said.Password)
		} else {
			c.say("init.password_file", "file", said.PasswordFile)
		}
		c.say("init.recovery", "key", said.RecoveryKey)
		c.say("init.evidence_key", "file", said.EvidenceKeyFile)
		c.say("init.next", "data", dir, "name", owner.Name)
	})
}

// makeCA makes the CA, or takes the one of an init that was interrupted.
func makeCA(p config.Paths, name string) (*pki.CA, error) {
	if _, err := os.Lstat(p.CACert); err == nil {
		return loadCA(p)
	}
	ca, err := pki.NewCA(name+" CA", time.Now())
	if err != nil {
		return nil, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return nil, err
	}
	// The key first: a certificate without its key would look finished.
	if err := durable.WriteFile(p.CAKey, key, 0o600); err != nil {
		return nil, err
	}
	return ca, durable.CreateFile(p.CACert, ca.CertificatePEM(), 0o644)
}

func loadCA(p config.Paths) (*pki.CA, error) {
	cert, err := os.ReadFile(p.CACert)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	key, err := os.ReadFile(p.CAKey)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	return pki.LoadCA(cert, key)
}

// ownAddresses are where agents in the same network find this host: its name and its
// global addresses.
func ownAddresses(listen string) []string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
		return []string{listen}
	}
	var out []string
	if name, err := os.Hostname(); err == nil && name != "" && pki.CheckAddress(net.JoinHostPort(name, "1")) == nil {
		out = append(out, net.JoinHostPort(name, port))
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && len(out) < 8 {
			out = append(out, net.JoinHostPort(n.IP.String(), port))
		}
	}
	return out
}
