package pki

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Limits of a token.
const (
	MaxToken     = 4 << 10 // characters
	MaxAddresses = 8
	MaxSecret    = 128 // bytes
	minSecret    = 16
)

const (
	tokenPrefix  = "hzt1."
	tokenVersion = 1
)

// Token is what a person carries from the collector to a PC to enrol it: where the
// collector is, by which CA it is known, and a secret that may be used a few times
// for a short while.
type Token struct {
	Addresses []string // "host:port", tried in turn
	CASHA256  string   // of the CA certificate, see Fingerprint
	Secret    string   // what goes over the wire
}

type tokenJSON struct {
	Version   int      `json:"v"`
	Addresses []string `json:"addresses"`
	CASHA256  string   `json:"ca_sha256"`
	Secret    string   `json:"secret"`
}

// NewSecret returns 160 random bits in the alphabet of a token's secret.
func NewSecret() (string, error) {
	b := make([]byte, 20)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// Format spells the token as one word, "hzt1.…".
func (t Token) Format() (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	b, err := json.Marshal(tokenJSON{tokenVersion, t.Addresses, t.CASHA256, t.Secret})
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// ParseToken is the inverse of [Token.Format]; white space around it is ignored. No
// error repeats the secret.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxToken {
		return Token{}, fmt.Errorf("token has %d characters, at most %d are read", len(s), MaxToken)
	}
	body, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("token does not begin with %q", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return Token{}, errors.New("token is damaged: a character is missing or wrong")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var j tokenJSON
	if err := dec.Decode(&j); err != nil {
		return Token{}, errors.New("token is damaged: what it holds cannot be read")
	}
	if _, err := dec.Token(); err != io.EOF {
		return Token{}, errors.New("token is damaged: something follows its end")
	}
	if j.Version != tokenVersion {
		return Token{}, fmt.Errorf("token is of version %d, this program knows %d", j.Version, tokenVersion)
	}
	t := Token{Addresses: j.Addresses, CASHA256: j.CASHA256, Secret: j.Secret}
	if err := t.check(); err != nil {
		return Token{}, err
	}
	return t, nil
}

func (t Token) check() error {
	if len(t.Addresses) == 0 || len(t.Addresses) > MaxAddresses {
		return fmt.Errorf("token has %d addresses, want 1 to %d", len(t.Addresses), MaxAddresses)
	}
	for _, a := range t.Addresses {
		if err := CheckAddress(a); err != nil {
			return fmt.Errorf("token: %w", err)
		}
	}
	if b, err := hex.DecodeString(t.CASHA256); err != nil || len(b) != 32 || strings.ToLower(t.CASHA256) != t.CASHA256 {
		return errors.New("token has no CA fingerprint of 64 lower-case hexadecimal digits")
	}
	if len(t.Secret) < minSecret || len(t.Secret) > MaxSecret {
		return fmt.Errorf("token's secret has %d characters, want %d to %d", len(t.Secret), minSecret, MaxSecret)
	}
	for _, c := range []byte(t.Secret) {
		if !isWord(c) {
			return errors.New("token's secret has a character outside A-Z a-z 0-9 - _")
		}
	}
	return nil
}

// CheckAddress reports why a is not a collector's address "host:port", or nil.
func CheckAddress(a string) error {
	if len(a) > 300 {
		return fmt.Errorf("address has %d characters, at most 300 are read", len(a))
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" {
		return fmt.Errorf("address %q: want host:port", a)
	}
	for _, c := range []byte(host) {
		if !isWord(c) && c != '.' && c != ':' && c != '%' {
			return fmt.Errorf("address %q: host has a character that no host name has", a)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: want a port from 1 to 65535", a)
	}
	return nil
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}
