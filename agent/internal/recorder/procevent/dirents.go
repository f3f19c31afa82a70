package procevent

import (
	"bytes"
	"encoding/binary"
)

// names calls f with each name of a getdents64(2) buffer.
func names(b []byte, f func(name []byte)) {
	const recLen, nameAt = 16, 19
	for len(b) > nameAt {
		n := int(binary.NativeEndian.Uint16(b[recLen:]))
		if n <= nameAt || n > len(b) {
			return
		}
		name := b[nameAt:n]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		f(name)
		b = b[n:]
	}
}
