package pdf

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Form is the custody form (証拠取扱い記録) of some exhibits. Texts are printed as they are;
// empty ones and zero times as a dash.
type Form struct {
	// Number is that of the package that the form belongs to, such as INC-2026-0007-P01.
	Number       string
	CaseNumber   string // INC-2026-0007
	CaseTitle    string
	Organisation string
	OrderedBy    string
	Recipient    string
	Purpose      string
	// At is when the form was ordered. It is the only time that the document itself has.
	At time.Time
	// Zone is the time zone in which times are shown beside UTC. Optional; default UTC alone.
	Zone *time.Location
	// LedgerSize and LedgerRoot (hexadecimal) are the state of the custody ledger that the
	// form speaks of. Timestamp says in words which time stamp it has.
	LedgerSize int64
	LedgerRoot string
	Timestamp  string
	Exhibits   []Exhibit
	// Lines is how many empty lines for signatures each exhibit has. Optional; default 3.
	Lines int
}

// Exhibit is one thing under custody: one page, or more where it does not fit.
type Exhibit struct {
	Number       string // INC-2026-0007-E03
	ParentNumber string // of the exhibit that it was made of
	Kind         string // volatile, memory, files, log, photo, device, paper
	Description  string
	Size         string // such as "1,048,576 bytes"
	Files        string // how many, or which

	Source struct{ Host, AssetNumber, Maker, Model, Serial, OS, User, Location string }

	Acquisition struct {
		Method, Tool, ToolSHA256, Profile string
		Parameters                        string    // with what it was started, such as the command
		Started, Ended                    time.Time // by the endpoint's clock
		Outcome                           string    // also whether it is partial
		Errors                            string
	}
	AcquiredBy struct{ Name, Organisation, Role string }
	Authorised struct{ Name, Role, Basis string }
	Witness    string
	Reason     string

	Clock struct {
		UTC                            time.Time // the collector's, when the offset was measured
		Zone, Offset, Uncertainty, NTP string
		BootTime                       time.Time
	}
	NetworkState string // at the capture: connected, isolated, offline

	SHA256         string // of a file that is one thing; of an acquisition the manifest's counts
	ManifestSHA256 string
	Signature      string // who signed the manifest, and by which key
	Timestamp      string // of the outside authority
	LedgerIndex    string // of the entry that accepted it

	// Custodian is who holds it now, and Gap where nobody is known to have held it.
	Custodian, Gap string
	Events         []Event
}

// Event is one thing that was done to an exhibit.
type Event struct {
	Sequence int64
	At       time.Time
	Clock    string // whose clock At is of, where it is not the collector's
	Type     string // collect, seal, receive, verify, view, copy, export, hand_over, ship, return, store, dispose, hold, note
	From, To string // person and organisation
	Place    string
	Medium   string // type and serial number
	Seal     string
	Tracking string // carrier and number
	Purpose  string
	Result   string
	Text     string // what else there is to say
	Before   string // SHA-256
	After    string // SHA-256
	Actor    string // who recorded it
	Entry    string // index in the ledger, and the hash before it
	Witness  string
}

// CustodyForm writes the form as a PDF document. The same form gives the same bytes.
func CustodyForm(w io.Writer, f Form) error {
	if len(f.Exhibits) == 0 {
		return errors.New("custody form: it has no exhibits")
	}
	d, err := newDocument("証拠取扱い記録 / Chain of custody "+f.Number, f.At)
	if err != nil {
		return fmt.Errorf("custody form: %w", err)
	}
	if f.Lines <= 0 {
		f.Lines = 3
	}
	x := form{d, f}
	x.cover()
	for _, e := range f.Exhibits {
		x.exhibit(e)
	}
	if err := d.finish(w, strings.TrimSpace("証拠取扱い記録 / Chain of custody  "+f.Number)); err != nil {
		return fmt.Errorf("custody form: %w", err)
	}
	return nil
}

type form struct {
	*document
	f Form
}

const (
	labelWidth = 94.0
	half       = inner / 2
)

// wide draws a box over the whole width, pairIn two beside each other.
func (x form) wide(f Box) {
	x.row(0, x.label(labelWidth, f.Ja, f.En), x.value(inner-labelWidth, f.Value))
}

// rows draws boxes as they stand in their rows.
func (x form) rows(width float64, rows [][]Box) {
	for _, r := range rows {
		if len(r) == 1 {
			x.wide(r[0])
			continue
		}
		x.pairIn(width, r[0], r[1])
	}
}

func (x form) pairIn(width float64, a, b Box) {
	w := width/2 - labelWidth
	x.row(0, x.label(labelWidth, a.Ja, a.En), x.value(w, a.Value), x.label(labelWidth, b.Ja, b.En), x.value(w, b.Value))
}

func (x form) cover() {
	x.top = nil
	x.page()
	x.heading(17, "証拠取扱い記録", "Chain of custody")
	x.y += 4
	f := x.f
	x.rows(inner, f.Boxes())
	x.y += 10
	x.heading(11, "証拠物件の一覧", "Exhibits")
	widths := []float64{112, 58, 0, 176}
	widths[2] = inner - widths[0] - widths[1] - widths[3]
	head := func() {
		x.row(0, x.label(widths[0], "証拠番号", "Exhibit"), x.label(widths[1], "種別", "Kind"), x.label(widths[2], "端末・内容", "Endpoint, description"), x.label(widths[3], "SHA-256", "SHA-256"))
	}
	head()
	x.top = head
	for _, e := range f.Exhibits {
		x.row(0, x.value(widths[0], e.Number), x.value(widths[1], Word(e.Kind)), x.value(widths[2], join("\n", e.Source.Host, e.Description)), x.value(widths[3], groups(e.sum())))
	}
	x.top = nil
	x.y += 10
	x.sign(f.Lines)
}

// groups writes a hash in groups of eight, which people can compare.
func groups(hex string) string {
	var b strings.Builder
	for i, r := range hex {
		if i > 0 && i%8 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// person joins what is known of somebody.
func person(parts ...string) string { return join(" / ", parts...) }

// join joins what is not empty.
func join(with string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, with)
}

func (x form) exhibit(e Exhibit) {
	x.top = nil
	x.page()
	x.top = func() {
		x.heading(9, e.Number+"（続き）", "continued")
	}
	top := x.y
	x.heading(15, "証拠物件 "+e.Number, "Exhibit · Chain of custody")
	said := e.code()
	for _, l := range x.face.wrap(x.face.visible("QR: "+said), smallSize, inner-codeSide-8) {
		x.text(marginX, x.y, smallSize, true, l)
		x.y += leading(smallSize)
	}
	x.code(marginX+inner-codeSide, top-8, codeSide, said)
	x.y += 2
	rows := x.f.BoxesOf(e)
	x.rows(inner-codeSide-4, rows[:besideCode])
	x.y = max(x.y, top-8+codeSide)
	x.rows(inner, rows[besideCode:])
	x.y += 8
	x.events(e)
	x.y += 8
	x.sign(x.f.Lines)
}

// codeSide is how wide the code of an exhibit is, with its margin.
const codeSide = 76.0

// code is what the code of an exhibit says: a word that names the form, its number, and the
// SHA-256 of its manifest or of itself, where there is one. Capitals make the code smaller.
func (e Exhibit) code() string {
	return strings.ToUpper(strings.TrimRight("HOZEN1:"+e.Number+":"+e.sum(), ":"))
}

// sum is the SHA-256 that stands for all of it: of its manifest, else of itself.
func (e Exhibit) sum() string {
	if e.ManifestSHA256 != "" {
		return e.ManifestSHA256
	}
	return e.SHA256
}

func plusMinus(s string) string {
	if s == "" {
		return ""
	}
	return "± " + s
}

// events is the table of what was done to an exhibit.
func (x form) events(e Exhibit) {
	if len(e.Events) == 0 {
		return
	}
	x.heading(10, "取扱いの記録", "Record of handling")
	widths := []float64{22, 98, 112, 0, 138}
	widths[3] = inner - widths[0] - widths[1] - widths[2] - widths[4]
	head := func() {
		x.row(0, x.label(widths[0], "番", "No."), x.label(widths[1], "日時・種別", "Date, type"), x.label(widths[2], "渡した人 → 受け取った人", "From → to"),
			x.label(widths[3], "場所・媒体・目的・結果", "Place, medium, purpose, result"), x.label(widths[4], "SHA-256（前 → 後）・台帳", "SHA-256 before → after, ledger"))
	}
	head()
	above := x.top
	x.top = func() {
		above()
		head()
	}
	for _, v := range e.Events {
		c := x.f.Cells(v)
		x.row(0, x.value(widths[0], c[0]), x.valueOf(widths[1], 7.6, c[1]), x.valueOf(widths[2], 7.6, c[2]), x.valueOf(widths[3], 7.6, c[3]), x.valueOf(widths[4], smallSize, c[4]))
	}
	x.top = above
}

func named(name, s string) string {
	if s == "" {
		return ""
	}
	return name + " " + s
}

// sign is the table that people fill in by hand.
func (x form) sign(lines int) {
	const rowHeight = 27.0
	if x.left() < 40+rowHeight*float64(min(lines, 4)) {
		x.room(pageHeight)
	}
	x.heading(10, "引き渡しの記録（手書き）", "Hand-over, by hand")
	widths := []float64{82, 120, 120, 0, 76}
	widths[3] = inner - widths[0] - widths[1] - widths[2] - widths[4]
	x.row(0, x.label(widths[0], "日時", "Date, time"), x.label(widths[1], "渡した人（署名）", "Released by (signature)"), x.label(widths[2], "受け取った人（署名）", "Received by (signature)"),
		x.label(widths[3], "目的・媒体・封印番号", "Purpose, medium, seal"), x.label(widths[4], "立会人", "Witness"))
	for range lines {
		var empty []cell
		for _, w := range widths {
			empty = append(empty, cell{width: w})
		}
		x.row(rowHeight, empty...)
	}
}
