package bootverdict

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// The journal's file format: https://systemd.io/JOURNAL_FILE_FORMAT, numbers in little
// endian. This reads what it needs and believes no offset.
const (
	journalHeader  = 240 // up to n_entry_arrays, in every file since systemd 189
	journalOnline  = 1   // state: being written, or its writer never closed it
	objectData     = 1
	objectEntry    = 3
	objectArray    = 6
	journalCompact = 1 << 4 // 32-bit offsets
	journalKnown   = 1<<5 - 1
	objectHeader   = 16
	maxArrays      = 256 // arrays double, so that many hold more than any file
	maxItems       = 512 // fields of an entry
	maxField       = 512 // bytes of a field that are read; the wanted ones are short
)

var errJournal = errors.New("not a journal file that can be read here")

// journalFile is one file of the journal, open.
type journalFile struct {
	r       io.ReaderAt
	size    int64
	compact bool
	state   byte
	seqID   string
	tailSeq uint64
	tailAt  time.Time
	arrays  []entryArray
	entries int64
	fields  map[int64]string // by offset; "" for a field that is not wanted
}

type entryArray struct{ offset, n int64 }

// journalEntry is one entry without its fields.
type journalEntry struct {
	seq   uint64
	at    time.Time
	boot  string
	items []int64
}

// openJournal reads the header.
func openJournal(r io.ReaderAt, size int64) (*journalFile, error) {
	var h [journalHeader]byte
	if _, err := r.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("read header: %w", errors.Join(errJournal, err))
	}
	le := binary.LittleEndian
	flags := le.Uint32(h[12:])
	if string(h[:8]) != "LPKSHHRH" || flags&^uint32(journalKnown) != 0 || le.Uint64(h[88:]) < 208 {
		return nil, errJournal
	}
	f := &journalFile{r: r, size: size, compact: flags&journalCompact != 0, state: h[16], seqID: hex.EncodeToString(h[72:88]),
		tailSeq: le.Uint64(h[160:]), tailAt: microseconds(le.Uint64(h[192:])), fields: map[int64]string{}}
	n := int64(min(le.Uint64(h[152:]), uint64(size)))
	return f, f.readArrays(int64(le.Uint64(h[176:])), n)
}

// object reads the beginning of an object into b and returns the object's whole size.
func (f *journalFile) object(offset int64, kind byte, b []byte) (int64, error) {
	if offset < 208 || offset%8 != 0 || offset > f.size-int64(len(b)) {
		return 0, errJournal
	}
	if _, err := f.r.ReadAt(b, offset); err != nil {
		return 0, fmt.Errorf("read object: %w", errors.Join(errJournal, err))
	}
	size := binary.LittleEndian.Uint64(b[8:])
	if b[0] != kind || size < objectHeader || size > uint64(f.size-offset) {
		return 0, errJournal
	}
	return int64(size), nil
}

func (f *journalFile) itemSize() int64 {
	if f.compact {
		return 4
	}
	return 8
}

// readArrays follows the chain of entry arrays. They lie one behind the other, so a
// chain that goes back is broken.
func (f *journalFile) readArrays(offset, n int64) error {
	const head = objectHeader + 8
	for f.entries < n && offset != 0 {
		var b [head]byte
		size, err := f.object(offset, objectArray, b[:])
		if err != nil || size < head || len(f.arrays) == maxArrays {
			return errJournal
		}
		items := min((size-head)/f.itemSize(), n-f.entries)
		f.arrays = append(f.arrays, entryArray{offset + head, items})
		f.entries += items
		next := int64(binary.LittleEndian.Uint64(b[objectHeader:]))
		if next != 0 && next <= offset {
			return errJournal
		}
		offset = next
	}
	return nil
}

// entry reads the i-th entry.
func (f *journalFile) entry(i int64) (e journalEntry, err error) {
	for _, a := range f.arrays {
		if i >= a.n {
			i -= a.n
			continue
		}
		offset, err := f.item(a.offset + i*f.itemSize())
		if err != nil {
			return e, err
		}
		return f.entryAt(offset)
	}
	return e, errJournal
}

func (f *journalFile) item(at int64) (int64, error) {
	b := make([]byte, f.itemSize())
	if _, err := f.r.ReadAt(b, at); err != nil {
		return 0, fmt.Errorf("read item: %w", errors.Join(errJournal, err))
	}
	return f.offsetIn(b), nil
}

func (f *journalFile) offsetIn(b []byte) int64 {
	if f.compact {
		return int64(binary.LittleEndian.Uint32(b))
	}
	return int64(min(binary.LittleEndian.Uint64(b), 1<<62))
}

func (f *journalFile) entryAt(offset int64) (e journalEntry, err error) {
	const head = 64
	var b [head]byte
	size, err := f.object(offset, objectEntry, b[:])
	if err != nil || size < head {
		return e, errJournal
	}
	le := binary.LittleEndian
	e.seq, e.at, e.boot = le.Uint64(b[16:]), microseconds(le.Uint64(b[24:])), bootIDOf(b[40:56])
	step := f.itemSize()
	if !f.compact {
		step = 16 // the offset and a hash
	}
	items := make([]byte, min(size-head, maxItems*step))
	if _, err := f.r.ReadAt(items, offset+head); err != nil {
		return e, fmt.Errorf("read entry: %w", errors.Join(errJournal, err))
	}
	for ; int64(len(items)) >= step; items = items[step:] {
		e.items = append(e.items, f.offsetIn(items))
	}
	return e, nil
}

// wanted are the fields that are kept. Those with an underscore are written by journald
// itself, so that a program cannot claim to be another.
func wanted() []string {
	return []string{"MESSAGE=", "MESSAGE_ID=", "UNIT=", "_PID=", "_SYSTEMD_UNIT=", "_TRANSPORT="}
}

// text reads the wanted fields of an entry. A field that cannot be read is left out.
func (f *journalFile) text(e journalEntry) map[string]string {
	out := map[string]string{}
	for _, at := range e.items {
		s, ok := f.fields[at]
		if !ok {
			s = f.field(at)
			f.fields[at] = s
		}
		if name, value, ok := strings.Cut(s, "="); ok {
			out[name] = value
		}
	}
	return out
}

func (f *journalFile) field(offset int64) string {
	head := int64(64)
	if f.compact {
		head += 8
	}
	b := make([]byte, head)
	size, err := f.object(offset, objectData, b)
	const compressed = 7 // XZ, LZ4 or ZSTD; short fields never are
	if err != nil || size <= head || b[1]&compressed != 0 {
		return ""
	}
	payload := make([]byte, min(size-head, maxField))
	if _, err := f.r.ReadAt(payload, offset+head); err != nil {
		return ""
	}
	for _, w := range wanted() {
		if bytes.HasPrefix(payload, []byte(w)) {
			return string(payload)
		}
	}
	return ""
}

// before returns the index of the last entry that is not of the boot id. Entries of one
// boot stand together.
func (f *journalFile) before(id string) (i int64, e journalEntry, err error) {
	n := f.entries
	for back := 0; back < 64 && n > 0; back++ { // the last items may be torn
		if e, err = f.entry(n - 1); err == nil {
			break
		}
		n--
	}
	if n == 0 || err != nil {
		return 0, e, errors.Join(errJournal, err)
	}
	if e.boot != id {
		return n - 1, e, nil
	}
	first := int64(sort.Search(int(n), func(i int) bool {
		e, eerr := f.entry(int64(i))
		err = errors.Join(err, eerr)
		return eerr != nil || e.boot == id
	}))
	if err != nil {
		return 0, e, err
	}
	if first == 0 {
		return -1, e, nil
	}
	e, err = f.entry(first - 1)
	return first - 1, e, err
}

func bootIDOf(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// microseconds is a time of the journal; zero for one that RFC 3339 cannot write.
func microseconds(us uint64) time.Time {
	const latest = 253402300799e6
	if us == 0 || us > latest {
		return time.Time{}
	}
	return time.UnixMicro(int64(us)).UTC()
}
