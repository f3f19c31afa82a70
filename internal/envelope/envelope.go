// Package envelope encrypts streams to recipients in the age v1 format
// (age-encryption.org/v1), which every age program opens. It knows nothing of secret keys,
// so that who only encrypts links nothing that decrypts.
package envelope

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"hozen/internal/digest"
)

// Suffix ends the names of encrypted files.
const Suffix = ".age"

// MaxRecipient bounds the text of a recipient, in bytes; a post-quantum one has 1959.
const MaxRecipient = 4096

// The reasons why a text is no recipient. None of their errors repeats the text: it may be
// a secret.
var (
	// ErrSecretKey means that somebody gave the secret key instead of the public one.
	ErrSecretKey = errors.New("this is a secret key, which must not leave its owner; give the public key, age1…")
	// ErrOtherKind means a key of another program, or of an age plugin.
	ErrOtherKind = errors.New("this is another kind of key; give an age public key, age1…")
	// ErrMalformed means a text that is no key, or one with a mistake in it.
	ErrMalformed = errors.New("this is no age public key (age1…), or it was not copied whole")
	// ErrMixed means recipients that cannot read one file together.
	ErrMixed = errors.New("recipients with and without post-quantum keys cannot be mixed in one file")
)

// Recipient is the public key of somebody who may read. The zero Recipient is nobody.
type Recipient struct {
	key         age.Recipient
	text        string
	postQuantum bool
}

// ParseRecipient reads a public key: "age1…" (X25519), which every age program reads, or
// "age1pq1…" (ML-KEM-768 with X25519), which age 1.3 and newer read. White space around it
// is ignored. The errors wrap one of the reasons above.
func ParseRecipient(s string) (Recipient, error) {
	s = strings.TrimSpace(s)
	switch {
	case len(s) > MaxRecipient:
		return Recipient{}, fmt.Errorf("read recipient: %w", ErrMalformed)
	case strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-"), strings.HasPrefix(strings.ToUpper(s), "AGE-PLUGIN-"), strings.Contains(s, "PRIVATE KEY"):
		return Recipient{}, fmt.Errorf("read recipient: %w", ErrSecretKey)
	case strings.HasPrefix(s, "ssh-"), strings.HasPrefix(s, "ecdsa-"), strings.Contains(s, "PGP"), strings.HasPrefix(s, "-----BEGIN"):
		return Recipient{}, fmt.Errorf("read recipient: %w", ErrOtherKind)
	case strings.HasPrefix(s, "age1pq1"):
		r, err := age.ParseHybridRecipient(s)
		if err != nil {
			return Recipient{}, fmt.Errorf("read recipient: %w", ErrMalformed)
		}
		return Recipient{r, r.String(), true}, nil
	case strings.HasPrefix(s, "age1"):
		r, err := age.ParseX25519Recipient(s)
		if err != nil {
			// age1NAME1… is the key of a plugin; its last part follows a second "1".
			if strings.Count(s, "1") > 1 && strings.ContainsRune(s[4:], '1') {
				return Recipient{}, fmt.Errorf("read recipient: %w", ErrOtherKind)
			}
			return Recipient{}, fmt.Errorf("read recipient: %w", ErrMalformed)
		}
		// A point of low order is a valid text, and nothing can be encrypted to it.
		if _, err := r.Wrap(make([]byte, 16)); err != nil {
			return Recipient{}, fmt.Errorf("read recipient: %w", ErrMalformed)
		}
		return Recipient{r, r.String(), false}, nil
	}
	return Recipient{}, fmt.Errorf("read recipient: %w", ErrMalformed)
}

// String returns the public key as text, empty for nobody.
func (r Recipient) String() string { return r.text }

// Fingerprint is the SHA-256 of the public key's text: it names the key and does not tell it.
func (r Recipient) Fingerprint() digest.Digest { return digest.Of([]byte(r.text)) }

// PostQuantum reports whether only age 1.3 and newer read what is encrypted to r.
func (r Recipient) PostQuantum() bool { return r.postQuantum }

// Key is the recipient as the age library takes it.
func (r Recipient) Key() age.Recipient { return r.key }

// Seal writes the beginning of an encrypted file to w and returns a writer for the rest,
// which encrypts 64 KiB at a time. Close ends the file and leaves w open; a file that was not
// closed is not readable to its end, which age notices. Each of the recipients can read all.
func Seal(w io.Writer, to ...Recipient) (io.WriteCloser, error) {
	keys := make([]age.Recipient, 0, len(to))
	for _, r := range to {
		if r.key == nil {
			return nil, errors.New("encrypt: a recipient is nobody")
		}
		if r.postQuantum != to[0].postQuantum {
			return nil, fmt.Errorf("encrypt: %w", ErrMixed)
		}
		keys = append(keys, r.key)
	}
	if len(keys) == 0 {
		return nil, errors.New("encrypt: nobody could read it: no recipient")
	}
	sealed, err := age.Encrypt(w, keys...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed, nil
}
