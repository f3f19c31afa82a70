package osservice

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackagedUnit holds the file of the packages to what "service install" writes.
// With UPDATE=1 in the environment it is written anew.
func TestPackagedUnit(t *testing.T) {
	path := filepath.Join("..", "..", "packaging", "hozen-agent.service")
	want := Unit(Config{Executable: "/usr/bin/hozen-agent", Arguments: []string{"run", "--service"}})
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Fatalf("%s is not the unit that the program writes (%v)", path, err)
	}
}

// TestUnitDoesNotFalsifyEvidence: none of these may ever come back.
func TestUnitDoesNotFalsifyEvidence(t *testing.T) {
	u := Unit(Config{Executable: "/x"})
	for _, line := range strings.Split(u, "\n") {
		key, _, _ := strings.Cut(line, "=")
		switch key {
		case "PrivateTmp", "ProtectProc", "PrivateDevices", "ProtectHome", "ProtectSystem", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths",
			"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProcSubset", "PrivateNetwork", "PrivateUsers",
			"PrivateMounts", "TemporaryFileSystem", "BindPaths", "RootDirectory", "DynamicUser", "ProtectHostname", "RestrictNamespaces", "PrivateIPC":
			t.Errorf("%s makes a namespace or forbids entering one", key)
		}
	}
	for _, want := range []string{"NoNewPrivileges=yes", "CapabilityBoundingSet=", "WatchdogSec=", "Restart=always", "After=network-online.target", "LimitNOFILE="} {
		if !strings.Contains(u, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(u, "{{") || strings.Contains(u, "@EXEC@") {
		t.Error("a placeholder is left")
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/x":   "/usr/bin/x",
		"/opt/a b/x":   `"/opt/a b/x"`,
		`a"b\c`:        `"a\"b\\c"`,
		"100%":         "100%%",
		"$HOME":        "$$HOME",
		"":             `""`,
		"a;rm":         `"a;rm"`,
		"line\nbreak ": `"line\nbreak "`,
	} {
		if got := quote(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}
