package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// scattered cuts b into buffers, as frames of HTTP/2 come.
func scattered(b []byte, size int) mem.BufferSlice {
	var s mem.BufferSlice
	for len(b) > size {
		s, b = append(s, mem.SliceBuffer(b[:size])), b[size:]
	}
	return append(s, mem.SliceBuffer(b))
}

func TestCodecWritesTheSameBytes(t *testing.T) {
	c, plain := wire.Codec(), encoding.GetCodecV2("proto")
	for name, m := range map[string]*agentv1.UploadRequest{
		"chunk":    {Step: &agentv1.UploadRequest_Chunk{Chunk: bytes.Repeat([]byte{7, 8, 9}, wire.MaxChunk/3)}},
		"one byte": {Step: &agentv1.UploadRequest_Chunk{Chunk: []byte{1}}},
		"no byte":  {Step: &agentv1.UploadRequest_Chunk{}},
		"too long": {Step: &agentv1.UploadRequest_Chunk{Chunk: make([]byte, wire.MaxChunk+1)}},
		"begin":    {Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{AcquisitionId: "acq_1"}}},
		"nothing":  {},
	} {
		got, err := c.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want, err := plain.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Materialize(), want.Materialize()) {
			t.Errorf("%s: other bytes than protobuf's", name)
		}
		var back agentv1.UploadRequest
		if err := c.Unmarshal(scattered(got.Materialize(), 1000), &back); err != nil || !proto.Equal(&back, m) {
			t.Errorf("%s: came back as another message, %v", name, err)
		}
		got.Free()
	}
}

// TestCodecKeepsNothing shows that sender and receiver may change their bytes.
func TestCodecKeepsNothing(t *testing.T) {
	c := wire.Codec()
	chunk := []byte("evidence")
	sent, err := c.Marshal(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: chunk}})
	if err != nil {
		t.Fatal(err)
	}
	clear(chunk)
	var m agentv1.UploadRequest
	if err := c.Unmarshal(sent, &m); err != nil {
		t.Fatal(err)
	}
	sent.Free()
	if _, err := c.Marshal(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: []byte("other bytes")}}); err != nil {
		t.Fatal(err)
	}
	if string(m.GetChunk()) != "evidence" {
		t.Errorf("chunk = %q, want the bytes that were sent", m.GetChunk())
	}
}

func FuzzCodec(f *testing.F) {
	f.Add([]byte{0x1a, 1, 7}, 2)
	f.Add([]byte{0x1a, 1, 7, 0x1a, 1, 8}, 1)
	f.Add([]byte{0x1a, 0x81, 0, 7}, 4)
	f.Add([]byte{0x1a, 5, 7}, 1)
	f.Add([]byte{0x0a, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 {
			return
		}
		var got, want agentv1.UploadRequest
		gotErr := wire.Codec().Unmarshal(scattered(b, size), &got)
		wantErr := proto.Unmarshal(b, &want)
		if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !proto.Equal(&got, &want) {
			t.Errorf("%x: %v, %v; protobuf reads %v, %v", b, &got, gotErr, &want, wantErr)
		}
	})
}
