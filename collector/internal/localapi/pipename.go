package localapi

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// pipeName is the name of the pipe that stands on Windows for a socket of this path. Only
// administrators may make pipes of such a name (ProtectedPrefix), so nobody else answers in the
// collector's place.
func pipeName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	sum := sha256.Sum256([]byte(strings.ToLower(path)))
	return `\\.\pipe\ProtectedPrefix\Administrators\hozen-collector-` + hex.EncodeToString(sum[:8])
}

// pipeRights lets the system and administrators speak to the collector, and nobody from
// another PC (SDDL).
const pipeRights = "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)"
