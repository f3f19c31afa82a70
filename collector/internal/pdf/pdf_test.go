package pdf

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// textOf is what a reader of the document gets when the text is copied out, without
// white space.
func textOf(t *testing.T, document []byte) string {
	t.Helper()
	return squeeze(copied(t, document))
}

// copied is the text with its white space, a form feed after each page.
func copied(t *testing.T, document []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("no pdftotext (apt-get install poppler-utils)")
	}
	name := filepath.Join(t.TempDir(), "form.pdf")
	if err := os.WriteFile(name, document, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-raw", "-enc", "UTF-8", name, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func hash(n int) string { return strings.Repeat(fmt.Sprintf("%02x", n), 32) }

// sample is a form with every field.
func sample() Form {
	tokyo := time.FixedZone("JST", 9*60*60)
	at := time.Date(2026, 11, 23, 8, 50, 45, 0, time.UTC)
	e := Exhibit{Number: "INC-2026-0007-E03", ParentNumber: "INC-2026-0007-E01", Kind: "volatile", Size: "1,048,576 bytes", Files: "12 files",
		Description: "実行中のプロセスの一覧と、それぞれのネットワーク接続。"}
	e.Source.Host, e.Source.AssetNumber, e.Source.Maker, e.Source.Model, e.Source.Serial = "経理-PC01", "資産-0042", "吉野電機株式会社", "YN-5000", "S/N 8F3K-22"
	e.Source.OS, e.Source.User, e.Source.Location = "Ubuntu 24.04.1 LTS", "𠮷野 沿子", "本社３階 経理部"
	e.Acquisition.Method, e.Acquisition.Tool, e.Acquisition.ToolSHA256 = "エージェントによるライブ取得", "hozen-agent v0.2.0", hash(1)
	e.Acquisition.Profile, e.Acquisition.Parameters, e.Acquisition.Outcome, e.Acquisition.Errors = "volatile", "max_bytes=4194304", "partial", "process 4242: exited while it was read"
	e.Acquisition.Started, e.Acquisition.Ended = at.Add(-time.Minute), at.Add(-50*time.Second)
	e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role = "記録 太郎", "サンプル商事", "担当ユーザー"
	e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis = "責任 花子", "責任者", "インシデント対応規程 第３条"
	e.Witness, e.Reason = "立会 次郎", "不審な外部通信が検知されたため、電源を切る前に揮発性の情報を取得した。"
	e.Clock.UTC, e.Clock.Zone, e.Clock.Offset, e.Clock.Uncertainty, e.Clock.NTP = at, "Asia/Tokyo +09:00", "+1,250 ms", "3 ms", "同期していない"
	e.Clock.BootTime, e.NetworkState = at.Add(-72*time.Hour), "isolated"
	e.SHA256, e.ManifestSHA256 = hash(0xab), hash(0x12)
	e.Signature, e.Timestamp, e.LedgerIndex = "end_0123 (ECDSA P-256)", "2026-11-23 08:51:02 UTC", "412"
	e.Custodian, e.Gap = "運送 三郎（サンプル運輸）", "2026-11-23 10:00 – 11:30"
	for i := range int64(3) {
		e.Events = append(e.Events, Event{Sequence: i + 1, At: at.Add(time.Duration(i) * time.Hour), Type: []string{"collect", "hand_over", "ship"}[i], From: "記録 太郎", To: "運送 三郎",
			Place: "東京都千代田区丸の内１－１", Medium: "USB SSD 3A7K", Seal: "封-00731", Tracking: "1234-5678-9012", Purpose: "外部専門家による解析", Result: "一致", Before: hash(0x33), After: hash(0x44),
			Actor: "担当 四郎", Entry: fmt.Sprintf("台帳 %d", 412+i), Witness: "立会 次郎"})
	}
	return Form{Number: "INC-2026-0007-P01", CaseNumber: "INC-2026-0007", CaseTitle: "経理部のPCで不審な通信", Organisation: "サンプル商事株式会社", OrderedBy: "担当 四郎",
		Recipient: "株式会社解析研究所", Purpose: "原因の調査", At: at, Zone: tokyo, LedgerSize: 412, LedgerRoot: hash(0x77), Timestamp: "2026-11-23 08:51:02 UTC",
		Exhibits: []Exhibit{e}}
}

func made(t *testing.T, f Form) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := CustodyForm(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFormSaysEverything(t *testing.T) {
	f := sample()
	b := made(t, f)
	if dir := os.Getenv("HOZEN_KEEP_PDF"); dir != "" { // to be looked at
		if err := os.WriteFile(filepath.Join(dir, "custody.pdf"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := textOf(t, b)
	e := f.Exhibits[0]
	for _, want := range []string{f.Number, f.CaseNumber, f.CaseTitle, f.Organisation, f.OrderedBy, f.Recipient, f.Purpose, f.LedgerRoot, "2026-11-23 17:50:45 +09:00 (2026-11-23 08:50:45 UTC)",
		e.Number, e.ParentNumber, e.Kind, e.Description, e.Size, e.Files, e.Source.Host, e.Source.AssetNumber, e.Source.Maker, e.Source.Model, e.Source.Serial, e.Source.OS,
		"[U+20BB7]野 沿子", e.Source.Location, e.Acquisition.Method, e.Acquisition.Tool, e.Acquisition.ToolSHA256, e.Acquisition.Profile,
		e.Acquisition.Parameters, "2026-11-23 17:49:45 +09:00", "2026-11-23 17:49:55 +09:00", e.Acquisition.Outcome, e.Acquisition.Errors, e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role,
		e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis, e.Witness, e.Reason, e.Clock.Zone, e.Clock.Offset, "±" + e.Clock.Uncertainty, e.Clock.NTP, "2026-11-20 17:50:45",
		e.NetworkState, e.SHA256, e.ManifestSHA256, e.Signature, e.Timestamp, e.LedgerIndex, e.Custodian, e.Gap,
		"手渡し hand_over", "揮発性情報 volatile", "一部のみ partial", "記録太郎→運送三郎", "東京都千代田区丸の内１－１", "USBSSD3A7K", "封-00731", "1234-5678-9012", "外部専門家による解析", hash(0x33) + "→" + hash(0x44), "担当四郎", "台帳413",
		"渡した人（署名）", "Received by (signature)"} {
		if !strings.Contains(got, squeeze(want)) {
			t.Errorf("the form does not say %q", want)
		}
	}
	f.Exhibits[0].Events = f.Exhibits[0].Events[:1]
	f.Exhibits = append(f.Exhibits, f.Exhibits[0])
	got = textOf(t, made(t, f))
	for _, want := range []string{"1/3", "2/3", "3/3"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the exhibits have not one page each: no page %s", want)
		}
	}
}

func TestSameFormSameBytes(t *testing.T) {
	if !bytes.Equal(made(t, sample()), made(t, sample())) {
		t.Error("the same form gave other bytes")
	}
	f := sample()
	f.At = f.At.Add(time.Second)
	if bytes.Equal(made(t, sample()), made(t, f)) {
		t.Error("the time does not stand in it")
	}
}

// TestEveryCharacterComesBack: what the font has is drawn and copied out again, the rest
// stands there by its number; in the basic plane nothing is lost.
func TestEveryCharacterComesBack(t *testing.T) {
	d, err := newDocument("", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	d.page()
	var all strings.Builder
	drawn := 0
	for r := rune(0x20); r <= 0xffff; r++ {
		if !utf8.ValidRune(r) || unicode.IsSpace(r) || !unicode.IsGraphic(r) || unicode.In(r, unicode.Hangul, unicode.Yi) {
			continue
		}
		if unicode.Is(unicode.Han, r) && r%5 != 0 {
			continue // enough of them; the race detector takes its time
		}
		if d.face.drawable(r) {
			drawn++
			all.WriteRune(r)
		}
	}
	if drawn < 2000 {
		t.Fatalf("only %d characters", drawn)
	}
	all.WriteString("\U0001F600𠮷\u202e\x00\ufffd\u00a0か\u3099")
	d.paragraph(all.String(), textSize, false)
	var b bytes.Buffer
	if err := d.finish(&b, ""); err != nil {
		t.Fatal(err)
	}
	pages := d.gp.GetNumberOfPages()
	got := textOf(t, b.Bytes())
	for n := 1; n <= pages; n++ { // the numbers of the pages
		got = strings.Replace(got, fmt.Sprintf("%d/%d", n, pages), "", 1)
	}
	got = strings.ReplaceAll(got, "\f", "")
	// Everything but the page numbers, in the order in which it was written.
	want := squeeze(d.face.visible(all.String()))
	if !strings.HasSuffix(want, "[U+1F600][U+20BB7][U+202E][U+0000][U+FFFD][U+00A0]か[U+3099]") {
		t.Errorf("marks: …%s", want[len(want)-80:])
	}
	if got == want {
		return
	}
	missing, extra := 0, 0
	have := map[rune]int{}
	for _, r := range got {
		have[r]++
	}
	for _, r := range want {
		if have[r] == 0 {
			if missing++; missing < 20 {
				t.Errorf("U+%04X %c was lost", r, r)
			}
		}
		have[r]--
	}
	for r, n := range have {
		if n > 0 {
			if extra++; extra < 20 {
				t.Errorf("U+%04X %c came %d times more", r, r, n)
			}
		}
	}
	t.Logf("%d lost, %d surplus of %d", missing, extra, drawn)
}

// TestLongFormGoesOn: what does not fit on a page goes on at the next one.
func TestLongFormGoesOn(t *testing.T) {
	f := sample()
	e := &f.Exhibits[0]
	e.Description = ""
	for i := range 900 {
		e.Description += fmt.Sprintf("項目%04dの説明、", i)
	}
	for i := range int64(60) {
		v := e.Events[0]
		v.Sequence, v.Entry = i+1, fmt.Sprintf("entry-%04d", i)
		e.Events = append(e.Events, v)
	}
	got := textOf(t, made(t, f))
	for i := range 900 {
		if want := fmt.Sprintf("%04d", i); !strings.Contains(got, want) {
			t.Errorf("item %s was lost", want)
		}
	}
	for i := range 60 {
		if want := fmt.Sprintf("entry-%04d", i); strings.Count(got, want) != 1 {
			t.Errorf("%s stands there %d times", want, strings.Count(got, want))
		}
	}
	if !strings.Contains(got, "（続き）") {
		t.Error("the next page does not say what it goes on with")
	}
}

func TestWrap(t *testing.T) {
	face, err := newTypeface()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"これは、とても長い文章です。「かぎ括弧」や（丸括弧）、それに句読点。が行頭に来てはいけません、そうでしょう？きゃっきゃっとはしゃいだ。コンピューターのユーザーがウィンドウを閉じた！",
		"Words are kept whole where a line is long enough, and 全角と半角 mixed text 2026年11月23日 works too.",
		"使用率（平均）％と（最大）％、温度（平均）℃と（最大）℃、割合（全体）%と（一部）%", hash(0xab) + "の値", strings.Repeat("ー", 200), "", "a\nb\n", "  spaces   between  ",
	} {
		for width := 20.0; width < 300; width += 7 {
			lines := face.wrap(s, textSize, width)
			if got := strings.Join(lines, ""); got != strings.ReplaceAll(s, "\n", "") {
				t.Errorf("width %v: got %q, want %q", width, got, s)
			}
			for i, l := range lines {
				if w := face.width(strings.TrimRight(l, " "), textSize); w > width && utf8.RuneCountInString(l) > 1 {
					t.Errorf("line %q is %v wide, more than %v", l, w, width)
				}
				first, _ := utf8.DecodeRuneInString(l)
				last, _ := utf8.DecodeLastRuneInString(l)
				if strings.HasPrefix(s, "ー") || width < 60 {
					continue // there is no other place
				}
				if i > 0 && strings.ContainsRune("、。，．）」ーっゃゅょッャュョィェ！？々％℃%", first) {
					t.Errorf("width %v: a line begins with %q", width, l)
				}
				if i < len(lines)-1 && strings.ContainsRune("（「『", last) {
					t.Errorf("width %v: a line ends with %q", width, l)
				}
			}
		}
	}
}

func FuzzWrap(f *testing.F) {
	face, err := newTypeface()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("これは、「テスト」です。 test\nx", 60.0)
	f.Add("\xff\u202e\U0001F600", 12.0)
	f.Fuzz(func(t *testing.T, s string, width float64) {
		if width < 5 || width > 600 || len(s) > 4096 {
			t.Skip()
		}
		shown := face.visible(s)
		if got := strings.Join(face.wrap(shown, textSize, width), ""); got != strings.ReplaceAll(shown, "\n", "") {
			t.Errorf("got %q, want %q", got, shown)
		}
	})
}

func TestNoExhibits(t *testing.T) {
	if err := CustodyForm(&bytes.Buffer{}, Form{}); err == nil {
		t.Error("a form of nothing")
	}
}

func TestLicenceIsThere(t *testing.T) {
	if s, err := FontLicence(); err != nil || !strings.Contains(s, "SIL OPEN FONT LICENSE Version 1.1") || !strings.Contains(s, "BIZ UDGothic Project Authors") {
		t.Errorf("%.80q, %v", s, err)
	}
}

// TestCodeIsRead reads the code of an exhibit back from the page, as a scanner does.
func TestCodeIsRead(t *testing.T) {
	draw, err := exec.LookPath("pdftoppm")
	if err != nil {
		t.Skip("no pdftoppm (apt-get install poppler-utils)")
	}
	scan, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("no zbarimg (apt-get install zbar-tools)")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "form.pdf")
	f := sample()
	if err := os.WriteFile(name, made(t, f), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), draw, "-r", "150", "-f", "2", "-l", "2", "-png", "-singlefile", name, filepath.Join(dir, "page")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), scan, "--quiet", "--raw", filepath.Join(dir, "page.png")).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "HOZEN1:INC-2026-0007-E03:" + strings.ToUpper(f.Exhibits[0].ManifestSHA256)
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("the code says %q, want %q", got, want)
	}
	if got := textOf(t, made(t, f)); !strings.Contains(got, want) {
		t.Error("what the code says does not stand beside it")
	}
}
