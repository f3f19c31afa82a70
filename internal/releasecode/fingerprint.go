package releasecode

import (
	"crypto/sha256"
	"encoding/hex"
)

// Fingerprint names a key without telling it: the first 16 hexadecimal digits of the
// SHA-256 of "hozen recovery key 1", a zero byte and the key.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("hozen recovery key 1\x00"), k[:]...))
	return hex.EncodeToString(sum[:8])
}
