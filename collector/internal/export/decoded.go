package export

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"hozen/internal/artifact"
)

// Limits of readable copies, in bytes.
const (
	maxDecoded = 256 << 20
	maxLine    = 64 << 20
	// maxHeld is up to which size an artifact is unpacked into memory and looked at once. Larger
	// ones are unpacked again for each look.
	maxHeld = 32 << 20
)

// decoded writes the readable copies of the artifacts of an acquisition.
func (x *writer) decoded(h *docHost, a *docAcquisition) error {
	items := byName(a.acq.Items)
	last := "" // stem of the copy before; files of one name cannot be written twice
	for i := range items {
		it := &items[i]
		d := docItem{Number: it.Number, Name: it.Name}
		stem, form, _ := strings.Cut(strings.TrimSuffix(path.Base(it.Name), ".zst"), ".")
		switch {
		case a.DisposedBy != nil:
			d.Why = "its bytes were disposed of"
		case it.PlainSize > maxDecoded:
			d.Why = fmt.Sprintf("it has %d bytes, more than %d", it.PlainSize, int64(maxDecoded))
		case stem == last:
			d.Why = "another artifact has the copy of this name"
		case form == string(artifact.FormLiME) || form == string(artifact.FormRaw):
			file := "decoded/" + a.ID + "/" + stem + "." + form
			if err := x.bytes("hosts/"+h.Folder+"/"+file, it); err != nil {
				return err
			}
			d.Bytes, last = file, stem
		case form != string(artifact.FormLines):
			d.Why = "it is not made of lines of JSON"
		default:
			folder := "decoded/" + a.ID + "/" + stem
			c, err := x.copies("hosts/"+h.Folder+"/"+folder, a.acq, it)
			if err != nil {
				return err
			}
			if c.lines {
				d.Lines, last = folder+".jsonl", stem
			}
			if c.table {
				d.Table = folder + ".csv"
			}
			d.Why = c.why
		}
		a.Evidence = append(a.Evidence, d)
	}
	return nil
}

// byName returns the items in the order of their names.
func byName(items []Item) []Item {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	return items
}

// bytes writes what an artifact unpacks to that has no lines.
func (x *writer) bytes(name string, it *Item) error {
	sum, err := x.bag.data(name, zip.Deflate, func(w io.Writer) error {
		return x.plain(it, func(r io.Reader) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, x.bag.block)
			return err
		})
	})
	if err == nil && sum != it.PlainSHA256 {
		err = fmt.Errorf("%s: its decompressed bytes are not those that were accepted", it.Number)
	}
	return err
}

// copied says which readable copies of an artifact were written and, where one is missing,
// why.
type copied struct {
	lines, table bool
	why          string
}

// copies writes the table of an artifact and its lines; the table comes first, for files go
// in the order of their names.
func (x *writer) copies(stem string, a *Acquisition, it *Item) (copied, error) {
	held, odd, err := x.hold(it)
	if err != nil {
		return copied{}, err
	}
	t := &x.sheet
	t.begin(held != nil)
	if odd == nil {
		odd, err = x.look(t, a, it, held)
	}
	if err != nil {
		return copied{}, err
	}
	if odd != nil {
		return copied{why: odd.Error()}, nil
	}
	c := copied{lines: true, table: true}
	if why := t.fits(); why != nil {
		c.table, c.why = false, fmt.Sprintf("there is no table: %v", why)
	} else if _, err := x.bag.data(stem+".csv", zip.Deflate, func(w io.Writer) error { return x.table(w, t, it, held) }); err != nil {
		return copied{}, err
	}
	sum, err := x.bag.data(stem+".jsonl", zip.Deflate, func(w io.Writer) error {
		if held != nil {
			_, err := w.Write(held)
			return err
		}
		return x.plain(it, func(r io.Reader) error {
			_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, x.bag.block)
			return err
		})
	})
	if err == nil && sum != it.PlainSHA256 {
		err = fmt.Errorf("%s: its decompressed bytes are not those that were accepted", it.Number)
	}
	return c, err
}

// hold unpacks a small artifact. The bytes are valid until the next call; nil means that the
// artifact is large. odd says what is wrong with it, which is the endpoint's doing; err is
// what is wrong with us.
func (x *writer) hold(it *Item) (held []byte, odd, err error) {
	if it.PlainSize > maxHeld {
		return nil, nil, nil
	}
	if int64(cap(x.held)) < it.PlainSize || x.held == nil {
		x.held = make([]byte, max(it.PlainSize, 64<<10))
	}
	held = x.held[:0]
	err = x.plain(it, func(r io.Reader) error {
		for int64(len(held)) < it.PlainSize {
			n, err := r.Read(x.held[len(held):it.PlainSize])
			if held = x.held[:len(held)+n]; err == io.EOF {
				return nil // its digest will tell
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	odd, err = x.whose(err)
	return held, odd, err
}

// errPacked is what is said of what cannot be decompressed.
var errPacked = errors.New("it cannot be decompressed")

// whose tells the endpoint's errors from ours.
func (x *writer) whose(err error) (odd, ours error) {
	switch _, mine := errors.AsType[*sourceError](err); {
	case err == nil:
		return nil, nil
	case mine || x.ctx.Err() != nil:
		return nil, err
	case errors.Is(err, errLong):
		return errLong, nil
	}
	return errPacked, nil
}

// look reads an artifact for the first time; its results are those of [writer.hold].
func (x *writer) look(t *table, a *Acquisition, it *Item, held []byte) (odd, err error) {
	var wrong error
	n := 0
	var members []member
	do := func(line []byte) error {
		n++
		var ok bool
		if members, ok = parseLine(line, members[:0]); !ok {
			if wrong == nil {
				wrong = fmt.Errorf("line %d is not one JSON object", n)
			}
			return nil
		}
		if wrong == nil {
			t.line(members, len(line))
			if len(t.body) > maxBody {
				t.rows, t.body, t.ends = false, nil, nil
			}
		}
		x.ioc.line(it, a, members)
		return nil
	}
	if held != nil {
		err = linesOf(held, do)
	} else {
		err = x.plain(it, func(r io.Reader) error { return eachLine(r, do) })
	}
	if odd, err = x.whose(err); odd == nil {
		odd = wrong
	}
	return odd, err
}

// table writes the table whose columns are known.
func (x *writer) table(w io.Writer, t *table, it *Item, held []byte) error {
	if err := t.head(w); err != nil || t.rows {
		return errors.Join(err, t.flush(w))
	}
	t.rows = true
	var members []member
	do := func(line []byte) error {
		members, _ = parseLine(line, members[:0])
		if t.line(members, len(line)); len(t.body) < 64<<10 {
			return t.err
		}
		return errors.Join(t.err, t.flush(w))
	}
	var err error
	if held != nil {
		err = linesOf(held, do)
	} else {
		err = x.plain(it, func(r io.Reader) error { return eachLine(r, do) })
	}
	return errors.Join(err, t.flush(w))
}

// each gives every line of an artifact that is one JSON object to do.
func (x *writer) each(it *Item, do func(members []member) error) error {
	var members []member
	one := func(line []byte) error {
		var ok bool
		if members, ok = parseLine(line, members[:0]); !ok {
			return nil
		}
		return do(members)
	}
	err := x.plain(it, func(r io.Reader) error { return eachLine(r, one) })
	_, err = x.whose(err)
	return err
}

// sourceError is trouble with reading stored bytes, whatever they say.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// stored reads stored bytes and remembers what went wrong.
type stored struct {
	r   io.Reader
	err error
}

func (s *stored) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// plain opens what a probe wrote.
func (x *writer) plain(it *Item, use func(io.Reader) error) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	f, err := x.src.Open(x.ctx, it.StoredSHA256)
	if err != nil {
		return fmt.Errorf("%s: %w", it.Number, &sourceError{err})
	}
	defer f.Close()
	s := &stored{r: f}
	var r io.Reader = s
	if it.Compression != "none" {
		err = x.dec.Reset(s)
		r = x.dec
	}
	if err == nil {
		err = use(io.LimitReader(r, it.PlainSize))
	}
	if s.err != nil {
		err = &sourceError{s.err}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", it.Number, err)
	}
	return nil
}

var errLong = fmt.Errorf("a line is longer than %d bytes", maxLine)

// linesOf gives every line to do; the last one may lack its LF.
func linesOf(b []byte, do func(line []byte) error) error {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		if err := do(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// eachLine reads lines that end with LF.
func eachLine(r io.Reader, do func(line []byte) error) error {
	br := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for {
		b, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(long) > 0 {
			if long = append(long, b...); len(long) > maxLine {
				return errLong
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			b = long
		}
		if err == io.EOF && len(b) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		if derr := do(b); derr != nil {
			return derr
		}
		long = long[:0]
		if err == io.EOF {
			return nil
		}
	}
}
