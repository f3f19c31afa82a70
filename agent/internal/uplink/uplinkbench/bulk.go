package main

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"strconv"
	"sync"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// bulk is a probe whose evidence hardly compresses, as digests and contents of files
// do: what is stored, sent and written is then nearly what is hashed.
type bulk struct {
	size int64
	text func() []byte // what records hold, see [randomText]
}

func (bulk) Kind() artifact.Kind          { return artifact.KindProcess }
func (bulk) Schema() string               { return "hozen.process/1" }
func (bulk) Volatility() probe.Volatility { return probe.Live }

const (
	// lineBytes is how many bytes of text one record holds.
	lineBytes = 4 << 10
	// textBytes is how much text there is: more than the compressor can look back.
	textBytes = 8 << 20
)

// randomText makes text at its first call: making it costs more than sending it.
func randomText() func() []byte {
	return sync.OnceValue(func() []byte {
		raw := make([]byte, textBytes*3/4)
		var seed [32]byte
		_, _ = rand.NewChaCha8(seed).Read(raw) // never fails
		return base64.StdEncoding.AppendEncode(nil, raw)
	})
}

// Acquire implements probe.Probe. The records count from a random number and begin
// anywhere in the text, so that no two acquisitions have the same bytes.
func (b bulk) Acquire(_ context.Context, w probe.Writer) error {
	r := bulkRecord{n: rand.Uint64(), text: b.text()}
	for written := int64(0); written < b.size; written += lineBytes {
		if err := w.Write(&r); err != nil {
			return err
		}
		r.n++
	}
	return nil
}

type bulkRecord struct {
	n    uint64
	text []byte
}

// AppendJSON implements probe.Record.
func (r *bulkRecord) AppendJSON(b []byte) []byte {
	at := r.n % (textBytes / lineBytes) * lineBytes
	b = append(b, `{"n":`...)
	b = strconv.AppendUint(b, r.n, 10)
	b = append(b, `,"bytes":"`...)
	b = append(b, r.text[at:at+lineBytes]...)
	return append(b, `"}`...)
}
