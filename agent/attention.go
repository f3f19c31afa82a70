package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"hozen/agent/internal/uplink"
	"hozen/internal/durable"
)

// attention keeps whether an incident with this PC is open. The last word counts
// without network and after a restart too.
type attention struct {
	path string
	log  *slog.Logger
	disk sync.Mutex // held while the file is written

	mu sync.Mutex
	is attentionRecord
}

const (
	attentionFormat = "hozen-attention/1"
	maxAttention    = 4 << 10
)

type attentionRecord struct {
	Format         string `json:"format"`
	IncidentOpen   bool   `json:"incident_open"`
	IncidentNumber string `json:"incident_number,omitempty"`
}

// openAttention reads the last word. One that cannot be read leaves no incident open,
// and is an error beside it.
func openAttention(state string, log *slog.Logger) (*attention, error) {
	a := &attention{path: filepath.Join(powerFolder(state), "attention.json"), log: log}
	f, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read whether an incident is open: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAttention))
	var r attentionRecord
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && r.Format != attentionFormat {
		err = fmt.Errorf("format %.40q is not known", r.Format)
	}
	if err != nil {
		return a, fmt.Errorf("read whether an incident is open: %w", err)
	}
	a.is = r
	return a, nil
}

// hear takes the collector's word and does not block. It counts even where it cannot
// be kept.
func (a *attention) hear(w uplink.Attention) {
	r := attentionRecord{attentionFormat, w.Open, w.IncidentNumber}
	a.mu.Lock()
	changed := a.is != r
	a.is = r
	a.mu.Unlock()
	if changed {
		go a.keep()
	}
}

// keep writes the newest word.
func (a *attention) keep() {
	a.disk.Lock()
	defer a.disk.Unlock()
	a.mu.Lock()
	r := a.is
	a.mu.Unlock()
	b, err := json.Marshal(r)
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(a.path), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(a.path, b, 0o600)
	}
	if err != nil {
		a.log.Error("whether an incident is open is not kept", slog.Any("error", err))
	}
}

// incident returns the number of the open incident and whether there is one.
func (a *attention) incident() (number string, open bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.is.IncidentNumber, a.is.IncidentOpen
}
