package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

// Paths are the files of a data folder.
type Paths struct {
	Dir          string
	Settings     string
	CACert       string // PEM
	CAKey        string // PEM; whoever has it can make endpoints
	CollectorPEM string // certificate of the listeners and of receipts
	CollectorKey string
	RecoveryKey  string // text; whoever has it can release any isolated PC at that PC
	SecretsKey   string // text; whoever has it and the database has the second factors and the channels' secrets, and can make sessions and MACs of the ledger's entries
	LedgerKey    string // PEM; whoever has it and the database can rewrite the past
	LedgerNotes  string // folder of the newest signed state of each ledger
	Incoming     string // uploads that are not sealed yet
	Own          string // the organisation's own data, put there by an administrator
	Packages     string // files that install the agent, put there by an administrator
	Lock         string // held while a collector serves
}

// PathsOf returns the files of a data folder.
func PathsOf(dir string) Paths {
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	return Paths{
		Dir: dir, Settings: at(FileName), CACert: at("pki", "ca.pem"), CAKey: at("pki", "ca-key.pem"),
		CollectorPEM: at("pki", "collector.pem"), CollectorKey: at("pki", "collector-key.pem"),
		RecoveryKey: at("pki", "recovery-key.txt"),
		SecretsKey:  at("pki", "secrets-key.txt"),
		LedgerKey:   at("pki", "ledger-key.pem"), LedgerNotes: at("pki", "ledger"),
		Incoming: at("incoming"), Packages: at("packages"), Own: at("own"), Lock: at("serve.lock"),
	}
}

// SocketPath returns the path of the local socket.
func (c Config) SocketPath(dir string) string { return below(dir, c.Listen.Socket) }

// EvidencePath returns the folder of evidence bytes.
func (c Config) EvidencePath(dir string) string { return below(dir, c.Storage.Evidence) }

// EvidenceKeys returns the folder of the data keys, which are encrypted to the key file.
func (c Config) EvidenceKeys(dir string) string { return filepath.Join(c.EvidencePath(dir), "keys") }

// KeyFilePath returns the path of the key file of the evidence.
func (c Config) KeyFilePath(dir string) string {
	if c.Storage.KeyFile == "" {
		return filepath.Clean(dir) + "-evidence.key"
	}
	return below(filepath.Dir(filepath.Clean(dir)), c.Storage.KeyFile)
}

// DatabaseURL returns the URL of the database with an absolute path.
func (c Config) DatabaseURL(dir string) string {
	rest, ok := strings.CutPrefix(c.Storage.Database, "sqlite:")
	if !ok || strings.HasPrefix(rest, "/") {
		return c.Storage.Database
	}
	if p, err := url.PathUnescape(rest); err == nil {
		rest = p
	}
	return "sqlite:" + (&url.URL{Path: filepath.ToSlash(filepath.Join(dir, rest))}).EscapedPath()
}

// TimestampFiles returns the paths of ca_file and password_file; empty where there is none.
func (c Config) TimestampFiles(dir string) (ca, password string) {
	if c.Timestamp.CAFile != "" {
		ca = below(dir, c.Timestamp.CAFile)
	}
	if c.Timestamp.PasswordFile != "" {
		password = below(dir, c.Timestamp.PasswordFile)
	}
	return ca, password
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Text returns the settings as `init` writes them, with what they mean.
func (c Config) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Settings of hozen-collector. Changes take effect when it is started again.

# What the collector calls itself in receipts and on its page.
name = %s

# Where agents find the collector, "host:port"; enrolment tokens carry them.
addresses = [%s]

[listen]
# For agents: gRPC over TLS 1.3.
agents = %s
# The web console. Plain HTTP on a loopback address, HTTPS of the own CA on any other.
console = %s
# Further host names by which browsers may ask for a console on loopback, as through a proxy.
console_names = [%s]
# For this program's own commands. Relative paths begin at this folder.
socket = %s

[storage]
# "sqlite:path", "sqlite:///absolute/path" or "postgres://user@host/name?sslmode=verify-full".
database = %s
# Folder of evidence bytes.
evidence = %s
# The key file of the evidence, never in this folder: whoever has only one of the two reads
# nothing, and without it the evidence is lost. Empty: beside this folder, NAME-evidence.key.
key_file = %s
# Megabytes of disk that uploads leave free.
min_free_mb = %d
# How much of one endpoint is taken in within 24 hours, in megabytes and in percent of the
# free disk; the rest waits on the endpoint. An infected PC must not fill the disk.
endpoint_daily_mb = %d
endpoint_daily_percent = %d

[backup]
# Folder into which everything but the key file of the evidence is copied by the clock, best on
# another machine or disk; each copy is read back as a whole once a week. Empty: none.
dir = %s
every_hours = %d

[ledger]
# Outside witnesses of the custody ledger: "name+hash+key", or "name+hash+key https://…".
witnesses = [%s]

[timestamp]
# Outside authority that time stamps the custody ledger (RFC 3161), such as
# "https://tsa.example/"; empty: none. Only a SHA-256 goes there.
url = %s
# PEM of the certificates that it must chain to; empty: those of the operating system.
ca_file = %s
# Policy to ask for, such as "1.2.392.1"; empty: the authority's own.
policy = %s
# Sign-in, where the authority wants one, over https alone: the password is the first line
# of that file, which nobody but its owner may read (chmod 600).
user = %s
password_file = %s

[log]
level = %s   # debug, info, warn, error
format = %s  # text, json
`, quote(c.Name), quoteAll(c.Addresses), quote(c.Listen.Agents), quote(c.Listen.Console), quoteAll(c.Listen.ConsoleNames), quote(c.Listen.Socket),
		quote(c.Storage.Database), quote(c.Storage.Evidence), quote(c.Storage.KeyFile), c.Storage.MinFreeMB, c.Storage.EndpointDailyMB, c.Storage.EndpointDailyPercent,
		quote(c.Backup.Dir), c.Backup.EveryHours, quoteAll(c.Ledger.Witnesses), quote(c.Timestamp.URL), quote(c.Timestamp.CAFile), quote(c.Timestamp.Policy), quote(c.Timestamp.User), quote(c.Timestamp.PasswordFile),
		quote(c.Log.Level), quote(c.Log.Format))
	return b.String()
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ", ")
}

// quote writes a TOML basic string (toml.io, v1.0.0).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// readFull reads until b is full or r ends.
func readFull(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
