package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hozen/agent/internal/config"
	"hozen/agent/internal/osservice"
	"hozen/internal/i18n"
)

// TestDoctorHasWords: every finding has its text, and no text waits for one.
func TestDoctorHasWords(t *testing.T) {
	texts, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	p := texts.Printer(i18n.Japanese)
	want := map[string]bool{"service.doctor.healthy": true, "service.doctor.unhealthy": true}
	for _, findings := range []map[string][]osservice.Level{osservice.Findings(), agentFindings()} {
		for id, levels := range findings {
			for _, l := range levels {
				key := "service.doctor." + id + "." + string(l)
				if want[key] {
					t.Errorf("%s stands for two findings", key)
				}
				want[key] = true
				if got := p.Text(key); got == key || got == "" {
					t.Errorf("%s has no text", key)
				}
				if l == osservice.Bad && !strings.Contains(p.Text(key), "ください") && !strings.Contains(p.Text(key), "sudo") {
					t.Errorf("%s does not say what to do", key)
				}
			}
		}
	}
	raw, err := translations.ReadFile("translations/ja.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for key := range all {
		if strings.HasPrefix(key, "service.doctor.") && !want[key] {
			t.Errorf("%s is never said", key)
		}
	}
}

func TestDoctorWithoutAnAgent(t *testing.T) {
	state := t.TempDir()
	code, out, errOut := do(t, "", "service", "doctor", "--state", state, "--json")
	var said struct {
		Format   string
		Healthy  bool
		Findings []osservice.Finding
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != exitNotInForce || said.Healthy || said.Format != "hozen-agent-doctor/1" {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errOut)
	}
	code, out, errOut = do(t, "", "service", "doctor", "--state", state)
	if none := said.Findings[0].ID == string(osservice.NotInstalled); none {
		if code != exitNotInForce || len(said.Findings) != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, "sudo hozen-agent service install") {
			t.Errorf("exit %d\n%s%s", code, out, errOut)
		}
		return
	}
	if code != exitNotInForce || !strings.Contains(out, "BAD      The agent does not answer") || !strings.Contains(out, "hozen-agent service start") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}

// TestPackagedSettings: the file that packages bring changes nothing until somebody
// takes a "#" away, and every line of it that has one then counts.
func TestPackagedSettings(t *testing.T) {
	path := filepath.Join("packaging", "agent.toml")
	got, err := config.Load(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := mustJSON(t, got), mustJSON(t, config.Default()); a != b {
		t.Errorf("it says\n%s, the defaults are\n%s", a, b)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := 0
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(s, " = ") {
			line = s
			settings++
		}
		text.WriteString(line)
	}
	all, err := config.Parse([]byte(text.String()))
	if err != nil {
		t.Fatalf("with its settings on: %v", err)
	}
	if want := leaves(reflect.TypeFor[config.Config]()); settings != want {
		t.Errorf("it has %d settings, the agent knows %d", settings, want)
	}
	called, _ := narrower(all.Triage, nil)
	if counts, _ := narrower(config.Triage{}, nil); called != counts {
		t.Errorf("it calls %+v the default of triage, it is %+v", called, counts)
	}
	all.Collectors, all.Triage = nil, config.Triage{} // those that have no default
	if a, b := mustJSON(t, all), mustJSON(t, config.Default()); a != b {
		t.Errorf("it calls these the defaults:\n%s, they are\n%s", a, b)
	}
}

// leaves counts the settings of a configuration.
func leaves(t reflect.Type) (n int) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Tag.Get("toml") == "":
		case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[config.Duration]():
			n += leaves(f.Type)
		default:
			n++
		}
	}
	return n
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
