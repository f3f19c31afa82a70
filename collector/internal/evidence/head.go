package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Head returns the first bytes of an item, decompressed, at most limit of them. It is
// for records of one line that the collector itself reads; the bytes are foreign.
func (r Reader) Head(ctx context.Context, it Item, limit int64) (b []byte, err error) {
	f, err := r.Open(ctx, it)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var plain io.Reader = f
	if strings.HasSuffix(it.Name, zstdSuffix) {
		d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("read evidence %s: %w", it.ID, err)
		}
		defer d.Close()
		plain = d
	}
	b, err = io.ReadAll(io.LimitReader(plain, limit))
	if err != nil {
		return nil, fmt.Errorf("read evidence %s: %w", it.ID, err)
	}
	return b, nil
}
