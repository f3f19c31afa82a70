package atrest

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hozen/internal/durable"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

// The form of a data key: an age identity file, so that `age -d -i KEYFILE NAME` gives what
// `age -d -i` takes. The lines before the key say what it is for, and carry the proof that
// whoever made it had the key file: encrypting to a key takes no secret, so without it
// somebody could put a key of his own there and read all that comes later.
const (
	recordFormat = "hozen-evidence-key/1"
	suffix       = envelope.Suffix
	maxRecord    = 8 << 10
	maxNumber    = 9999
)

// dataKey is a key that evidence is encrypted to.
type dataKey struct {
	Key
	id     unseal.Identity
	shared string // the first 16 digits of the name of another key file's key that opens it too
}

// file is the name under which the key lies.
func (k dataKey) file() string {
	return fmt.Sprintf("%04d-%s%s", k.Number, k.Fingerprint.String()[:16], suffix)
}

// facts are what the proof is about.
func (k dataKey) facts(collector string) string {
	return fmt.Sprintf("%s\ncollector %s\nnumber %d\nmade %s\npublic %s\n", recordFormat, collector, k.Number, k.Made.Format(time.RFC3339), k.id.Recipient())
}

// proof is what only who has the key file can say of the facts.
func proof(wrap unseal.Identity, facts string) (string, error) {
	key, err := hkdf.Key(sha256.New, []byte(wrap.Text()), nil, recordFormat+" proof", sha256.Size)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(facts))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// store writes a data key, encrypted to each of the wrapping keys.
func (r *Ring) store(k dataKey, wraps ...unseal.Identity) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n# collector %s\n# number %d\n# made %s\n", recordFormat, r.cfg.Collector, k.Number, k.Made.Format(time.RFC3339))
	var to []envelope.Recipient
	for _, w := range wraps {
		p, err := proof(w, k.facts(r.cfg.Collector))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "# proof %s %s\n", w.Recipient().Fingerprint().String()[:16], p)
		to = append(to, w.Recipient())
	}
	fmt.Fprintf(&text, "%s\n", k.id.Text())
	var b bytes.Buffer
	w, err := envelope.Seal(&b, to...)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(r.cfg.Dir, k.file()), b.Bytes(), 0o600)
}

// load reads a data key and proves that it is one of this collector's.
func (r *Ring) load(name string) (dataKey, error) {
	f, err := os.Open(filepath.Join(r.cfg.Dir, name))
	if err != nil {
		return dataKey{}, err
	}
	defer f.Close()
	clear, err := unseal.Open(io.LimitReader(f, maxRecord), r.wrap)
	if err != nil {
		return dataKey{}, keyError(err)
	}
	text, err := io.ReadAll(clear)
	if err != nil {
		return dataKey{}, err
	}
	k, collector, proofs, err := parseRecord(text)
	if err != nil {
		return dataKey{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	want, err := proof(r.wrap, k.facts(r.cfg.Collector))
	if err != nil {
		return dataKey{}, err
	}
	switch got := proofs[r.Wrapping().String()[:16]]; {
	case collector != r.cfg.Collector:
		return dataKey{}, fmt.Errorf("%w: it is of collector %.80q", ErrForged, collector)
	case !hmac.Equal([]byte(got), []byte(want)):
		return dataKey{}, fmt.Errorf("%w: whoever made it did not have the key file", ErrForged)
	case name != k.file():
		return dataKey{}, fmt.Errorf("%w: its name must be %s", ErrForged, k.file())
	}
	for who := range proofs {
		if who != r.Wrapping().String()[:16] {
			k.shared = who
		}
	}
	return k, nil
}

// parseRecord reads a data key. Its proofs are by the beginning of the fingerprint of the
// wrapping key.
func parseRecord(text []byte) (k dataKey, collector string, proofs map[string]string, err error) {
	said := map[string]string{}
	proofs = map[string]string{}
	first := true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		rest, comment := strings.CutPrefix(line, "# ")
		word, value, _ := strings.Cut(rest, " ")
		switch {
		case first:
			if rest != recordFormat || !comment {
				return k, "", nil, fmt.Errorf("it is not in the form %s", recordFormat)
			}
			first = false
		case comment && word == "proof":
			who, p, _ := strings.Cut(value, " ")
			proofs[who] = p
		case comment && said[word] != "":
			return k, "", nil, fmt.Errorf("it says %s twice", word)
		case comment:
			said[word] = value
		case k.id.Text() != "":
			return k, "", nil, fmt.Errorf("it holds more than one key")
		default:
			if k.id, err = unseal.Parse(line); err != nil {
				return k, "", nil, err
			}
		}
	}
	if k.id.Text() == "" {
		return k, "", nil, unseal.ErrNoIdentity
	}
	if k.id.Recipient().PostQuantum() {
		return k, "", nil, fmt.Errorf("it is not an X25519 key")
	}
	if k.Number, err = strconv.Atoi(said["number"]); err != nil || k.Number < 1 || k.Number > maxNumber {
		return k, "", nil, fmt.Errorf("its number is %.20q", said["number"])
	}
	if k.Made, err = time.Parse(time.RFC3339, said["made"]); err != nil {
		return k, "", nil, fmt.Errorf("its time: %w", err)
	}
	k.Made, k.Fingerprint = k.Made.UTC(), k.id.Recipient().Fingerprint()
	return k, said["collector"], proofs, nil
}
