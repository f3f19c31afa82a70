package wire

import (
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec goes on from
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	agentv1 "hozen/proto/hozen/agent/v1"
)

// Codec is gRPC's codec for protobuf with a short cut for the chunks of an upload:
// the bytes on the wire are the same, but each chunk is copied once where gRPC's own
// copies it twice and clears a megabyte for it.
func Codec() encoding.CodecV2 {
	return &codec{CodecV2: encoding.GetCodecV2("proto")}
}

type codec struct {
	encoding.CodecV2
	pool chunkPool
}

// chunkField is the field of a chunk in UploadRequest.
const chunkField = 3

// maxHead is the most bytes that stand before a chunk: tag and length.
const maxHead = 1 + 10

// Marshal implements [encoding.CodecV2]. The message may be changed afterwards.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*agentv1.UploadRequest)
	if !ok || len(m.ProtoReflect().GetUnknown()) > 0 {
		return c.CodecV2.Marshal(v)
	}
	step, ok := m.GetStep().(*agentv1.UploadRequest_Chunk)
	if !ok || len(step.Chunk) > MaxChunk {
		return c.CodecV2.Marshal(v)
	}
	buf := c.pool.Get(0)
	*buf = protowire.AppendBytes(protowire.AppendTag(*buf, chunkField, protowire.BytesType), step.Chunk)
	return mem.BufferSlice{mem.NewBuffer(buf, &c.pool)}, nil
}

// Unmarshal implements [encoding.CodecV2]. A chunk takes the place of the one that is in v,
// if there is one: whoever receives again into the same message has done with it.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*agentv1.UploadRequest); ok {
		var room []byte // of the chunk that m brought before
		if step, ok := m.GetStep().(*agentv1.UploadRequest_Chunk); ok {
			room = step.Chunk[:0]
		}
		if chunk, ok := onlyChunk(data, room); ok {
			m.Reset()
			m.Step = &agentv1.UploadRequest_Chunk{Chunk: chunk}
			return nil
		}
	}
	return c.CodecV2.Unmarshal(data, v)
}

// onlyChunk returns a copy of the chunk of a message that consists of nothing else, in room
// if it fits there.
func onlyChunk(data mem.BufferSlice, room []byte) ([]byte, bool) {
	var first [maxHead]byte
	head := first[:data.CopyTo(first[:])]
	field, kind, tag := protowire.ConsumeTag(head)
	if tag < 0 || field != chunkField || kind != protowire.BytesType {
		return nil, false
	}
	size, length := protowire.ConsumeVarint(head[tag:])
	if length < 0 || size != uint64(data.Len()-tag-length) {
		return nil, false
	}
	chunk := room[:0]
	if uint64(cap(room)) < size {
		chunk = make([]byte, 0, size)
	}
	chunk = chunk[:size]
	r := data.Reader()
	defer r.Close()
	if _, err := r.Discard(tag + length); err != nil {
		return nil, false
	}
	if _, err := io.ReadFull(r, chunk); err != nil {
		return nil, false
	}
	return chunk, true
}

// chunkPool keeps buffers that hold one chunk, as they are.
type chunkPool struct{ pool sync.Pool }

// Get implements [mem.BufferPool].
func (p *chunkPool) Get(n int) *[]byte {
	b, ok := p.pool.Get().(*[]byte)
	if !ok || cap(*b) < n {
		s := make([]byte, 0, max(n, maxHead+MaxChunk))
		b = &s
	}
	*b = (*b)[:n]
	return b
}

// Put implements [mem.BufferPool].
func (p *chunkPool) Put(b *[]byte) { p.pool.Put(b) }
