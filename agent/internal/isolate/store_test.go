package isolate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/durable"
)

var testKey = bytes.Repeat([]byte("k"), 32)

func testRecord(s State, id string) Record {
	return Record{Desired: s, CommandID: id, OrderedAt: time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC),
		Policy: Policy{Mode: Standard, Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7443")}, Mark: 7}}
}

func openStore(t *testing.T, dir string) *FileStore {
	t.Helper()
	s, err := NewFileStore(FileStoreConfig{Dir: dir, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func same(a, b Record) bool {
	return a.Desired == b.Desired && a.CommandID == b.CommandID && a.OrderedAt.Equal(b.OrderedAt) &&
		a.Policy.Equal(b.Policy) && a.Lost == b.Lost
}

func TestStoreKeepsTheLastOrder(t *testing.T) {
	dir := t.TempDir()
	if _, err := openStore(t, dir).Load(); err != ErrNoRecord {
		t.Errorf("empty: got %v, want ErrNoRecord", err)
	}
	for i, s := range []State{Isolated, Isolated, Released, Isolated, Released, Released} {
		r := testRecord(s, fmt.Sprint("cmd_", i))
		if err := openStore(t, dir).Save(r); err != nil { // a new one each time: a restart
			t.Fatal(err)
		}
		got, err := openStore(t, dir).Load()
		if err != nil || !same(got, r) {
			t.Errorf("order %d: got %+v, %v", i, got, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "isolation.marker")); (err == nil) != (s == Isolated) {
			t.Errorf("order %d: marker: %v", i, err)
		}
	}
}

func TestStoreRefusesABadConfig(t *testing.T) {
	for _, c := range []FileStoreConfig{{Dir: "x"}, {Dir: "x", Key: testKey[:31]}, {Key: testKey}} {
		if _, err := NewFileStore(c); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
	if err := openStore(t, t.TempDir()).Save(Record{Desired: Failed}); err == nil {
		t.Error("saved a record that orders neither")
	}
}

// Damage done to the files, alone and together, of an isolated endpoint.
func TestStoreDamage(t *testing.T) {
	damage := map[string]func(t *testing.T, path string){
		"gone":      func(t *testing.T, p string) { check(t, os.Remove(p)) },
		"empty":     func(t *testing.T, p string) { check(t, os.WriteFile(p, nil, 0o600)) },
		"cut short": func(t *testing.T, p string) { check(t, os.Truncate(p, 40)) },
		"one bit": func(t *testing.T, p string) {
			b, err := os.ReadFile(p)
			check(t, err)
			b[len(b)-2] ^= 1
			check(t, os.WriteFile(p, b, 0o600))
		},
		"another key": func(t *testing.T, p string) {
			b, err := encodeRecord(bytes.Repeat([]byte("x"), 32), 99, testRecord(Released, "cmd_evil"))
			check(t, err)
			check(t, os.WriteFile(p, b, 0o600))
		},
		"huge": func(t *testing.T, p string) { check(t, os.WriteFile(p, make([]byte, recordMax*2), 0o600)) },
		"a directory": func(t *testing.T, p string) {
			check(t, os.Remove(p))
			check(t, os.Mkdir(p, 0o700))
		},
	}
	for name, harm := range damage {
		t.Run("record "+name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, openStore(t, dir).Save(testRecord(Isolated, "cmd_1")))
			harm(t, filepath.Join(dir, "isolation.record"))
			if _, err := openStore(t, dir).Load(); !errors.Is(err, ErrRecordLost) {
				t.Errorf("got %v, want ErrRecordLost", err)
			}
			if name == "a directory" {
				return
			}
			// A new order mends it.
			check(t, openStore(t, dir).Save(testRecord(Released, "cmd_2")))
			if r, err := openStore(t, dir).Load(); err != nil || r.Desired != Released {
				t.Errorf("after a new order: %+v, %v", r, err)
			}
		})
		t.Run("marker "+name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, openStore(t, dir).Save(testRecord(Isolated, "cmd_1")))
			harm(t, filepath.Join(dir, "isolation.marker"))
			r, err := openStore(t, dir).Load()
			if name == "gone" {
				if err != nil || r.Desired != Isolated {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			if !errors.Is(err, ErrRecordLost) {
				t.Errorf("got %v, want ErrRecordLost", err)
			}
		})
		t.Run("released, record "+name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, openStore(t, dir).Save(testRecord(Isolated, "cmd_1")))
			check(t, openStore(t, dir).Save(testRecord(Released, "cmd_2")))
			harm(t, filepath.Join(dir, "isolation.record"))
			_, err := openStore(t, dir).Load()
			if errors.Is(err, ErrRecordLost) || err == nil {
				t.Errorf("got %v: nothing says that isolation is ordered", err)
			}
		})
	}
}

// An old file that says released is put back while isolation is ordered.
func TestStoreReplayedRecord(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	check(t, s.Save(testRecord(Isolated, "cmd_1")))
	check(t, s.Save(testRecord(Released, "cmd_2")))
	old, err := os.ReadFile(s.record())
	check(t, err)
	check(t, s.Save(testRecord(Isolated, "cmd_3")))
	check(t, os.WriteFile(s.record(), old, 0o600))
	if _, err := openStore(t, dir).Load(); !errors.Is(err, ErrRecordLost) {
		t.Errorf("got %v, want ErrRecordLost", err)
	}
	// The numbers go on from the marker's, so a mended record is newer than it.
	check(t, openStore(t, dir).Save(testRecord(Isolated, "cmd_4")))
	if r, err := openStore(t, dir).Load(); err != nil || r.CommandID != "cmd_4" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Each write fails, before and after it took effect, on the way from every order to
// every other.
func TestStoreCrashPoints(t *testing.T) {
	for _, from := range []State{"", Released, Isolated} {
		for _, to := range []State{Released, Isolated} {
			for step := range 2 {
				for _, persisted := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s to %s/step %d/persisted=%t", from, to, step, persisted), func(t *testing.T) {
						crashPoint(t, from, to, step, persisted)
					})
				}
			}
		}
	}
}

func crashPoint(t *testing.T, from, to State, step int, persisted bool) {
	dir := t.TempDir()
	if from != "" {
		check(t, openStore(t, dir).Save(testRecord(from, "cmd_old")))
	}
	s := openStore(t, dir)
	n := 0
	crash := errors.New("crash")
	fault := func(do func() error) error {
		defer func() { n++ }()
		switch {
		case n < step:
			return do()
		case n == step && persisted:
			check(t, do())
		}
		return crash
	}
	s.write = func(path string, b []byte, mode fs.FileMode) error {
		return fault(func() error { return durable.WriteFile(path, b, mode) })
	}
	s.remove = func(path string) error { return fault(func() error { return durable.Remove(path) }) }
	if err := s.Save(testRecord(to, "cmd_new")); !errors.Is(err, crash) {
		t.Fatalf("saved: %v", err)
	}
	r, err := openStore(t, dir).Load()
	switch nothing, marked := step == 0 && !persisted, to == Isolated && from != Isolated && (step == 0) == persisted; {
	case nothing && from == "":
		if err != ErrNoRecord {
			t.Errorf("nothing was written: got %+v, %v, want ErrNoRecord", r, err)
		}
	case nothing:
		if err != nil || r.CommandID != "cmd_old" {
			t.Errorf("nothing was written: got %+v, %v, want the old order", r, err)
		}
	case marked: // the order to isolate has begun, what it allows is not written
		if !errors.Is(err, ErrRecordLost) {
			t.Errorf("marker alone: got %+v, %v, want ErrRecordLost", r, err)
		}
	default:
		if err != nil || r.CommandID != "cmd_new" {
			t.Errorf("got %+v, %v, want the new order", r, err)
		}
	}
	// Whatever is there, the next order counts.
	check(t, openStore(t, dir).Save(testRecord(to, "cmd_next")))
	if r, err := openStore(t, dir).Load(); err != nil || r.CommandID != "cmd_next" {
		t.Errorf("next order: %+v, %v", r, err)
	}
}

// The record of an agent from before modes, permits and codes, with the key that it had.
func TestRecordOfAnEarlierAgent(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "record-v1.txt"))
	check(t, err)
	seq, r, err := decodeRecord(testKey, b)
	check(t, err)
	want := testRecord(Isolated, "cmd_01J9ZK8Y6W0000000000000000")
	if seq != 41 || !same(r, want) || r.Confirm == nil || r.Confirm.Else != RollBack || r.Confirm.To == nil ||
		!r.Confirm.To.Policy.Equal(want.Policy) || r.Confirm.At.IsZero() {
		t.Errorf("%d %+v", seq, r)
	}
	if !r.Until.IsZero() || r.Code != nil || r.Lease != 0 || r.Drill || len(r.Policy.Permits) != 0 || r.Ended != nil {
		t.Errorf("what nobody ordered: %+v", r)
	}
}

// A disk that is full from now on loses nothing of an isolation that is on it.
func TestStoreFullDiskKeepsTheOrder(t *testing.T) {
	dir := t.TempDir()
	check(t, openStore(t, dir).Save(testRecord(Isolated, "cmd_1")))
	s := openStore(t, dir)
	full := errors.New("no space")
	s.write = func(path string, b []byte, mode fs.FileMode) error {
		if path == s.record() { // the marker is smaller, and finds room
			return full
		}
		return durable.WriteFile(path, b, mode)
	}
	for range 2 {
		if err := s.Save(testRecord(Isolated, "cmd_1")); !errors.Is(err, full) {
			t.Fatal(err)
		}
		if r, err := openStore(t, dir).Load(); err != nil || r.CommandID != "cmd_1" {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestRecordLimits(t *testing.T) {
	r := testRecord(Isolated, strings.Repeat("x", recordMax))
	if _, err := encodeRecord(testKey, 1, r); err == nil {
		t.Error("wrote a record that cannot be read again")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	good, err := encodeRecord(testKey, 3, testRecord(Isolated, "cmd_1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, true)
	f.Add(good[:len(good)-9], false)
	f.Add([]byte(`{"desired":"isolated","policy":{"collectors":["[::1%eth0]:1"]}}`), true)
	f.Add([]byte(`{"desired":"isolated","policy":{"mode":"selective","collectors":["[::1]:1"],"permits":[{"network":"::ffff:10.0.0.0/104","protocol":"tcp","first_port":1,"last_port":2,"expires_at":"2026-11-22T00:00:00Z"}]},"until":"2026-11-23T00:00:00Z","lease_ns":-1,"code":{"number":"000000000001","hash":"","salt":"","iterations":1},"count":{"boot":"b","total_ns":-5},"tried":[{"by":"1000","made":-3},{"by":"1000","made":9}]}`), true)
	f.Add([]byte("hozen-isolation-record 1 18446744073709551615 \n"), false)
	f.Add([]byte(nil), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign { // as a holder of the key would write it: the reader behind the seal
			b = seal(testKey, recordMagic, 7, b)
		}
		seq, r, err := decodeRecord(testKey, b)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Fatalf("error %v is not errDamaged", err)
			}
			return
		}
		again, err := encodeRecord(testKey, seq, r)
		if err != nil {
			t.Skip("too long when written again")
		}
		seq2, r2, err := decodeRecord(testKey, again)
		if err != nil || seq2 != seq || !same(r2, r) {
			t.Fatalf("%+v became %+v, %v", r, r2, err)
		}
		if r.Desired != Isolated && r.Desired != Released {
			t.Fatalf("desired %q", r.Desired)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
