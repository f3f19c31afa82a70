package wincopy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Journal is the USN journal of a volume.
type Journal interface {
	// Query answers with USN_JOURNAL_DATA_V0 (winioctl.h).
	Query() ([]byte, error)
	// Read answers a READ_USN_JOURNAL_DATA_V1 with the next number and records.
	Read(question, answer []byte) (int, error)
	Close() error
}

// A number of the journal (USN) is a place in it, in bytes. Records do not cross pages.
const (
	usnPage  = 4096
	usnPiece = 64 << 10

	usnQuerySize  = 24 // USN_JOURNAL_DATA_V0: journal's id, first number, next number, …
	usnSmallest   = 60 // USN_RECORD_V2 without a name
	usnQuestion   = 48
	usnAnyReason  = 1<<32 - 1
	usnVersionMin = 2
	usnVersionMax = 3
)

var errUSN = errors.New("the journal's answer is not understood")

// usnFile is the end of a journal: its records as Windows gives them, one after the other
// (USN_RECORD_V2 and V3).
type usnFile struct {
	j         Journal
	id        uint64
	from, end int64 // numbers; end is where the journal ended when it was opened
	next      int64
	first     int64
	answer    []byte
	rest      []byte // of the answer, not yet given
	err       error
}

// openUSN begins at most bytes before the end.
func openUSN(j Journal, most int64) (*usnFile, error) {
	b, err := j.Query()
	if err == nil && len(b) < usnQuerySize {
		err = errUSN
	}
	if err != nil {
		return nil, fmt.Errorf("look at journal: %w", err)
	}
	le := binary.LittleEndian
	u := &usnFile{j: j, id: le.Uint64(b), first: int64(le.Uint64(b[8:])), end: int64(le.Uint64(b[16:])), answer: make([]byte, usnPiece)}
	if u.first < 0 || u.end < u.first {
		return nil, fmt.Errorf("look at journal: %w", errUSN)
	}
	u.from = max(u.first, (u.end-most+usnPage-1)&^(usnPage-1))
	u.next = u.from
	return u, nil
}

// Status implements [File]. The records are a little less than what they take in the journal.
func (u *usnFile) Status() (Status, error) {
	return Status{Size: u.end - u.from, About: true}, nil
}

// Close implements [File].
func (u *usnFile) Close() error { return u.j.Close() }

// Seek implements [File]: records are read one after the other only.
func (u *usnFile) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }

// Read implements [File].
func (u *usnFile) Read(b []byte) (int, error) {
	for len(u.rest) == 0 && u.err == nil {
		u.fill()
	}
	if len(u.rest) == 0 {
		return 0, u.err
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// fill asks for the next records.
func (u *usnFile) fill() {
	if u.next >= u.end {
		u.err = io.EOF
		return
	}
	q, le := make([]byte, usnQuestion), binary.LittleEndian
	le.PutUint64(q, uint64(u.next))
	le.PutUint32(q[8:], usnAnyReason)
	le.PutUint64(q[32:], u.id)
	le.PutUint16(q[40:], usnVersionMin)
	le.PutUint16(q[42:], usnVersionMax)
	n, err := u.j.Read(q, u.answer)
	if err != nil && u.next == u.from && u.from > u.first {
		// No record begins there after all, or what was there is gone by now.
		u.from, u.next = u.first, u.first
		return
	}
	if err != nil {
		u.err = err
		return
	}
	next, records, err := usnRecords(u.answer[:min(n, len(u.answer))])
	u.rest = records
	switch {
	case err != nil:
		u.err = err
	case next <= u.next || len(records) == 0:
		u.err = io.EOF // there is no more
	default:
		u.next = next
	}
}

// usnRecords reads an answer: the number at which the next question begins, and the records,
// which are whole. What was read before an error is valid.
func usnRecords(b []byte) (next int64, records []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errUSN
	}
	next, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	for at := 0; at < len(b); {
		if len(b)-at < usnSmallest {
			return next, b[:at], fmt.Errorf("%d bytes at the end: %w", len(b)-at, errUSN)
		}
		size := binary.LittleEndian.Uint32(b[at:])
		if size < usnSmallest || size%8 != 0 || uint64(size) > uint64(len(b)-at) {
			return next, b[:at], fmt.Errorf("record of %d bytes: %w", size, errUSN)
		}
		at += int(size)
	}
	return next, b, nil
}
