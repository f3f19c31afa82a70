package bootverdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/internal/artifact"
	"hozen/internal/durable"
)

// memoryFile is the name of the memory in the agent's power folder.
const memoryFile = "boot.json"

const memoryFormat = "hozen-boot-memory/1"

// maxMemory is more than any memory that this package writes, in bytes.
const maxMemory = 4 << 10

// Memory is what the agent keeps from boot to boot.
type Memory struct {
	// BootID is the newest boot in which the agent ran and had judged the one before.
	// Empty: it never did.
	BootID string `json:"boot_id"`
	// SeenAt is when it had.
	SeenAt artifact.Instant `json:"seen_at"`
}

type memory struct {
	Format string `json:"format"`
	Memory
}

// Load reads the memory in the folder dir. Without one it is the zero Memory. A damaged
// one is an error beside the zero Memory: the agent then knows no earlier boot.
func Load(dir string) (Memory, error) {
	f, err := os.Open(filepath.Join(dir, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Memory{}, nil
	}
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of the last boot: %w", err)
	}
	defer f.Close()
	b, err := readAll(f, maxMemory)
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of the last boot: %w", err)
	}
	return parseMemory(b)
}

func parseMemory(b []byte) (Memory, error) {
	var m memory
	if err := json.Unmarshal(b, &m); err != nil {
		return Memory{}, fmt.Errorf("read memory of the last boot: %w", err)
	}
	if m.Format != memoryFormat || !validBootID(m.BootID) {
		return Memory{}, fmt.Errorf("read memory of the last boot: format %.40q or boot %.40q not known", m.Format, m.BootID)
	}
	return m.Memory, nil
}

// Remember writes the memory durably in the folder dir, which it makes when needed. It
// is called once in a boot, when the verdict is sealed: whoever dies before judges again.
func Remember(dir string, m Memory) error {
	if !validBootID(m.BootID) {
		return fmt.Errorf("remember this boot: %.40q is no boot id", m.BootID)
	}
	b, err := json.Marshal(memory{Format: memoryFormat, Memory: m})
	if err != nil {
		return fmt.Errorf("remember this boot: %w", err)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("remember this boot: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, memoryFile), b, 0o600); err != nil {
		return fmt.Errorf("remember this boot: %w", err)
	}
	return nil
}

// validBootID reports whether s has the form of random(4)'s boot_id.
func validBootID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
