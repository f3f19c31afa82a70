package main

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"strconv"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// bulk is a probe whose evidence hardly compresses, as digests and contents of files
// do: what is stored, sent and written is then nearly what is hashed.
type bulk struct{ size int64 }

func (bulk) Kind() artifact.Kind          { return artifact.KindProcess }
func (bulk) Schema() string               { return "hozen.process/1" }
func (bulk) Volatility() probe.Volatility { return probe.Live }

// lineBytes is how many random bytes one record holds.
const lineBytes = 3 << 10

// Acquire implements probe.Probe. It is over when about size bytes are stored: base64
// is a third more, which the compressor takes away again.
func (b bulk) Acquire(_ context.Context, w probe.Writer) error {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	r := bulkRecord{source: rand.NewChaCha8(seed), bytes: make([]byte, lineBytes)}
	for ; int64(r.n)*lineBytes < b.size; r.n++ {
		_, _ = r.source.Read(r.bytes) // never fails
		if err := w.Write(&r); err != nil {
			return err
		}
	}
	return nil
}

type bulkRecord struct {
	source *rand.ChaCha8
	n      int
	bytes  []byte
}

// AppendJSON implements probe.Record.
func (r *bulkRecord) AppendJSON(b []byte) []byte {
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, int64(r.n), 10)
	b = append(b, `,"bytes":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.bytes)
	return append(b, `"}`...)
}
