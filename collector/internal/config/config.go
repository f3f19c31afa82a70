// Package config is the collector's configuration: the files of its data folder and
// the settings that a person may change. It knows nothing of what is built from them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// FileName is the name of the settings within the data folder.
const FileName = "collector.toml"

// maxFile is far above any honest settings file, in bytes.
const maxFile = 1 << 20

// Config are the settings. The comments are the manual; `init` writes them into the file.
type Config struct {
	// Name is what the collector calls itself in receipts and on its page.
	Name string `toml:"name"`
	// Addresses, "host:port", are where agents find the collector; they go into
	// enrolment tokens. A PC must be able to reach at least one of them.
	Addresses []string `toml:"addresses"`
	Listen    Listen   `toml:"listen"`
	Storage   Storage  `toml:"storage"`
	Backup    Backup   `toml:"backup"`
	// Ledger and Timestamp say who outside the company speaks for the custody ledger.
	Ledger    Ledger    `toml:"ledger"`
	Timestamp Timestamp `toml:"timestamp"`
	Log       Log       `toml:"log"`
}

// Ledger says which witnesses cosign the custody ledger.
type Ledger struct {
	// Witnesses, each a verifier key "name+hash+key" (C2SP tlog-cosignature), after a space
	// optionally the URL at which it takes checkpoints (C2SP tlog-witness). Nothing but the
	// number of entries and hashes goes to a witness.
	Witnesses []string `toml:"witnesses"`
}

// Timestamp says which outside authority time stamps the custody ledger (RFC 3161). Nothing
// but a SHA-256 goes there.
type Timestamp struct {
	// URL is where time stamps are asked for, http or https. Empty: there are none.
	URL string `toml:"url"`
	// CAFile, PEM, has the certificates that the authority's own must chain to. Relative
	// paths begin at the data folder; empty means those of the operating system.
	CAFile string `toml:"ca_file"`
	// Policy is the policy to ask for, an object identifier in dots; empty: the authority's.
	Policy string `toml:"policy"`
	// User signs in (HTTP Basic) with the first line of PasswordFile, which nobody but its
	// owner may read, and over https alone; empty: nobody does.
	User         string `toml:"user"`
	PasswordFile string `toml:"password_file"`
}

// Listen says where the collector listens.
type Listen struct {
	// Agents is the address for agents (gRPC over TLS 1.3, own CA).
	Agents string `toml:"agents"`
	// Console is the address of the web console. On a loopback address it is plain HTTP;
	// on any other it is HTTPS with a certificate of the own CA.
	Console string `toml:"console"`
	// ConsoleNames are further host names by which browsers may ask for a console on a
	// loopback address, as through a proxy on this machine. Those of Addresses, of this
	// machine and of loopback are answered anyway, any other is refused: a page of a
	// stranger may lead its own name to this machine.
	ConsoleNames []string `toml:"console_names"`
	// Socket is the path of the local socket for this program's own commands. Relative
	// paths begin at the data folder.
	Socket string `toml:"socket"`
}

// Storage says where things are kept.
type Storage struct {
	// Database is "sqlite:///absolute/path", "sqlite:path" below the data folder, or
	// "postgres://user@host/name?sslmode=verify-full". A password belongs into the
	// environment (PGPASSWORD) or ~/.pgpass rather than here.
	Database string `toml:"database"`
	// Evidence is the folder of evidence bytes. Relative paths begin at the data folder.
	Evidence string `toml:"evidence"`
	// KeyFile is the key file of the evidence, which must not lie in the data folder: with
	// both, a thief reads the evidence; without the key file nobody does. Empty means the
	// data folder's name with "-evidence.key" after it. Relative paths begin beside the data
	// folder.
	KeyFile string `toml:"key_file"`
	// MinFreeMB is how many megabytes (10⁶ bytes) of disk uploads leave free; below ten
	// times as much the collector warns.
	MinFreeMB int64 `toml:"min_free_mb"`
	// EndpointDailyMB is how many megabytes of one endpoint's evidence are taken in within
	// 24 hours; the rest waits on the endpoint. An infected PC must not fill the disk.
	EndpointDailyMB int64 `toml:"endpoint_daily_mb"`
	// EndpointDailyPercent bounds them to that part of the free disk; 64 MiB are always
	// taken.
	EndpointDailyPercent int `toml:"endpoint_daily_percent"`
}

// Backup says where the collector copies itself to by the clock.
type Backup struct {
	// Dir is the folder, best on another machine or disk. Whoever has it can be this
	// collector: keys are in it, but not the key file of the evidence. Empty: no backups are
	// made by the clock.
	Dir string `toml:"dir"`
	// EveryHours is how often: 1 to 720.
	EveryHours int `toml:"every_hours"`
}

// Every is how often a backup is made.
func (b Backup) Every() time.Duration { return time.Duration(b.EveryHours) * time.Hour }

// Log says what is logged, to standard error.
type Log struct {
	// Level is "debug", "info", "warn" or "error".
	Level string `toml:"level"`
	// Format is "text" or "json".
	Format string `toml:"format"`
}

// Default returns the settings that hold where the file says nothing.
func Default() Config {
	return Config{
		Name:    "Hozen",
		Listen:  Listen{Agents: ":7443", Console: "127.0.0.1:7480", Socket: "collector.sock"},
		Storage: Storage{Database: "sqlite:hozen.db", Evidence: "evidence", MinFreeMB: 256, EndpointDailyMB: 50_000, EndpointDailyPercent: 25},
		Backup:  Backup{EveryHours: 24},
		Log:     Log{Level: "info", Format: "text"},
	}
}

// Load reads the settings of a data folder. A key that does not exist is an error
// with its line and column, as is a value that makes no sense.
func Load(dir string) (Config, error) {
	path := filepath.Join(dir, FileName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("read settings: %q does not exist; run init first, or name the folder with --data: %w", path, err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	b := make([]byte, maxFile+1)
	n, err := readFull(f, b)
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	if n > maxFile {
		return Config{}, fmt.Errorf("read settings: %q is larger than %d bytes", path, maxFile)
	}
	c, err := Parse(b[:n])
	if err != nil {
		return Config{}, fmt.Errorf("read settings %s:%w", path, err)
	}
	return c, nil
}

// Parse reads settings. Its errors begin with "line:column: ".
func Parse(b []byte) (Config, error) {
	c := Default()
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(missing.Errors) > 0 {
			e := missing.Errors[0]
			row, col := e.Position()
			return Config{}, fmt.Errorf("%d:%d: there is no setting %q", row, col, strings.Join(e.Key(), "."))
		}
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, col := e.Position()
			return Config{}, fmt.Errorf("%d:%d: %w", row, col, err)
		}
		return Config{}, fmt.Errorf("1:1: %w", err)
	}
	if err := c.Check(); err != nil {
		// The settings were read well, so the place is found by the last word of the key.
		row, col := 1, 1
		if inv, ok := errors.AsType[*Invalid](err); ok {
			row, col = find(b, inv.Key)
		}
		return Config{}, fmt.Errorf("%d:%d: %w", row, col, err)
	}
	return c, nil
}

// Invalid says which setting makes no sense.
type Invalid struct {
	Key string // "listen.agents"
	Err error
}

func (e *Invalid) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *Invalid) Unwrap() error { return e.Err }

// Check reports the first setting that makes no sense.
func (c Config) Check() error {
	bad := func(key, format string, args ...any) error { return &Invalid{key, fmt.Errorf(format, args...)} }
	switch {
	case c.Name == "" || len(c.Name) > 128:
		return bad("name", "want 1 to 128 bytes")
	case len(c.Addresses) > 8:
		return bad("addresses", "want at most 8")
	case c.Listen.Socket == "":
		return bad("listen.socket", "want a path")
	case c.Storage.Evidence == "":
		return bad("storage.evidence", "want a path")
	case c.Storage.MinFreeMB < 1 || c.Storage.MinFreeMB > 1<<40:
		return bad("storage.min_free_mb", "want 1 or more")
	case c.Storage.EndpointDailyMB < 64 || c.Storage.EndpointDailyMB > 1<<40:
		return bad("storage.endpoint_daily_mb", "want 64 or more")
	case c.Storage.EndpointDailyPercent < 1 || c.Storage.EndpointDailyPercent > 100:
		return bad("storage.endpoint_daily_percent", "want 1 to 100")
	case c.Backup.Dir != "" && !filepath.IsAbs(c.Backup.Dir):
		return bad("backup.dir", "want an absolute path, got %.80q", c.Backup.Dir)
	case c.Backup.EveryHours < 1 || c.Backup.EveryHours > 720:
		return bad("backup.every_hours", "want 1 to 720")
	case c.Log.Level != "debug" && c.Log.Level != "info" && c.Log.Level != "warn" && c.Log.Level != "error":
		return bad("log.level", "want debug, info, warn or error, got %.40q", c.Log.Level)
	case c.Log.Format != "text" && c.Log.Format != "json":
		return bad("log.format", "want text or json, got %.40q", c.Log.Format)
	case !strings.HasPrefix(c.Storage.Database, "sqlite:") && !strings.HasPrefix(c.Storage.Database, "postgres:") && !strings.HasPrefix(c.Storage.Database, "postgresql:"):
		return bad("storage.database", "want sqlite:… or postgres://…") // not repeated: it may hold a password
	}
	if err := c.outside(); err != nil {
		return err
	}
	for _, a := range c.Addresses {
		if host, _, err := splitAddress(a); err != nil {
			return bad("addresses", "%w", err)
		} else if host == "" {
			return bad("addresses", "%.80q: agents need a host to go to", a)
		}
	}
	if len(c.Listen.ConsoleNames) > 32 {
		return bad("listen.console_names", "want at most 32")
	}
	for _, n := range c.Listen.ConsoleNames {
		if n == "" || len(n) > 253 || strings.ContainsAny(n, "/:[] \t\r\n") {
			return bad("listen.console_names", "%.80q: want a host name alone", n)
		}
	}
	if _, _, err := splitAddress(c.Listen.Agents); err != nil {
		return bad("listen.agents", "%w", err)
	}
	if _, _, err := splitAddress(c.Listen.Console); err != nil {
		return bad("listen.console", "%w", err)
	}
	return nil
}

// outside reports what makes no sense about witnesses and time stamps, as far as it is seen
// without reading keys.
func (c Config) outside() error {
	t := c.Timestamp
	switch {
	case t.URL != "" && !isURL(t.URL):
		return &Invalid{"timestamp.url", errors.New("want http://… or https://…, without user, password and #")}
	case t.URL == "" && t != (Timestamp{}):
		return &Invalid{"timestamp.url", errors.New("the other settings of [timestamp] need it")}
	case (t.User == "") != (t.PasswordFile == ""):
		return &Invalid{"timestamp.user", errors.New("want user and password_file, or none of both")}
	case strings.Trim(t.Policy, "0123456789.") != "":
		return &Invalid{"timestamp.policy", errors.New("want an object identifier such as 1.2.3")}
	case len(c.Ledger.Witnesses) > 16:
		return &Invalid{"ledger.witnesses", errors.New("want at most 16")}
	}
	for _, w := range c.Ledger.Witnesses {
		key, at, ok := strings.Cut(w, " ")
		if strings.Count(key, "+") < 2 || ok && !isURL(at) {
			return &Invalid{"ledger.witnesses", fmt.Errorf("%.80q: want name+hash+key, or that and a URL after a space", w)}
		}
	}
	return nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

func splitAddress(a string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(a)
	if err != nil {
		return "", 0, fmt.Errorf("%.80q: want host:port", a)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%.80q: want a port from 0 to 65535", a)
	}
	return host, port, nil
}

// ConsoleIsLocal reports whether the console listens on a loopback address only.
func (c Config) ConsoleIsLocal() bool {
	host, _, err := splitAddress(c.Listen.Console)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// find returns the place of a setting, by the last word of its key within its table.
func find(b []byte, key string) (row, col int) {
	table, word := "", key
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		table, word = key[:i], key[i+1:]
	}
	in := ""
	for i, line := range strings.Split(string(b), "\n") {
		s := strings.TrimSpace(line)
		if strings.HasPrefix(s, "[") {
			in = strings.Trim(s, "[] ")
		}
		name, _, ok := strings.Cut(s, "=")
		if ok && in == table && strings.TrimSpace(name) == word {
			return i + 1, 1 + len(line) - len(strings.TrimLeft(line, " \t"))
		}
	}
	return 1, 1 // a default that makes no sense here
}
