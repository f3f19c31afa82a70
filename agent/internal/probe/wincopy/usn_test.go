package wincopy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// journal keeps records of 64 bytes at their numbers, from first to end.
type journal struct {
	first, end int64
	picky      bool // refuses to begin anywhere but at the first record
	asked      []int64
	fail       error
	closed     bool
}

func record64(usn int64) []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b, 64)
	binary.LittleEndian.PutUint16(b[4:], 2)
	binary.LittleEndian.PutUint64(b[24:], uint64(usn))
	return b
}

func (j *journal) Query() ([]byte, error) {
	b := make([]byte, 56)
	for i, n := range []int64{0x77, j.first, j.end} {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(n))
	}
	return b, nil
}

func (j *journal) Read(q, answer []byte) (int, error) {
	le := binary.LittleEndian
	at := int64(le.Uint64(q))
	j.asked = append(j.asked, at)
	if j.fail != nil && len(j.asked) > 1 {
		return 0, j.fail
	}
	if le.Uint64(q[32:]) != 0x77 || le.Uint32(q[8:]) != 1<<32-1 || le.Uint16(q[40:]) != 2 || le.Uint16(q[42:]) != 3 || len(q) != 48 || j.picky && len(j.asked) == 1 && at != j.first {
		return 0, errors.New("ERROR_INVALID_PARAMETER")
	}
	n := 8
	for ; at < j.end && n+64 <= min(len(answer), 2048); at += 64 {
		n += copy(answer[n:], record64(at))
	}
	le.PutUint64(answer, uint64(at))
	return n, nil
}

func (j *journal) Close() error { j.closed = true; return nil }

func all(first, end int64) (b []byte) {
	for at := first; at < end; at += 64 {
		b = append(b, record64(at)...)
	}
	return b
}

func TestJournal(t *testing.T) {
	for name, c := range map[string]struct {
		j    journal
		most int64
		want []byte
		err  error
	}{
		"all of it":      {journal{first: 4096, end: 20480}, 1 << 20, all(4096, 20480), nil},
		"its end":        {journal{first: 4096, end: 1 << 20}, 10000, all(1<<20-8192, 1<<20), nil},
		"empty":          {journal{first: 4096, end: 4096}, 100, nil, nil},
		"from its start": {journal{first: 4096, end: 1 << 20, picky: true}, 10000, all(4096, 1<<20), nil},
		"breaks off":     {journal{first: 4096, end: 1 << 20, fail: io.ErrClosedPipe}, 1 << 21, all(4096, 4096+31*64), io.ErrClosedPipe},
	} {
		u, err := openUSN(&c.j, c.most)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(u)
		if !bytes.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(c.want), err)
		}
		st, _ := u.Status()
		if !st.About || st.Size < int64(len(got)) {
			t.Errorf("%s: %+v", name, st)
		}
		if u.Close(); !c.j.closed {
			t.Errorf("%s: the volume stays open", name)
		}
	}
	if _, err := openUSN(&journal{first: 9, end: 3}, 1); !errors.Is(err, errUSN) {
		t.Errorf("a journal that ends before it begins: %v", err)
	}
}

func FuzzUSNRecords(f *testing.F) {
	f.Add(append(make([]byte, 8), record64(7)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, records, err := usnRecords(b)
		if len(records) > max(len(b)-8, 0) || err == nil && len(records) != len(b)-8 {
			t.Errorf("%d of %d bytes", len(records), len(b))
		}
		if _, again, err := usnRecords(append(make([]byte, 8), records...)); err != nil || !bytes.Equal(again, records) {
			t.Errorf("what was valid is not: %v", err)
		}
	})
}
