// Package phone keeps the links by which people without an account report that something is
// wrong, or send photographs, from a phone. It knows nothing of incidents, of HTTP, or of who
// may make a link.
package phone

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Kind is what a link is for.
type Kind string

// The kinds. Whoever has a link may add that, and see nothing.
const (
	Reports Kind = "report" // of an organisation: something is wrong
	Photos  Kind = "photo"  // of one incident
)

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return k == Reports || k == Photos }

// Lives are how long a link of a kind may be good, the first by default.
func (k Kind) Lives() []time.Duration {
	const day = 24 * time.Hour
	if k == Photos {
		return []time.Duration{day, time.Hour, 7 * day}
	}
	return []time.Duration{90 * day, 7 * day, 366 * day}
}

// May reports whether a link of the kind may be good for so long.
func (k Kind) May(life time.Duration) bool { return slices.Contains(k.Lives(), life) }

// Limits of what comes by a link. They bound a stranger who found one; what they are for
// needs a fraction.
const (
	MaxNote     = 120      // bytes of what a link is called
	MaxActive   = 30       // links of one organisation, or of one incident, that are good at one time
	MaxText     = 4096     // bytes of what somebody writes
	MaxLine     = 200      // bytes of a name, a number, a PC
	MaxPhoto    = 30 << 20 // bytes of one photograph
	MaxPhotos   = 200      // of one link, and those that broke off
	MaxBytes    = 2 << 30  // of all photographs of one link
	MaxAtOnce   = 10       // photographs in one form
	hour        = time.Hour
	perLink     = 60 // of anything in an hour
	perAddress  = 30
	opensByLink = 5 // incidents that one link opens in an hour; further reports join the newest
)

// JoinWithin is how long after a report another one from the same place joins its incident.
const JoinWithin = 30 * time.Minute

// The errors that callers act on.
var (
	// ErrNotFound means that there is no such link.
	ErrNotFound = errors.New("no such link")
	// ErrOver means that the link has expired, was revoked, or that as much came by it as may.
	ErrOver = errors.New("the link is not good any more")
	// ErrTooMany means that more comes by the link, or from the same place, than a person sends.
	ErrTooMany = errors.New("too much in a short time")
)

// Link is one link. Its token is not part of it.
type Link struct {
	ID             string // "lnk_…"
	OrganisationID string
	Kind           Kind
	IncidentID     string // of a link for photographs
	Note           string // where it hangs, or who has it
	Sealed         string // the token, for those who may show it again
	MadeID         string
	MadeBy         string
	MadeAt         time.Time
	ExpiresAt      time.Time
	RevokedAt      time.Time
	RevokedBy      string
	Used           int // how often something came by it
	UsedAt         time.Time
}

// Good reports whether a link may be used now.
func (l Link) Good(now time.Time) bool { return l.RevokedAt.IsZero() && now.Before(l.ExpiresAt) }

// NewToken returns a token that nobody guesses: 130 bits in 26 characters.
func NewToken() string { return rand.Text() }

// HashToken is as what a token is stored, so that whoever reads the database has none.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte("phone " + token))
	return hex.EncodeToString(sum[:])
}

// Place is the part of an address that one person can't change at will: all of IPv4, the
// /64 of IPv6 (RFC 6177).
func Place(remote string) string {
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return remote
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// ImageHead is how many bytes of a file [ImageType] wants.
const ImageHead = 32

// ImageType is what a file is by its first bytes, as a media type: JPEG (ITU-T T.81), PNG
// (ISO/IEC 15948), WebP, or HEIF and AVIF (ISO/IEC 23008-12, brands of the "ftyp" box), as
// phones take them. Empty: none of these.
func ImageType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xd8, 0xff}):
		return "image/jpeg"
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case len(head) >= 12 && bytes.HasPrefix(head, []byte("RIFF")) && string(head[8:12]) == "WEBP":
		return "image/webp"
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		switch string(head[8:12]) {
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
			return "image/heic"
		case "avif", "avis":
			return "image/avif"
		}
	}
	return ""
}
