// Package usbkit is what the maker, the user and the reader of a USB kit agree on: the
// names of its files, the document that describes it, and the receipt code that is written
// on paper. It is pure data: no file, no network, no clock. The format is described in
// internal/docs/design/kit.md.
package usbkit

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"hozen/internal/digest"
	"hozen/internal/id"
)

// Format is the first field of every document of this version.
const Format = "hozen-kit/1"

// Names on the stick.
const (
	DocumentFile  = "kit.json"
	SignatureFile = "kit.json.sig" // the collector's, over the exact bytes of DocumentFile
	SumsFile      = "SHA256SUMS"   // of the other files, for sha256sum -c
	ResultsDir    = "results"      // one folder for each acquisition, named by its identifier
	LinuxAgent    = "hozen-agent"
	WindowsAgent  = "hozen-agent.exe"
)

// Sealed is what the name of an artifact ends in whose bytes are sealed for the organisation.
const Sealed = ".age"

// Limits of a document.
const (
	MaxDocument = 64 << 10 // bytes
	maxFiles    = 64
	maxText     = 512 // bytes of one text
)

// Kit is the document: what the kit is for and which files it was made of.
type Kit struct {
	Format       string       `json:"format"`
	KitID        string       `json:"kit_id"` // kit_…
	Organisation Organisation `json:"organisation"`
	Collector    Collector    `json:"collector"`
	IncidentID   string       `json:"incident_id,omitempty"` // inc_…; both or none
	Incident     string       `json:"incident_number,omitempty"`
	Profile      string       `json:"profile"`
	Language     string       `json:"language"` // in which the agent asks: ja or en
	// Recipients are the public keys for which results are sealed (age, "age1…"); with none
	// they lie on the stick in the clear.
	Recipients []string  `json:"recipients,omitempty"`
	MadeAt     time.Time `json:"made_at"` // the collector's clock
	MadeBy     string    `json:"made_by"`
	Files      []File    `json:"files"` // all but this document, its signature and the sums
}

// Organisation is whose data it will be.
type Organisation struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Collector is who made the kit.
type Collector struct {
	Name     string `json:"name"`
	CASHA256 string `json:"ca_sha256"` // of its CA's certificate, DER
}

// File is one file of the kit.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Encode writes the document.
func (k Kit) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode kit: %w", err)
	}
	b = append(b, '\n')
	if _, err := Decode(b); err != nil {
		return nil, fmt.Errorf("encode kit: %w", err) // never make what nobody reads
	}
	return b, nil
}

// Decode reads a document and checks its form. Whose it is, only its signature shows.
func Decode(b []byte) (Kit, error) {
	if len(b) > MaxDocument {
		return Kit{}, fmt.Errorf("%s: %d bytes are more than %d", DocumentFile, len(b), MaxDocument)
	}
	var k Kit
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return Kit{}, fmt.Errorf("%s: %w", DocumentFile, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Kit{}, fmt.Errorf("%s: text after its end", DocumentFile)
	}
	if err := k.check(); err != nil {
		return Kit{}, fmt.Errorf("%s: %w", DocumentFile, err)
	}
	return k, nil
}

func (k *Kit) check() error {
	if k.Format != Format {
		return fmt.Errorf("format is %.40q, want %q", k.Format, Format)
	}
	if err := errors.Join(id.Check(id.Kit, k.KitID), id.Check(id.Organisation, k.Organisation.ID)); err != nil {
		return err
	}
	if k.IncidentID != "" || k.Incident != "" {
		if err := id.Check(id.Incident, k.IncidentID); err != nil || k.Incident == "" {
			return errors.New("an incident has an identifier and a number")
		}
	}
	for _, s := range append([]string{k.Organisation.Name, k.Collector.Name, k.Incident, k.Profile, k.MadeBy}, k.Recipients...) {
		if len(s) > maxText || strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("a text is too long or holds control characters")
		}
	}
	if _, err := digest.Parse(k.Collector.CASHA256); err != nil {
		return err
	}
	switch {
	case k.Profile == "" || k.Organisation.Name == "":
		return errors.New("profile or organisation is missing")
	case k.Language != "ja" && k.Language != "en":
		return fmt.Errorf("language %.20q is not known", k.Language)
	case k.MadeAt.IsZero():
		return errors.New("made_at is missing")
	case len(k.Files) > maxFiles || len(k.Recipients) > maxFiles:
		return errors.New("too many files or recipients")
	}
	seen := map[string]bool{}
	for _, f := range k.Files {
		if _, err := digest.Parse(f.SHA256); err != nil {
			return err
		}
		if f.Size < 0 || seen[f.Name] || !plainName(f.Name) {
			return fmt.Errorf("file %.80q is no file of a kit, or stands there twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// plainName reports whether a name is one of a file in the kit's folder on every system.
func plainName(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '.' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

// The receipt code: the first 60 bits of the SHA-256 of the manifest, in three groups of
// four characters of Crockford's base32, which has no I, L, O and U.
const (
	alphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeGroups = 3
	codePer    = 4
)

// ReceiptCode is what the person who acquired writes on paper, such as "7Q2M-0KXD-V93A".
func ReceiptCode(manifest digest.Digest) string {
	return grouped(base32.NewEncoding(alphabet).EncodeToString(manifest[:])[:codeGroups*codePer])
}

func grouped(s string) string {
	var parts []string
	for i := range codeGroups {
		parts = append(parts, s[i*codePer:(i+1)*codePer])
	}
	return strings.Join(parts, "-")
}

// ParseReceiptCode spells a code as [ReceiptCode] does. Case, spaces and hyphens do not
// matter, nor full-width characters, nor O for 0 and I or L for 1.
func ParseReceiptCode(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		if r >= '！' && r <= '～' { // full-width forms of ASCII
			r -= '！' - '!'
		}
		switch r = unicode.ToUpper(r); r {
		case ' ', '　', '-', 'ー', '‐', '－', '−':
		case 'O':
			b.WriteByte('0')
		case 'I', 'L':
			b.WriteByte('1')
		default:
			b.WriteRune(r)
		}
	}
	code := b.String()
	if len(code) != codeGroups*codePer || strings.Trim(code, alphabet) != "" {
		return "", fmt.Errorf("receipt code %.40q: want %d groups of %d letters and digits", s, codeGroups, codePer)
	}
	return grouped(code), nil
}

// Printable makes a text one that a document of a kit takes.
func Printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "")
	}
	return s
}
