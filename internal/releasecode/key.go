package releasecode

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// KeyLen is the length of a recovery key in bytes.
const KeyLen = 19

// Key is the recovery key of a collector: from it and the number that an isolated
// endpoint shows its release code is found, with nothing else.
type Key [KeyLen]byte

// NewKey returns a fresh key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// ErrKey means that something is no recovery key, or mistyped.
var ErrKey = errors.New("not a recovery key, or mistyped")

// crockford leaves out the letters that are read wrongly (Crockford's Base32).
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Text returns the key as it is printed and typed: eight groups of four letters and
// digits, of which the end checks the rest.
func (k Key) Text() string {
	sum := sha256.Sum256(k[:])
	return grouped(crockford.EncodeToString(append(k[:len(k):len(k)], sum[0])), 4)
}

// String hides the key from logs; [Key.Text] is for who may see it.
func (Key) String() string { return "[recovery key]" }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// ParseKey takes a key as people type it.
func ParseKey(s string) (Key, error) {
	if len(s) > longest {
		return Key{}, ErrKey
	}
	s = strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "\n", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
	b, err := crockford.DecodeString(s)
	if err != nil || len(b) != KeyLen+1 {
		return Key{}, ErrKey
	}
	k := Key(b[:KeyLen])
	if sum := sha256.Sum256(k[:]); sum[0] != b[KeyLen] {
		return Key{}, ErrKey
	}
	return k, nil
}
