package verify

import (
	"bytes"
	"context"
	"io"
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
	c, err := readArtifact(ctx, bytes.NewReader(b), compression, limit)
	return c.size, err
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
