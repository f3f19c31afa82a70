package bpf

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New() }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		t.Skip("not to be read here: ", err)
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("type", "id", "kind", "ifindex", "hook", "priority", "handle"), MayBeEmpty: true})
}

func TestParse(t *testing.T) {
	b := make([]byte, 208)
	ne := binary.NativeEndian
	ne.PutUint32(b[progKind:], 26)
	ne.PutUint64(b[progTag:], 1)
	ne.PutUint64(b[progLoaded:], 5e9)
	ne.PutUint32(b[progUID:], 1000)
	ne.PutUint32(b[progMaps:], 2)
	copy(b[progName:], "hide\xff\x00rest")
	ne.PutUint32(b[progGPL:], 1)
	ne.PutUint64(b[progRuns:], 7)
	p := parseProgram(b)
	if p.Kind != "tracing" || p.UID != 1000 || p.LoadedNS != 5e9 || p.Name != "hide\ufffd" || string(p.NameRaw) != "hide\xff" || !p.GPL || p.Runs != 7 || len(p.Tag) != 16 || mapCount(b) != 2 {
		t.Errorf("%+v", p)
	}
	if p := parseProgram(b[:4]); p.Kind != "tracing" || p.Tag != "" || p.Name != "" {
		t.Errorf("an older kernel: %+v", p)
	}
	if m := parseMap([]byte{200, 0, 0, 0}); m.Kind != "200" {
		t.Errorf("%+v", m)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []record.BPF{parseProgram(b), parseMap(b), parseLink(b)} {
			if !json.Valid(p.AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
		_, list := parseXDP(b)
		if f := parseFilter(b, &spot{}); f != nil {
			list = append(list, f)
		}
		for _, p := range list {
			if !json.Valid(p.AppendJSON(nil)) || p.Program == 0 {
				t.Fatalf("%+v", p)
			}
		}
		if at := parseSpots(b); len(at) > 2 {
			t.Fatal(at)
		}
		if ids := identifiers(b, maxMaps); len(ids) > len(b)/4 {
			t.Fatal("more identifiers than bytes")
		}
	})
}
