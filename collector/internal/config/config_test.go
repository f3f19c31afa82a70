package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/config"
)

func TestWhatInitWritesIsRead(t *testing.T) {
	want := config.Default()
	want.Name = "保全 \"本社\" \\ \x01"
	want.Addresses = []string{"192.0.2.1:7443", "[2001:db8::1]:7443"}
	want.Listen.ConsoleNames = []string{"hozen.example.co.jp", "保全"}
	want.Storage.Database = "postgres://u@h/db?sslmode=verify-full"
	want.Ledger.Witnesses = []string{"w.example/1+00000000+AA https://w.example/"}
	want.Timestamp = config.Timestamp{URL: "https://tsa.example/x?y=z", CAFile: "tsa.pem", Policy: "1.2.3", User: "u", PasswordFile: "/etc/p"}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(want.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text() != want.Text() || got.Name != want.Name || len(got.Listen.ConsoleNames) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"nam = 'x'\n", `1:1: there is no setting "nam"`},
		{"[listen]\nagents = ':7443'\n  agent = ':1'\n", `3:3: there is no setting "listen.agent"`},
		{"name = 3\n", "1:8: "},
		{"name = 'x\n", "1:"},
		{"name = 'x'\nname = 'y'\n", "2:1: "},
		{"\n[listen]\nconsole = 'here'\n", "3:1: listen.console: \"here\": want host:port"},
		{"[listen]\nagents = ':99999'\n", "2:1: listen.agents: "},
		{"addresses = [':7443']\n", "1:1: addresses: "},
		{"[log]\n\n\tlevel = 'loud'\n", "3:2: log.level: "},
		{"[listen]\nconsole_names = ['a', 'https://a']\n", "2:1: listen.console_names: "},
		{"[storage]\nendpoint_daily_mb = 63\n", "2:1: storage.endpoint_daily_mb: "},
		{"[backup]\ndir = \"backup\"\n", "2:1: backup.dir: "},
		{"[backup]\nevery_hours = 0\n", "2:1: backup.every_hours: "},
		{"[storage]\nendpoint_daily_percent = 101\n", "2:1: storage.endpoint_daily_percent: "},
		{"[storage]\nmin_free_mb = 0\n", "2:1: storage.min_free_mb: "},
		{"[storage]\ndatabase = 'mysql://u:secret@h/db'\n", "2:1: storage.database: "},
		{"name = ''\n", "1:1: name: "},
		{"[timestamp]\nurl = 'file:///etc/passwd'\n", "2:1: timestamp.url: "},
		{"[timestamp]\nurl = 'https://u:secret@tsa/'\n", "2:1: timestamp.url: "},
		{"[timestamp]\npolicy = '1.2.3'\n", "1:1: timestamp.url: "},
		{"[timestamp]\nurl = 'https://tsa/'\npolicy = 'any'\n", "3:1: timestamp.policy: "},
		{"[timestamp]\nurl = 'https://tsa/'\nuser = 'u'\n", "3:1: timestamp.user: "},
		{"[ledger]\nwitnesses = ['w+00000000+AA ftp://w/']\n", "2:1: ledger.witnesses: "},
		{"[ledger]\nwitnesses = ['https://w/']\n", "2:1: ledger.witnesses: "},
		{"\xff\xfe", "1:1: "},
	} {
		_, err := config.Parse([]byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s…", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
	if _, err := config.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "init") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestPaths(t *testing.T) {
	c := config.Default()
	if got := c.DatabaseURL("/var/lib/h z"); got != "sqlite:/var/lib/h%20z/hozen.db" {
		t.Error(got)
	}
	c.Storage.Database = "sqlite:///srv/x.db"
	if got := c.DatabaseURL("/var/lib/h"); got != "sqlite:///srv/x.db" {
		t.Error(got)
	}
	if got := c.SocketPath("/d"); got != filepath.Join("/d", "collector.sock") {
		t.Error(got)
	}
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "192.0.2.1:1": false} {
		c.Listen.Console = addr
		if c.ConsoleIsLocal() != want {
			t.Errorf("%s: %t", addr, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(config.Default().Text()))
	f.Add([]byte("[listen]\nagents = 'x'"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := config.Parse(b)
		if err != nil {
			return
		}
		if err := c.Check(); err != nil {
			t.Errorf("%q was read as settings that make no sense: %v", b, err)
		}
		if _, err := config.Parse([]byte(c.Text())); err != nil {
			t.Errorf("%q: written and read again: %v", b, err)
		}
	})
}
