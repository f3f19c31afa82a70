package report

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/i18n"
)

// ErrNotFound means that there is no such report or version.
var ErrNotFound = errors.New("no such report")

// Report is one document of an incident with its issued versions.
type Report struct {
	ID             string
	OrganisationID string
	IncidentID     string
	No             int64
	Number         string // INC-2026-0007-R01
	Kind           Kind
	Language       i18n.Language
	Versions       []Version // oldest first
	Sendings       []Sending // in the order in which they were recorded
}

// Version is one issued version. Nothing of it changes.
type Version struct {
	Version                       int
	At                            time.Time
	ActorKind, ActorID, ActorName string
	Stage                         Stage
	Title                         string
	NotKnown                      int   // sentences that say 不明
	LedgerSize                    int64 // entries of the ledger when its facts were gathered
	BundleSHA256                  string
	BundleSize                    int64
	Files                         []File
	LedgerIdx                     int64
}

// File is one form in which a version was issued.
type File struct {
	Name   string // of [Formats]
	SHA256 string
	Size   int64
}

// Sending is that a version was sent or handed to somebody.
type Sending struct {
	Seq                           int64
	Version                       int
	Recipient                     string
	Channel                       Channel
	SentAt                        time.Time
	Note                          string // such as a receipt number
	RecordedAt                    time.Time
	ActorKind, ActorID, ActorName string
	LedgerIdx                     int64
}

// Channel is how something was sent.
type Channel string

// The channels.
const (
	ByHand  Channel = "hand"
	ByMail  Channel = "mail" // e-mail
	ByPost  Channel = "post"
	ByFax   Channel = "fax"
	ByPhone Channel = "phone" // read out
	ByForm  Channel = "form"  // typed into a web form
	ByOther Channel = "other"
)

// Limits of what people say of a sending, in bytes, of how often one report is sent, and of
// one form of a version.
const (
	MaxRecipient = 256
	MaxNote      = 2048
	MaxSendings  = 1000
	maxForm      = 64 << 20
)

// Channels returns all channels.
func Channels() []Channel {
	return []Channel{ByHand, ByMail, ByPost, ByFax, ByPhone, ByForm, ByOther}
}

// The forms of a version, by their names in its bundle.
const (
	FormatPDF   = "report.pdf"
	FormatDOCX  = "report.docx"
	FormatText  = "report.txt"
	FormatModel = "document.json"
)

// Formats returns the names of all forms.
func Formats() []string { return []string{FormatPDF, FormatDOCX, FormatText, FormatModel} }

// Bundle makes every form of an issued document and puts them into one archive. That, not
// the single files, is what the store keeps: evidence that happens to have the bytes of a
// report cannot be disposed of with it.
func Bundle(d Document) (bundle []byte, files []File, err error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range Formats() {
		var b bytes.Buffer
		switch name {
		case FormatPDF:
			err = d.PDF(&b)
		case FormatDOCX:
			err = d.DOCX(&b)
		case FormatText:
			err = d.Text(&b)
		case FormatModel:
			var model []byte
			model, err = d.Encode()
			b.Write(model)
		}
		if err != nil {
			return nil, nil, err
		}
		files = append(files, File{Name: name, SHA256: digest.Of(b.Bytes()).String(), Size: int64(b.Len())})
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			return nil, nil, fmt.Errorf("bundle %s: %w", d.Name(), err)
		}
		if _, err := w.Write(b.Bytes()); err != nil {
			return nil, nil, fmt.Errorf("bundle %s: %w", d.Name(), err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, nil, fmt.Errorf("bundle %s: %w", d.Name(), err)
	}
	return out.Bytes(), files, nil
}

// ErrDamaged means that the stored bytes of a version are not those that were issued.
var ErrDamaged = errors.New("the stored report is not the one that was issued")

// Unbundle returns one form of a version, proven against its digest.
func Unbundle(bundle []byte, f File) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r, err := z.Open(f.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxForm))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if digest.Of(b).String() != f.SHA256 {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, f.Name)
	}
	return b, nil
}

// The acts in the ledger.
const (
	ActIssue = "report.issue"
	ActSend  = "report.send"
	ActFill  = "report.fill" // a spreadsheet of somebody else's; nothing of it is kept
)

// Details are what the ledger says of an issued version.
func (v Version) Details(r Report) map[string]string {
	m := map[string]string{"number": r.Number, "version": strconv.Itoa(v.Version), "kind": string(r.Kind), "language": string(r.Language), "stage": string(v.Stage),
		"incident": r.IncidentID, "title": sqldb.CleanText(v.Title), "not_known": strconv.Itoa(v.NotKnown), "ledger_size": strconv.FormatInt(v.LedgerSize, 10),
		"bundle_sha256": v.BundleSHA256, "bundle_size": strconv.FormatInt(v.BundleSize, 10)}
	for _, f := range v.Files {
		m[strings.ReplaceAll(f.Name, ".", "_")+"_sha256"] = f.SHA256
	}
	return filled(m)
}

// Details are what the ledger says of a sending.
func (s Sending) Details(r Report) map[string]string {
	return filled(map[string]string{"number": r.Number, "version": strconv.Itoa(s.Version), "seq": strconv.FormatInt(s.Seq, 10), "recipient": sqldb.CleanText(s.Recipient),
		"channel": string(s.Channel), "sent_at": sqldb.FormatTime(s.SentAt), "note": sqldb.CleanText(s.Note)})
}

// filled leaves out what says nothing, as the ledger does.
func filled(m map[string]string) map[string]string {
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	return m
}

// Newest returns the newest version.
func (r Report) Newest() (Version, bool) {
	if len(r.Versions) == 0 {
		return Version{}, false
	}
	return r.Versions[len(r.Versions)-1], true
}

// Find returns a version by its number.
func (r Report) Find(version int) (Version, bool) {
	for _, v := range r.Versions {
		if v.Version == version {
			return v, true
		}
	}
	return Version{}, false
}

// File returns a form of a version by its name.
func (v Version) File(name string) (File, bool) {
	for _, f := range v.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}
