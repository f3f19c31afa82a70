package acquire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// line is a record of the tests.
type line string

func (l line) AppendJSON(b []byte) []byte { return fmt.Appendf(b, `{"v":%q}`, string(l)) }

// fake is a probe that does what the test says.
type fake struct {
	kind artifact.Kind
	vol  probe.Volatility
	do   func(ctx context.Context, w probe.Writer) error
}

func (f fake) Kind() artifact.Kind          { return f.kind }
func (f fake) Schema() string               { return "hozen." + string(f.kind) + "/1" }
func (f fake) Volatility() probe.Volatility { return f.vol }
func (f fake) Acquire(ctx context.Context, w probe.Writer) error {
	return f.do(ctx, w)
}

func planOf(fakes ...fake) func(string) (acquire.Plan, error) {
	return func(profile string) (acquire.Plan, error) {
		if profile != "flash" {
			return acquire.Plan{}, errors.New("no such profile")
		}
		p := acquire.Plan{Profile: profile}
		for _, f := range fakes {
			p.Probes = append(p.Probes, acquire.Planned{New: func() probe.Probe { return f }, Budget: time.Second})
		}
		return p, nil
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func runner(t *testing.T, sink acquire.Sink, fakes ...fake) *acquire.Runner {
	t.Helper()
	signer, err := identity.NewOneTime()
	must(t, err)
	return acquire.NewRunner(acquire.Config{
		Sink:     sink,
		Plan:     planOf(fakes...),
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Tool:     func() artifact.Tool { return artifact.Tool{Name: "test"} },
	})
}

func writes(lines ...string) func(context.Context, probe.Writer) error {
	return func(_ context.Context, w probe.Writer) error {
		for _, l := range lines {
			if err := w.Write(line(l)); err != nil {
				return err
			}
		}
		return nil
	}
}

// thenFails writes one line and returns err.
func thenFails(err error) func(context.Context, probe.Writer) error {
	return func(_ context.Context, w probe.Writer) error {
		if werr := w.Write(line("one")); werr != nil {
			return werr
		}
		return err
	}
}

func fails(err error) func(context.Context, probe.Writer) error {
	return func(context.Context, probe.Writer) error { return err }
}

// TestOutcomes says what each way of ending means.
func TestOutcomes(t *testing.T) {
	missing := &probe.Missing{Skipped: 7, Err: errors.New("seven were shy")}
	denied := &fs.PathError{Op: "open", Path: "/secret", Err: fs.ErrPermission}
	for _, c := range []struct {
		name    string
		do      func(context.Context, probe.Writer) error
		want    artifact.Outcome
		records int64
		skipped int64
		detail  string
	}{
		{"complete", writes("a", "b"), artifact.Complete, 2, 0, ""},
		{"empty", writes(), artifact.Empty, 0, 0, ""},
		{"missing some", thenFails(missing), artifact.Partial, 1, 7, "shy"},
		{"missing all, denied", fails(&probe.Missing{Skipped: 3, Err: denied}), artifact.Denied, 0, 3, "/secret"},
		{"missing all", fails(missing), artifact.Failed, 0, 7, "shy"},
		{"denied", fails(denied), artifact.Denied, 0, 0, "/secret"},
		{"denied late", thenFails(denied), artifact.Partial, 1, 0, "/secret"},
		{"unsupported", fails(fmt.Errorf("read: %w", errors.ErrUnsupported)), artifact.Unsupported, 0, 0, "read"},
		{"failed", fails(errors.New("broken")), artifact.Failed, 0, 0, "broken"},
		{"failed late", thenFails(errors.New("broken")), artifact.Partial, 1, 0, "broken"},
		{"panic", func(context.Context, probe.Writer) error { panic("oh") }, artifact.Failed, 0, 0, "oh"},
		{"panic late", func(_ context.Context, w probe.Writer) error { w.Write(line("one")); panic("oh") }, artifact.Failed, 1, 0, "oh"},
		{"long detail", fails(errors.New(strings.Repeat("全", 1000) + "\nx")), artifact.Failed, 0, 0, "全"},
		{"bad detail", fails(errors.New("a\xffb")), artifact.Failed, 0, 0, "a\ufffdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := runner(t, newSpool(t, t.TempDir()), fake{"x", 0, c.do}, fake{"y", 1, writes("fine")}).
				Run(t.Context(), acquire.Order{Profile: "flash", Trigger: artifact.TriggerManual})
			must(t, err)
			p := res.Manifest.Probes
			if p[0].Outcome != c.want || p[0].Records != c.records || p[0].Skipped != c.skipped || !strings.Contains(p[0].Detail, c.detail) || len(p[0].Detail) > 1024 {
				t.Errorf("got %+v", p[0])
			}
			if p[1].Outcome != artifact.Complete {
				t.Errorf("the probe after it: %+v", p[1])
			}
			if artifacts := len(res.Manifest.Artifacts); artifacts != 1+int(min(c.records, 1)) {
				t.Errorf("%d artifacts", artifacts)
			}
		})
	}
}

func TestOverallOutcome(t *testing.T) {
	for _, c := range []struct {
		want  artifact.Outcome
		fakes []fake
	}{
		{artifact.Complete, []fake{{"a", 0, writes("x")}, {"b", 0, writes()}, {"c", 0, fails(errors.ErrUnsupported)}}},
		{artifact.Partial, []fake{{"a", 0, writes("x")}, {"b", 0, fails(fs.ErrPermission)}}},
		{artifact.Partial, []fake{{"a", 0, thenFails(errors.New("x"))}}},
		{artifact.Failed, []fake{{"a", 0, fails(errors.New("x"))}, {"b", 0, fails(errors.ErrUnsupported)}}},
		{artifact.Failed, nil},
	} {
		res, err := runner(t, newSpool(t, t.TempDir()), c.fakes...).Run(t.Context(), acquire.Order{Profile: "flash"})
		must(t, err)
		if res.Manifest.Outcome != c.want {
			t.Errorf("got %s, want %s", res.Manifest.Outcome, c.want)
		}
	}
}

func TestMostVolatileFirst(t *testing.T) {
	var order []string
	noted := func(k artifact.Kind, v probe.Volatility) fake {
		return fake{k, v, func(context.Context, probe.Writer) error { order = append(order, string(k)); return nil }}
	}
	r := runner(t, newSpool(t, t.TempDir()), noted("hash", probe.Derivable), noted("clock", probe.Machine), noted("a", probe.Live), noted("file", probe.Handles), noted("b", probe.Live))
	_, err := r.Run(t.Context(), acquire.Order{Profile: "flash"})
	must(t, err)
	if got := strings.Join(order, " "); got != "a b file clock hash" {
		t.Error(got)
	}
}

// TestProbeThatIgnoresItsTime must not hold up the others, nor write once it is cut off.
func TestProbeThatIgnoresItsTime(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{})
		late := make(chan error, 1)
		stuck := fake{"stuck", 0, func(_ context.Context, w probe.Writer) error {
			w.Write(line("before"))
			<-wake
			late <- w.Write(line("after"))
			return nil
		}}
		begun := time.Now()
		res, err := runner(t, s, stuck, fake{"next", 1, writes("fine")}).Run(t.Context(), acquire.Order{Profile: "flash"})
		must(t, err)
		if d := time.Since(begun); d < time.Second || d > 1300*time.Millisecond {
			t.Errorf("took %s, want budget and grace", d)
		}
		close(wake)
		if err := <-late; err == nil {
			t.Error("wrote after it was cut off")
		}
		p := res.Manifest.Probes
		if p[0].Outcome != artifact.TimedOut || p[0].Records != 1 || p[1].Outcome != artifact.Complete {
			t.Errorf("got %+v", p)
		}
	})
}

func TestSlowProbeTimesOut(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		slow := fake{"slow", 0, func(ctx context.Context, w probe.Writer) error {
			w.Write(line("one"))
			<-ctx.Done()
			return ctx.Err()
		}}
		res, err := runner(t, s, slow).Run(t.Context(), acquire.Order{Profile: "flash"})
		must(t, err)
		if p := res.Manifest.Probes[0]; p.Outcome != artifact.TimedOut || p.Records != 1 || p.DurationNS != int64(time.Second) {
			t.Errorf("got %+v", p)
		}
	})
}

// TestRestOfTheTime: a probe that takes the rest gets what the others left.
func TestRestOfTheTime(t *testing.T) {
	s := newSpool(t, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		signer, err := identity.NewOneTime()
		must(t, err)
		mk := func(f fake, rest bool) acquire.Planned {
			return acquire.Planned{New: func() probe.Probe { return f }, Budget: time.Second, Rest: rest}
		}
		plan := acquire.Plan{Profile: "flash", Probes: []acquire.Planned{
			mk(fake{"a", 0, func(context.Context, probe.Writer) error { time.Sleep(400 * time.Millisecond); return nil }}, false),
			mk(fake{"b", 1, func(ctx context.Context, _ probe.Writer) error { <-ctx.Done(); return ctx.Err() }}, false),
			mk(fake{"c", 4, func(ctx context.Context, _ probe.Writer) error {
				end, _ := ctx.Deadline()
				left = time.Until(end)
				return nil
			}}, true),
		}}
		r := acquire.NewRunner(acquire.Config{Sink: s, Plan: func(string) (acquire.Plan, error) { return plan, nil },
			Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil }})
		_, err = r.Run(t.Context(), acquire.Order{Profile: "flash"})
		must(t, err)
		if left != 1600*time.Millisecond {
			t.Errorf("the last probe had %s", left)
		}
		if plan.Total() != 3*time.Second {
			t.Errorf("total %s", plan.Total())
		}
	})
}

func TestBrokenOffIsSealed(t *testing.T) {
	s := newSpool(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	breaks := fake{"a", 0, func(ctx context.Context, w probe.Writer) error {
		w.Write(line("one"))
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	res, err := runner(t, s, breaks, fake{"b", 1, writes("x")}).Run(ctx, acquire.Order{Profile: "flash"})
	must(t, err)
	m := res.Manifest
	if m.Outcome != artifact.Interrupted || m.Probes[0].Outcome != artifact.Interrupted || m.Probes[1].Outcome != artifact.NotStarted || len(m.Artifacts) != 1 {
		t.Errorf("got %+v", m)
	}
	if s.List()[0].State != spool.Sealed {
		t.Error("not sealed")
	}
}

// TestSealedBytes checks the files against the manifest with the standard library.
func TestSealedBytes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ev")
	var lines []string
	for i := range 20_000 {
		lines = append(lines, fmt.Sprint("行 ", i))
	}
	var said []acquire.Progress
	o := acquire.Order{AcquisitionID: id.New(id.Acquisition), Profile: "flash", Trigger: artifact.TriggerAlert, AlertID: id.New(id.Alert), Progress: func(p acquire.Progress) { said = append(said, p) }}
	res, err := runner(t, &spool.Folder{Dir: dir}, fake{"big", 0, writes(lines...)}).Run(t.Context(), o)
	must(t, err)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return b
	}
	raw := read("manifest.json")
	if digest.Of(raw) != res.ManifestSHA256 {
		t.Error("the digest is not of the file")
	}
	var m artifact.Manifest
	must(t, json.Unmarshal(raw, &m))
	block, _ := pem.Decode(read("signer.pem"))
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	must(t, err)
	sum := sha256.Sum256(raw)
	if !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), sum[:], read("manifest.json.sig")) {
		t.Error("the signature is wrong")
	}
	e := m.Artifacts[0]
	stored := read(e.Name)
	if digest.Of(stored).String() != e.Stored.SHA256 || int64(len(stored)) != e.Stored.Size {
		t.Error("stored bytes are not those of the manifest")
	}
	dec, err := zstd.NewReader(bytes.NewReader(stored))
	must(t, err)
	defer dec.Close()
	var plain bytes.Buffer
	_, err = plain.ReadFrom(dec)
	must(t, err)
	if digest.Of(plain.Bytes()).String() != e.Plain.SHA256 || int64(plain.Len()) != e.Plain.Size {
		t.Error("plain bytes are not those of the manifest")
	}
	n := 0
	for sc := bufio.NewScanner(&plain); sc.Scan(); n++ {
		if sc.Text() != fmt.Sprintf(`{"v":%q}`, lines[n]) {
			t.Fatalf("line %d is %s", n, sc.Text())
		}
	}
	if int64(n) != e.Records || n != len(lines) {
		t.Errorf("%d lines", n)
	}
	if m.AlertID != o.AlertID || m.AcquisitionID != o.AcquisitionID || m.Trigger != o.Trigger || m.StartedAt.Wall.IsZero() || m.Host.Hostname == "" {
		t.Errorf("manifest %+v", m)
	}
	if len(said) != 3 || said[1].Done != 1 || said[1].Records != 20_000 || !said[2].Sealed {
		t.Errorf("progress %+v", said)
	}
}

func TestSameIdentifierRunsOnce(t *testing.T) {
	dir := t.TempDir()
	s := newSpool(t, dir)
	n := 0
	counted := fake{"a", 0, func(context.Context, probe.Writer) error { n++; return nil }}
	r := runner(t, s, counted)
	o := acquire.Order{AcquisitionID: id.New(id.Acquisition), Profile: "flash"}
	first, err := r.Run(t.Context(), o)
	must(t, err)
	again, err := r.Run(t.Context(), o)
	must(t, err)
	if !again.Repeated || again.ManifestSHA256 != first.ManifestSHA256 || first.Repeated {
		t.Errorf("got %+v", again)
	}
	later, err := runner(t, s, counted).Run(t.Context(), o) // as after a restart
	must(t, err)
	if !later.Repeated || n != 1 {
		t.Errorf("ran %d times, %+v", n, later)
	}
}

func TestOneAtATime(t *testing.T) {
	s := newSpool(t, t.TempDir())
	var mu sync.Mutex
	running := 0
	begun, goOn := make(chan struct{}), make(chan struct{})
	r := runner(t, s, fake{"a", 0, func(context.Context, probe.Writer) error {
		mu.Lock()
		running++
		if running > 1 {
			t.Error("two at a time")
		}
		mu.Unlock()
		begun <- struct{}{}
		<-goOn
		mu.Lock()
		running--
		mu.Unlock()
		return nil
	}})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := r.Run(context.WithoutCancel(t.Context()), acquire.Order{Profile: "flash"}); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(ctx, acquire.Order{Profile: "flash"}); !errors.Is(err, context.Canceled) {
		t.Errorf("waited on: %v", err)
	}
	goOn <- struct{}{}
	<-begun
	goOn <- struct{}{}
	wg.Wait()
}

func TestFullSpool(t *testing.T) {
	dir := t.TempDir()
	free := int64(1 << 40)
	s, err := spool.Open(spool.Config{Dir: dir, Free: func(string) (int64, error) { return free, nil }})
	must(t, err)
	defer s.Close()
	// The disk fills up while the second probe writes.
	fills := fake{"b", 1, func(_ context.Context, w probe.Writer) error {
		free = 0
		for i := range 1 << 20 {
			if err := w.Write(line(fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return nil
	}}
	r := runner(t, s, fake{"a", 0, writes("kept")}, fills)
	res, err := r.Run(t.Context(), acquire.Order{Profile: "flash"})
	must(t, err)
	p := res.Manifest.Probes
	if p[0].Outcome != artifact.Complete || p[1].Outcome != artifact.Failed || !strings.Contains(p[1].Detail, "full") || len(res.Manifest.Artifacts) != 1 || res.Manifest.Outcome != artifact.Partial {
		t.Errorf("got %+v", p)
	}
	if _, err := r.Run(t.Context(), acquire.Order{Profile: "flash"}); !errors.Is(err, spool.ErrFull) {
		t.Errorf("begun on a full disk: %v", err)
	}
	free = 1 << 40
	if _, err := runner(t, s, fake{"a", 0, writes("x")}).Run(t.Context(), acquire.Order{Profile: "flash"}); err != nil {
		t.Errorf("after there was room again: %v", err)
	}
}

// TestCrashAtEachStep stops the spool at each step of an acquisition; a new agent
// must then seal what is there, and exactly that.
func TestCrashAtEachStep(t *testing.T) {
	errCrash := errors.New("crash")
	fakes := []fake{{"a", 0, writes("1", "2")}, {"b", 1, writes("3")}, {"c", 2, writes("4")}}
	for at := 1; ; at++ {
		dir := t.TempDir()
		n, last := 0, ""
		s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, Step: func(step string) error {
			if n++; n >= at {
				if n == at {
					last = step
				}
				return errCrash
			}
			return nil
		}})
		must(t, err)
		acq := id.New(id.Acquisition)
		_, err = runner(t, s, fakes...).Run(t.Context(), acquire.Order{AcquisitionID: acq, Profile: "flash"})
		must(t, s.Close())
		if last == "" {
			must(t, err)
			if at < 20 {
				t.Errorf("only %d steps", at)
			}
			return
		}
		s = newSpool(t, dir)
		if _, err := runner(t, s, fakes...).Recover(t.Context(), s); err != nil {
			t.Errorf("%s: recover: %v", last, err)
		}
		list := s.List()
		if len(list) == 0 {
			if !strings.HasPrefix(last, "spool.begin.") {
				t.Errorf("%s: the acquisition is lost", last)
			}
			continue
		}
		if len(list) != 1 || list[0].State != spool.Sealed || list[0].AcquisitionID != acq {
			t.Fatalf("%s: %+v", last, list)
		}
		checkSealed(t, last, s, acq)
		must(t, s.Close())
	}
}

// checkSealed checks that manifest and parts agree.
func checkSealed(t *testing.T, step string, s *spool.Spool, acq string) {
	t.Helper()
	r, err := s.Open(acq)
	must(t, err)
	defer r.Close()
	seal, _, err := r.Seal()
	must(t, err)
	var m artifact.Manifest
	must(t, json.Unmarshal(seal.Manifest, &m))
	parts, err := r.Parts()
	must(t, err)
	if len(parts) != len(m.Artifacts) || len(m.Probes) != 3 {
		t.Fatalf("%s: %d parts, manifest %+v", step, len(parts), m)
	}
	for i, e := range m.Artifacts {
		if parts[i].Name != e.Name || parts[i].SHA256.String() != e.Stored.SHA256 || parts[i].Size != e.Stored.Size || e.Plain.Size == 0 {
			t.Errorf("%s: %+v is not %+v", step, parts[i], e)
		}
	}
	records := map[artifact.Kind]int64{}
	for _, e := range m.Artifacts {
		records[e.Kind] = e.Records
	}
	for _, p := range m.Probes {
		if p.Records != records[p.Kind] {
			t.Errorf("%s: %s wrote %d, its artifact has %d", step, p.Kind, p.Records, records[p.Kind])
		}
		if !p.Outcome.Valid() {
			t.Errorf("%s: outcome %q", step, p.Outcome)
		}
	}
	if m.Outcome != artifact.Interrupted && !strings.HasPrefix(step, "spool.seal.signature.after") && m.Outcome != artifact.Partial && m.Outcome != artifact.Failed {
		t.Errorf("%s: outcome %s", step, m.Outcome)
	}
}

func TestRecoverNamesWhatCannotBeSealed(t *testing.T) {
	s := newSpool(t, t.TempDir())
	for _, plan := range []string{"{", `{"format":"x"}`, `{"format":"hozen-acquire-note/1","planned":[],"manifest":{"acquisition_id":"other"}}`} {
		a, err := s.Begin(id.New(id.Acquisition), []byte(plan))
		must(t, err)
		must(t, a.Leave())
	}
	n, err := runner(t, s).Recover(t.Context(), s)
	if n != 0 || err == nil || strings.Count(err.Error(), "seal interrupted acq_") != 3 {
		t.Errorf("sealed %d, %v", n, err)
	}
	for _, i := range s.List() {
		if i.State != spool.Interrupted {
			t.Errorf("%s is %s", i.AcquisitionID, i.State)
		}
	}
}

func TestUnknownProfile(t *testing.T) {
	s := newSpool(t, t.TempDir())
	if _, err := runner(t, s).Run(t.Context(), acquire.Order{Profile: "full"}); err == nil || len(s.List()) > 0 {
		t.Errorf("ran a profile that does not exist: %v", err)
	}
}

func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"format":"hozen-acquire-note/1","planned":[{"kind":"a","schema":"b","budget_ns":1}],"manifest":{}}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) { acquire.CheckNote(b) })
}
