package checkpoint

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Cosignatures are by witnesses outside the company: each says by its own key that it saw
// this state of the log, at its own clock, and none before that this one does not go on from
// (C2SP tlog-cosignature, cosignature/v1).

const (
	cosignatureV1 = 0x04 // the algorithm byte of C2SP signed-note
	// maxWitnesses bounds what is looked for on one note; x/mod reads at most 100 signatures.
	maxWitnesses = 32
)

// Witness is the public key of a witness.
type Witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// ParseWitness reads the verifier key of a witness: name+hash+key, the key after the
// algorithm byte 4. All errors wrap [ErrMalformed].
func ParseWitness(text string) (Witness, error) {
	bad := func(why string) (Witness, error) {
		return Witness{}, fmt.Errorf("%w: verifier key of a witness: %s", ErrMalformed, why)
	}
	if len(text) > MaxKey {
		return bad("too long")
	}
	parts := strings.SplitN(text, "+", 3)
	if len(parts) != 3 || !validOrigin(parts[0]) {
		return bad("want name+hash+key")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != cosignatureV1 {
		return bad("want an Ed25519 key for cosignatures (algorithm 4)")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || len(parts[1]) != 8 || uint32(hash) != witnessHash(parts[0], raw) {
		return bad("the hash is not that of the key")
	}
	return Witness{parts[0], uint32(hash), raw[1:]}, nil
}

func witnessHash(name string, raw []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return binary.BigEndian.Uint32(sum[:])
}

// NewWitness makes the verifier key of a witness with that name, without spaces or pluses.
func NewWitness(name string, key ed25519.PublicKey) (Witness, error) {
	if !validOrigin(name) || len(key) != ed25519.PublicKeySize {
		return Witness{}, fmt.Errorf("%w: name or key of a witness", ErrMalformed)
	}
	return Witness{name, witnessHash(name, append([]byte{cosignatureV1}, key...)), key}, nil
}

// Name is what the witness calls itself.
func (w Witness) Name() string { return w.name }

// Text writes the verifier key, one line.
func (w Witness) Text() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.hash, base64.StdEncoding.EncodeToString(append([]byte{cosignatureV1}, w.key...)))
}

// Cosigned is one signature of a witness that was checked.
type Cosigned struct {
	Witness Witness
	At      time.Time // by the witness's clock
	Line    string    // the signature as it stands in the note, with its line feed
}

// cosigner lets package note find and check a witness's signature.
type cosigner struct {
	Witness
	at int64
}

func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify checks a timestamped signature: 8 bytes of Unix seconds, big endian, and an Ed25519
// signature of a header with that time and the text.
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	if at == 0 || at > 1<<40 {
		return false // no time that a clock shows
	}
	c.at = int64(at)
	return ed25519.Verify(c.key, cosignedText(c.at, msg), sig[8:])
}

func cosignedText(at int64, msg []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), msg...)
}

// Cosignatures returns what those witnesses signed of a note, in their order. A signature in
// the name and with the hash of a witness that is not right is an error, which wraps
// [ErrSignature]; those of strangers are passed over.
func Cosignatures(signed string, witnesses []Witness) ([]Cosigned, error) {
	c, err := Parse(signed)
	if err != nil {
		return nil, err
	}
	if len(witnesses) > maxWitnesses {
		return nil, fmt.Errorf("%w: %d witnesses", ErrMalformed, len(witnesses))
	}
	var out []Cosigned
	for _, w := range witnesses {
		if w.name == c.Origin {
			continue // the log itself is no witness
		}
		v := &cosigner{Witness: w}
		n, err := note.Open([]byte(signed), note.VerifierList(v))
		if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSignature, w.name, err)
		}
		for _, s := range n.Sigs {
			out = append(out, Cosigned{w, time.Unix(v.at, 0).UTC(), "— " + s.Name + " " + s.Base64 + "\n"})
		}
	}
	return out, nil
}

// Cosign signs a note as a witness does, and returns the line that goes below it.
func Cosign(signed string, w Witness, key ed25519.PrivateKey, at time.Time) (string, error) {
	if _, err := Parse(signed); err != nil {
		return "", err
	}
	end := strings.LastIndex(signed, "\n\n— ")
	if pub, ok := key.Public().(ed25519.PublicKey); !ok || end < 0 || !bytes.Equal(pub, w.key) || at.Unix() <= 0 {
		return "", fmt.Errorf("%w: cosign", ErrMalformed)
	}
	sig := binary.BigEndian.AppendUint32(nil, w.hash)
	sig = binary.BigEndian.AppendUint64(sig, uint64(at.Unix()))
	sig = append(sig, ed25519.Sign(key, cosignedText(at.Unix(), []byte(signed[:end+1])))...)
	return "— " + w.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n", nil
}

// Own returns a note with the signature of its log alone, as it was before anybody cosigned
// it. Errors wrap [ErrMalformed] or [ErrSignature].
func Own(signed string, key Key) (string, error) {
	c, err := Open(signed, key)
	if err != nil {
		return "", err
	}
	v, err := key.verifier(c.Origin)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return n.Text + "\n— " + n.Sigs[0].Name + " " + n.Sigs[0].Base64 + "\n", nil
}
