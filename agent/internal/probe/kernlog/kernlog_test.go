package kernlog

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New() }

func TestConformance(t *testing.T) {
	err := fresh().Acquire(t.Context(), new(probetest.Lines))
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		t.Skip("not to be read here: ", err)
	}
	probetest.Run(t, probetest.Config{New: fresh, MayBeEmpty: true, Key: probetest.Join("boot_ns", "text")})
}

const log = "<6>[    0.000000] Linux version 6.1.0\n<4>[ 1234.567890] evil: loading out-of-tree module taints kernel.\n" +
	"<12>[ 1300.000001] a program said this\nodd\n<6>[x] y\n<5>[ 1400.500000] caf\xe9\n"

func TestParse(t *testing.T) {
	began := time.Unix(1766400000, 0).UTC()
	var got []record.KernelLine
	err := parse(t.Context(), []byte(log), began, func(l *record.KernelLine) error {
		got = append(got, *l)
		return nil
	})
	if err != nil || len(got) != 6 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	if l := got[1]; l.Priority != 4 || l.Facility != 0 || l.BootNS != 1234567890000 || l.At.Sub(began) != time.Duration(l.BootNS) || l.Text != "evil: loading out-of-tree module taints kernel." {
		t.Errorf("%+v", l)
	}
	if l := got[2]; l.Priority != 4 || l.Facility != 1 {
		t.Errorf("%+v", l)
	}
	if l := got[3]; l.Priority != -1 || l.Text != "odd" || !l.At.IsZero() {
		t.Errorf("%+v", l)
	}
	if l := got[4]; l.Priority != 6 || l.Text != "[x] y" {
		t.Errorf("%+v", l)
	}
	if l := got[5]; string(l.TextRaw) != "caf\xe9" {
		t.Errorf("%+v", l)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(log))
	f.Add([]byte("<<>[[] ]<7>[ NaN] \n<9>[1e308] "))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := parse(context.Background(), b, time.Unix(1, 0), func(l *record.KernelLine) error {
			if !json.Valid(l.AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestCut: a log that does not fit is not called whole.
func TestCut(t *testing.T) {
	for filled, want := range map[int]bool{0: false, 256 << 10: false, maxLog - 4096: false, maxLog - 1000: true, maxLog: true} {
		if err := cut(filled, maxLog); (err != nil) != want {
			t.Errorf("%d bytes: %v", filled, err)
		}
	}
}
