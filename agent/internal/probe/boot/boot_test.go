package boot_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/boot"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return boot.New(bootverdict.Config{}) }

func supported(t *testing.T) {
	t.Helper()
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
}

func TestConformance(t *testing.T) {
	supported(t)
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("boot_id", "verdict")})
}

// A source that is there and cannot be read makes the reading partial, and its line
// says so.
func TestUnreadSource(t *testing.T) {
	supported(t)
	root := t.TempDir()
	for name, content := range map[string]string{
		"proc/sys/kernel/random/boot_id": "00000000-0000-0000-0000-000000000002\n",
		"etc/machine-id":                 "00000000000000000000000000000001\n",
		"var/log/journal/00000000000000000000000000000001/system.journal": "no journal at all",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var l probetest.Lines
	err := boot.New(bootverdict.Config{Root: root, Memory: bootverdict.Memory{BootID: "00000000-0000-0000-0000-000000000001"}}).Acquire(t.Context(), &l)
	m := probe.AsMissing(err)
	if m == nil || m.Skipped != 1 || len(l.All) != 1 {
		t.Fatalf("error %v, lines %q", err, l.All)
	}
	var o record.Boot
	if err := json.Unmarshal(l.All[0], &o); err != nil {
		t.Fatal(err)
	}
	for _, b := range o.Basis {
		if (b.Source == "journal") != (b.Read == "unread") {
			t.Errorf("%+v", b)
		}
	}
	if o.Verdict != record.BootUnknown || o.Reason != record.BootReasonNoSource {
		t.Errorf("%s %s", o.Verdict, o.Reason)
	}
}
