package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/collector/internal/config"
	"hozen/collector/internal/localapi"
	"hozen/internal/i18n"
)

// answering is a collector that gives these answers; it returns its data folder and
// what it was asked, by verb.
func answering(t *testing.T, answers map[string]any) (dir string, asked map[string]string) {
	t.Helper()
	dir, asked = t.TempDir(), map[string]string{}
	if err := os.WriteFile(filepath.Join(dir, "collector.toml"), []byte("name = \"test\"\naddresses = [\"192.0.2.1:7443\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := localapi.Listen(config.Default().SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verb := strings.TrimPrefix(r.URL.Path, "/v1/")
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked[verb] = string(b)
		if err := json.NewEncoder(w).Encode(map[string]any{"result": answers[verb]}); err != nil {
			t.Error(err)
		}
	})}
	go s.Serve(l) // until Close
	t.Cleanup(func() { s.Close() })
	return dir, asked
}

func command(t *testing.T, dir string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	args = append(args, "--data", dir, "--break-glass", "test", "--lang", "ja")
	code = run(t.Context(), args, func(string) string { return "" }, stdio{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

func TestThePCThatWasShownIsTheOneThatIsOrderedDown(t *testing.T) {
	gate := localapi.Gate{Endpoint: localapi.Endpoint{ID: "end_shown", Label: "経理PC"}, Facts: map[string]string{"gate_memory": "not_acquired"}, Confirmed: "0123456789abcdef"}
	dir, asked := answering(t, map[string]any{"endpoint.gate": gate, "command.order": localapi.Command{ID: "cmd_1"}})
	code, _, errs := command(t, dir, "preserve", "経理PC", "--then", "power_off", "--reason", "r", "--yes")
	var o localapi.Order
	if err := json.Unmarshal([]byte(asked["command.order"]), &o); err != nil || code != exitOK {
		t.Fatalf("%d, %v\n%s", code, err, errs)
	}
	if o.Endpoint != "end_shown" || o.Confirmed != gate.Confirmed || o.Then != "power_off" {
		t.Errorf("%+v", o)
	}
	if !strings.Contains(errs, "経理PC: 電源を切ると失われるもの") {
		t.Errorf("%s", errs)
	}
}

func TestAnOrderThatWaitsIsShownAndNotDoubled(t *testing.T) {
	gate := localapi.Gate{Endpoint: localapi.Endpoint{ID: "end_shown"}, Facts: map[string]string{"gate_pending": "cmd_first", "gate_pending_then": "reboot",
		"gate_pending_by": "佐藤", "gate_pending_at": "2026-11-22T01:02:03Z", "gate_pending_until": "2026-11-23T01:02:03Z"}, Confirmed: "0123456789abcdef"}
	dir, asked := answering(t, map[string]any{"endpoint.gate": gate, "command.withdraw": localapi.None{}})
	code, _, errs := command(t, dir, "preserve", "pc", "--then", "power_off", "--reason", "r", "--yes")
	if code != exitConflict || asked["command.order"] != "" || !strings.Contains(errs, "cmd_first") || !strings.Contains(errs, "佐藤") || !strings.Contains(errs, "command withdraw") {
		t.Errorf("%d %v\n%s", code, asked, errs)
	}
	code, out, errs := command(t, dir, "command", "withdraw", "cmd_first", "--reason", "不要になった")
	if code != exitOK || asked["command.withdraw"] != `{"ref":"cmd_first","reason":"不要になった"}` || !strings.Contains(out+errs, "cmd_first を取り消しました") {
		t.Errorf("%d %v\n%s%s", code, asked, out, errs)
	}
}

func TestAPCIsNeverSaidToHaveGoneDown(t *testing.T) {
	for status, want := range map[string]string{"done": "- 電源を切る", "not_down": "✗ 電源を切る", "failed": "✗ 電源を切る", "withdrawn": "- 電源を切る", "expired": "- 電源を切る"} {
		c, out, _ := testCLI(t, i18n.Japanese)
		c.measured(localapi.Waited{Endpoint: localapi.Endpoint{ID: "end_1"}, Command: localapi.Command{Verb: "preserve", Then: "power_off", Status: status}}, false)
		tame(t, out.String())
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "✓ 電源を切る") {
			t.Errorf("%s:\n%s", status, out)
		}
		for word, of := range map[string]string{"電源を切れませんでした。": "not_down", "この指示では電源を切っていません": "failed", "次に起動したときの記録": "done"} {
			if strings.Contains(out.String(), word) != (status == of) {
				t.Errorf("%s: %q\n%s", status, word, out)
			}
		}
	}
}
