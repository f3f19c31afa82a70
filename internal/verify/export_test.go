package verify

import (
	"bytes"
	"context"
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
