package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/internal/digest"
	"hozen/internal/i18n"
)

// Document is what a document says, whatever it is printed on.
type Document struct {
	Kind     Kind          `json:"kind"`
	Language i18n.Language `json:"language"`
	Stage    Stage         `json:"stage,omitempty"`
	Era      bool          `json:"era,omitempty"`
	Drill    bool          `json:"drill,omitempty"`
	// Number and Version are those of an issued one; a draft has none.
	Number  string `json:"number,omitempty"`
	Version int    `json:"version,omitempty"`
	Title   string `json:"title"`

	CaseNumber   string `json:"case_number"`
	CaseTitle    string `json:"case_title"`
	Organisation string `json:"organisation"`
	By           string `json:"by,omitempty"` // who issued it

	// At is when its facts were gathered, and LedgerSize how many entries the ledger had then.
	At         time.Time `json:"at"`
	LedgerSize int64     `json:"ledger_size"`

	Blocks  []Block  `json:"blocks"`
	Sources []Source `json:"sources"` // a sentence names them by their place here, from 1 on
	// Added are the words of people that stand in it, by block.
	Added map[string]string `json:"added,omitempty"`
}

// Block is a part with a heading.
type Block struct {
	Key       string     `json:"key"`
	Title     string     `json:"title"`
	Hint      string     `json:"hint,omitempty"` // for whoever fills in a form; never printed on a letter
	Sentences []Sentence `json:"sentences,omitempty"`
	Table     *Table     `json:"table,omitempty"`
	// Open says that people may add words.
	Open bool `json:"open,omitempty"`
}

// Sentence is what is said, and by what.
type Sentence struct {
	Text    string `json:"text"`
	Unknown bool   `json:"unknown,omitempty"` // it says 不明
	Sources []int  `json:"sources,omitempty"`
	Break   bool   `json:"break,omitempty"` // begins a paragraph
}

// Table is a table; its last column says where each row comes from.
type Table struct {
	Columns []Column   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Column is a column of a table; Width is a part of the whole, in any unit.
type Column struct {
	Title string  `json:"title"`
	Width float64 `json:"width"`
}

// SourceKind says what a sentence stands on.
type SourceKind string

// The kinds of sources.
const (
	FromRecord   SourceKind = "record"   // a version of one of the ten items
	FromEvidence SourceKind = "evidence" // an exhibit or a piece of evidence, by its number
	FromLedger   SourceKind = "ledger"   // an entry of the custody ledger, by its index
	FromPerson   SourceKind = "person"   // somebody said it
	FromEndpoint SourceKind = "endpoint" // an agent measured it
	FromDeadline SourceKind = "deadline" // a deadline with its rule
	FromContact  SourceKind = "contact"  // the list of contacts
	FromProfile  SourceKind = "profile"  // the settings of the organisation
	FromGap      SourceKind = "gap"      // nothing was recorded
	FromWording  SourceKind = "wording"  // a fixed wording of the document
)

// Source is one thing that sentences stand on.
type Source struct {
	Kind SourceKind `json:"kind"`
	Ref  string     `json:"ref,omitempty"`  // such as "4 v2", INC-2026-0007-E03, 412
	Text string     `json:"text,omitempty"` // as it is printed
	Gone bool       `json:"gone,omitempty"` // evidence whose bytes are not there any more
}

// Issue gives a document its number. What was issued is never changed.
func (d Document) Issue(number string, version int, by string) Document {
	d.Number, d.Version, d.By = number, version, by
	return d
}

// Name is the number with the version, "INC-2026-0007-R01 v2"; empty of a draft.
func (d Document) Name() string {
	if d.Number == "" {
		return ""
	}
	return d.Number + " v" + strconv.Itoa(d.Version)
}

// FormatNumber spells the number of a report of an incident.
func FormatNumber(incidentNumber string, no int64) string {
	return fmt.Sprintf("%s-R%02d", incidentNumber, no)
}

// Digest is that of what a document says, without number and moment: two drafts of the same
// facts have the same.
func (d Document) Digest() (string, error) {
	d.Number, d.Version, d.By, d.At, d.LedgerSize = "", 0, "", time.Time{}, 0
	b, err := d.Encode()
	if err != nil {
		return "", err
	}
	return digest.Of(b).String(), nil
}

// Encode writes the neutral form. The same document gives the same bytes.
func (d Document) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads what Encode wrote.
func Decode(b []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return Document{}, fmt.Errorf("decode document: %w", err)
	}
	return d, nil
}

// Words are all texts of a document in the order in which they are printed.
func (d Document) Words() []string {
	out := []string{d.Title, d.CaseNumber, d.CaseTitle, d.Organisation, d.By}
	for _, b := range d.Blocks {
		out = append(out, b.Title)
		for _, s := range b.Sentences {
			out = append(out, s.Text)
		}
		if b.Table != nil {
			for _, c := range b.Table.Columns {
				out = append(out, c.Title)
			}
			for _, r := range b.Table.Rows {
				out = append(out, r...)
			}
		}
	}
	for _, s := range d.Sources {
		out = append(out, s.Text)
	}
	return out
}

// Unknown counts the sentences that say 不明.
func (d Document) Unknown() int {
	n := 0
	for _, b := range d.Blocks {
		for _, s := range b.Sentences {
			if s.Unknown {
				n++
			}
		}
	}
	return n
}

// Plain is the text of a block for copying: its sentences, and no numbers of sources. What
// cannot be seen stands there by its number.
func (b Block) Plain() string {
	var out strings.Builder
	for i, s := range b.Sentences {
		if i > 0 {
			if s.Break {
				out.WriteByte('\n')
			} else if last := b.Sentences[i-1].Text; last != "" && last[len(last)-1] < 0x80 {
				out.WriteByte(' ')
			}
		}
		out.WriteString(s.Text)
	}
	return visible(out.String())
}
