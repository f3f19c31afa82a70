package kit_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"hozen/collector/internal/kit"
	"hozen/internal/digest"
	"hozen/internal/usbkit"
)

// endless is a zip of so many empty files, made where it is read; it counts what is read.
type endless struct {
	entry []byte // of the directory, over and over
	size  int64  // of the directory
	end   []byte
	read  int64
}

func newEndless(files int64, end func(size int64) []byte) *endless {
	e := &endless{entry: binary.LittleEndian.AppendUint32(nil, 0x02014b50)}
	e.entry = append(e.entry, make([]byte, 24)...)
	e.entry = binary.LittleEndian.AppendUint16(e.entry, 1) // the length of the name
	e.entry = append(e.entry, make([]byte, 16)...)
	e.entry = append(e.entry, 'x')
	e.size = files * int64(len(e.entry))
	e.end = end(e.size)
	return e
}

func (e *endless) ReadAt(p []byte, off int64) (int, error) {
	e.read += int64(len(p))
	for i := range p {
		switch at := off + int64(i); {
		case at < e.size:
			p[i] = e.entry[at%int64(len(e.entry))]
		case at < e.size+int64(len(e.end)):
			p[i] = e.end[at-e.size]
		default:
			return i, io.EOF
		}
	}
	return len(p), nil
}

// plainEnd says so many files; end64 says more in the form for large zips.
func plainEnd(files uint16) func(int64) []byte {
	return func(size int64) []byte {
		b := binary.LittleEndian.AppendUint32(nil, 0x06054b50)
		b = binary.LittleEndian.AppendUint16(append(b, 0, 0, 0, 0), files)
		b = binary.LittleEndian.AppendUint16(b, files)
		b = binary.LittleEndian.AppendUint32(b, uint32(min(size, 1<<32-2)))
		return append(b, 0, 0, 0, 0, 0, 0)
	}
}

func end64(files uint64) func(int64) []byte {
	return func(size int64) []byte {
		le := binary.LittleEndian
		b := append(le.AppendUint64(le.AppendUint32(nil, 0x06064b50), 44), make([]byte, 12)...)
		for _, v := range []uint64{files, files, uint64(size), 0} {
			b = le.AppendUint64(b, v)
		}
		b = le.AppendUint32(le.AppendUint64(le.AppendUint32(append(b, 'P', 'K', 6, 7), 0), uint64(size)), 1)
		return append(b, plainEnd(0xffff)(1<<32)...)
	}
}

// TestZipOfMillions: a zip of three million files, or one that says that it has them, is refused
// before much is read, and before room is made for them.
func TestZipOfMillions(t *testing.T) {
	for name, c := range map[string]struct {
		zip  *endless
		most int64 // bytes that may be read
	}{
		"said":                         {newEndless(3_000_000, end64(3_000_000)), 80 << 10},
		"said, and not there":          {newEndless(1, end64(1<<62)), 80 << 10},
		"said as 5, and three million": {newEndless(3_000_000/65536*65536+5, plainEnd(5)), 5 << 20},
		"said as 5, and a few more":    {newEndless(65536+5, plainEnd(5)), 5 << 20},
		"said as 5 in the large form":  {newEndless(3_000_000/65536*65536+5, end64(5)), 5 << 20},
	} {
		z, err := kit.OpenZip(c.zip, c.zip.size+int64(len(c.zip.end)))
		if !errors.Is(err, kit.ErrTooMany) || z != nil || c.zip.read > c.most {
			t.Errorf("%s: %v, %d bytes were read", name, err, c.zip.read)
		}
	}
	few := newEndless(20_000, plainEnd(20_000))
	if z, err := kit.OpenZip(few, few.size+int64(len(few.end))); err != nil || len(z.File) != 20_000 {
		t.Errorf("20,000 files: %v", err)
	}
}

// TestSizesOfTheKitAreNotBelieved: the document on a stick is anybody's until its signature was
// looked at. A size in it neither lets a file pass nor makes the collector read on.
func TestSizesOfTheKitAreNotBelieved(t *testing.T) {
	none := digest.Of(nil).String()
	for name, f := range map[string]usbkit.File{
		"the largest number":     {Name: usbkit.WindowsAgent, SHA256: none, Size: 1<<63 - 1},
		"larger than it is":      {Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 6},
		"a beginning of it":      {Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 4},
		"more than a kit's file": {Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: kit.MaxAgent + 1},
	} {
		m := newMaker(t)
		_, files := whole(t, m, "")
		files[usbkit.WindowsAgent] = []byte("some program")
		k := m.made.Kit
		k.Files = []usbkit.File{f}
		doc, err := k.Encode()
		must(t, err)
		files[usbkit.DocumentFile] = doc
		s := read(t, files, nil)
		if len(s.Problems) != 1 || s.Problems[0].Code != kit.CodeDigest || s.Problems[0].File != f.Name {
			t.Errorf("%s: %+v", name, s.Problems)
		}
	}
}

func FuzzOpenZip(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create("results/x")
	must(f, err)
	must(f, z.Close())
	f.Add(b.Bytes())
	f.Add(plainEnd(5)(0))
	f.Add(end64(5)(0))
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := kit.OpenZip(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		plain, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(plain.File) != len(z.File) || len(z.File) > 20_000 {
			t.Errorf("%d files here, and there %v", len(z.File), err)
		}
	})
}
