// Package releasecode makes and checks the codes by which somebody at an isolated
// endpoint gets its network back when the collector is out of reach. It knows nothing of
// endpoints, orders or who may have a code.
package releasecode

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// A code has Groups groups of GroupLen digits. The last digit of a group checks it and
// its place, so that over the telephone a slip is noticed where it was made.
const (
	Groups    = 4
	GroupLen  = 5
	codeLen   = Groups * GroupLen
	NumberLen = 12 // digits of the number by which a code is found again
)

// What is stored of a code: PBKDF2-HMAC-SHA256 (RFC 8018). A code has 53 bits that nobody
// chose, so that all of them take 10^20 hashes; more iterations would only make a
// collector slow that isolates a thousand endpoints at once.
const (
	HashLen    = 32
	SaltLen    = 16
	Iterations = 10_000
)

// Code is a code as it is spoken, in digits without separators.
type Code string

// String returns the code in groups: "12345-12345-12345-12345".
func (c Code) String() string { return grouped(string(c), GroupLen) }

// NewNumber returns a fresh number of twelve digits.
func NewNumber() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000_000))
	if err != nil {
		return "", fmt.Errorf("make number: %w", err)
	}
	return fmt.Sprintf("%0*d", NumberLen, n), nil
}

// FormatNumber returns a number in groups: "1234-5678-9012".
func FormatNumber(number string) string { return grouped(number, 4) }

// ParseNumber takes a number as people write it. The error tells what is wrong.
func ParseNumber(s string) (string, error) {
	d, err := digits(s)
	if err != nil {
		return "", err
	}
	if len(d) != NumberLen {
		return "", fmt.Errorf("%d digits: %w", len(d), ErrLength)
	}
	return d, nil
}

// New returns the code of a number: HMAC-SHA256 of it under the key, as 16 digits in
// groups of four with a check digit each. Whoever has the key finds it again.
func New(key Key, number string) Code {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte("hozen release code 1\x00" + number))
	sum := m.Sum(nil)
	// 128 bits modulo 10^16: no digit is likelier than another by more than 2^-74.
	hi, lo := binary.BigEndian.Uint64(sum), binary.BigEndian.Uint64(sum[8:])
	const all = 10_000_000_000_000_000
	_, rem := bits.Div64(hi%all, lo, all)
	plain := fmt.Sprintf("%016d", rem)
	var b strings.Builder
	for g := range Groups {
		part := plain[g*(GroupLen-1) : (g+1)*(GroupLen-1)]
		b.WriteString(part)
		b.WriteByte('0' + checkDigit(g, part))
	}
	return Code(b.String())
}

// Errors of [Check].
var (
	// ErrDigits means that something else than digits and separators was given.
	ErrDigits = errors.New("not digits only")
	// ErrLength means that digits are missing or too many.
	ErrLength = errors.New("wrong number of digits")
)

// GroupError means that a group was mistyped or stands in the wrong place.
type GroupError struct{ Group int } // from 1

func (e *GroupError) Error() string { return fmt.Sprintf("group %d is mistyped", e.Group) }

// Check takes a code as people write it, with full-width digits, spaces and dashes, and
// tells where it cannot be right. It does not tell whether it is the right one.
func Check(s string) (Code, error) {
	d, err := digits(s)
	if err != nil {
		return "", err
	}
	if len(d) != codeLen {
		return "", fmt.Errorf("%d digits of %d: %w", len(d), codeLen, ErrLength)
	}
	for g := range Groups {
		part := d[g*GroupLen : (g+1)*GroupLen]
		if checkDigit(g, part[:GroupLen-1]) != part[GroupLen-1]-'0' {
			return "", &GroupError{Group: g + 1}
		}
	}
	return Code(d), nil
}

// Hash returns what is stored of a code.
func Hash(c Code, salt []byte, iterations int) ([]byte, error) {
	h, err := pbkdf2.Key(sha256.New, string(c), salt, iterations, HashLen)
	if err != nil {
		return nil, fmt.Errorf("hash release code: %w", err)
	}
	return h, nil
}

// Verify reports whether c is the code of a hash.
func Verify(c Code, hash, salt []byte, iterations int) bool {
	h, err := Hash(c, salt, iterations)
	return err == nil && len(hash) == HashLen && subtle.ConstantTimeCompare(h, hash) == 1
}

// NewSalt returns a fresh salt.
func NewSalt() []byte {
	b := make([]byte, SaltLen)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// longest is what a person may type: every digit with a separator or two.
const longest = 256

func digits(s string) (string, error) {
	if len(s) > longest {
		return "", ErrLength
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r >= '０' && r <= '９':
			b.WriteRune('0' + r - '０')
		case strings.ContainsRune(" \t\r\n\u3000-‐‑‒–—―−－ーｰ・.,、", r):
		default:
			return "", ErrDigits
		}
	}
	return b.String(), nil
}

func grouped(s string, n int) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && i%n == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// damm is the quasigroup of H. M. Damm's check digit, which notices every single wrong
// digit and every swap of two neighbours.
var damm = [10][10]byte{
	{0, 3, 1, 7, 5, 9, 8, 6, 4, 2},
	{7, 0, 9, 2, 1, 5, 4, 8, 6, 3},
	{4, 2, 0, 6, 8, 7, 1, 3, 5, 9},
	{1, 7, 5, 0, 9, 8, 3, 4, 2, 6},
	{6, 1, 2, 3, 0, 4, 5, 9, 7, 8},
	{3, 6, 7, 4, 2, 0, 9, 5, 8, 1},
	{5, 8, 6, 9, 7, 2, 0, 1, 3, 4},
	{8, 9, 4, 5, 3, 6, 2, 0, 1, 7},
	{9, 4, 3, 8, 6, 1, 7, 2, 0, 5},
	{2, 5, 8, 1, 4, 3, 6, 7, 9, 0},
}

// checkDigit is the check of a group at a place.
func checkDigit(place int, part string) byte {
	c := damm[0][place+1]
	for i := range len(part) {
		c = damm[c][part[i]-'0']
	}
	return c
}
