package report_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"hozen/collector/internal/report"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Long and odd texts: beyond the basic plane, without a place to break, hidden controls.
const (
	odd     = "𠮷野家の𩸽😀 﨑 か\u3099 \u202e逆\u202c"
	unbroke = "ｱｲｳｴｵカキクケコ0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func at(s string) time.Time {
	v, err := time.ParseInLocation("2006-01-02 15:04", s, report.Zone())
	if err != nil {
		panic(err)
	}
	return v
}

// facts is an incident that has everything.
func facts() report.Facts {
	f := report.Facts{At: at("2026-11-23 18:30"), LedgerSize: 412,
		Organisation: report.Organisation{Name: "株式会社" + odd, Client: "委託元商事", Desk: "お客様窓口 03-0000-0000（平日9–17時）"},
		Incident:     report.Incident{Number: "INC-2026-0007", Title: "経理部のPCで不審な画面 " + odd, Types: []string{"ransomware", "leak"}, Reporter: "佐藤（経理）", DiscoveredAt: at("2026-11-23 17:50"), OpenedAt: at("2026-11-23 17:51"), LedgerIdx: 380},
		Answers: map[report.Key]report.Answer{
			report.OccurredAt: {From: at("2026-11-22 02:00"), To: at("2026-11-23 17:50"), State: report.Estimated, Basis: []report.Basis{{Number: "INC-2026-0007-E01"}}, By: "担当 四郎", At: at("2026-11-23 18:10"), Version: 2, LedgerIdx: 401},
			report.Symptoms:   {Value: "経理PCに身代金を要求する画面が表示され、共有フォルダーのファイルが開けない。" + unbroke, State: report.Known, Basis: []report.Basis{{Person: "佐藤（経理）"}}, By: "担当 四郎", At: at("2026-11-23 18:00"), Version: 1, LedgerIdx: 395},
			report.Cause:      {Value: "添付ファイルを開いたこと", State: report.Estimated, Basis: []report.Basis{{Number: "INC-2026-0007-E02", Gone: true}}, By: "担当 四郎", At: at("2026-11-23 18:12"), Version: 1, LedgerIdx: 402},
			report.Impact:     {Value: "会計システムは使えない。メールと電話は使える。", State: report.Known, Basis: []report.Basis{{Person: "責任 花子"}}, By: "責任 花子", At: at("2026-11-23 18:20"), Version: 1, LedgerIdx: 404},
		},
		Endpoints: []report.Endpoint{{Name: "経理PC-01", System: "debian 12", State: "isolated", MeasuredAt: at("2026-11-23 18:29")}, {Name: "営業PC-02", State: "failed", MeasuredAt: at("2026-11-23 18:25")}},
		Evidence: []report.Evidence{
			{Number: "INC-2026-0007-E01", Host: "経理PC-01", Profile: "volatile", Outcome: "complete", Pieces: 12, Records: 3456, SHA256: strings.Repeat("ab", 32), ReceivedAt: at("2026-11-23 17:55"), LedgerIdx: 390},
			{Number: "INC-2026-0007-E02", Host: "営業PC-02", Profile: "flash", Outcome: "partial", Pieces: 3, Records: 20, SHA256: strings.Repeat("cd", 32), ReceivedAt: at("2026-11-23 17:58"), LedgerIdx: 392, Gone: true}},
		Exhibits: []report.Exhibit{{Number: "INC-2026-0007-E01", Kind: "volatile", Description: "揮発性情報 " + odd, Holder: "担当 四郎 / 株式会社サンプル", Gaps: 1, Events: 5, LedgerIdx: 390}},
		Decisions: []report.Decision{{Question: "会計システムを止めるか", Options: "止める・止めない", Known: "共有フォルダーが暗号化されている", Choice: "止める", Reason: "被害を広げないため", Decider: "社長 田中", At: at("2026-11-23 18:15"), LedgerIdx: 403},
			{Question: "取引先に知らせるか", By: at("2026-11-24 12:00"), LedgerIdx: 405}},
		Deadlines: []report.Deadline{{Name: "個人情報保護委員会への速報", Rule: "発覚日を1日目として3日から5日", Basis: "個人情報保護法 第26条、規則 第8条", From: at("2026-11-23 17:50"), Until: at("2026-11-25 23:59")},
			{Name: "社長への連絡", Rule: "30分ごと", Basis: "当社の取り決め", From: at("2026-11-23 17:50"), Until: at("2026-11-23 18:20")}},
		Contacts: []report.Contact{{Name: "県警察本部 サイバー犯罪相談", Kind: "police", Phone: "03-0000-1111", Hours: "平日 9:00–17:00", CheckedAt: at("2026-10-01 00:00")}, {Name: "手引きの窓口", Phone: "03-0000-2222", Unchecked: true}},
	}
	for i, l := range []report.Line{
		{Actor: "担当 四郎", Text: "インシデントを開きました。"},
		{Actor: "経理PC-01", Text: "PCの利用者から知らせがありました。\n変な画面が出ています " + odd, Deed: report.DeedReported, Endpoint: "経理PC-01", AgentAt: at("2026-11-23 17:49")},
		{Actor: "担当 四郎", Text: "経理PC-01 をネットワークから隔離しました。", Deed: report.DeedIsolated, Endpoint: "経理PC-01"},
		{Actor: "経理PC-01", Text: "証拠を受け取りました。" + unbroke, Deed: report.DeedAcquired, Endpoint: "経理PC-01"},
	} {
		l.At, l.LedgerIdx = at("2026-11-23 17:51").Add(time.Duration(i)*time.Minute), int64(380+i)
		f.Timeline = append(f.Timeline, l)
	}
	return f
}

func build(t testing.TB, k report.Kind, f report.Facts, o report.Options) report.Document {
	t.Helper()
	d, err := report.Build(k, f, o)
	ok(t, err)
	return d
}

// textOf is what a reader of a PDF gets when the text is copied out, without white space.
func textOf(t testing.TB, b []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("no pdftotext (apt-get install poppler-utils)")
	}
	name := filepath.Join(t.TempDir(), "x.pdf")
	ok(t, os.WriteFile(name, b, 0o600))
	out, err := exec.CommandContext(t.Context(), tool, "-raw", "-enc", "UTF-8", name, "-").Output()
	ok(t, err)
	return squeeze(string(out))
}

func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// marks replaces what no font has by its number, as the paper does.
func marks(t testing.TB, d report.Document) func(s string) string {
	t.Helper()
	missing, err := d.Unprintable()
	ok(t, err)
	var pairs []string
	for _, r := range missing {
		pairs = append(pairs, string(r), fmt.Sprintf("[U+%04X]", r))
	}
	replace := strings.NewReplacer(pairs...)
	return func(s string) string { return squeeze(replace.Replace(s)) }
}

func TestWords(t *testing.T) {
	c, err := report.Texts()
	ok(t, err)
	for _, p := range i18ntest.Problems(c) {
		t.Error(p)
	}
	p := c.Printer(i18n.Japanese)
	for _, k := range report.Kinds() {
		if !p.Has("title." + string(k)) {
			t.Errorf("%s has no title", k)
		}
	}
	// What the product must never say of itself or of an incident.
	for _, l := range i18n.Languages() {
		for _, k := range c.Keys(l) {
			for _, never := range []string{"証拠能力", "court-proof", "漏えいはありません", "漏えいなし", "no leak"} {
				if strings.Contains(c.Printer(l).Text(k), never) {
					t.Errorf("%s: %s says %q", l, k, never)
				}
			}
		}
	}
}

// TestEveryDocument prints every document in every language, and reads the paper again: glyph
// for glyph what the document says, in its order.
func TestEveryDocument(t *testing.T) {
	for name, f := range map[string]report.Facts{"full": facts(), "empty": {}} {
		for _, k := range report.Kinds() {
			for _, l := range i18n.Languages() {
				t.Run(name+"/"+string(k)+"/"+string(l), func(t *testing.T) {
					d := build(t, k, f, report.Options{Language: l, Era: true, By: "担当 四郎"}).Issue("INC-2026-0007-R01", 1, "担当 四郎")
					var b bytes.Buffer
					ok(t, d.PDF(&b))
					if dir := os.Getenv("HOZEN_KEEP_PDF"); dir != "" { // to be looked at
						ok(t, os.WriteFile(filepath.Join(dir, name+"-"+string(k)+"."+string(l)+".pdf"), b.Bytes(), 0o600))
					}
					for _, blk := range d.Blocks {
						for _, s := range blk.Sentences {
							if strings.Contains(s.Text, "⟦") || strings.ContainsAny(s.Text, "{}") {
								t.Errorf("a hole: %q", s.Text)
							}
							if len(s.Sources) == 0 {
								t.Errorf("%q says not where it comes from", s.Text)
							}
							for _, n := range s.Sources {
								if n < 1 || n > len(d.Sources) {
									t.Errorf("%q has the source %d of %d", s.Text, n, len(d.Sources))
								}
							}
						}
					}
					got := textOf(t, b.Bytes())
					marked := marks(t, d)
					whole := onePage(d, marked, got)
					for _, blk := range d.Blocks {
						for _, s := range blk.Sentences {
							if want := marked(s.Text); !strings.Contains(whole, want) {
								t.Errorf("the paper does not say %q", want)
							}
						}
						if blk.Table != nil {
							rest := count(got)
							for _, row := range blk.Table.Rows {
								for _, cell := range row {
									rest.take(t, marked(cell))
								}
							}
						}
					}
					for _, s := range d.Sources {
						if k == report.Owner {
							s.Text = string([]rune(s.Text)[:min(len([]rune(s.Text)), 50)]) // one page names them in short
						}
						if want := marked(s.Text); !strings.Contains(whole, want) {
							t.Errorf("the paper does not name its source %q", want)
						}
					}
					if k == report.Owner && !strings.Contains(got, "1/1") {
						t.Error("the owner's document has more than a page")
					}
				})
			}
		}
	}
}

// onePage takes the feet of the pages out of a text, which stand between its lines.
func onePage(d report.Document, marked func(string) string, s string) string {
	foot := marked(d.Name() + d.Organisation)
	pages := strings.Count(s, foot) - 1 // it stands at the head too where nothing is between them
	for n := range pages + 1 {
		s = strings.Replace(s, foot+fmt.Sprintf("%d/%d", n+1, pages), "", 1)
		s = strings.Replace(s, foot+fmt.Sprintf("%d/%d", n+1, pages+1), "", 1)
	}
	return s
}

// bag counts characters: the cells of a row are read beside each other, line by line.
type bag map[rune]int

func count(s string) bag {
	m := bag{}
	for _, r := range s {
		m[r]++
	}
	return m
}

func (m bag) take(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if m[r]--; m[r] == -1 {
			t.Errorf("U+%04X %c of %q was lost", r, r, s)
		}
	}
}

func TestOwnersPageIsAlwaysOnePage(t *testing.T) {
	long := strings.Repeat("業務に使うすべての機器とサービスの状況を長々と説明する文です。", 60)
	for name, s := range map[string]string{"long": long, "unbroken": strings.Repeat("𠮷", 2000), "narrow": strings.Repeat("i", 5000), "lines": strings.Repeat("あ\n", 900)} {
		f := facts()
		for _, k := range append(report.Items(), report.Impact, report.NextUpdate) {
			f.Answers[k] = report.Answer{Value: s, State: report.Known, By: "担当", Version: 1, LedgerIdx: 1, At: f.At}
		}
		f.Incident.Title, f.Incident.Reporter = s[:240], strings.Repeat("名", 80)
		for i := range 40 {
			f.Endpoints = append(f.Endpoints, report.Endpoint{Name: fmt.Sprintf("とても長い名前のパソコン-%d-%s", i, odd), State: []string{"isolated", "released", ""}[i%3]})
			f.Decisions = append(f.Decisions, report.Decision{Question: "判断 " + s[:120], LedgerIdx: int64(i)})
			f.Deadlines = append(f.Deadlines, report.Deadline{Name: "期限 " + s[:120], Rule: strings.Repeat("規", 200), Basis: strings.Repeat("則", 200), Until: f.At})
		}
		added := map[string]string{}
		for _, b := range []string{"happened", "done", "works", "open", "decide", "next"} {
			added[b] = s[:min(len(s), 3000)]
		}
		for _, l := range i18n.Languages() {
			d := build(t, report.Owner, f, report.Options{Language: l, Added: added, By: strings.Repeat("名", 80)})
			for _, b := range d.Blocks {
				if n := len([]rune(b.Plain())); n > report.MaxOnPage+10 {
					t.Errorf("%s %s: block %s has %d characters", name, l, b.Key, n)
				}
			}
			var b bytes.Buffer
			ok(t, d.PDF(&b))
			if got := textOf(t, b.Bytes()); !strings.Contains(got, "1/1") {
				t.Errorf("%s %s: more than a page", name, l)
			}
		}
	}
}

func TestEvidenceThatIsGoneIsUnknown(t *testing.T) {
	d := build(t, report.PPC, facts(), report.Options{Language: i18n.Japanese})
	cause := block(t, d, "cause")
	if s := cause.Sentences[0]; !s.Unknown || !strings.HasPrefix(s.Text, "不明") || !strings.Contains(s.Text, "INC-2026-0007-E02") || strings.Contains(s.Text, "添付") {
		t.Errorf("%+v", s)
	}
	if s := block(t, d, "occurred_at").Sentences[0]; s.Unknown || s.Text != "2026年11月22日 02:00 から 2026年11月23日 17:50 の間（推定）" {
		t.Errorf("%+v", s)
	}
	// A person who vouches for it is enough.
	f := facts()
	a := f.Answers[report.Cause]
	a.Basis = append(a.Basis, report.Basis{Person: "佐藤"})
	f.Answers[report.Cause] = a
	if s := block(t, build(t, report.PPC, f, report.Options{}), "cause").Sentences[0]; s.Unknown || s.Text != "添付ファイルを開いたこと（推定）" {
		t.Errorf("%+v", s)
	}
	full := build(t, report.Full, facts(), report.Options{})
	row := block(t, full, "items").Table.Rows[7]
	if !strings.HasPrefix(row[2], "不明") || row[3] != "不明" {
		t.Errorf("%q", row)
	}
	if row := block(t, full, "evidence").Table.Rows[1]; !strings.Contains(row[2], "廃棄済み") {
		t.Errorf("%q", row)
	}
}

func block(t *testing.T, d report.Document, key string) report.Block {
	t.Helper()
	for _, b := range d.Blocks {
		if b.Key == key {
			return b
		}
	}
	t.Fatalf("%s has no block %s", d.Kind, key)
	return report.Block{}
}

func TestWhatIsNotThereIsUnknown(t *testing.T) {
	for _, k := range []report.Kind{report.Owner, report.PPC, report.IPAVirus, report.IPAAccess, report.JPCERT, report.Persons} {
		if d := build(t, k, report.Facts{}, report.Options{}); d.Unknown() < 3 {
			t.Errorf("%s of nothing says 不明 only %d times", k, d.Unknown())
		}
	}
	d := build(t, report.Full, report.Facts{}, report.Options{})
	for i, row := range block(t, d, "items").Table.Rows {
		if row[2] != "不明" || row[3] != "不明" {
			t.Errorf("item %d of nothing: %q", i+1, row)
		}
	}
}

func TestWordsOfPeople(t *testing.T) {
	o := report.Options{By: "担当 四郎", Added: map[string]string{"my_number": "含まない\n確認済み", "reporter": "別の名前", "nothing": "x"}}
	d := build(t, report.PPC, report.Facts{}, o)
	b := block(t, d, "my_number")
	if b.Plain() != "含まない\n確認済み" || d.Sources[b.Sentences[0].Sources[0]-1].Ref != "担当 四郎" {
		t.Errorf("%+v", b)
	}
	if len(d.Added) != 2 {
		t.Errorf("kept: %v", d.Added)
	}
	later := build(t, report.PPC, facts(), report.Options{Stage: report.Final, Added: map[string]string{"persons": "1,204人"}})
	changes := report.Differences(d, later)
	got := map[string]report.Change{}
	for _, c := range changes {
		got[c.Key] = c
	}
	if c := got["persons"]; len(c.Gone) != 1 || c.Gone[0] != "不明" || len(c.New) != 1 || c.New[0] != "1,204人" {
		t.Errorf("%+v", c)
	}
	if len(report.Differences(later, later)) != 0 {
		t.Error("a document differs from itself")
	}
	if d.Title == later.Title {
		t.Error("速報 and 確報 have one title")
	}
}

func TestDraftsOfTheSameFactsAreTheSame(t *testing.T) {
	f := facts()
	one := build(t, report.Full, f, report.Options{})
	f.At, f.LedgerSize = f.At.Add(time.Hour), f.LedgerSize+1
	two := build(t, report.Full, f, report.Options{})
	a, err := one.Digest()
	ok(t, err)
	b, err := two.Digest()
	ok(t, err)
	if a != b {
		t.Error("the moment counts")
	}
	f.Endpoints[0].State = "released"
	c, err := build(t, report.Full, f, report.Options{}).Digest()
	ok(t, err)
	if a == c {
		t.Error("another state is the same")
	}
}

func TestEra(t *testing.T) {
	for day, want := range map[string]string{"2026-11-23 12:00": "令和8年11月23日", "2019-05-01 00:00": "令和元年5月1日", "2019-04-30 23:59": "平成31年4月30日", "1989-01-08 00:00": "平成元年1月8日", "1989-01-07 00:00": "1989年1月7日"} {
		if got := report.Era(at(day)); got != want {
			t.Errorf("%s: %s, want %s", day, got, want)
		}
	}
	var b bytes.Buffer
	ok(t, build(t, report.Full, facts(), report.Options{Era: true}).Text(&b))
	if !strings.Contains(b.String(), "令和8年11月23日 17:50") || strings.Contains(b.String(), "2026年") {
		t.Error("the era is not used")
	}
	// The PC's own clock beside a line of the timeline, and documents in English, which know no era.
	rows := func(o report.Options) string {
		return fmt.Sprint(block(t, build(t, report.Full, facts(), o), "timeline").Table.Rows)
	}
	if got := rows(report.Options{Language: i18n.Japanese, Era: true}); !strings.Contains(got, "端末の時計 令和8年11月23日 17:49:00") || strings.Contains(got, "2026-11") {
		t.Errorf("two calendars in one table: %s", got)
	}
	if got := rows(report.Options{Language: i18n.English, Era: true}); strings.Contains(got, "令和") || !strings.Contains(got, "2026-11-23 17:51:00") {
		t.Errorf("an era in English: %s", got)
	}
}

// TestDocumentsThatAreAsked names them, so that none is lost: each is printed, and goes into the
// archive of its version as PDF, Word file and text.
func TestDocumentsThatAreAsked(t *testing.T) {
	asked := []report.Kind{"owner", "full", "ppc", "ipa_virus", "ipa_access", "jpcert", "police", "persons", "partners", "press", "calls", "monitoring"}
	for _, k := range asked {
		_, files, err := report.Bundle(build(t, k, facts(), report.Options{}).Issue("INC-2026-0007-R01", 1, "担当"))
		ok(t, err)
		var names []string
		for _, f := range files {
			if f.Size == 0 {
				t.Errorf("%s: %s is empty", k, f.Name)
			}
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != "report.pdf report.docx report.txt document.json" {
			t.Errorf("%s is issued as %s", k, got)
		}
	}
	for _, k := range report.Kinds() {
		if !slices.Contains(asked, k) {
			t.Errorf("%s is not looked at here", k)
		}
	}
}

func TestBundle(t *testing.T) {
	d := build(t, report.Owner, facts(), report.Options{}).Issue("INC-2026-0007-R01", 2, "担当")
	b, files, err := report.Bundle(d)
	ok(t, err)
	again, _, err := report.Bundle(d)
	ok(t, err)
	if !bytes.Equal(b, again) {
		t.Error("the same document gave other bytes")
	}
	for _, f := range files {
		got, err := report.Unbundle(b, f)
		ok(t, err)
		if int64(len(got)) != f.Size {
			t.Errorf("%s has %d bytes", f.Name, len(got))
		}
		wrong := f
		wrong.SHA256 = strings.Repeat("0", 64)
		if _, err := report.Unbundle(b, wrong); err == nil {
			t.Errorf("%s: other bytes were taken", f.Name)
		}
	}
	if _, err := report.Unbundle([]byte("PK"), files[0]); err == nil {
		t.Error("no archive was taken")
	}
	model, err := report.Unbundle(b, files[3])
	ok(t, err)
	back, err := report.Decode(model)
	ok(t, err)
	if back.Name() != "INC-2026-0007-R01 v2" || len(back.Blocks) != 6 {
		t.Errorf("%+v", back)
	}
}

// BenchmarkIssue makes all forms of the owner's page and of a full report with as many lines
// as a timeline shows.
func BenchmarkIssue(b *testing.B) {
	f := facts()
	for i := range 2000 {
		f.Timeline = append(f.Timeline, report.Line{At: f.At, Actor: "担当 四郎", Text: fmt.Sprintf("%d 件目の記録です。経理PC-01 から証拠を受け取りました。", i), LedgerIdx: int64(i)})
	}
	for _, k := range []report.Kind{report.Owner, report.Full} {
		b.Run(string(k), func(b *testing.B) {
			for b.Loop() {
				d := build(b, k, f, report.Options{}).Issue("INC-2026-0007-R01", 1, "担当")
				if _, _, err := report.Bundle(d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
