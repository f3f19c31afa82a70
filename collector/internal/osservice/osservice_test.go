package osservice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackagedUnitIsTheInstalledOne(t *testing.T) {
	want := Unit(Config{Executable: "/usr/bin/hozen-collector", Arguments: []string{"serve", "--service"}})
	path := filepath.Join("..", "..", "packaging", "hozen-collector.service")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the unit that service install writes", path)
	}
}

func TestUnitIsNoTemplate(t *testing.T) {
	u := Unit(Config{Executable: "/opt/my {{dir}}/hozen-collector", Arguments: []string{"--data", "/srv/50% \"x\" $HOME"}})
	if !strings.Contains(u, `ExecStart="/opt/my {{dir}}/hozen-collector" --data "/srv/50%% \"x\" $$HOME"`) {
		t.Error(u)
	}
	script, _ := options(u)["SystemdScript"].(string)
	if script != "" && strings.Contains(script, "{{") {
		t.Error("kardianos would take a part of the unit for a template")
	}
	for _, line := range []string{"Type=notify", "CapabilityBoundingSet=\n", "NoNewPrivileges=yes", "WatchdogSec="} {
		if !strings.Contains(u, line) {
			t.Errorf("no %q", line)
		}
	}
}
