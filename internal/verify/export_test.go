package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Doors for fuzz tests.

func CheckManifest(b []byte) error {
	_, err := readManifest(b)
	return err
}

func SignedPayload(b []byte) ([]byte, error) {
	s, err := readSignedReceipt(b)
	return s.payload, err
}

func CheckReceipt(b []byte) error {
	_, err := readReceipt(b)
	return err
}

func ReadArtifact(ctx context.Context, b []byte, zstd bool, limit int64) (int64, error) {
	compression := "none"
	if zstd {
		compression = "zstd"
	}
	w := &hands{}
	defer w.close()
	c, err := w.read(ctx, bytes.NewReader(b), &entry{name: "artifacts/x.jsonl", compression: compression, plain: content{size: limit}}, nil)
	return c.size, err
}

// ReadObject returns names and values, as they are spelt.
func ReadObject(b []byte) (names, values []string, ok bool) {
	pairs, ok := readObject(b, nil)
	for _, p := range pairs {
		names, values = append(names, string(p.name)), append(values, string(p.value))
	}
	return names, values, ok
}

// StreamLines counts lines as they are read of large artifacts, in pieces of so many bytes.
func StreamLines(b []byte, piece int) (int64, error) {
	var res contents
	l := &lines{res: &res, w: &hands{}}
	err := l.stream(&chunks{b, piece})
	return res.records, err
}

type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}

func Outcomes() []string { return outcomes() }

// Concluded returns the anchor of a package of which so many acquisitions were not anchored,
// though those that are shown were.
func Concluded(unanchored int) string {
	p := &pack{unanchored: unanchored, parts: map[string]*Part{}}
	for _, n := range Parts() {
		p.parts[n] = &Part{}
	}
	p.report.Acquisitions = []PackedReport{{Report: Report{Anchor: "ca"}}}
	p.conclude()
	return p.report.Anchor
}

// one is a tree of one file.
type one struct {
	tree
	b []byte
}

func (o one) open(string) (io.ReadCloser, int64, *Problem) {
	return io.NopCloser(bytes.NewReader(o.b)), int64(len(o.b)), nil
}

// Lines returns the lengths of the lines of a file.
func Lines(b []byte) (lengths []int, why *Problem) {
	why = readLines(context.Background(), one{b: b}, "x", io.Discard, func(l []byte) error { lengths = append(lengths, len(l)); return nil })
	return lengths, why
}

// ParseJSON returns plain maps.
func ParseJSON(b []byte) (any, error) {
	v, err := parseJSON(b)
	return plainMaps(v), err
}

func plainMaps(v any) any {
	switch v := v.(type) {
	case object:
		m := map[string]any{}
		for k, x := range v {
			m[k] = plainMaps(x)
		}
		return m
	case []any:
		for i := range v {
			v[i] = plainMaps(v[i])
		}
	}
	return v
}

// ReadStamp reads a time stamp of a checkpoint.
func ReadStamp(der []byte, checkpoint string) (time.Time, error) {
	return readStamp(der, sha256.Sum256([]byte(checkpoint)))
}

// ReadIndexed reads a line of the index of files; more is what it says that was left out.
func ReadIndexed(line []byte) (name string, size, file, more int64, err error) {
	x, more, err := readIndexed(line)
	if x == nil {
		return "", 0, 0, more, err
	}
	return x.name, x.size, x.file, more, err
}

// Vouched returns why the bytes of an acquisition count as disposed of by the entry by, where
// anchored receipts show the ledger up to a size, and how many acquisitions no anchor reaches.
func Vouched(by, size int64, signed bool) (why string, unanchored int) {
	p := &pack{received: size, signed: signed, disposals: []disposal{{by, []string{"x"}}}}
	p.vouched()
	return p.report.Unchecked[0].Why, p.unanchored
}

// Followed returns who holds an exhibit by its events, each the details of an entry and its
// act, and the gaps as code, hours from and to, and event.
func Followed(events []map[string]string) (custodian string, gaps []string) {
	var entries []*ledgerEntry
	for _, e := range events {
		entries = append(entries, &ledgerEntry{act: e["act"], details: e})
	}
	t := follow(entries)
	for _, g := range t.gaps {
		to := "now"
		if !g.to.IsZero() {
			to = strconv.Itoa(g.to.Hour())
		}
		gaps = append(gaps, fmt.Sprintf("%s %d-%s by %d", g.code, g.from.Hour(), to, g.seq))
	}
	return t.holder.String(), gaps
}

// ReadDocument reads package.json and returns where the files that people sent lie.
func ReadDocument(b []byte) (uploads []string, err error) {
	d, _, _, _, _, err := readDocument(b)
	if err != nil {
		return nil, err
	}
	for _, u := range d.uploads {
		uploads = append(uploads, u.where())
	}
	return uploads, nil
}
