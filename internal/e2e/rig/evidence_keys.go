package rig

import (
	"fmt"
	"os"
	"path/filepath"

	"hozen/internal/envelope/unseal"
)

// EvidenceKeys opens the collector's data keys, with which what waits on its endpoints opens.
func (c *Collector) EvidenceKeys() (keys []unseal.Identity, err error) {
	open := func(path string, with ...unseal.Identity) ([]unseal.Identity, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if len(with) == 0 {
			return unseal.Read(f)
		}
		clear, err := unseal.Open(f, with...)
		if err != nil {
			return nil, err
		}
		return unseal.Read(clear)
	}
	file, err := open(filepath.Clean(c.Dir) + "-evidence.key")
	if err != nil {
		return nil, fmt.Errorf("read evidence keys: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(c.Dir, "evidence", "keys", "*.age"))
	if err != nil {
		return nil, fmt.Errorf("read evidence keys: %w", err)
	}
	for _, path := range found {
		more, err := open(path, file...)
		if err != nil {
			return nil, fmt.Errorf("read evidence keys: %w", err)
		}
		keys = append(keys, more...)
	}
	return keys, nil
}
