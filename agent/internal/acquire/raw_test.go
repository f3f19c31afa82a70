package acquire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
	"hozen/internal/digest"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

const imagePart = "artifacts/memory.lime.zst"

// bytesOf writes pieces that are no lines.
func bytesOf(pieces ...string) func(context.Context, probe.Writer) error {
	return func(_ context.Context, w probe.Writer) error {
		raw := w.(probe.RawWriter)
		if err := raw.Room(100); err != nil {
			return err
		}
		for _, p := range pieces {
			if err := raw.WriteRaw([]byte(p)); err != nil {
				return err
			}
		}
		return nil
	}
}

// stored unpacks a part of the only acquisition in a spool.
func stored(t *testing.T, s *spool.Spool, name string) []byte {
	t.Helper()
	r, err := s.Open(s.List()[0].AcquisitionID)
	must(t, err)
	defer r.Close()
	b := make([]byte, 1<<20)
	n, err := r.ReadAt(name, b, 0)
	must(t, err)
	dec, err := zstd.NewReader(bytes.NewReader(b[:n]))
	must(t, err)
	defer dec.Close()
	plain, err := io.ReadAll(dec)
	must(t, err)
	return plain
}

// TestBytesThatAreNoLines: an image is stored as it is, and counts as one record.
func TestBytesThatAreNoLines(t *testing.T) {
	const image = "EMiL\n\n\x00 no line ends here"
	s := newSpool(t, t.TempDir())
	res, err := runner(t, s, fake{artifact.KindMemory, probe.Image, bytesOf(image[:3], image[3:])}, fake{artifact.KindClock, probe.Machine, writes("x")}).
		Run(t.Context(), acquire.Order{Profile: "flash"})
	must(t, err)
	m := res.Manifest
	if p := m.Probes[1]; p.Kind != artifact.KindMemory || p.Outcome != artifact.Complete || p.Records != 1 {
		t.Errorf("%+v", m.Probes)
	}
	e := m.Artifacts[1]
	if e.Name != imagePart || e.Records != 1 || e.Plain.SHA256 != digest.Of([]byte(image)).String() || e.Plain.Size != int64(len(image)) {
		t.Errorf("%+v", e)
	}
	if got := stored(t, s, imagePart); string(got) != image {
		t.Errorf("%q", got)
	}
}

// TestImageThatWasCutOff: what was written until then is kept, and nothing more comes.
func TestImageThatWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpool(t, t.TempDir())
		late := make(chan error, 1)
		do := func(ctx context.Context, w probe.Writer) error {
			if err := bytesOf("first")(ctx, w); err != nil {
				return err
			}
			<-ctx.Done()
			<-time.After(time.Minute)
			late <- w.(probe.RawWriter).WriteRaw([]byte("second"))
			return nil
		}
		res, err := runner(t, s, fake{artifact.KindMemory, probe.Image, do}).Run(t.Context(), acquire.Order{Profile: "flash"})
		must(t, err)
		if p := res.Manifest.Probes[0]; p.Outcome != artifact.TimedOut || p.Records != 1 {
			t.Errorf("%+v", p)
		}
		if err := <-late; err == nil {
			t.Error("it wrote after its time")
		}
		if got := stored(t, s, imagePart); string(got) != "first" {
			t.Errorf("%q", got)
		}
	})
}

// TestNoRoomForAnImage: nothing half-filled is left behind.
func TestNoRoomForAnImage(t *testing.T) {
	s, err := spool.Open(spool.Config{Dir: t.TempDir(), MinFreeBytes: 1 << 30, Free: func(string) (int64, error) { return 2<<30 + 50, nil }})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	do := func(ctx context.Context, w probe.Writer) error {
		if err := bytesOf("x")(ctx, w); err != nil {
			return fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
		return errors.New("there was room")
	}
	res, err := runner(t, s, fake{artifact.KindMemory, probe.Image, do}, fake{artifact.KindClock, probe.Machine, writes("x")}).Run(t.Context(), acquire.Order{Profile: "flash"})
	must(t, err)
	if p := res.Manifest.Probes[1]; p.Outcome != artifact.Denied || len(res.Manifest.Artifacts) != 1 {
		t.Errorf("%+v", res.Manifest)
	}
}

// TestLongProbesSayHowFarTheyAre: once a second, from the goroutine of Run.
func TestLongProbesSayHowFarTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := func(ctx context.Context, w probe.Writer) error {
			raw := w.(probe.RawWriter)
			must(t, raw.Room(1000))
			for range 9 {
				must(t, raw.WriteRaw(make([]byte, 100)))
				<-time.After(300 * time.Millisecond)
			}
			return nil
		}
		var heard []string
		order := acquire.Order{Profile: "flash", Progress: func(p acquire.Progress) {
			if p.Kind == artifact.KindMemory && !p.Sealed {
				heard = append(heard, fmt.Sprint(p.Outcome, p.Bytes, p.Expected, p.Rate))
			}
		}}
		r := planned(t, newSpool(t, t.TempDir()), budgeted(fake{artifact.KindMemory, probe.Image, do}, time.Minute))
		_, err := r.Run(t.Context(), order)
		must(t, err)
		if got, want := fmt.Sprint(heard), "[0 0 0 400 1000 400 700 1000 350 complete0 0 0]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestLongListsSayHowFarTheyAre: of lines nobody knows how many there will be.
func TestLongListsSayHowFarTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := func(_ context.Context, w probe.Writer) error {
			for range 15 {
				must(t, writes("x")(t.Context(), w))
				<-time.After(100 * time.Millisecond)
			}
			return nil
		}
		var heard []acquire.Progress
		order := acquire.Order{Profile: "flash", Progress: func(p acquire.Progress) {
			if p.Kind == artifact.KindBodyFile && p.Bytes > 0 {
				heard = append(heard, p)
			}
		}}
		r := planned(t, newSpool(t, t.TempDir()), budgeted(fake{artifact.KindClock, probe.Live, writes("x")}, time.Minute), budgeted(fake{artifact.KindBodyFile, probe.Machine, do}, time.Minute))
		_, err := r.Run(t.Context(), order)
		must(t, err)
		if len(heard) != 1 || heard[0].Records < 10 || heard[0].Records > 12 || heard[0].Expected != 0 || heard[0].Rate != heard[0].Bytes {
			t.Errorf("%+v", heard)
		}
	})
}

// table is a summary of what the probe before it found.
type table struct {
	fake
	begun *bool
}

func (t table) Begun() bool { return *t.begun }

// TestTableOfAnImageThatWasBrokenOff: what an image holds is told also when it was broken off,
// and nothing where it was not begun.
func TestTableOfAnImageThatWasBrokenOff(t *testing.T) {
	for _, begin := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		begun := false
		image := func(inner context.Context, w probe.Writer) error {
			if begun = begin; !begin {
				cancel()
				return inner.Err()
			}
			if err := bytesOf("first")(inner, w); err != nil {
				return err
			}
			cancel()
			return inner.Err()
		}
		s := newSpool(t, t.TempDir())
		var plan []acquire.Planned
		for _, p := range []probe.Probe{fake{artifact.KindMemory, probe.Image, image}, table{fake{artifact.KindMemRange, probe.Image, writes("x")}, &begun},
			fake{artifact.KindFootprint, probe.Closing, writes("x")}} {
			plan = append(plan, acquire.Planned{New: func() probe.Probe { return p }, Budget: time.Minute})
		}
		res, err := planned(t, s, plan...).Run(ctx, acquire.Order{Profile: "flash"})
		must(t, err)
		m := res.Manifest
		want := []artifact.Outcome{artifact.Interrupted, artifact.NotStarted, artifact.NotStarted}
		if begin {
			want[1] = artifact.Complete
		}
		for i, p := range m.Probes {
			if p.Outcome != want[i] {
				t.Errorf("begun %t: %+v", begin, p)
			}
		}
		if m.Outcome != artifact.Interrupted || begin != (len(m.Artifacts) == 2) {
			t.Errorf("begun %t: %s with %d artifacts", begin, m.Outcome, len(m.Artifacts))
		}
	}
}

// TestRecoverSealedParts: what is encrypted cannot be read again, so the notes tell of it, also
// where the agent died before it could note how the probe ended.
func TestRecoverSealedParts(t *testing.T) {
	key, err := unseal.New()
	must(t, err)
	wrap := func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, key.Recipient()) }
	dir := t.TempDir()
	open := func() *spool.Spool {
		s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, Wrap: func() func(io.Writer) (io.WriteCloser, error) { return wrap }, Step: func(step string) error {
			if step == crashpoint.SpoolNote+".before" {
				return errors.New("killed")
			}
			return nil
		}})
		must(t, err)
		return s
	}
	s := open()
	ctx, cancel := context.WithCancelCause(t.Context())
	dead := func(context.Context, probe.Writer) error { cancel(nil); return s.Close() }
	_, _ = runner(t, s, fake{artifact.KindClock, probe.Live, writes("x")}, fake{artifact.KindHostInfo, probe.Machine, dead}).Run(ctx, acquire.Order{Profile: "flash"})
	must(t, os.RemoveAll(filepath.Join(dir, s.List()[0].AcquisitionID, "manifest.json.sig")))
	s = open()
	defer s.Close()
	if n, err := runner(t, s).Recover(t.Context(), s); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	r, err := s.Open(s.List()[0].AcquisitionID)
	must(t, err)
	defer r.Close()
	sealed, _, err := r.Seal()
	must(t, err)
	var m artifact.Manifest
	must(t, json.Unmarshal(sealed.Manifest, &m))
	parts, err := r.Parts()
	must(t, err)
	if len(m.Artifacts) == 0 || m.Artifacts[0].Records != 1 || m.Artifacts[0].Plain.Size == 0 || parts[0].SHA256.String() != m.Artifacts[0].Stored.SHA256 || !parts[0].Sealed {
		t.Errorf("%+v\n%+v", m, parts)
	}
}

// TestRecoverAnImage: an agent that died behind the image seals it without reading lines.
func TestRecoverAnImage(t *testing.T) {
	s := newSpool(t, t.TempDir())
	a, err := s.Begin("acq_06g3z8v4z8x7h0k2m4n6p8r0t4", []byte(`{"format":"hozen-acquire-note/1","planned":[{"kind":"memory","schema":"hozen.memory/1","budget_ns":1}],"manifest":{"acquisition_id":"acq_06g3z8v4z8x7h0k2m4n6p8r0t4"}}`))
	must(t, err)
	p, err := a.Create(imagePart)
	must(t, err)
	enc, err := zstd.NewWriter(p)
	must(t, err)
	_, err = enc.Write([]byte("EMiL\n\n\n"))
	must(t, errors.Join(err, enc.Close()))
	must(t, p.Close())
	must(t, a.Leave())
	if n, err := runner(t, s).Recover(t.Context(), s); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	r, err := s.Open(s.List()[0].AcquisitionID)
	must(t, err)
	defer r.Close()
	sealed, _, err := r.Seal()
	must(t, err)
	var m artifact.Manifest
	must(t, json.Unmarshal(sealed.Manifest, &m))
	if e := m.Artifacts[0]; e.Records != 1 || e.Plain.Size != 7 || m.Probes[0].Records != 1 {
		t.Errorf("%+v", m)
	}
}

// TestOthersRunBesideAnImage: reading memory takes minutes, and neither a flash capture
// nor one that is urgent waits for it; the latter ends it.
func TestOthersRunBesideAnImage(t *testing.T) {
	s := newSpool(t, t.TempDir())
	begun := make(chan struct{})
	image := fake{artifact.KindMemory, probe.Image, func(ctx context.Context, w probe.Writer) error {
		if err := bytesOf("first")(ctx, w); err != nil {
			return err
		}
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}}
	flash := fake{artifact.KindProcess, probe.Live, writes("x")}
	signer, err := identity.NewOneTime()
	must(t, err)
	r := acquire.NewRunner(acquire.Config{
		Sink: s, Tool: func() artifact.Tool { return artifact.Tool{Name: "test"} }, Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
		Plan: func(profile string) (acquire.Plan, error) {
			if profile == "memory" {
				return acquire.Plan{Profile: profile, Probes: []acquire.Planned{budgeted(flash, time.Minute), budgeted(image, time.Hour)}}, nil
			}
			return acquire.Plan{Profile: profile, Probes: []acquire.Planned{budgeted(flash, time.Minute)}}, nil
		},
	})
	run := func(o acquire.Order) artifact.Manifest {
		res, err := r.Run(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		return res.Manifest
	}
	long := make(chan artifact.Manifest, 1)
	go func() { long <- run(acquire.Order{Profile: "memory"}) }()
	<-begun
	for range 2 {
		if m := run(acquire.Order{Profile: "flash"}); m.Outcome != artifact.Complete {
			t.Errorf("beside it: %+v", m)
		}
	}
	select {
	case m := <-long:
		t.Fatalf("it ended: %+v", m)
	default:
	}
	if m := run(acquire.Order{Profile: "flash", Urgent: true}); m.Outcome != artifact.Complete {
		t.Errorf("urgent: %+v", m)
	}
	m := <-long
	if m.Outcome != artifact.Interrupted || len(m.Probes) != 2 || m.Probes[1].Records != 1 || len(m.Artifacts) != 2 {
		t.Errorf("%+v", m)
	}
	if m := run(acquire.Order{Profile: "flash"}); m.Outcome != artifact.Complete {
		t.Errorf("after it: %+v", m)
	}
}
