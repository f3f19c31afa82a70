package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/console"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/localapi"
	"hozen/internal/i18n"
)

// hostile is a host name that clears the screen, sets the window's title, and turns
// the direction of what follows.
const hostile = "pc\x1b[2J\x1b]0;owned\a\u009b31m\u202egpj.exe\r\nok 日本"

func testCLI(t *testing.T, l i18n.Language) (c *cli, out, errs *bytes.Buffer) {
	t.Helper()
	texts, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	words, err := console.Texts()
	if err != nil {
		t.Fatal(err)
	}
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	return &cli{data: defaultData(func(string) string { return "" }), std: stdio{strings.NewReader(""), out, errs}, getenv: func(string) string { return "" }, text: texts.Printer(l), words: words.Printer(l)}, out, errs
}

// tame fails when s could steer a terminal, or shows a text that is not there.
func tame(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if r != '\n' && console.Hidden(r) {
			t.Fatalf("%U is in %q", r, s)
		}
	}
	if strings.ContainsAny(s, "⟦{") {
		t.Errorf("a text or a value is missing: %s", s)
	}
}

func TestStrangersWordsCannotSteerTheTerminal(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 14, 0, 0, time.UTC)
	e := localapi.Endpoint{ID: "end_1", Hostname: hostile, OS: hostile, Platform: hostile, LastSeenAt: at,
		Isolation: localapi.Isolation{Desired: hostile, Observed: hostile, Detail: hostile, ReceivedAt: at}}
	for _, l := range i18n.Languages() {
		c, out, errs := testCLI(t, l)
		c.say("done.endpoint.approve", "ref", hostile)
		c.line(hostile)
		c.list("endpoint", []string{"endpoint", "name"}, [][]string{{hostile, hostile}})
		c.fields([2]string{"hostname", hostile})
		c.measured(localapi.Waited{Endpoint: e, Command: localapi.Command{Verb: "isolate", Status: hostile, Detail: hostile, AcquisitionID: "acq_1"}}, false)
		c.showIncident(localapi.Incident{Number: "INC-2026-0001", Title: hostile, Reporter: hostile, Timeline: []localapi.Entry{
			{Kind: "alert", Actor: hostile, Text: hostile, Params: map[string]string{"endpoint": "end_1", "reporter": hostile, "detail": hostile}},
			{Kind: hostile, Params: map[string]string{"first": hostile, "last": hostile + "2", "records": hostile}},
		}}, map[string]string{"end_1": hostile})
		f := follower{c: c, out: newLiveLine(errs)}
		b, err := json.Marshal(localapi.Event{Progress: &localapi.Progress{Kind: hostile, Done: 1, Total: 2}})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.event(b); err != nil {
			t.Fatal(err)
		}
		c.exit(t.Context(), &usageError{errorString(hostile)})
		tame(t, out.String())
		tame(t, errs.String())
		if !strings.Contains(out.String(), `pc\x1b[2J`) {
			t.Errorf("the host name is not shown at all: %s", out)
		}
	}
}

type errorString string

func (e errorString) Error() string { return string(e) }

func TestJSONIsInertAndMeansTheSame(t *testing.T) {
	c, out, _ := testCLI(t, i18n.Japanese)
	c.json = true
	want := hostile + "\x7f\U000E0001"
	if err := c.print(map[string]string{"hostname": want}, nil); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && console.Hidden(r) {
			t.Fatalf("%U is in %q", r, out)
		}
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["hostname"] != want {
		t.Errorf("%q, %v", got["hostname"], err)
	}
}

func TestTimesNameTheirZone(t *testing.T) {
	if got := when(time.Date(2026, 11, 22, 21, 14, 0, 0, time.UTC)); got != "2026-11-23 06:14:00 JST" {
		t.Error(got)
	}
	if when(time.Time{}) != "-" {
		t.Error("the zero time is shown as a time")
	}
}

func TestColumnsOfJapaneseAreAligned(t *testing.T) {
	c, out, _ := testCLI(t, i18n.Japanese)
	c.columns([][]string{{"端末", "状態", "x"}, {"ab", "オンライン", "y"}, {"日本語", "z", "w"}})
	at := -1
	for line := range strings.Lines(out.String()) {
		n := width(strings.TrimRight(line, "\n"))
		if at >= 0 && n != at {
			t.Errorf("%d columns, want %d: %s", n, at, line)
		}
		at = n
	}
}

func TestStepsAreMarkedByMeasurementAlone(t *testing.T) {
	ordered := time.Date(2026, 11, 22, 21, 14, 0, 0, time.UTC)
	after, before := ordered.Add(time.Second), ordered.Add(-time.Minute)
	for name, test := range map[string]struct {
		verb, status string
		i            localapi.Isolation
		want         []string
	}{
		"isolated":        {"isolate", "done", localapi.Isolation{Observed: "isolated", WayHome: true, ReceivedAt: after}, []string{"✓ 通信を遮断", "✓ 規則を読み戻して確認", "✓ コレクターへの通信を確認", "隔離済み", "hozen-collector release"}},
		"no way home":     {"isolate", "done", localapi.Isolation{Observed: "isolated", ReceivedAt: after}, []string{"✓ 規則を読み戻して確認", "✗ コレクターへの通信を確認"}},
		"rules are gone":  {"isolate", "failed", localapi.Isolation{Observed: "failed", ReceivedAt: after}, []string{"失敗", "✗ 通信を遮断", "✗ 規則を読み戻して確認", "✗ コレクターへの通信を確認"}},
		"old measurement": {"isolate", "done", localapi.Isolation{Observed: "isolated", WayHome: true, ReceivedAt: before}, []string{"? 通信を遮断", "? 規則を読み戻して確認", "? コレクターへの通信を確認"}},
		"never measured":  {"release", "done", localapi.Isolation{Observed: "released"}, []string{"? 遮断を解除"}},
		"released":        {"release", "done", localapi.Isolation{Observed: "released", ReceivedAt: after}, []string{"✓ 遮断を解除", "✓ 取り除けたことを確認", "隔離していません"}},
	} {
		c, out, _ := testCLI(t, i18n.Japanese)
		c.measured(localapi.Waited{Command: localapi.Command{Verb: test.verb, Status: test.status, IssuedAt: ordered}, Endpoint: localapi.Endpoint{ID: "end_1", Hostname: "pc", Isolation: test.i}}, false)
		for _, want := range test.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, out)
			}
		}
	}
}

// The state is told with its age, and with all that was tried, in the console's words.
func TestIsolationIsToldWithItsAge(t *testing.T) {
	age := func(n int64) *int64 { return &n }
	at := time.Date(2026, 11, 22, 21, 14, 0, 0, time.UTC)
	for _, test := range []struct {
		i          localapi.Isolation
		list, show []string
	}{
		{localapi.Isolation{Desired: "isolated", Observed: "isolated", AgeSeconds: age(5), Mode: "standard", WayHome: true, MeasuredAt: at, Drill: true, Limits: []string{"no egress hook", hostile},
			Trials: []localapi.Trial{{Name: "tcp4", Result: "cut", Target: "192.0.2.1:53", AgeSeconds: age(20)}, {Name: "udp6", Result: "unknown", Reason: "old", AgeSeconds: age(600)}, {Name: hostile, Result: hostile, Reason: hostile}}},
			[]string{"隔離済み 訓練 (5秒前)"}, []string{"残す通信", "新しい TCP 接続（IPv4）: 遮断 (20秒前) 192.0.2.1:53", "UDP（IPv6）: 不明 (10分前) 試してから5分以上たった", "できないこと"}},
		{localapi.Isolation{Desired: "isolated", Observed: "unknown", Why: "stale", AgeSeconds: age(600), WayHome: true}, []string{"不明 (10分前)"}, []string{"測定からの経過", "10分前"}},
		{localapi.Isolation{Desired: "isolated", Observed: "failed", AgeSeconds: age(0), Notes: []string{"leak"}}, []string{"指示どおりになっていません"}, []string{"遮断したはずの通信が、通ってしまいました"}},
		{localapi.Isolation{Desired: "unknown", Observed: "unknown", Why: "never"}, []string{"不明"}, []string{"測定からの経過"}},
	} {
		c, out, _ := testCLI(t, i18n.Japanese)
		c.list("endpoint", []string{"isolation"}, [][]string{{c.isolationWord(test.i)}})
		list := out.String()
		c.fields(c.isolationRows(test.i)...)
		tame(t, out.String())
		for _, want := range test.list {
			if !strings.Contains(list, want) {
				t.Errorf("the list has no %q:\n%s", want, list)
			}
		}
		for _, want := range append(test.list, test.show...) {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if test.i.Observed != "isolated" && strings.Contains(strings.ReplaceAll(out.String(), "最後の指示による状態", "\x00"), "隔離済み (") {
			t.Errorf("said to be isolated:\n%s", out)
		}
	}
}

func TestProgressOutsideATerminalSaysEachStepOnce(t *testing.T) {
	c, _, errs := testCLI(t, i18n.Japanese)
	f := follower{c: c, out: newLiveLine(errs)}
	cmd := func(status string) localapi.Event {
		return localapi.Event{Command: &localapi.Command{Verb: "isolate", Status: status}}
	}
	at := func(done uint32) localapi.Event {
		return localapi.Event{Progress: &localapi.Progress{Kind: "process", Done: done, Total: 8, Records: 9}}
	}
	for _, e := range []localapi.Event{cmd("queued"), cmd("accepted"), at(0), at(5), at(8), at(8), cmd("done")} {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.event(b); err != nil {
			t.Fatal(err)
		}
	}
	want := "  指示を保存しました。端末の応答を待っています…\n  証拠を取得しています…\n  通信を遮断し、規則を読み戻し、コレクターへの通信を確認しています…\n"
	if errs.String() != want {
		t.Errorf("got\n%swant\n%s", errs, want)
	}
}

func TestALineThatChangesLeavesNothingBehind(t *testing.T) {
	var b bytes.Buffer
	l := &liveLine{w: &b, live: true, columns: 20}
	l.show("証拠を取得しています、とても長い行")
	l.show("ab")
	l.clear()
	parts := strings.Split(b.String(), "\r")
	if n := width(parts[1]); n > 19 || n < 18 {
		t.Errorf("%d columns on a terminal of 20", n)
	}
	if width(parts[2]) != width(parts[1]) || strings.TrimSpace(parts[3]) != "" || parts[len(parts)-1] != "" {
		t.Errorf("%q", parts)
	}
}

// TestFolderThatIsNoExportedLedger: whoever names the wrong folder is told what a right one has.
func TestFolderThatIsNoExportedLedger(t *testing.T) {
	for lang, want := range map[string]string{"ja": "ledger export が書き出したフォルダー", "en": "the folder that ledger export wrote"} {
		var out bytes.Buffer
		code := run(t.Context(), []string{"--lang", lang, "ledger", "verify", t.TempDir()}, func(string) string { return "" }, stdio{strings.NewReader(""), &out, &out})
		if code != exitFailure || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s", lang, code, out.String())
		}
		dir := t.TempDir() // whose key was left out, as it is better given by another way
		if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte("a\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		code = run(t.Context(), []string{"--lang", lang, "ledger", "verify", dir}, func(string) string { return "" }, stdio{strings.NewReader(""), &out, &out})
		if code != exitFailure || !strings.Contains(out.String(), "--key") {
			t.Errorf("%s: exit code %d: %s", lang, code, out.String())
		}
	}
}

// What is remarkable but no problem is told in words, in the language of the person: data that is
// just arriving frightened whoever read of blobs without rows.
func TestNotesOfACheckSayThatNothingIsWrong(t *testing.T) {
	check := localapi.Check{Clean: true, Notes: []localapi.Problem{{Code: string(fsck.OrphanBlob), Subject: "217d7633", Detail: "d"}, {Code: string(fsck.ClearBlob), Subject: "blobs", Detail: "d"}, {Code: "checkpoint_x", Subject: "s", Detail: "other"}}}
	for l, nothing := range map[i18n.Language]string{i18n.Japanese: "問題ではありません", i18n.English: "Nothing is wrong"} {
		c, out, _ := testCLI(t, l)
		if err := c.printCheck(check); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); strings.Count(got, nothing) != 2 || !strings.Contains(got, "217d7633") || strings.Contains(got, "orphan_blob") || !strings.Contains(got, "checkpoint_x  s  other") {
			t.Errorf("%s: %s", l, got)
		}
		tame(t, out.String())
	}
}
