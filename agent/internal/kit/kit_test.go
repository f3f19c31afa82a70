package kit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hozen/agent/internal/kit"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func document() usbkit.Kit {
	return usbkit.Kit{Format: usbkit.Format, KitID: id.New(id.Kit), Organisation: usbkit.Organisation{ID: id.New(id.Organisation), Name: "組織"},
		Collector: usbkit.Collector{Name: "c", CASHA256: strings.Repeat("0", 64)}, Profile: "flash", Language: "ja", MadeAt: time.Now(), MadeBy: "x"}
}

func lay(t *testing.T) kit.Kit {
	t.Helper()
	b, err := document().Encode()
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, usbkit.DocumentFile), b, 0o600))
	k, err := kit.Open(dir)
	must(t, err)
	return k
}

func TestOpen(t *testing.T) {
	if k := lay(t); k.Organisation.Name != "組織" || len(k.SHA256) != 64 {
		t.Errorf("%+v", k)
	}
	dir := t.TempDir()
	if _, err := kit.Open(dir); !errors.Is(err, kit.ErrNoKit) {
		t.Errorf("no kit: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, usbkit.DocumentFile), bytes.Repeat([]byte("x"), 1<<20), 0o600))
	if _, err := kit.Open(dir); err == nil || errors.Is(err, kit.ErrNoKit) {
		t.Errorf("nonsense: %v", err)
	}
}

// TestTryLeavesNothing: the stick is written to and holds nothing more than before.
func TestTryLeavesNothing(t *testing.T) {
	k := lay(t)
	if _, err := k.Try(); err != nil && kit.Explain(err).Code != "full" {
		t.Fatal(err)
	}
	list, err := os.ReadDir(filepath.Join(k.Dir, usbkit.ResultsDir))
	if err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestTryFollowsNoLink: the program runs as root, and somebody else had the stick.
func TestTryFollowsNoLink(t *testing.T) {
	k := lay(t)
	victim := filepath.Join(t.TempDir(), "shadow")
	must(t, os.WriteFile(victim, []byte("root:hash"), 0o600))
	results := filepath.Join(k.Dir, usbkit.ResultsDir)
	must(t, os.Mkdir(results, 0o700))
	if err := os.Symlink(victim, filepath.Join(results, "hozen-test.tmp")); err != nil {
		t.Skip("no links here:", err)
	}
	if _, err := k.Try(); err != nil && kit.Explain(err).Code != "full" {
		t.Error(err)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "root:hash" {
		t.Errorf("%q, %v", b, err)
	}
	for _, target := range []string{t.TempDir(), "elsewhere"} { // out of the stick, and within it
		must(t, os.RemoveAll(results))
		must(t, os.MkdirAll(filepath.Join(k.Dir, "elsewhere"), 0o700))
		must(t, os.Symlink(target, results))
		if fi, err := os.Lstat(results); err != nil || fi.Mode()&os.ModeSymlink == 0 {
			t.Skip("no links here: Wine says that it makes them, and makes none")
		}
		if _, err := k.Try(); err == nil || kit.Explain(err).Code != "other" {
			t.Errorf("results is a link to %s: %v", target, err)
		}
	}
}

func TestTryTellsWhatIsWrong(t *testing.T) {
	k := lay(t)
	must(t, os.WriteFile(filepath.Join(k.Dir, usbkit.ResultsDir), []byte("a file in the way"), 0o600))
	var p *kit.Problem
	if _, err := k.Try(); !errors.As(err, &p) || p.Code != "other" {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		err  error
		code string
	}{
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, "denied"},
		{fs.ErrNotExist, "gone"},
		{&fs.PathError{Op: "write", Path: "x", Err: tooLarge}, "full"},
		{errors.Join(errors.New("seal"), &kit.Problem{Code: "full", Need: 1}), "full"},
		{errors.New("what"), "other"},
	} {
		if got := kit.Explain(c.err); got.Code != c.code {
			t.Errorf("%v is told as %s", c.err, got.Code)
		}
	}
	if kit.Explain(nil) != nil {
		t.Error("nothing is wrong")
	}
}

func TestConformance(t *testing.T) {
	fresh := func() probe.Probe {
		return kit.NewStatement(record.Kit{KitID: "kit_x", Place: "机", Reason: "r", By: "b", Free: -1,
			Reference: record.ReferenceTime{Typed: "14:05", Source: "117", Time: time.Unix(1, 0), PC: time.Unix(2, 0)}})
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("kit_id")})
}

var jst = time.FixedZone("JST", 9*3600)

func TestReference(t *testing.T) {
	pc := time.Date(2026, 11, 23, 23, 59, 30, 0, jst)
	for typed, want := range map[string]struct {
		offset, within int64
		day            bool
	}{
		"23:59:30":            {0, 1000, true},
		"２３：５９：３０":            {0, 1000, true},
		"235930":              {0, 1000, true},
		"2359":                {30_000, 60_000, true},
		"23時59分":              {30_000, 60_000, true},
		"23時58分30秒":           {60_000, 1000, true},
		"0:00:30":             {-60_000, 1000, true}, // tomorrow is nearer than this morning
		"00:00:00":            {-30_000, 1000, true},
		"2026-11-23 23:59:00": {30_000, 1000, false},
		"2026/11/24　0:00:00":  {-30_000, 1000, false},
		"14:59:30":            {9 * 3600_000, 1000, true},
	} {
		r, err := kit.Reference(typed, "117", pc, 5)
		if err != nil {
			t.Errorf("%q: %v", typed, err)
			continue
		}
		if r.Offset != want.offset || r.Within != want.within || r.Day != want.day || r.Typed != typed || r.BootNS != 5 || r.Zone != 9*3600 || !r.PC.Equal(pc) {
			t.Errorf("%q: %+v", typed, r)
		}
	}
	for _, typed := range []string{"", "x", "24:00:00", "12:60", "12:00:60", "1:2:3:4", "123", "12345", "-1:00", "2026-13-01 12:00:00", "12:00:00 2026-11-23", "123:00", "+1:00"} {
		if r, err := kit.Reference(typed, "", pc, 0); !errors.Is(err, kit.ErrTime) {
			t.Errorf("%q: %+v, %v", typed, r, err)
		}
	}
}

func FuzzReference(f *testing.F) {
	f.Add("14:05:00")
	f.Add("2026/11/23 １４時５分")
	f.Fuzz(func(t *testing.T, s string) {
		pc := time.Date(2026, 11, 23, 12, 0, 0, 0, jst)
		if r, err := kit.Reference(s, "", pc, 0); err == nil && r.Day && (r.Offset > 24*3600_000 || r.Offset < -24*3600_000) {
			t.Errorf("%q: %+v", s, r)
		}
	})
}

// keys answers with the name of a text, so that the order of questions shows.
type keys struct{}

func (keys) Text(key string, pairs ...string) string {
	return "<" + strings.Join(append([]string{key}, pairs...), " ") + ">"
}

func asking(in io.Reader) (*kit.Asking, *bytes.Buffer) {
	out := &bytes.Buffer{}
	return &kit.Asking{In: in, Out: out, Texts: keys{}, Now: func() (time.Time, int64) { return time.Date(2026, 11, 23, 14, 5, 0, 0, jst), 7 }}, out
}

func TestDialogue(t *testing.T) {
	k := lay(t)
	q, out := asking(strings.NewReader(strings.Join([]string{
		"nonsense", "14:03:00", "", // which is no time; a mobile phone
		"", "本社\x1b[31m3階", "ランサム", "田中", "", // the place is needed; nobody watches
		"what", "n", // answered again
		"", "支社", "同じ", "田中", "鈴木", "", "",
	}, "\n")))
	line, err := q.Ask(t.Context(), k, kit.Answers{}, false)
	must(t, err)
	if line.Place != "支社" || line.Witness != "鈴木" || line.Reference.Typed != "" || line.Asked != "dialogue" || line.KitID != k.KitID || line.KitSHA256 != k.SHA256 || line.At.IsZero() {
		t.Errorf("%+v", line)
	}
	said := out.String()
	for _, want := range []string{"<kit.reference.bad>", "<kit.reference.ahead pc 14:05:00 difference <kit.span.minutes h 0 m 2 s 0>>", "<kit.needed>", "<kit.confirm.bad>",
		"<kit.confirm place 本社 [31m3階 reason ランサム by 田中 witness <kit.none> reference 14:03:00 (<kit.reference_source.usual>) sealing <kit.sealing.none>>"} {
		if !strings.Contains(said, want) {
			t.Errorf("%s is not said:\n%s", want, said)
		}
	}
}

// TestSealing: the person is told who can read the results, with the end of each key.
func TestSealing(t *testing.T) {
	k := lay(t)
	k.Recipients = []string{"age1qqqqqqqq0123abcd", "x"}
	if got, want := k.Sealing(keys{}), "<kit.sealing.for organisation 組織 keys …0123abcd …x>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	q, out := asking(strings.NewReader("\n\n"))
	_, err := q.Ask(t.Context(), k, kit.Answers{Place: "p", Reason: "r", By: "b", Witness: "w"}, false)
	must(t, err)
	if !strings.Contains(out.String(), "sealing <kit.sealing.for organisation 組織 keys …0123abcd …x>") {
		t.Errorf("%s", out)
	}
}

func TestNobodyIsAskedWhereAllIsSaid(t *testing.T) {
	k := lay(t)
	q, out := asking(failing{})
	line, err := q.Ask(t.Context(), k, kit.Answers{Place: "p", Reason: " r ", By: "b", Reference: "14:00:00", ReferenceSource: "117"}, true)
	must(t, err)
	if out.Len() > 0 || line.Reason != "r" || line.Asked != "flags" || line.Reference.Offset != 300_000 {
		t.Errorf("%q, %+v", out, line)
	}
	if _, err := q.Ask(t.Context(), k, kit.Answers{Place: "p", Reason: "r", By: "b", Reference: "soon"}, true); !errors.Is(err, kit.ErrTime) {
		t.Errorf("%v", err)
	}
}

func TestDialogueEnds(t *testing.T) {
	k := lay(t)
	q, _ := asking(strings.NewReader("\nplace\n"))
	if _, err := q.Ask(t.Context(), k, kit.Answers{}, false); !errors.Is(err, kit.ErrNoAnswer) || !strings.Contains(err.Error(), "--reason") {
		t.Errorf("end of the input: %v", err)
	}
	q, _ = asking(strings.NewReader("\nq\n"))
	if _, err := q.Ask(t.Context(), k, kit.Answers{Place: "p", Reason: "r", By: "b", Witness: "w"}, false); !errors.Is(err, kit.ErrStopped) {
		t.Errorf("stopped: %v", err)
	}
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q, _ = asking(r)
	if _, err := q.Ask(ctx, k, kit.Answers{}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, syscall.EIO }
