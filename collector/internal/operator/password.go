package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

// Cost is what one password check costs whoever guesses, and us.
type Cost struct {
	MemoryKiB  uint32
	Iterations uint32
}

// DefaultCost follows the OWASP password storage cheat sheet (Argon2id, at least
// 19 MiB and two passes) with some air: about 50 ms on one core.
func DefaultCost() Cost { return Cost{MemoryKiB: 32 << 10, Iterations: 2} }

// hashesAtOnce bounds the memory that simultaneous sign-ins can take.
const hashesAtOnce = 2

// Hasher makes and checks password hashes (Argon2id, RFC 9106). It is safe for
// concurrent use.
type Hasher struct {
	params argon2id.Params
	slots  chan struct{}
	decoy  string // checked for names that do not exist, so that they take as long
}

// NewHasher returns a Hasher; the zero Cost means [DefaultCost].
func NewHasher(c Cost) (*Hasher, error) {
	if c == (Cost{}) {
		c = DefaultCost()
	}
	h := &Hasher{
		params: argon2id.Params{Memory: c.MemoryKiB, Iterations: c.Iterations, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		slots:  make(chan struct{}, hashesAtOnce),
	}
	var err error
	h.decoy, err = h.Hash(context.Background(), OneTimePassword())
	return h, err
}

// Hash returns the hash of a password in the encoding of the reference
// implementation, "$argon2id$v=19$…".
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	hash, err := argon2id.CreateHash(password, &h.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Verify reports whether password has that hash. An empty hash, of somebody who
// does not exist, takes as long and is never right.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	known := hash != ""
	if !known {
		hash = h.decoy
	}
	if len(password) > MaxPassword {
		password = "" // nobody has an empty one either
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	return ok && known, nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() { <-h.slots }

// oneTimeAlphabet leaves out what is misread: 0 o, 1 i l.
const oneTimeAlphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// OneTimePassword returns a fresh password for reading aloud and typing once:
// "k7fm-…", twenty characters of 31, 99 bits.
func OneTimePassword() string {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(oneTimeAlphabet[randomBelow(len(oneTimeAlphabet))])
	}
	return b.String()
}

// randomBelow returns a uniform number in [0, n) for n ≤ 256.
func randomBelow(n int) int {
	limit := 256 - 256%n // bytes from here on would favour the first characters
	for b := make([]byte, 1); ; {
		rand.Read(b) // never fails (crypto/rand)
		if int(b[0]) < limit {
			return int(b[0]) % n
		}
	}
}

// ErrTooShort is what [CheckPassword] says of a password with too few characters.
var ErrTooShort = fmt.Errorf("want at least %d characters", MinPassword)

// CheckPassword reports why password is no good for that person, or nil.
func CheckPassword(password, name string) error {
	switch {
	case !utf8.ValidString(password):
		return errors.New("it is not UTF-8 text")
	case utf8.RuneCountInString(password) < MinPassword:
		return ErrTooShort
	case len(password) > MaxPassword:
		return fmt.Errorf("want at most %d bytes", MaxPassword)
	case len(name) >= 4 && strings.Contains(strings.ToLower(password), name):
		return errors.New("it contains the sign-in name")
	case strings.Count(password, password[:1]) == len(password):
		return errors.New("it is one character repeated")
	}
	return nil
}
