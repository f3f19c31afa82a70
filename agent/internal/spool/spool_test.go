package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/spool"
	"hozen/internal/digest"
	"hozen/internal/id"
)

var seal = spool.Seal{Manifest: []byte(`{"a":1}`), Signature: []byte("sig"), SignerPEM: []byte("pem"), CertPEM: []byte("cert")}

func open(t *testing.T, cfg spool.Config) *spool.Spool {
	t.Helper()
	if cfg.MinFreeBytes == 0 {
		cfg.MinFreeBytes = -1
	}
	s, err := spool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // a second Close is harmless
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sealed puts a sealed acquisition with one part of n bytes into s.
func sealed(t *testing.T, s *spool.Spool, n int) string {
	t.Helper()
	acq := id.New(id.Acquisition)
	a, err := s.Begin(acq, []byte("plan"))
	must(t, err)
	p, err := a.Create("artifacts/process.jsonl.zst")
	must(t, err)
	_, err = p.Write(bytes.Repeat([]byte("x"), n))
	must(t, err)
	must(t, p.Close())
	must(t, a.Seal(seal))
	return acq
}

func states(s *spool.Spool) string {
	var list []string
	for _, i := range s.List() {
		list = append(list, i.State.String())
	}
	return strings.Join(list, " ")
}

func TestPartsAreReadableWhileTheyGrow(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()})
	a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
	must(t, err)
	changed := s.Changed()
	p, err := a.Create("artifacts/process.jsonl.zst")
	must(t, err)
	r, err := s.Open(a.ID())
	must(t, err)
	defer r.Close()
	select {
	case <-changed:
	default:
		t.Error("nobody was woken")
	}
	b := make([]byte, 100)
	if n, err := r.ReadAt("artifacts/process.jsonl.zst", b, 0); n != 0 || err != io.EOF {
		t.Errorf("empty part: %d, %v", n, err)
	}
	p.Write([]byte("hello"))
	if n, err := r.ReadAt("artifacts/process.jsonl.zst", b, 1); string(b[:n]) != "ello" || err != nil {
		t.Errorf("growing part: %q, %v", b[:n], err)
	}
	parts, err := r.Parts()
	must(t, err)
	if want := (spool.PartInfo{Name: "artifacts/process.jsonl.zst", Size: 5}); parts[0] != want {
		t.Errorf("growing part is described as %+v", parts[0])
	}
	if err := a.Seal(seal); err == nil {
		t.Error("sealed over an open part")
	}
	must(t, p.Close())
	parts, err = r.Parts()
	must(t, err)
	if want := (spool.PartInfo{Name: "artifacts/process.jsonl.zst", Size: 5, Complete: true, SHA256: digest.Of([]byte("hello"))}); parts[0] != want {
		t.Errorf("closed part is described as %+v", parts[0])
	}
	if _, ok, err := r.Seal(); ok || err != nil {
		t.Errorf("sealed too early: %v", err)
	}
	must(t, a.Seal(seal))
	got, ok, err := r.Seal()
	if !ok || err != nil || string(got.Manifest) != string(seal.Manifest) || string(got.Signature) != "sig" {
		t.Errorf("seal: %+v, %t, %v", got, ok, err)
	}
}

func TestDiscardedPartIsGone(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()})
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	p, err := a.Create("artifacts/a")
	must(t, err)
	p.Write([]byte("hello"))
	must(t, p.Discard())
	if _, err := p.Write([]byte("more")); err == nil {
		t.Error("wrote to a part that was given up")
	}
	r, err := s.Open(a.ID())
	must(t, err)
	defer r.Close()
	if _, err := r.ReadAt("artifacts/a", make([]byte, 1), 0); !errors.Is(err, spool.ErrGone) {
		t.Errorf("read of a part given up: %v", err)
	}
	must(t, a.Seal(seal))
	if parts, err := r.Parts(); err != nil || len(parts) != 0 {
		t.Errorf("parts: %+v, %v", parts, err)
	}
}

func TestReceiptKeepsThenDrops(t *testing.T) {
	now := time.Now()
	cfg := spool.Config{Dir: t.TempDir(), KeepAfterReceipt: 48 * time.Hour, Now: func() time.Time { return now }}
	s := open(t, cfg)
	first, second := sealed(t, s, 10), sealed(t, s, 10)
	if err := s.Receipt(id.New(id.Acquisition), []byte("r")); !errors.Is(err, spool.ErrUnknown) {
		t.Errorf("receipt of a stranger: %v", err)
	}
	must(t, s.Receipt(first, []byte("r")))
	must(t, s.Receipt(first, []byte("other"))) // the first receipt stays
	must(t, s.Refused(second, "digest mismatch"))
	if err := s.Refused(first, "late"); err == nil {
		t.Error("refused what has a receipt")
	}
	must(t, s.Close())
	s = open(t, cfg)
	if got := states(s); got != "received refused" {
		t.Fatalf("after a restart: %s", got)
	}
	if r := s.List()[1].Reason; r != "digest mismatch" {
		t.Errorf("reason %q", r)
	}
	r, err := s.Open(first)
	must(t, err)
	if b, err := r.Receipt(); string(b) != "r" || err != nil {
		t.Errorf("receipt %q, %v", b, err)
	}
	r.Close()
	now = now.Add(-time.Hour) // a clock that runs backwards drops nothing
	if n, err := s.Sweep(); n != 0 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	now = now.Add(50 * time.Hour)
	if n, err := s.Sweep(); n != 1 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	if got := states(s); got != "refused" {
		t.Fatalf("after the sweep: %s; what was refused is kept while there is room", got)
	}
}

func TestFullSpoolKeepsWhatNobodyHas(t *testing.T) {
	now := time.Now()
	s := open(t, spool.Config{Dir: t.TempDir(), MaxBytes: 100_000, KeepAfterReceipt: time.Hour, Now: func() time.Time { return now }})
	old, waiting, refused := sealed(t, s, 20_000), sealed(t, s, 20_000), sealed(t, s, 20_000)
	must(t, s.Receipt(old, []byte("r")))
	must(t, s.Refused(refused, "no"))
	// 60 kB are used, Begin wants 50 kB: the received one goes, though it is young.
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	if got := states(s); got != "sealed refused live" {
		t.Fatal(got)
	}
	p, err := a.Create("artifacts/a")
	must(t, err)
	if _, err := p.Write(make([]byte, 45_000)); err != nil {
		t.Fatal(err)
	}
	n, err := p.Write(make([]byte, 50_000))
	if n != 0 || !errors.Is(err, spool.ErrFull) {
		t.Fatalf("wrote %d into a full spool, %v", n, err)
	}
	must(t, p.Close())
	must(t, a.Seal(seal)) // the manifest always finds room
	if st := s.Status(); !st.Full || st.Waiting != 2 || st.Refused != 1 {
		t.Errorf("status %+v", st)
	}
	if _, err := s.Begin(id.New(id.Acquisition), nil); !errors.Is(err, spool.ErrFull) {
		t.Errorf("begin in a full spool: %v", err)
	}
	if got := states(s); got != "sealed refused sealed" {
		t.Fatalf("a failed Begin dropped something: %s", got)
	}
	// After its time even what was refused makes room; what waits never does.
	now = now.Add(2 * time.Hour)
	if _, err := s.Begin(id.New(id.Acquisition), nil); !errors.Is(err, spool.ErrFull) {
		t.Errorf("begin: %v", err) // 20 kB are not enough, so nothing is dropped
	}
	must(t, s.Receipt(waiting, []byte("r")))
	if _, err := s.Begin(id.New(id.Acquisition), nil); err != nil {
		t.Errorf("recovery needs no hands: %v", err)
	}
}

func TestFreeSpaceIsLeft(t *testing.T) {
	free := int64(10 << 20)
	cfg := spool.Config{Dir: t.TempDir(), MinFreeBytes: 9 << 20, Free: func(string) (int64, error) { return free, nil }}
	s := open(t, cfg)
	if _, err := s.Begin(id.New(id.Acquisition), nil); !errors.Is(err, spool.ErrFull) {
		t.Errorf("begin on a full disk: %v", err)
	}
	free = 20 << 20
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	p, err := a.Create("artifacts/a")
	must(t, err)
	free = 9 << 20
	if _, err := p.Write(make([]byte, 1000)); !errors.Is(err, spool.ErrFull) {
		t.Errorf("write on a full disk: %v", err)
	}
	must(t, p.Discard())
	must(t, a.Abort())
	if got := states(s); got != "" {
		t.Error(got)
	}
}

func TestRefusesWrongCalls(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()})
	for _, bad := range []string{"", "acq_x", "../x", "end_" + strings.Repeat("0", 26)} {
		if _, err := s.Begin(bad, nil); err == nil {
			t.Errorf("began %q", bad)
		}
	}
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	if _, err := s.Begin(a.ID(), nil); !errors.Is(err, spool.ErrExists) {
		t.Errorf("began twice: %v", err)
	}
	for _, bad := range []string{"process", "artifacts/", "artifacts/../x", "artifacts/a/b", "artifacts/.x", "artifacts/x.part", "artifacts/A", `artifacts/a\b`, "artifacts/" + strings.Repeat("a", 65), "/etc/passwd"} {
		if _, err := a.Create(bad); err == nil {
			t.Errorf("created %q", bad)
		}
	}
	p, err := a.Create("artifacts/a")
	must(t, err)
	must(t, p.Close())
	if _, err := a.Create("artifacts/a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if err := a.Seal(spool.Seal{}); err == nil {
		t.Error("sealed with nothing")
	}
	if err := s.Receipt(a.ID(), []byte("r")); !errors.Is(err, spool.ErrUnknown) {
		t.Errorf("receipt of what is not sealed: %v", err)
	}
	if _, err := spool.Open(spool.Config{Dir: filepath.Join(t.TempDir(), "x\x00y")}); err == nil {
		t.Error("opened a folder that cannot be")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	if _, err := spool.Open(spool.Config{Dir: dir}); !errors.Is(err, spool.ErrInUse) {
		t.Errorf("second opening: %v", err)
	}
	must(t, s.Close())
	open(t, spool.Config{Dir: dir})
}

func TestOrderIsThatOfMaking(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	ids := []string{id.New(id.Acquisition), id.New(id.Acquisition), id.New(id.Acquisition)}
	slices.Reverse(ids) // as after a clock that was set back
	for _, acq := range ids {
		a, err := s.Begin(acq, nil)
		must(t, err)
		must(t, a.Seal(seal))
	}
	must(t, s.Close())
	for i, info := range open(t, spool.Config{Dir: dir}).List() {
		if info.AcquisitionID != ids[i] {
			t.Errorf("%d: %s", i, info.AcquisitionID)
		}
	}
}

// TestForeignFiles puts things into the spool that do not belong there: each is named,
// none is followed or removed, and the good acquisition beside them stays.
func TestForeignFiles(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("secret"), 0o600))
	write := func(t *testing.T, path, data string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(data), 0o600))
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir, acq string) // acq is a sealed acquisition's folder
		want string
	}{
		{"file", func(t *testing.T, dir, _ string) { write(t, dir+"/readme.txt", "x") }, "not a folder"},
		{"folder", func(t *testing.T, dir, _ string) { must(t, os.Mkdir(dir+"/acq_../", 0o700)) }, "not named like"},
		{"link to a folder", func(t *testing.T, dir, _ string) {
			link(t, filepath.Dir(outside), dir+"/"+id.New(id.Acquisition))
		}, "not a folder"},
		{"empty head", func(t *testing.T, _, acq string) { write(t, acq+"/acquisition.json", "") }, "acquisition.json"},
		{"other head", func(t *testing.T, _, acq string) {
			write(t, acq+"/acquisition.json", `{"format":"hozen-spool/1","acquisition_id":"acq_x","sequence":1,"begun_at":"2026-01-01T00:00:00Z","plan":""}`)
		}, "belongs to"},
		{"future head", func(t *testing.T, _, acq string) { write(t, acq+"/acquisition.json", `{"format":"hozen-spool/9"}`) }, "hozen-spool/9"},
		{"huge head", func(t *testing.T, _, acq string) { must(t, os.Truncate(acq+"/acquisition.json", 1<<40)) }, "at most"},
		{"no head", func(t *testing.T, _, acq string) { must(t, os.Remove(acq+"/acquisition.json")) }, "no acquisition.json"},
		{"cut manifest", func(t *testing.T, _, acq string) { must(t, os.Truncate(acq+"/manifest.json", 3)) }, "cut off"},
		{"huge manifest", func(t *testing.T, _, acq string) { must(t, os.Truncate(acq+"/manifest.json", 1<<40)) }, "at most"},
		{"no manifest", func(t *testing.T, _, acq string) { must(t, os.Remove(acq+"/manifest.json")) }, "manifest.json"},
		{"manifest is a link", func(t *testing.T, _, acq string) {
			must(t, os.Remove(acq+"/manifest.json"))
			link(t, outside, acq+"/manifest.json")
		}, "not a regular file"},
		{"extra file", func(t *testing.T, _, acq string) { write(t, acq+"/run.sh", "x") }, "run.sh"},
		{"extra folder", func(t *testing.T, _, acq string) { must(t, os.Mkdir(acq+"/artifacts/sub", 0o700)) }, "not a regular file"},
		{"part is a link", func(t *testing.T, _, acq string) { link(t, outside, acq+"/artifacts/x") }, "not a regular file"},
		{"part with a strange name", func(t *testing.T, _, acq string) { write(t, acq+"/artifacts/A B", "x") }, "does not belong"},
		{"no parts folder", func(t *testing.T, _, acq string) { must(t, os.RemoveAll(acq+"/artifacts")) }, "artifacts"},
		{"bad refusal", func(t *testing.T, _, acq string) { write(t, acq+"/refused.json", "{") }, "refused.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, spool.Config{Dir: dir})
			good, bad := sealed(t, s, 10), sealed(t, s, 10)
			must(t, s.Close())
			c.do(t, dir, filepath.Join(dir, bad))
			s = open(t, spool.Config{Dir: dir})
			st := s.Status()
			if len(st.Problems) != 1 || !strings.Contains(st.Problems[0], c.want) {
				t.Errorf("problems %q, want one with %q", st.Problems, c.want)
			}
			if s.List()[0].AcquisitionID != good {
				t.Error("the good acquisition is gone")
			}
			if _, err := os.Stat(filepath.Join(dir, bad)); err != nil {
				t.Error("the damaged acquisition was removed")
			}
			if b, err := os.ReadFile(outside); string(b) != "secret" || err != nil {
				t.Error("something outside was touched")
			}
			sealed(t, s, 10)
		})
	}
}

func TestFolderStandsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ev")
	a, err := (&spool.Folder{Dir: dir}).Begin("acq", nil)
	must(t, err)
	p, err := a.Create("artifacts/a")
	must(t, err)
	p.Write([]byte("x"))
	must(t, p.Close())
	must(t, a.Seal(seal))
	var names []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(rel))
		return err
	}))
	if got, want := fmt.Sprint(names), "[. artifacts artifacts/a manifest.json manifest.json.sig signer-cert.pem signer.pem]"; got != want {
		t.Errorf("folder holds %s", got)
	}
	if _, err := (&spool.Folder{Dir: dir}).Begin("acq", nil); !errors.Is(err, spool.ErrNotEmpty) {
		t.Errorf("began in a folder that is not empty: %v", err)
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"format":"hozen-spool/1","acquisition_id":"acq_x","sequence":1,"begun_at":"2026-01-01T00:00:00Z","plan":"eA=="}`))
	f.Add([]byte(`{"format":"hozen-spool/1"} x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := spool.CheckHead(b); err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}
