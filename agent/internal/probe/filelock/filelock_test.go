package filelock

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
)

func fresh() probe.Probe { return New(scan.New(scan.Options{})) }

// text was written by a kernel.
const locks = `1: POSIX  ADVISORY  READ  5433 08:01:7864448 128 128
2: FLOCK  ADVISORY  WRITE 2001 08:01:7864554 0 EOF
2: -> FLOCK  ADVISORY  WRITE 2002 08:01:7864554 0 EOF
3: OFDLCK ADVISORY  READ -1 00:05:1030 0 EOF
4: LEASE  ACTIVE    READ  77 fd:1b:15 0 EOF
nonsense
5: POSIX  ADVISORY  READ  x 08:01:1 0 EOF
`

func TestParse(t *testing.T) {
	got, bad := Parse([]byte(locks))
	if bad != 2 || len(got) != 5 {
		t.Fatalf("%d locks, %d odd lines", len(got), bad)
	}
	if l := got[0]; l.ID != 1 || l.Class != "POSIX" || l.Mode != "ADVISORY" || l.Access != "READ" || l.PID != 5433 || l.Dev != "08:01" || l.Inode != 7864448 || l.Start != 128 || l.End != 128 {
		t.Errorf("%+v", l)
	}
	if l := got[2]; !l.Waiting || l.ID != 2 || l.PID != 2002 || l.End != -1 {
		t.Errorf("%+v", l)
	}
	if l := got[3]; l.PID != -1 || l.Class != "OFDLCK" {
		t.Errorf("%+v", l)
	}
	files := []opened{{"00:2a", 7864554, []byte("/other")}, {"08:01", 7864554, []byte("/right")}}
	if f := match(files, &got[1]); f == nil || string(f.path) != "/right" {
		t.Errorf("%+v", f)
	}
	if f := match(files[:1], &got[1]); f == nil || string(f.path) != "/other" {
		t.Errorf("by inode alone: %+v", f)
	}
	if f := match(files, &got[0]); f != nil {
		t.Errorf("%+v", f)
	}
}

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("class", "pid", "inode", "start"), MayBeEmpty: true})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(locks))
	f.Add([]byte("1: -> -> X Y Z 0 ::: 0 EOF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, bad := Parse(b)
		if len(got)+bad > strings.Count(string(b), "\n")+1 {
			t.Fatalf("%d locks and %d odd lines", len(got), bad)
		}
		for i := range got {
			if !json.Valid(got[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
