// Package config reads the agent's configuration file. It knows nothing of what the
// settings lead to. Everything has a default: most PCs need no file at all.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"hozen/internal/pki"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 64 << 10

// Config is the file; its field comments are the manual.
type Config struct {
	// Collectors are addresses "host:port" that are used instead of those that the
	// enrolment gave. Default: those of the enrolment.
	Collectors []string `toml:"collectors"`
	// LogLevel is "debug", "info", "warn" or "error". Default "info".
	LogLevel string `toml:"log_level"`
	// Spool is where evidence waits for the collector.
	Spool Spool `toml:"spool"`
	// Uplink is the connection to the collector.
	Uplink Uplink `toml:"uplink"`
	// Isolation is how isolation is watched.
	Isolation Isolation `toml:"isolation"`
	// Recorder is the flight recorder: what happened on this PC in the last minutes.
	Recorder Recorder `toml:"recorder"`
	// Shutdown is what the agent does before the PC goes down.
	Shutdown Shutdown `toml:"shutdown"`
	// Triage is what of people's own may be read when files are acquired.
	Triage Triage `toml:"triage"`
}

// Triage is the privacy scope of this PC. Where the organisation has set one too, the narrower
// of both counts. It stands in the evidence: in the lines that say what was looked for, and in
// the footprint.
type Triage struct {
	// Private lets private areas be read: the names of files in homes, the histories of browsers,
	// records of mail, password hashes. Default: the organisation's word, else false.
	Private *bool `toml:"private"`
	// Histories lets the histories of shells and tools be copied. Default: the organisation's
	// word, else true.
	Histories *bool `toml:"histories"`
}

// Recorder sets how the flight recorder works.
type Recorder struct {
	// Enabled is false where nothing is to be recorded. Default true.
	Enabled bool `toml:"enabled"`
	// Every is the time between two snapshots, 1s to 10m: after a power cut the record
	// ends at most so long before. Default 10s.
	Every Duration `toml:"every"`
	// MaxBytes is the most that the recording may hold on disk, at least 4 MiB. Default 32 MiB.
	MaxBytes int64 `toml:"max_bytes"`
	// Window is how much of what happened before becomes evidence, 1m to 24h. Default 15m.
	Window Duration `toml:"window"`
}

// Shutdown bounds how long the PC may be kept from going down.
type Shutdown struct {
	// MaxDelay is the longest while an incident with this PC is open, 1s to 40s, as far as
	// the system allows it. With none it is always under half a second. Default 20s.
	MaxDelay Duration `toml:"max_delay"`
}

// Spool bounds what evidence may take of the PC's disk.
type Spool struct {
	// MaxBytes is the most that waiting evidence may hold, at least 16 MiB. Default 1 GiB. An
	// image of memory is not counted: it is taken only where 1 GiB besides MinFreeBytes
	// stays free.
	MaxBytes int64 `toml:"max_bytes"`
	// MinFreeBytes is left free on the volume. Default 256 MiB.
	MinFreeBytes int64 `toml:"min_free_bytes"`
	// KeepAfterReceipt is how long evidence stays after the collector confirmed it, such
	// as "168h"; with an image of memory at most a day. Default 168h.
	KeepAfterReceipt Duration `toml:"keep_after_receipt"`
}

// Uplink bounds how the agent comes back to a collector that does not answer.
type Uplink struct {
	// MinBackoff and MaxBackoff bound the random wait before a further attempt.
	// Default 1s and 1m.
	MinBackoff Duration `toml:"min_backoff"`
	MaxBackoff Duration `toml:"max_backoff"`
}

// Isolation sets how closely an isolated PC is watched.
type Isolation struct {
	// CheckEvery is the time between two readings of the rules while the PC is isolated,
	// 1s to 1m. While it is not, nothing is read. Default 5s.
	CheckEvery Duration `toml:"check_every"`
}

// Duration is written as "90s" or "1h30m"; a bare number is refused, as nobody could
// tell its unit.
type Duration struct {
	time.Duration
	bad string // what stood there instead
}

// UnmarshalText reads the spelling of time.ParseDuration. It never fails: the check
// of the whole file does, which knows the key.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		d.bad = string(b)
		return nil
	}
	d.Duration, d.bad = v, ""
	return nil
}

// Default returns the settings without a file.
func Default() Config {
	return Config{
		LogLevel:  "info",
		Spool:     Spool{MaxBytes: 1 << 30, MinFreeBytes: 256 << 20, KeepAfterReceipt: Duration{Duration: 7 * 24 * time.Hour}},
		Uplink:    Uplink{MinBackoff: Duration{Duration: time.Second}, MaxBackoff: Duration{Duration: time.Minute}},
		Isolation: Isolation{CheckEvery: Duration{Duration: 5 * time.Second}},
		Recorder:  Recorder{Enabled: true, Every: Duration{Duration: 10 * time.Second}, MaxBytes: 32 << 20, Window: Duration{Duration: 15 * time.Minute}},
		Shutdown:  Shutdown{MaxDelay: Duration{Duration: 20 * time.Second}},
	}
}

// Load reads the file at path. When there is none the defaults count, unless needed
// says that somebody asked for this very file.
func Load(path string, needed bool) (Config, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !needed {
		return Default(), nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	c, err := Parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s:%w", path, err)
	}
	return c, nil
}

// Error says where in the file the trouble is.
type Error struct {
	Line, Column int // from 1; 0 when it is about the file as a whole
	Reason       string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return " " + e.Reason
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Reason)
}

// Parse reads the text of a file strictly: an unknown key, a wrong type and a value
// out of bounds are errors of type *Error.
func Parse(b []byte) (Config, error) {
	if len(b) > maxFile {
		return Config{}, &Error{Reason: fmt.Sprintf("larger than %d bytes", maxFile)}
	}
	c := Default()
	if err := decode(b, c.settings()); err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, &Error{Reason: err.Error()}
	}
	return c, nil
}

func (c Config) check() error {
	if len(c.Collectors) > pki.MaxAddresses {
		return fmt.Errorf("collectors: %d addresses, at most %d are allowed", len(c.Collectors), pki.MaxAddresses)
	}
	for _, a := range c.Collectors {
		if err := pki.CheckAddress(a); err != nil {
			return fmt.Errorf("collectors: %w", err)
		}
	}
	if _, err := c.Level(); err != nil {
		return err
	}
	within := func(name string, d Duration, least, most time.Duration) error {
		if d.bad != "" {
			return fmt.Errorf("%s: %.40q, want a duration such as \"90s\" or \"1h30m\"", name, d.bad)
		}
		if d.Duration < least || d.Duration > most {
			return fmt.Errorf("%s: %s, want %s to %s", name, d, least, most)
		}
		return nil
	}
	if c.Spool.MaxBytes < 16<<20 {
		return fmt.Errorf("spool.max_bytes: %d, want at least %d", c.Spool.MaxBytes, 16<<20)
	}
	if c.Spool.MinFreeBytes < 0 {
		return fmt.Errorf("spool.min_free_bytes: %d, want 0 or more", c.Spool.MinFreeBytes)
	}
	if c.Recorder.MaxBytes < 4<<20 {
		return fmt.Errorf("recorder.max_bytes: %d, want at least %d", c.Recorder.MaxBytes, 4<<20)
	}
	if c.Uplink.MaxBackoff.Duration < c.Uplink.MinBackoff.Duration {
		return errors.New("uplink.max_backoff: less than uplink.min_backoff")
	}
	return errors.Join(
		within("spool.keep_after_receipt", c.Spool.KeepAfterReceipt, 0, 10*365*24*time.Hour),
		within("uplink.min_backoff", c.Uplink.MinBackoff, 10*time.Millisecond, time.Hour),
		within("uplink.max_backoff", c.Uplink.MaxBackoff, 10*time.Millisecond, 24*time.Hour),
		within("isolation.check_every", c.Isolation.CheckEvery, time.Second, time.Minute),
		within("recorder.every", c.Recorder.Every, time.Second, 10*time.Minute),
		within("recorder.window", c.Recorder.Window, time.Minute, 24*time.Hour),
		within("shutdown.max_delay", c.Shutdown.MaxDelay, time.Second, 40*time.Second),
	)
}

// Level returns the level of LogLevel.
func (c Config) Level() (slog.Level, error) {
	switch c.LogLevel {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log_level: %q, want debug, info, warn or error", c.LogLevel)
}
