package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"hozen/agent/internal/config"
)

func TestParse(t *testing.T) {
	c, err := config.Parse([]byte(`
collectors = ["collector.example:8443", "[2001:db8::1]:8443"]
log_level = "warn"
[spool]
max_bytes = 33554432
keep_after_receipt = "1h30m"
[uplink]
min_backoff = "50ms"
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Collectors) != 2 || c.Spool.MaxBytes != 32<<20 || c.Spool.KeepAfterReceipt.Duration != 90*time.Minute ||
		c.Uplink.MinBackoff.Duration != 50*time.Millisecond || c.Spool.MinFreeBytes != config.Default().Spool.MinFreeBytes {
		t.Fatalf("%+v", c)
	}
	if empty, err := config.Parse(nil); err != nil || empty.LogLevel != "info" {
		t.Fatal(empty, err)
	}
}

// TestHostileFiles: each says where and what.
func TestHostileFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":         {"log_level = \"info\"\ncolectors = []\n", "2:1: unknown key \"colectors\""},
		"unknown key inside":  {"[spool]\nmax_bites = 1\n", "2:1: unknown key \"spool.max_bites\""},
		"unknown table":       {"[exec]\ncommand = \"x\"\n", "unknown key \"exec"},
		"wrong type":          {"collectors = \"a:1\"\n", "1:14:"},
		"not a duration":      {"[uplink]\nmin_backoff = \"soon\"\n", "uplink.min_backoff: \"soon\", want a duration"},
		"list for duration":   {"[uplink]\nmin_backoff = [1]\n", "2:1: uplink.min_backoff: want a text"},
		"text for number":     {"[spool]\nmax_bytes = \"1\"\n", "2:13: spool.max_bytes: want a whole number"},
		"float for number":    {"[spool]\nmax_bytes = 1e9\n", "2:13: spool.max_bytes: want a whole number"},
		"text for boolean":    {"[recorder]\nenabled = \"yes\"\n", "2:11: recorder.enabled: want true or false"},
		"list of numbers":     {"collectors = [\"a:1\", 2]\n", "1:1: collectors: want a list of texts"},
		"value for table":     {"spool = 1\n", "1:1: spool: want a table"},
		"tables":              {"[[spool]]\n", "1:3: spool: want one table"},
		"table twice":         {"[spool]\n[uplink]\n[spool]\n", "3:2: spool: a second time"},
		"dots after table":    {"spool.max_bytes = 33554432\n[spool]\n", "2:2: spool: a second time"},
		"dots into value":     {"spool = {}\nspool.max_bytes = 33554432\n", "2:1: spool: a second time"},
		"key twice in value":  {"spool = {max_bytes = 33554432, max_bytes = 1}\n", "spool.max_bytes: a second time"},
		"dots in quotes":      {"\"spool.max_bytes\" = 33554432\n", "1:1: unknown key"},
		"table in table":      {"[spool.more]\n", "1:2: unknown key \"spool.more\""},
		"number for duration": {"[uplink]\nmin_backoff = 5\n", "uplink.min_backoff: \"5\", want a duration"},
		"open string":         {"log_level = \"info\n", "1:"},
		"twice":               {"log_level = \"info\"\nlog_level = \"warn\"\n", "log_level"},
		"level":               {"log_level = \"loud\"\n", "want debug, info, warn or error"},
		"address":             {"collectors = [\"collector\"]\n", "want host:port"},
		"address with a path": {"collectors = [\"a/b:1\"]\n", "no host name has"},
		"port":                {"collectors = [\"a:99999\"]\n", "want a port"},
		"many addresses":      {"collectors = [" + strings.Repeat("\"a:1\",", 9) + "]\n", "at most 8"},
		"small spool":         {"[spool]\nmax_bytes = 1\n", "spool.max_bytes"},
		"negative":            {"[spool]\nmin_free_bytes = -1\n", "spool.min_free_bytes"},
		"number too large":    {"[spool]\nmax_bytes = 99999999999999999999\n", "2:13:"},
		"backoff upside down": {"[uplink]\nmin_backoff = \"2m\"\n", "uplink.max_backoff"},
		"hasty recorder":      {"[recorder]\nevery = \"10ms\"\n", "recorder.every"},
		"small recorder":      {"[recorder]\nmax_bytes = 1\n", "recorder.max_bytes"},
		"endless shutdown":    {"[shutdown]\nmax_delay = \"1h\"\n", "shutdown.max_delay"},
		"busy check":          {"[isolation]\ncheck_every = \"1ms\"\n", "isolation.check_every"},
		"NUL":                 {"log_level = \"in\x00fo\"\n", "1:"},
		"not UTF-8":           {"log_level = \"\xff\xfe\"\n", ""},
		"huge":                {strings.Repeat("#", 70_000), "larger than"},
	} {
		_, err := config.Parse([]byte(c.text))
		var e *config.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.toml")
	if _, err := config.Load(path, false); err != nil {
		t.Error("no file is in order:", err)
	}
	if _, err := config.Load(path, true); err == nil {
		t.Error("a file that was asked for is missing")
	}
	if err := os.WriteFile(path, []byte("x = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, false); err == nil || !strings.HasPrefix(err.Error(), path+":1:1: unknown key") {
		t.Error(err)
	}
}

// strictly is the library's own decoder.
func strictly(b []byte) (config.Config, error) {
	c := config.Default()
	err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&c)
	return c, err
}

// TestEverySetting: what the library finds by the fields' tags is found here by name.
func TestEverySetting(t *testing.T) {
	text := []byte(strings.Join(lines(reflect.TypeFor[config.Config](), ""), "\n"))
	got, err := config.Decode(text)
	want, werr := strictly(text)
	if err != nil || werr != nil || !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, config.Default()) {
		t.Errorf("%+v, %v\n%+v, %v\nof\n%s", got, err, want, werr, text)
	}
}

// lines gives every setting a value of its own.
func lines(of reflect.Type, table string) (all []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		name := table + f.Tag.Get("toml")
		switch reflect.Zero(f.Type).Interface().(type) {
		case config.Duration:
			all = append(all, fmt.Sprintf("%s = \"%ds\"", name, 1000+len(name)+i))
		case []string:
			all = append(all, name+" = [\"a\", 'b']")
		case string:
			all = append(all, name+" = \"c\"")
		case int64:
			all = append(all, fmt.Sprintf("%s = %d", name, 1000+len(name)+i))
		case bool, *bool:
			all = append(all, name+" = false")
		default:
			all = append(all, lines(f.Type, name+".")...)
		}
	}
	return all
}

// FuzzParse: what is read is what the library's strict decoder reads.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"collectors = [\"a:1\"]\n[spool]\nmax_bytes = 33554432\n", "[[spool]]", "spool.max_bytes = 0x2000000\nspool.min_free_bytes = 1_000\n",
		"spool = {max_bytes = 33554432, keep_after_receipt = '1h'}\r\n# x\n", "[\"spool\"]\n\"max\\u005fbytes\" = +33554432", "a.b.c = 1979-05-27", "\"\" = 1",
		"[spool]\nspool.max_bytes = 1", "uplink.min_backoff = inf", "[spool]\n[spool.spool]\n", "recorder.enabled = false\n", "collectors = [[\"a\"]]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := config.Parse(b)
		var e *config.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T", err)
		}
		got, err := config.Decode(b)
		want, werr := strictly(b)
		if errors.As(err, &e) && strings.HasPrefix(e.Reason, "unknown key") && !bytes.Equal(b, bytes.ToLower(b)) {
			return // the library takes keys in any letter case
		}
		if (err == nil) != (werr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v; the library: %+v, %v", got, err, want, werr)
		}
	})
}
