package spool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"hozen/internal/digest"
)

// Parts of a spool that has [Config.Wrap] lie on the disk as files in the format age
// (age-encryption.org/v1), each named as the part with ".age" behind it. Nothing on the endpoint opens them again. So
// what is to be known of them after a crash is kept beside, a line for each part before it has
// its name: size and SHA-256 of what is in it, and the writer's note.
const (
	// SealedChunk is how many clear bytes are encrypted together.
	SealedChunk = 64 << 10

	sealedSuffix = ".age"
	notesFile    = "parts.jsonl"
	maxNotes     = 8 << 20

	// The layout of a file: a header of text that ends with a line that begins with "---", a
	// nonce, and chunks of 64 KiB of which each is 16 bytes longer than what is in it.
	sealedNonce    = 16
	sealedOverhead = 16
	// maxEnvelope bounds header and nonce.
	maxEnvelope = 16 << 10
)

// partNote is a line of parts.jsonl.
type partNote struct {
	Name   string          `json:"name"`
	Size   int64           `json:"size"`
	SHA256 string          `json:"sha256"`
	Note   json.RawMessage `json:"note,omitempty"`
}

// notes is the file of what is known of the sealed parts. The zero notes writes nothing.
type notes struct {
	mu sync.Mutex
	f  *os.File
}

// openNotes opens the file for writing behind what is there, and makes it.
func openNotes(root *os.Root) (*notes, error) {
	f, err := root.OpenFile(notesFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &notes{f: f}, nil
}

// keep adds a line durably. It begins with an empty one: what a crash left of the line before
// spoils itself alone.
func (n *notes) keep(p partNote) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.f.Write(append(append([]byte{'\n'}, b...), '\n')); err != nil {
		return err
	}
	return n.f.Sync()
}

func (n *notes) close() error {
	if n == nil {
		return nil
	}
	if err := n.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// readNotes reads what is known of the parts, by name. Lines that a crash cut off are passed
// over.
func readNotes(root *os.Root) (map[string]partNote, error) {
	b, err := readFile(root, notesFile, maxNotes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseNotes(b), nil
}

// parseNotes knows less than a newer agent may have written, and takes of it what it knows.
func parseNotes(b []byte) map[string]partNote {
	out := make(map[string]partNote)
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxNotes)
	for lines.Scan() {
		var p partNote
		if json.Unmarshal(lines.Bytes(), &p) != nil || checkPart(p.Name) != nil || p.Size < 0 {
			continue
		}
		if _, err := digest.Parse(p.SHA256); err != nil {
			continue
		}
		out[p.Name] = p
	}
	return out
}

// known gives a part that lies there what its note says; false: there is none, and nobody
// knows what is in the part.
func (p *part) known(all map[string]partNote) bool {
	n, ok := all[p.name]
	if !ok {
		return false
	}
	sum, err := digest.Parse(n.SHA256)
	if err != nil {
		return false
	}
	p.size, p.sum, p.note = n.Size, sum, n.Note
	return true
}

// counted counts what it passes on.
type counted struct {
	w io.Writer
	n int64
}

// Write implements [io.Writer].
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// Envelope returns the beginning of a sealed part's file: header and nonce. Of a file that does
// not begin so any more it is what the file begins with, or a zero byte: never nothing, and
// nothing that opens, so that whoever has the key says so, and puts it on record.
func (r *Reader) Envelope(name string) ([]byte, error) {
	b := make([]byte, maxEnvelope)
	n, err := r.ReadAt(name, b, 0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if size := envelopeSize(b[:n]); size > 0 {
		n = size
	}
	return b[:max(n, 1)], nil
}

// envelopeSize is how long header and nonce are at the beginning of a file; 0: they are not
// there, or not whole.
func envelopeSize(b []byte) int {
	last := bytes.Index(b, []byte("\n--- "))
	if last < 0 {
		return 0
	}
	end := bytes.IndexByte(b[last+1:], '\n')
	if end < 0 || last+1+end+1+sealedNonce > len(b) {
		return 0
	}
	return last + 1 + end + 1 + sealedNonce
}

// SealedOffset is where in the file of a sealed part the piece begins that holds the clear
// byte at offset; envelope is the size of [Reader.Envelope].
func SealedOffset(envelope int, offset int64) int64 {
	return int64(envelope) + offset/SealedChunk*(SealedChunk+sealedOverhead)
}

// finalOf is the name of the part whose file has this name without ".part"; false: no part of
// the acquisition has such a file.
func (e *entry) finalOf(file string) (string, bool) {
	if !e.sealed {
		return file, true
	}
	return strings.CutSuffix(file, sealedSuffix)
}
