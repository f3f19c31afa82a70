// Package records reads the artifacts of evidence for showing: it unpacks, counts,
// hashes again and decodes them line by line within limits, and keeps the last ones.
// It knows nothing of HTML, of operators or of where the bytes are stored.
package records

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
)

// Limits bound what one artifact may cost. An endpoint wrote it, and the endpoint is
// in the hands of an attacker.
type Limits struct {
	Plain  int64 // unpacked bytes that are read; the rest is left out and said so
	Lines  int   // lines that are kept
	Line   int   // bytes of one line; a longer one is skipped and counted
	Memory int64 // bytes that the decoded lines may take; optional, 0 is any number
}

// DefaultLimits fit a PC with 20,000 processes or 200,000 sockets, and all that a flight
// recorder of 32 MiB holds.
func DefaultLimits() Limits {
	return Limits{Plain: 256 << 20, Lines: 200_000, Line: 4 << 20, Memory: 96 << 20}
}

// ErrScheme means that the artifact is packed in a way that this build cannot unpack.
var ErrScheme = errors.New("unknown packing")

// File is a decoded artifact. Exactly one of the slices is filled, by kind; it is
// shared between readers and must not be changed.
type File struct {
	Processes []record.Process
	Sockets   []record.Socket
	OpenFiles []record.OpenFiles
	Hashes    []record.ExeHash
	Flights   []Flight
	Lines     [][]Field // of every other kind

	Bad       int  // lines that are not what the schema says
	Cut       bool // a limit was reached; there is more in the evidence
	Older     int  // records that were left out before the first one, because the newest ones count
	StoredOK  bool // the stored bytes have the digest that was recorded
	PlainOK   bool // the unpacked bytes have the digest that was recorded
	PlainSize int64
	ReadAt    time.Time // when the bytes were read and hashed; set by [Cache.Get]

	bads  []int    // numbers of the first lines that are no rows
	own   int64    // bytes that hang on the rows
	owns  []int64  // of each of Flights, while they are read
	words *interns // of Flights, while they are read
}

// Field is one member of a JSON object, in the order of the line. A value that is
// not a string stands as its JSON.
type Field struct {
	Name, Value string
}

// Read decodes an artifact from its stored bytes. Damage is not an error: what could
// be read is returned and the flags of File say what is wrong. An error means that
// nothing can be shown.
func Read(ctx context.Context, item evidence.Item, stored io.Reader, l Limits) (*File, error) {
	f := &File{words: newInterns()}
	defer func() { f.owns, f.words = nil, nil }()
	hashed := digest.NewWriter(io.Discard)
	raw := io.TeeReader(stored, hashed)
	unpacked, closeUnpacked, err := unpack(item.Name, raw)
	if err != nil {
		return nil, fmt.Errorf("read evidence %s: %w", item.ID, err)
	}
	defer closeUnpacked()

	plain := digest.NewWriter(io.Discard)
	lines := bufio.NewReaderSize(io.TeeReader(io.LimitReader(unpacked, l.Plain), plain), 64<<10)
	damaged := f.lines(ctx, item, lines, l)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("read evidence %s: %w", item.ID, ctx.Err())
	}
	f.PlainSize = plain.Size()
	more, _ := io.ReadFull(unpacked, make([]byte, 1))
	f.Cut = f.Cut || more > 0
	f.PlainOK = damaged == nil && more == 0 && plain.Sum().String() == item.PlainSHA256
	if _, err := io.Copy(io.Discard, raw); err == nil { // what the unpacker left, so that all stored bytes are hashed
		f.StoredOK = hashed.Sum().String() == item.StoredSHA256
	}
	if damaged != nil {
		f.Bad++
	}
	return f, nil
}

func unpack(name string, r io.Reader) (io.Reader, func(), error) {
	plain, packed := strings.CutSuffix(name, ".zst")
	if !strings.HasSuffix(plain, ".jsonl") {
		return nil, nil, fmt.Errorf("%w: %.80q", ErrScheme, name)
	}
	if !packed {
		return r, func() {}, nil
	}
	// One goroutine and a bounded window: the collector may be a small machine.
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(32<<20), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

// lines decodes line by line. The error is what ended the reading before the end.
func (f *File) lines(ctx context.Context, item evidence.Item, r *bufio.Reader, l Limits) error {
	kind := item.Kind
	// What the intake has counted is not decoded when it would only be dropped again.
	old := item.Records - int64(l.Lines)
	var line []byte
	tooLong := false
	at := int64(0) // lines, empty ones too
	for n := 0; ; {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > l.Line; !tooLong {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		at++
		if b := bytes.TrimSpace(line); tooLong || len(b) > 0 {
			switch n++; {
			case kind == artifact.KindFlight && at <= old:
				f.Cut, f.Older = true, f.Older+1
				b, tooLong = nil, false
			case kind == artifact.KindFlight:
				f.forget(l)
			case n > l.Lines || f.full(l):
				f.Cut = true
				_, err := io.Copy(io.Discard, r) // for the digests
				return err
			}
			if tooLong || b != nil && f.add(kind, b) != nil {
				f.Bad++
				if len(f.bads) < maxBads {
					f.bads = append(f.bads, n)
				}
			}
		}
		line, tooLong = line[:0], false
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (f *File) add(kind artifact.Kind, line []byte) error {
	switch kind {
	case artifact.KindProcess:
		return add(f, &f.Processes, line)
	case artifact.KindNetConn:
		return add(f, &f.Sockets, line)
	case artifact.KindOpenFile:
		return add(f, &f.OpenFiles, line)
	case artifact.KindExeHash:
		return add(f, &f.Hashes, line)
	case artifact.KindFlight:
		return f.addFlight(line)
	}
	members, err := Fields(line)
	if err != nil {
		return err
	}
	for i := range members { // pieces of saved files: nobody reads them here
		if m := &members[i]; m.Name == "data_b64" && len(m.Value) > maxPiece {
			m.Value = strings.Clone(m.Value[:maxPiece]) + "…"
		}
	}
	f.Lines = append(f.Lines, members)
	f.own += behind(reflect.ValueOf(members))
	return nil
}

func add[T any](f *File, to *[]T, line []byte) error {
	var v T
	if err := json.Unmarshal(line, &v); err != nil {
		return err
	}
	*to = append(*to, v)
	f.own += behind(reflect.ValueOf(v))
	return nil
}

// maxBads is how many lines that are no rows are remembered by number.
const maxBads = 10_000

// Row is the number of the row that a line is, counted from 1 without empty lines; false when
// it is not among the rows.
func (f *File) Row(line int) (int, bool) {
	at, is := slices.BinarySearch(f.bads, line)
	row := line - 1 - f.Older - at
	return row, !is && line > 0 && row >= 0 && row < f.Rows()
}

// maxPiece is how much is kept of the bytes of a saved file, in characters of base64.
const maxPiece = 64

// maxFields is how many members of an object are kept for showing.
const maxFields = 256

// Fields splits a line into its members in the order in which they stand.
func Fields(line []byte) ([]Field, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("want an object")
	}
	var fields []Field
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		value := string(raw)
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &value); err != nil {
				return nil, err
			}
		}
		if len(fields) < maxFields {
			fields = append(fields, Field{name, value})
		}
	}
	_, err := d.Token()
	return fields, err
}

// Rows returns the number of records that were decoded.
func (f *File) Rows() int {
	return len(f.Processes) + len(f.Sockets) + len(f.OpenFiles) + len(f.Hashes) + len(f.Flights) + len(f.Lines)
}
