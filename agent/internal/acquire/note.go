package acquire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"hozen/internal/artifact"
)

const noteFormat = "hozen-acquire-note/1"

// note is what the runner keeps beside a running acquisition, so that it can be
// sealed after a crash: the manifest as far as it has come, and the whole plan.
type note struct {
	Format   string            `json:"format"`
	Planned  []planned         `json:"planned"`
	Manifest artifact.Manifest `json:"manifest"`
}

type planned struct {
	Kind     artifact.Kind `json:"kind"`
	Schema   string        `json:"schema"`
	BudgetNS int64         `json:"budget_ns"`
}

func (n *note) encode() []byte {
	b, err := json.Marshal(n)
	if err != nil {
		panic("note: " + err.Error()) // strings, numbers and times of this century only
	}
	return b
}

func parseNote(b []byte) (note, error) {
	var n note
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return note{}, fmt.Errorf("read running notes: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return note{}, fmt.Errorf("read running notes: something follows the object")
	}
	if n.Format != noteFormat {
		return note{}, fmt.Errorf("read running notes: format %.40q is not %s", n.Format, noteFormat)
	}
	return n, nil
}

// encodeManifest writes a manifest for people as much as for programs; its exact
// bytes are what is signed.
func encodeManifest(m artifact.Manifest) ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}
