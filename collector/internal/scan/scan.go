// Package scan looks for words in the values of an artifact's lines, within bounds: an endpoint
// wrote them, and the endpoint may be in the hands of an attacker. It keeps nothing. It knows
// nothing of where the bytes are stored nor of who may see them.
package scan

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/search"
)

// Limits bound what one artifact may cost.
type Limits struct {
	Plain int64 // unpacked bytes that are read
	Line  int   // bytes of one line; a longer one is passed over and counted
	Hits  int   // lines that are told
}

// Hit is one line in which all words stand.
type Hit struct {
	Line   int // from 1, without empty lines
	Values []Value
}

// Value is one value in which a word stands: the part around the first place.
type Value struct {
	Field string // innermost name; empty for a line that is no JSON
	Text  string
}

// Result is what was read, and what was not.
type Result struct {
	Lines int
	Bytes int64 // unpacked
	Long  int   // lines that were passed over for their length
	Odd   int   // lines that are no JSON; they were searched as they stand
	Hits  int
	Cut   bool // a bound was reached, and there is more
}

// ErrPacking means that the artifact is packed in a way that this build cannot unpack.
var ErrPacking = errors.New("unknown packing")

const (
	maxWindow = 32 << 20 // bytes that unpacking may look back
	maxValues = 3        // of one line that are told
	around    = 60       // characters before the word
	shown     = 240      // characters of a value
	pieceName = "data_b64"
)

// Lines looks for the words in an artifact of that name, and tells each line that has them all.
// An error means that it could not be read to its end, by ctx or for damage; what was read counts.
func Lines(ctx context.Context, name string, stored io.Reader, q search.Query, l Limits, found func(Hit)) (res Result, err error) {
	plainName, packed := strings.CutSuffix(name, ".zst")
	if !strings.HasSuffix(plainName, ".jsonl") {
		return res, fmt.Errorf("%w: %.80q", ErrPacking, name)
	}
	r := stored
	if packed {
		z, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return res, err
		}
		defer z.Close()
		r = z
	}
	counted := &counter{r: r, ctx: ctx, left: l.Plain}
	defer func() { res.Bytes = counted.n }()
	in := bufio.NewReaderSize(counted, 64<<10)
	var line []byte
	tooLong := false
	for {
		part, err := in.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > l.Line; !tooLong {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && err != io.EOF {
			res.Cut = errors.Is(err, errEnough)
			if res.Cut {
				err = nil // the rest of a line is no line
			}
			return res, err
		}
		if b := bytes.TrimSpace(line); tooLong || len(b) > 0 {
			res.Lines++
			if tooLong {
				res.Long++
			} else if h, odd := match(q, b); len(h) > 0 {
				if res.Hits == l.Hits {
					res.Cut = true
					return res, nil
				}
				res.Hits++
				found(Hit{res.Lines, h})
			} else if odd {
				res.Odd++
			}
		}
		line, tooLong = line[:0], false
		if err == io.EOF {
			return res, nil
		}
	}
}

// errEnough ends the reading of an artifact at its bound.
var errEnough = errors.New("more than is read")

// counter counts what is read, up to a bound and while somebody wants it.
type counter struct {
	r    io.Reader
	ctx  context.Context
	n    int64
	left int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if c.left <= 0 {
		if n, err := io.ReadFull(c.r, make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, errEnough
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.n, c.left = c.n+int64(n), c.left-int64(n)
	return n, err
}

// match returns the values of a line in which words stand, if all of them do. A line that is
// no JSON is odd, and searched as it stands: who writes one should not hide by it.
func match(q search.Query, line []byte) (hits []Value, odd bool) {
	if bytes.IndexByte(line, '\\') < 0 && !bytes.Contains(line, []byte(pieceName)) && !q.Fits(string(line)) {
		return nil, !json.Valid(line)
	}
	all, err := values(line)
	if err != nil {
		all, odd = []Value{{Text: strings.ToValidUTF8(string(line), "\ufffd")}}, true
	}
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = v.Text
	}
	if !q.Fits(texts...) {
		return nil, odd
	}
	for _, v := range all {
		if at := q.In(v.Text); len(at) > 0 && len(hits) < maxValues {
			hits = append(hits, Value{cut(v.Field, 0, 64), cut(v.Text, at[0].From, shown)})
		}
	}
	return hits, odd
}

// values returns what stands in a line of JSON beside the names: text as it is after
// unescaping, numbers as they are written, and the bytes of copied files as text.
func values(line []byte) ([]Value, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var out []Value
	type level struct {
		object, value bool // in an object; the next token is a value
		name          string
	}
	stack := []level{{}}
	for {
		t, err := d.Token()
		if err == io.EOF {
			if len(stack) > 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		top := &stack[len(stack)-1]
		if s, is := t.(string); is && top.object && !top.value {
			top.name, top.value = s, true
			continue
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				stack = stack[:len(stack)-1]
				continue
			}
			top.value = false
			stack = append(stack, level{object: t == '{', name: top.name})
			continue
		case string:
			if top.name == pieceName {
				t = piece(t)
			}
			out = append(out, Value{top.name, t})
		case json.Number:
			out = append(out, Value{top.name, t.String()})
		}
		top.value = false
	}
}

// piece is a piece of a copied file as text.
func piece(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return s
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// cut is the part of a text around a place.
func cut(s string, at, n int) string {
	from := at
	for k := around; k > 0 && from > 0; k-- {
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	head, part := "", s[from:]
	if from > 0 {
		head = "…"
	}
	for i := range part {
		if n == 0 {
			return head + part[:i] + "…"
		}
		n--
	}
	return head + strings.Clone(part)
}
