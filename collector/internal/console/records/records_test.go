package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// packed makes the evidence of plain lines.
func packed(t testing.TB, kind artifact.Kind, plain string) (evidence.Item, []byte) {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	stored := enc.EncodeAll([]byte(plain), nil)
	return evidence.Item{ID: "evd_" + digest.Of(stored).String()[:8], Name: "artifacts/x.jsonl.zst", Kind: kind,
		PlainSHA256: digest.Of([]byte(plain)).String(), StoredSHA256: digest.Of(stored).String()}, stored
}

func read(t *testing.T, item evidence.Item, stored []byte, l Limits) *File {
	t.Helper()
	f, err := Read(t.Context(), item, bytes.NewReader(stored), l)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRead(t *testing.T) {
	item, stored := packed(t, artifact.KindProcess, `{"pid":1,"ppid":0,"comm":"init"}`+"\n\n"+`{"pid":2,"ppid":1,"args":["a\u0000b"]}`+"\n")
	f := read(t, item, stored, DefaultLimits())
	if len(f.Processes) != 2 || f.Processes[1].Args[0] != "a\x00b" || f.Bad != 0 || f.Cut || !f.StoredOK || !f.PlainOK {
		t.Errorf("%+v", f)
	}
	item, stored = packed(t, "from_the_future", `{"b":1,"a":"x","c":{"d":[1, 2]}}`)
	f = read(t, item, stored, DefaultLimits())
	if got := fmt.Sprint(f.Lines); got != `[[{b 1} {a x} {c {"d":[1, 2]}}]]` {
		t.Error(got)
	}
}

func TestDamageIsToldAndTheRestIsRead(t *testing.T) {
	plain := strings.Repeat(`{"pid":1}`+"\n", 3)
	item, stored := packed(t, artifact.KindProcess, plain)
	for name, c := range map[string]struct {
		stored           []byte
		rows, bad        int
		storedOK, plainK bool
	}{
		"whole":          {stored, 3, 0, true, true},
		"cut short":      {stored[:len(stored)-3], -1, 1, false, false},
		"flipped":        {append(bytes.Clone(stored[:len(stored)-1]), stored[len(stored)-1]^1), -1, 1, false, false},
		"something else": {[]byte("not zstd at all"), 0, 1, false, false},
		"empty":          {nil, 0, 0, false, false},
		"trailing bytes": {append(bytes.Clone(stored), 0, 1, 2), -1, 1, false, false},
	} {
		f := read(t, item, c.stored, DefaultLimits())
		if c.rows >= 0 && f.Rows() != c.rows || f.Bad != c.bad || f.StoredOK != c.storedOK || f.PlainOK != c.plainK {
			t.Errorf("%s: %d rows, %+v", name, f.Rows(), f)
		}
	}
	bad, badStored := packed(t, artifact.KindProcess, `{"pid":1}`+"\n"+`{"pid":"x"}`+"\nnonsense\n[]\n"+`{"pid":2}`)
	if f := read(t, bad, badStored, DefaultLimits()); f.Rows() != 2 || f.Bad != 3 || !f.PlainOK {
		t.Errorf("%d rows, %d bad", f.Rows(), f.Bad)
	}
}

func TestLimits(t *testing.T) {
	long := `{"pid":1,"comm":"` + strings.Repeat("x", 200_000) + `"}`
	item, stored := packed(t, artifact.KindProcess, long+"\n"+strings.Repeat(`{"pid":2}`+"\n", 10))
	if f := read(t, item, stored, Limits{Plain: 1 << 20, Lines: 100, Line: 1000}); f.Rows() != 10 || f.Bad != 1 || f.Cut || !f.PlainOK {
		t.Errorf("a long line: %d rows, %d bad, cut %t", f.Rows(), f.Bad, f.Cut)
	}
	if f := read(t, item, stored, Limits{Plain: 1 << 20, Lines: 4, Line: 1 << 20}); f.Rows() != 4 || !f.Cut || !f.PlainOK || !f.StoredOK {
		t.Errorf("many lines: %d rows, %+v", f.Rows(), f.Cut)
	}
	// A bomb: little stored, much unpacked.
	bomb, bombStored := packed(t, artifact.KindProcess, strings.Repeat("\n", 50<<20))
	if len(bombStored) > 100_000 {
		t.Fatalf("the bomb has %d bytes", len(bombStored))
	}
	f := read(t, bomb, bombStored, Limits{Plain: 1 << 20, Lines: 100, Line: 1000})
	if !f.Cut || f.PlainOK || f.PlainSize != 1<<20 || !f.StoredOK {
		t.Errorf("a bomb: cut %t, %d bytes, stored ok %t", f.Cut, f.PlainSize, f.StoredOK)
	}
	if _, err := Read(t.Context(), evidence.Item{Name: "artifacts/x.jsonl.age"}, strings.NewReader(""), DefaultLimits()); !errors.Is(err, ErrScheme) {
		t.Errorf("an unknown packing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, item, bytes.NewReader(stored), DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// TestCacheOpensOnceAndForgets counts how often the bytes are opened.
func TestCacheOpensOnceAndForgets(t *testing.T) {
	a, aStored := packed(t, artifact.KindProcess, strings.Repeat(`{"pid":1}`+"\n", 100))
	b, bStored := packed(t, artifact.KindProcess, strings.Repeat(`{"pid":2}`+"\n", 100))
	d, dStored := packed(t, artifact.KindProcess, strings.Repeat(`{"pid":3}`+"\n", 300))
	room := read(t, b, bStored, DefaultLimits()).Memory() + read(t, d, dStored, DefaultLimits()).Memory()
	c := NewCache(room, DefaultLimits(), time.Now)
	opened := 0
	get := func(item evidence.Item, stored []byte) *File {
		t.Helper()
		f, err := c.Get(t.Context(), item, func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(bytes.NewReader(stored)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if first := get(a, aStored); get(a, aStored) != first || opened != 1 {
		t.Errorf("opened %d times, want 1", opened)
	}
	get(b, bStored)
	get(d, dStored) // a has to go
	opened = 0
	get(d, dStored)
	get(a, aStored)
	if opened != 1 {
		t.Errorf("opened %d times, want 1: the oldest was not forgotten", opened)
	}
	if c.size > room {
		t.Errorf("the cache holds %d bytes", c.size)
	}
	opened = 0
	get(evidence.Item{ID: "evd_damaged", Name: "x.jsonl.zst"}, []byte("damaged"))
	get(evidence.Item{ID: "evd_damaged", Name: "x.jsonl.zst"}, []byte("damaged"))
	if opened != 2 {
		t.Errorf("damaged evidence was kept: opened %d times", opened)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"pid":1,"args":["x"]}`+"\n"), "process", true)
	f.Add([]byte(`{"a":{"b":[]},"c":"\ud800"}`), "session", true)
	f.Add([]byte("(\xb5/\xfd"), "netconn", false)
	f.Fuzz(func(t *testing.T, b []byte, kind string, pack bool) {
		item := evidence.Item{Name: "x.jsonl.zst", Kind: artifact.Kind(kind)}
		if pack {
			item.Name = "x.jsonl"
		}
		l := Limits{Plain: 1 << 20, Lines: 50, Line: 1000}
		got, err := Read(t.Context(), item, bytes.NewReader(b), l)
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows() > l.Lines || got.PlainSize > l.Plain {
			t.Errorf("%d rows, %d bytes: beyond the limits", got.Rows(), got.PlainSize)
		}
	})
}

// TestPiecesOfFilesAreNotKept: an artifact of saved programs is as long as they are.
func TestPiecesOfFilesAreNotKept(t *testing.T) {
	long := strings.Repeat("QUJD", 50_000)
	item, stored := packed(t, artifact.KindDeletedExe, `{"part":"data","file":0,"offset":0,"data_b64":"`+long+`"}`+"\n"+`{"part":"end","file":0,"copied":3,"sha256":"`+strings.Repeat("ab", 32)+`"}`+"\n")
	f := read(t, item, stored, DefaultLimits())
	if len(f.Lines) != 2 || !f.PlainOK || f.Cut || f.Bad > 0 {
		t.Fatalf("%d lines, %+v", len(f.Lines), f)
	}
	if v := f.Lines[0][3]; v.Name != "data_b64" || len(v.Value) > 100 || !strings.HasPrefix(long, strings.TrimSuffix(v.Value, "…")) {
		t.Errorf("%s of %d bytes", v.Name, len(v.Value))
	}
	if v := f.Lines[1][3]; v.Name != "sha256" || len(v.Value) != 64 {
		t.Errorf("%+v", v)
	}
}
