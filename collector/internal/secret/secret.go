// Package secret seals what the collector must be able to read again and nobody may read
// in the database or in a copy of it: keys of one-time codes, passwords of mail servers,
// addresses of webhooks. It knows nothing of what they are for.
package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"hozen/internal/durable"
)

// Key seals and opens. The zero Key does neither.
type Key struct {
	aead cipher.AEAD
	raw  []byte
}

// keyBytes is the size of a key: AES-256.
const keyBytes = 32

// version begins every sealed text.
const version = "s1:"

// ErrSealed means that a text can't be opened: it was sealed with another key or for
// another thing, or was changed.
var ErrSealed = errors.New("it was not sealed here")

// NewKey returns the key of these 32 bytes.
func NewKey(b []byte) (Key, error) {
	if len(b) != keyBytes {
		return Key{}, fmt.Errorf("make key: want %d bytes, got %d", keyBytes, len(b))
	}
	block, err := aes.NewCipher(b)
	if err != nil {
		return Key{}, fmt.Errorf("make key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Key{}, fmt.Errorf("make key: %w", err)
	}
	return Key{aead, bytes.Clone(b)}, nil
}

// For returns a key of its own for one purpose, such as "sessions" (HKDF, RFC 5869, with SHA-256).
// Of the zero Key it is the zero Key.
func (k Key) For(purpose string) Key {
	if k.aead == nil {
		return Key{}
	}
	b, err := hkdf.Key(sha256.New, k.raw, nil, "hozen "+purpose, keyBytes)
	if err == nil {
		k, err = NewKey(b)
	}
	if err != nil {
		panic(err) // neither size can be refused
	}
	return k
}

// MAC is the HMAC (RFC 2104, with SHA-256) of a message; nil of the zero Key.
func (k Key) MAC(message []byte) []byte {
	if k.aead == nil {
		return nil
	}
	h := hmac.New(sha256.New, k.raw)
	h.Write(message)
	return h.Sum(nil)
}

// Passing returns a key that nobody else has and that is gone with the program.
func Passing() (Key, error) {
	raw := make([]byte, keyBytes)
	rand.Read(raw) // never fails (crypto/rand)
	return NewKey(raw)
}

// File returns the key in a file, one line of hexadecimal. A file that is not there is
// made, readable for its owner alone.
func File(path string) (Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, keyBytes)
		rand.Read(raw) // never fails (crypto/rand)
		b = []byte(hex.EncodeToString(raw) + "\n")
		if err := durable.CreateFile(path, b, 0o600); err != nil {
			return Key{}, fmt.Errorf("store key of secrets: %w", err)
		}
	} else if err != nil {
		return Key{}, fmt.Errorf("load key of secrets: %w", err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil {
		return Key{}, fmt.Errorf("load key of secrets %q: it is not hexadecimal", path)
	}
	k, err := NewKey(raw)
	if err != nil {
		return Key{}, fmt.Errorf("load key of secrets %q: %w", path, err)
	}
	return k, nil
}

// Seal seals plain for one thing, such as "totp opr_…": elsewhere it can't be opened.
func (k Key) Seal(thing string, plain []byte) (string, error) {
	if k.aead == nil {
		return "", errors.New("seal secret: there is no key")
	}
	return version + base64.RawStdEncoding.EncodeToString(k.aead.Seal(nil, nil, plain, []byte(thing))), nil
}

// Open opens what [Key.Seal] sealed for the same thing. The error is [ErrSealed] for
// anything else.
func (k Key) Open(thing, sealed string) ([]byte, error) {
	if k.aead == nil {
		return nil, errors.New("open secret: there is no key")
	}
	text, ok := strings.CutPrefix(sealed, version)
	b, err := base64.RawStdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) < k.aead.Overhead() {
		return nil, ErrSealed
	}
	plain, err := k.aead.Open(nil, nil, b, []byte(thing))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
