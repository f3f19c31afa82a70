package pdf

import (
	"errors"
	"fmt"
	"io"
	"strconv"
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

// at writes a time with its offset, so that it is the same wherever it is read.
func (x form) at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	utc := t.UTC().Format("2006-01-02 15:04:05") + " UTC"
	if x.f.Zone == nil {
		return utc
	}
	local := t.In(x.f.Zone)
	if _, offset := local.Zone(); offset == 0 {
		return utc
	}
	return local.Format("2006-01-02 15:04:05 -07:00") + " (" + utc + ")"
}

// field is a name in both languages with what is said of it.
type field struct{ ja, en, value string }

// wide draws a field over the whole width, pair two beside each other.
func (x form) wide(f field) {
	x.row(0, x.label(labelWidth, f.ja, f.en), x.value(inner-labelWidth, f.value))
}

func (x form) pair(a, b field) { x.pairIn(inner, a, b) }

func (x form) pairIn(width float64, a, b field) {
	w := width/2 - labelWidth
	x.row(0, x.label(labelWidth, a.ja, a.en), x.value(w, a.value), x.label(labelWidth, b.ja, b.en), x.value(w, b.value))
}

func (x form) cover() {
	x.top = nil
	x.page()
	x.heading(17, "証拠取扱い記録", "Chain of custody")
	x.y += 4
	f := x.f
	x.pair(field{"パッケージ", "Package", f.Number}, field{"インシデント番号", "Case number", f.CaseNumber})
	x.wide(field{"件名", "Title", f.CaseTitle})
	x.wide(field{"組織", "Organisation", f.Organisation})
	x.pair(field{"作成日時", "Made", x.at(f.At)}, field{"作成を指示した人", "Ordered by", f.OrderedBy})
	x.pair(field{"渡す相手", "Recipient", f.Recipient}, field{"目的", "Purpose", f.Purpose})
	size := ""
	if f.LedgerSize > 0 {
		size = strconv.FormatInt(f.LedgerSize, 10)
	}
	x.pair(field{"証拠管理台帳の件数", "Entries of the custody ledger", size}, field{"タイムスタンプ", "Time stamp", f.Timestamp})
	x.wide(field{"台帳のルートハッシュ", "Root hash of the ledger", groups(f.LedgerRoot)})
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
	x.pairIn(inner-codeSide-4, field{"インシデント番号", "Case number", x.f.CaseNumber}, field{"元の証拠物件", "Made of", e.ParentNumber})
	x.pairIn(inner-codeSide-4, field{"種別", "Kind", Word(e.Kind)}, field{"大きさ・ファイル数", "Size, files", person(e.Size, e.Files)})
	x.y = max(x.y, top-8+codeSide)
	x.wide(field{"内容", "Description", e.Description})
	s := e.Source
	x.pair(field{"端末", "Endpoint", s.Host}, field{"資産管理番号", "Asset number", s.AssetNumber})
	x.pair(field{"メーカー・型番", "Maker, model", person(s.Maker, s.Model)}, field{"製造番号", "Serial number", s.Serial})
	x.pair(field{"システム", "Operating system", s.OS}, field{"PCの利用者・場所", "PC user, location", person(s.User, s.Location)})
	a := e.Acquisition
	x.pair(field{"取得方法・プロファイル", "Method, profile", person(a.Method, a.Profile)}, field{"ツール", "Tool", a.Tool})
	x.wide(field{"ツールの SHA-256", "SHA-256 of the tool", groups(a.ToolSHA256)})
	if a.Parameters != "" {
		x.wide(field{"取得の設定", "Parameters", a.Parameters})
	}
	x.pair(field{"取得の開始", "Started (endpoint's clock)", x.at(a.Started)}, field{"取得の終了", "Ended (endpoint's clock)", x.at(a.Ended)})
	x.pair(field{"取得結果", "Outcome", Word(a.Outcome)}, field{"欠け・誤り", "Gaps, errors", a.Errors})
	x.pair(field{"取得した人", "Acquired by", person(e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role)},
		field{"承認した人・根拠", "Authorised by, basis", person(e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis)})
	x.pair(field{"立会人", "Witness", e.Witness}, field{"取得の理由", "Reason", e.Reason})
	c := e.Clock
	x.pair(field{"時計のずれ（端末−基準）", "Clock offset", person(c.Offset, plusMinus(c.Uncertainty))}, field{"測定日時", "Measured", x.at(c.UTC)})
	x.pair(field{"タイムゾーン・時刻同期", "Time zone, synchronisation", person(c.Zone, c.NTP)}, field{"起動日時", "Booted", x.at(c.BootTime)})
	x.pair(field{"取得時のネットワーク", "Network at the capture", e.NetworkState}, field{"台帳番号", "Ledger entry", e.LedgerIndex})
	if e.ManifestSHA256 != "" {
		x.wide(field{"マニフェストの SHA-256", "SHA-256 of the manifest", groups(e.ManifestSHA256)})
	}
	if e.SHA256 != "" || e.ManifestSHA256 == "" {
		x.wide(field{"SHA-256", "SHA-256", groups(e.SHA256)})
	}
	x.pair(field{"署名", "Signature", e.Signature}, field{"タイムスタンプ", "Time stamp", e.Timestamp})
	x.pair(field{"現在の保管者", "Custodian now", e.Custodian}, field{"保管者不明の期間", "Gap in custody", e.Gap})
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
		between := join("\n", join(" → ", v.From, v.To), named("立会 witness:", v.Witness), named("記録 recorded:", v.Actor))
		after := v.After
		if after == v.Before {
			after = ""
		}
		x.row(0, x.value(widths[0], strconv.FormatInt(v.Sequence, 10)), x.valueOf(widths[1], 7.6, join("\n", x.at(v.At), v.Clock, Word(v.Type))), x.valueOf(widths[2], 7.6, between),
			x.valueOf(widths[3], 7.6, person(v.Place, v.Medium, named("封印 seal", v.Seal), named("送り状 tracking", v.Tracking), v.Purpose, Word(v.Result), v.Text)),
			x.valueOf(widths[4], smallSize, join("\n", groups(v.Before), named("→", groups(after)), v.Entry)))
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
