// Package wire says what a message of the protocol may hold: the limits that the
// .proto files promise, checked alike at both ends, and how chunks of evidence become
// bytes without detours. It knows nothing of connections, and it never changes a message.
package wire

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/internal/digest"
	"hozen/internal/id"
)

// The limits, in bytes unless said otherwise.
const (
	MaxTokenSecret = 128
	MaxCSR         = 4 << 10
	MaxCertificate = 8 << 10
	MaxSignature   = 256
	MaxHostname    = 255
	MaxPlatform    = 128
	MaxVersion     = 64
	MaxBootID      = 64
	MaxName        = 256 // of people
	MaxReason      = 1 << 10
	MaxDetail      = 4 << 10
	MaxAlert       = 4 << 10
	MaxPartName    = 128
	MaxParts       = 1024 // parts of one acquisition
	MaxChunk       = 256 << 10
	MaxManifest    = 4 << 20
	MaxReceipt     = 256 << 10
	MaxProfile     = 32
	MaxNote        = 4 << 10 // a signed checkpoint
	MaxRecipients  = 4       // public keys of an organisation
	MaxRecipient   = 4 << 10
	MaxEnvelope    = 16 << 10 // header and nonce of an encrypted file
	MaxVerifierKey = 512
	MaxProof       = 64 // hashes

	// MaxMessage is the largest message: a Seal with the largest manifest.
	MaxMessage = MaxManifest + 64<<10

	// MinHeartbeat and MaxHeartbeat bound the seconds between heartbeats.
	MinHeartbeat = 1
	MaxHeartbeat = 300
	// MaxRetryAfter bounds the seconds before an enrolment is asked for again.
	MaxRetryAfter = 300
)

// FieldError says which field of a message breaks which rule. It never repeats
// what the field held, apart from lengths.
type FieldError struct {
	Field  string // as in the .proto file, with its message: "alert.message"
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

func wrong(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// line checks a text of one line: no control characters, at most limit bytes.
func line(field, s string, limit int) error {
	if len(s) > limit {
		return wrong(field, "%d bytes, at most %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return wrong(field, "not UTF-8")
	}
	for _, r := range s {
		if isControl(r) {
			return wrong(field, "holds a control character (U+%04X)", r)
		}
	}
	return nil
}

// text checks a text of any number of lines.
func text(field, s string, limit int) error {
	if len(s) > limit {
		return wrong(field, "%d bytes, at most %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return wrong(field, "not UTF-8")
	}
	for _, r := range s {
		if isControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return wrong(field, "holds a control character (U+%04X)", r)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// Line makes s acceptable as a text of one line: control characters become spaces,
// what is not UTF-8 becomes U+FFFD, and the end is cut at limit bytes.
func Line(s string, limit int) string { return clean(s, limit, false) }

// Text is [Line] for texts that may have lines.
func Text(s string, limit int) string { return clean(s, limit, true) }

func clean(s string, limit int, lines bool) string {
	b := make([]byte, 0, min(len(s), limit))
	for _, r := range s {
		if isControl(r) && (!lines || r != '\n' && r != '\r' && r != '\t') {
			r = ' '
		}
		if len(b)+utf8.RuneLen(r) > limit {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// word checks a short identifier of letters, digits and "._-".
func word(field, s string, least, limit int) error {
	if len(s) < least || len(s) > limit {
		return wrong(field, "%d bytes, want %d to %d", len(s), least, limit)
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return wrong(field, "holds a character outside a-z A-Z 0-9 . _ -")
		}
	}
	return nil
}

// size checks the length of bytes.
func size(field string, b []byte, least, limit int) error {
	if len(b) < least || len(b) > limit {
		return wrong(field, "%d bytes, want %d to %d", len(b), least, limit)
	}
	return nil
}

func identifier(field string, p id.Prefix, s string) error {
	if id.Check(p, s) != nil {
		return wrong(field, "want an identifier of the form %s_…", p)
	}
	return nil
}

func optionalIdentifier(field string, p id.Prefix, s string) error {
	if s == "" {
		return nil
	}
	return identifier(field, p, s)
}

func moment(field string, t *timestamppb.Timestamp) error {
	if t == nil {
		return wrong(field, "missing")
	}
	return optionalMoment(field, t)
}

func optionalMoment(field string, t *timestamppb.Timestamp) error {
	if t != nil && t.CheckValid() != nil {
		return wrong(field, "not a time from year 1 to 9999")
	}
	return nil
}

// Time returns the moment, or the zero time for an absent one.
func Time(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// Timestamp is the inverse of [Time].
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func optionalDigest(field, s string) error {
	if s == "" {
		return nil
	}
	if _, err := digest.Parse(s); err != nil {
		return wrong(field, "want 64 lower-case hexadecimal digits or nothing")
	}
	return nil
}

// PartName checks the name of a part: "artifacts/" and at most 64 of a-z, 0-9, '.',
// '_', '-', not beginning with a dot, so that it is safe as a path on every system.
func PartName(field, s string) error {
	const dir = "artifacts/"
	if len(s) <= len(dir) || len(s) > len(dir)+64 || s[:len(dir)] != dir || s[len(dir)] == '.' {
		return wrong(field, "want artifacts/ and at most 64 of a-z 0-9 . _ -")
	}
	for _, c := range []byte(s[len(dir):]) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return wrong(field, "want artifacts/ and at most 64 of a-z 0-9 . _ -")
		}
	}
	return nil
}
