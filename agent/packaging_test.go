package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPackageScriptsWithoutABus: a service that cannot be put in force or taken away
// leaves no half-configured package; what to do is said in both languages.
func TestPackageScriptsWithoutABus(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	if _, err := os.Stat("/var/lib/hozen/.install"); err == nil {
		t.Skip("an installation is going on here")
	}
	for _, c := range []struct{ script, arg, want string }{
		{"deb/postinst", "configure", "service install --keep-disabled"},
		{"deb/postinst", "abort-remove", "service install"},
		{"deb/prerm", "remove", "service uninstall"},
		{"rpm/post", "1", "service install"},
		{"rpm/post", "2", "service install --keep-disabled"},
		{"rpm/preun", "0", "service uninstall"},
	} {
		for _, fails := range []bool{false, true} {
			dir := t.TempDir() // all programs that the script can find: it must touch nothing here
			asked := filepath.Join(dir, "asked")
			answer := "exit 0"
			if fails {
				answer = "echo no bus >&2; exit 1"
			}
			for name, text := range map[string]string{"hozen-agent": "echo \"$@\" >>" + asked + "\n" + answer, "systemctl": "exit 1"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!"+sh+"\n"+text+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			cmd := exec.CommandContext(ctx, sh, filepath.Join("packaging", c.script), c.arg)
			cmd.Env = []string{"PATH=" + dir}
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil {
				t.Errorf("%s %s, fails %v: %v\n%s", c.script, c.arg, fails, err, out)
			}
			if b, err := os.ReadFile(asked); err != nil || string(b) != c.want+"\n" {
				t.Errorf("%s %s asked for %q, %v", c.script, c.arg, b, err)
			}
			told := strings.Contains(string(out), "(the reason stands above)") && strings.Contains(string(out), "理由は上の行")
			if told != fails {
				t.Errorf("%s %s, fails %v, says\n%s", c.script, c.arg, fails, out)
			}
		}
	}
}

// TestRemovalOfAnIsolatedPC is refused, unless it is said that the PC is to be released.
func TestRemovalOfAnIsolatedPC(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	for _, c := range []struct {
		script, arg, release, answer, asked string
		removed                             bool
	}{
		{"deb/prerm", "remove", "", "exit 9", "service uninstall", false},
		{"deb/prerm", "remove", "1", "exit 0", "service uninstall --release", true},
		{"deb/prerm", "remove", "1", "exit 8", "service uninstall --release", false}, // rules are left
		{"deb/prerm", "upgrade", "", "exit 9", "", true},
		{"rpm/preun", "0", "", "exit 9", "service uninstall", false},
		{"rpm/preun", "0", "1", "exit 0", "service uninstall --release", true},
		{"rpm/preun", "0", "1", "exit 8", "service uninstall --release", false},
		{"rpm/preun", "1", "", "exit 9", "", true},
	} {
		dir := t.TempDir()
		asked := filepath.Join(dir, "asked")
		if err := os.WriteFile(filepath.Join(dir, "hozen-agent"), []byte("#!"+sh+"\necho \"$@\" >>"+asked+"\n"+c.answer+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, sh, filepath.Join("packaging", c.script), c.arg)
		cmd.Env = []string{"PATH=" + dir, "HOZEN_RELEASE=" + c.release}
		out, err := cmd.CombinedOutput()
		cancel()
		got, _ := os.ReadFile(asked)
		if (err == nil) != c.removed || strings.TrimSpace(string(got)) != c.asked {
			t.Errorf("%+v: %v, asked for %q\n%s", c, err, got, out)
		}
		if !c.removed && (!strings.Contains(string(out), "HOZEN_RELEASE=1") || !strings.Contains(string(out), "隔離を解除して削除")) {
			t.Errorf("%+v says\n%s", c, out)
		}
	}
}
