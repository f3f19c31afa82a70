package procevent

import (
	"time"

	"hozen/agent/internal/probe/winsys"
)

// Reader reads the process table. It is for one goroutine; what it returns is valid until it
// is asked again.
type Reader struct{ *tableReader }

// NewReader returns a reader of this PC; it has no /proc, and root no meaning.
func NewReader(string) (*Reader, error) {
	return &Reader{newTableReader(winsys.System{}, time.Now)}, nil
}
