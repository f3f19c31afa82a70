// Package unseal opens what package envelope encrypted, and makes and reads the secret keys
// for it. It knows nothing of where keys are kept or of what the bytes mean.
package unseal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"hozen/internal/envelope"
)

// maxIdentities bounds an identity file, in bytes.
const maxIdentities = 1 << 16

// The errors that callers act on.
var (
	// ErrOtherKey means that the file was encrypted to somebody else.
	ErrOtherKey = errors.New("none of the keys opens it")
	// ErrDamaged means that the file is no age file, or not as it was written.
	ErrDamaged = errors.New("not an age file, or not as it was written")
	// ErrNoIdentity means that a text holds no secret key. It never repeats the text.
	ErrNoIdentity = errors.New("no age secret key (AGE-SECRET-KEY-1…), or it was not copied whole")
)

// Identity is a secret key. The zero Identity opens nothing.
type Identity struct {
	key  age.Identity
	text string
	to   envelope.Recipient
}

// New makes a secret key (X25519), which every age program takes.
func New() (Identity, error) {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, fmt.Errorf("make key: %w", err)
	}
	return Parse(k.String())
}

// Parse reads one secret key: AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…. Lower case, as
// somebody may type it from paper, is taken too.
func Parse(s string) (Identity, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	var id Identity
	var to string
	if strings.HasPrefix(s, "AGE-SECRET-KEY-PQ-1") {
		k, err := age.ParseHybridIdentity(s)
		if err != nil {
			return Identity{}, fmt.Errorf("read secret key: %w", ErrNoIdentity)
		}
		id, to = Identity{key: k, text: k.String()}, k.Recipient().String()
	} else {
		k, err := age.ParseX25519Identity(s)
		if err != nil {
			return Identity{}, fmt.Errorf("read secret key: %w", ErrNoIdentity)
		}
		id, to = Identity{key: k, text: k.String()}, k.Recipient().String()
	}
	var err error
	if id.to, err = envelope.ParseRecipient(to); err != nil {
		return Identity{}, fmt.Errorf("read secret key: %w", ErrNoIdentity)
	}
	return id, nil
}

// Read reads an identity file as age-keygen writes it: one secret key a line, lines with #
// and empty ones apart.
func Read(r io.Reader) ([]Identity, error) {
	var out []Identity
	lines := bufio.NewScanner(io.LimitReader(r, maxIdentities))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, id)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read secret keys: %w", err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read secret keys: %w", ErrNoIdentity)
	}
	return out, nil
}

// Recipient is the public key that belongs to the secret one.
func (i Identity) Recipient() envelope.Recipient { return i.to }

// Text is the secret key as text.
func (i Identity) Text() string { return i.text }

// Key is the secret key as the age library takes it; nil of the zero Identity.
func (i Identity) Key() age.Identity { return i.key }

// String names the key without telling it, so that it never gets into a log.
func (i Identity) String() string { return "key " + i.to.Fingerprint().String()[:16] }

// GoString is String, for %#v.
func (i Identity) GoString() string { return i.String() }

// Open reads an encrypted file from its beginning to its end. What it returns was proven
// 64 KiB at a time; a file that was cut off ends with an error, never with io.EOF. Errors
// wrap [ErrOtherKey], or [ErrDamaged] as far as the file itself is wrong.
func Open(r io.Reader, with ...Identity) (io.Reader, error) {
	clear, err := age.Decrypt(r, keys(with)...)
	if err != nil {
		return nil, opened(err)
	}
	return &reader{clear}, nil
}

// OpenAt reads an encrypted file of size bytes anywhere and returns the size of what is in
// it. Many may read at once. It reads 64 KiB for every read.
func OpenAt(r io.ReaderAt, size int64, with ...Identity) (io.ReaderAt, int64, error) {
	clear, n, err := age.DecryptReaderAt(r, size, keys(with)...)
	if err != nil {
		return nil, 0, opened(err)
	}
	return clear, n, nil
}

func keys(with []Identity) []age.Identity {
	var out []age.Identity
	for _, i := range with {
		if i.key != nil {
			out = append(out, i.key)
		}
	}
	return out
}

func opened(err error) error {
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return fmt.Errorf("decrypt: %w", ErrOtherKey)
	}
	return fmt.Errorf("decrypt: %w: %w", ErrDamaged, err)
}

// reader gives errors of the age library their kind.
type reader struct{ r io.Reader }

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("decrypt: %w: %w", ErrDamaged, err)
	}
	return n, err
}
