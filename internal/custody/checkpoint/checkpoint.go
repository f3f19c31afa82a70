// Package checkpoint reads, checks and writes signed checkpoints of the custody ledger:
// C2SP tlog-checkpoint bodies in signed notes, Ed25519. It knows nothing of files,
// databases, networks or clocks, so that agents can link it. The format is described in
// internal/docs/design/custody.md.
package checkpoint

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Bounds in bytes.
const (
	MaxNote   = 4 << 10
	MaxKey    = 512
	MaxOrigin = 200
)

// The errors that callers act on.
var (
	// ErrMalformed means that the bytes are no checkpoint.
	ErrMalformed = errors.New("malformed checkpoint")
	// ErrSignature means that none of the keys that were given signed it.
	ErrSignature = errors.New("the checkpoint is not signed by a key that is known")
	// ErrInconsistent means that one state of a ledger does not go on from the other.
	ErrInconsistent = errors.New("the ledger does not begin with what it was before")
)

// Checkpoint is the state of a log at one size.
type Checkpoint struct {
	Origin string    // which log
	Size   int64     // number of entries
	Root   tlog.Hash // RFC 6962 Merkle tree hash
	Note   string    // the exact signed note that it was read from; empty before signing
}

// body is what is signed: three lines. There are no extension lines.
func (c Checkpoint) body() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// Same reports whether two checkpoints say the same.
func (c Checkpoint) Same(o Checkpoint) bool {
	return c.Origin == o.Origin && c.Size == o.Size && c.Root == o.Root
}

// Parse reads what a note says without asking who signed it. All errors wrap [ErrMalformed].
func Parse(signed string) (Checkpoint, error) {
	if len(signed) > MaxNote {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(signed))
	}
	// Open splits the text from the signatures; with no key known it tells of that alone.
	n, err := note.Open([]byte(signed), note.VerifierList())
	if e, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		n = e.Note
	} else if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c, err := parseBody(n.Text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c.Note = signed
	return c, nil
}

// parseBody reads the lines of C2SP tlog-checkpoint. Lines after the third are allowed
// there, signed with the rest, and mean nothing to us.
func parseBody(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return Checkpoint{}, errors.New("it has fewer than three lines")
	}
	c := Checkpoint{Origin: lines[0]}
	if !validOrigin(c.Origin) {
		return Checkpoint{}, errors.New("its first line is no origin")
	}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return Checkpoint{}, errors.New("its second line is no size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("its third line is no hash")
	}
	c.Root = tlog.Hash(root)
	if c.Size == 0 && c.Root != tlog.Hash(sha256.Sum256(nil)) {
		return Checkpoint{}, errors.New("an empty log has another root")
	}
	return c, nil
}

func validOrigin(s string) bool {
	return s != "" && len(s) <= MaxOrigin && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+'
	})
}

// Open reads a note that the owner of the verifier key signed. Errors wrap
// [ErrMalformed] or [ErrSignature].
func Open(signed string, key Key) (Checkpoint, error) {
	c, err := Parse(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	// The name of the key is the origin (C2SP tlog-checkpoint): so one key that signs the
	// logs of several organisations cannot have a note of one taken for that of another.
	v, err := key.verifier(c.Origin)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if _, err := note.Open([]byte(signed), note.VerifierList(v)); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return c, nil
}

// Sign signs a state with a private key. What it returns is read back by [Open].
func Sign(c Checkpoint, key ed25519.PrivateKey) (Checkpoint, error) {
	if !validOrigin(c.Origin) || c.Size < 0 {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: origin %.80q, size %d", c.Origin, c.Size)
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return Checkpoint{}, errors.New("sign checkpoint: no Ed25519 key")
	}
	v, err := Key(pub).verifier(c.Origin)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	b, err := note.Sign(&note.Note{Text: c.body()}, &signer{v, key})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign checkpoint: %w", err)
	}
	c.Note = string(b)
	return c, nil
}

type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Key is the public key that checks checkpoints.
type Key ed25519.PublicKey

func (k Key) verifier(name string) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(name, ed25519.PublicKey(k))
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// Text writes the key for the log of that origin as a verifier key (C2SP signed-note),
// one line.
func (k Key) Text(origin string) string {
	s, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(k))
	if err != nil {
		return ""
	}
	return s
}

// Fingerprint is the SHA-256 of the key's DER SubjectPublicKeyInfo (RFC 8410), in
// hexadecimal, as "openssl pkey -pubout -outform DER | sha256sum" prints it.
func (k Key) Fingerprint() string {
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(k))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Equal reports whether two keys are the same.
func (k Key) Equal(o Key) bool { return bytes.Equal(k, o) }

// ParseKey reads a verifier key and the name that it is for. All errors wrap [ErrMalformed].
func ParseKey(text string) (name string, k Key, err error) {
	if len(text) > MaxKey {
		return "", nil, fmt.Errorf("%w: a verifier key of %d bytes", ErrMalformed, len(text))
	}
	if _, err := note.NewVerifier(text); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// It has the form name+hash+key, the key after its one byte of algorithm.
	parts := strings.SplitN(text, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("%w: no Ed25519 key", ErrMalformed)
	}
	return parts[0], Key(raw[1:]), nil
}

// CheckConsistency proves that a ledger went on from old to next. It wraps
// [ErrInconsistent] when it did not, or when the proof does not show it.
func CheckConsistency(old, next Checkpoint, proof [][]byte) error {
	switch {
	case old.Origin != next.Origin:
		return fmt.Errorf("%w: it is the log %.200q and was %.200q", ErrInconsistent, next.Origin, old.Origin)
	case next.Size < old.Size:
		return fmt.Errorf("%w: it has %d entries and had %d", ErrInconsistent, next.Size, old.Size)
	case next.Size == old.Size && next.Root != old.Root:
		return fmt.Errorf("%w: its %d entries have another root", ErrInconsistent, old.Size)
	case next.Size == old.Size, old.Size == 0:
		return nil
	}
	list, err := hashes(proof)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	if err := tlog.CheckTree(list, next.Size, next.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: from %d to %d: %w", ErrInconsistent, old.Size, next.Size, err)
	}
	return nil
}

// CheckInclusion proves that an entry is in the ledger of c.
func CheckInclusion(c Checkpoint, index int64, leaf tlog.Hash, proof [][]byte) error {
	list, err := hashes(proof)
	if err != nil {
		return fmt.Errorf("check inclusion: %w", err)
	}
	if index < 0 || index >= c.Size {
		return fmt.Errorf("check inclusion: entry %d is not among %d", index, c.Size)
	}
	if err := tlog.CheckRecord(list, c.Size, c.Root, index, leaf); err != nil {
		return fmt.Errorf("check inclusion of entry %d in %d: %w", index, c.Size, err)
	}
	return nil
}

// Hashes writes a proof as bytes.
func Hashes(list []tlog.Hash) [][]byte {
	out := make([][]byte, len(list))
	for i, h := range list {
		out[i] = h[:]
	}
	return out
}

const maxProof = 64 // hashes; a path in a tree of 2^63 leaves

func hashes(proof [][]byte) ([]tlog.Hash, error) {
	if len(proof) > maxProof {
		return nil, fmt.Errorf("a proof of %d hashes", len(proof))
	}
	out := make([]tlog.Hash, len(proof))
	for i, b := range proof {
		if len(b) != tlog.HashSize {
			return nil, fmt.Errorf("hash %d of the proof has %d bytes", i, len(b))
		}
		out[i] = tlog.Hash(b)
	}
	return out, nil
}
