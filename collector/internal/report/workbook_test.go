package report_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"hozen/collector/internal/report"
	"hozen/internal/i18n"
)

// workbook is a form with a formula, a merged cell and a hyperlink.
func workbook(t testing.TB) []byte {
	t.Helper()
	f := excelize.NewFile()
	ok(t, f.SetSheetName("Sheet1", "別添様式 2"))
	ok(t, f.SetCellStr("別添様式 2", "A1", "発覚日時"))
	ok(t, f.SetCellFormula("別添様式 2", "C9", "SUM(A1:A2)"))
	ok(t, f.MergeCell("別添様式 2", "B4", "D6"))
	ok(t, f.SetCellHyperLink("別添様式 2", "A20", "https://www.example.go.jp/", "External"))
	var b bytes.Buffer
	ok(t, f.Write(&b))
	ok(t, f.Close())
	return b.Bytes()
}

func TestWorkbookIsFilled(t *testing.T) {
	f := facts()
	f.Incident.Reporter = `=HYPERLINK("http://evil.example/","x")`
	values, err := report.Values(f, report.Options{Language: i18n.Japanese, Era: true})
	ok(t, err)
	cells, err := report.ParseCells("# 様式2\n別添様式 2!B1 = discovered_at\n'別添様式 2'!$B$2 = reporter\n別添様式 2!C5 = symptoms\n別添様式 2!B8 = cause\n別添様式 2!B9 = persons_count\n別添様式 2!B10 = occurred_at\n")
	ok(t, err)
	b, err := report.FillWorkbook(workbook(t), cells, values)
	ok(t, err)
	got, err := excelize.OpenReader(bytes.NewReader(b))
	ok(t, err)
	defer func() { ok(t, got.Close()) }()
	for ref, want := range map[string]string{"A1": "発覚日時", "B1": "令和8年11月23日 17:50", "B2": `'=HYPERLINK("http://evil.example/","x")`, "B8": "不明", "B9": "不明", "B10": "令和8年11月22日 02:00 から 令和8年11月23日 17:50 の間（推定）"} {
		if v, err := got.GetCellValue("別添様式 2", ref); err != nil || v != want {
			t.Errorf("%s is %q, want %q (%v)", ref, v, want, err)
		}
	}
	if v, _ := got.GetCellValue("別添様式 2", "B4"); !strings.HasPrefix(v, "経理PCに身代金") {
		t.Errorf("the merged cell says %q", v)
	}
	for _, ref := range []string{"B1", "B2", "B4"} {
		if formula, _ := got.GetCellFormula("別添様式 2", ref); formula != "" {
			t.Errorf("%s became a formula: %s", ref, formula)
		}
	}
	if formula, _ := got.GetCellFormula("別添様式 2", "C9"); formula != "SUM(A1:A2)" {
		t.Errorf("the form's own formula is %q", formula)
	}
	for name, lines := range map[string]string{"a formula": "別添様式 2!C9 = title", "no sheet": "Sheet9!A1 = title", "no value": "別添様式 2!A1 = password"} {
		cells, err := report.ParseCells(lines)
		ok(t, err)
		if _, err := report.FillWorkbook(workbook(t), cells, values); !errors.Is(err, report.ErrCells) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, lines := range []string{"", "# x", "A1 = title", "S!A1", "S!1A = title", "S!A0 = x", strings.Repeat("S!A1 = title\n", 500), strings.Repeat("#", 40<<10)} {
		if _, err := report.ParseCells(lines); !errors.Is(err, report.ErrCells) {
			t.Errorf("%.20q: %v", lines, err)
		}
	}
}

// rezip changes the parts of a workbook.
func rezip(t testing.TB, b []byte, change func(name string, part []byte) []byte, more map[string][]byte) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	ok(t, err)
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	put := func(name string, part []byte) {
		w, err := z.Create(name)
		ok(t, err)
		_, err = w.Write(part)
		ok(t, err)
	}
	for _, f := range in.File {
		r, err := f.Open()
		ok(t, err)
		part, err := io.ReadAll(r)
		ok(t, err)
		if change != nil {
			part = change(f.Name, part)
		}
		put(f.Name, part)
	}
	for name, part := range more {
		put(name, part)
	}
	ok(t, z.Close())
	return out.Bytes()
}

func TestWorkbookIsRefused(t *testing.T) {
	good := workbook(t)
	ok(t, report.CheckWorkbook(good))
	link := func(kind string) func(string, []byte) []byte {
		return func(name string, part []byte) []byte {
			if name == "xl/_rels/workbook.xml.rels" {
				return []byte(strings.Replace(string(part), "</Relationships>", `<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/`+kind+`" Target="http://evil.example/x" TargetMode="External"/></Relationships>`, 1))
			}
			return part
		}
	}
	many := map[string][]byte{}
	for i := range 2100 {
		many[fmt.Sprintf("xl/x%d.xml", i)] = []byte("<x/>")
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("a,b"), "old or locked": append([]byte{0xD0, 0xCF, 0x11, 0xE0}, make([]byte, 4096)...), "too large": make([]byte, report.MaxWorkbook+1),
		"macros":       rezip(t, good, nil, map[string][]byte{"xl/vbaProject.bin": {1}}),
		"links":        rezip(t, good, nil, map[string][]byte{"xl/externalLinks/externalLink1.xml": []byte("<x/>")}),
		"connections":  rezip(t, good, nil, map[string][]byte{"xl/connections.xml": []byte("<x/>")}),
		"programs":     rezip(t, good, nil, map[string][]byte{"xl/embeddings/oleObject1.bin": {1}}),
		"path":         rezip(t, good, nil, map[string][]byte{"../../etc/passwd": {1}}),
		"twice":        rezip(t, good, nil, map[string][]byte{"XL/workbook.xml": {1}}),
		"many":         rezip(t, good, nil, many),
		"bomb":         rezip(t, good, nil, map[string][]byte{"xl/big.xml": make([]byte, 33<<20)}),
		"bombs":        rezip(t, good, nil, map[string][]byte{"xl/1.xml": make([]byte, 30<<20), "xl/2.xml": make([]byte, 30<<20), "xl/3.xml": make([]byte, 30<<20)}),
		"external":     rezip(t, good, link("externalLinkPath"), nil),
		"remote image": rezip(t, good, link("image"), nil),
		"macro content": rezip(t, good, func(name string, part []byte) []byte {
			return bytes.ReplaceAll(part, []byte("sheet.main+xml"), []byte("sheet.macroEnabled.main+xml"))
		}, nil),
	} {
		if err := report.CheckWorkbook(b); !errors.Is(err, report.ErrWorkbook) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ok(t, report.CheckWorkbook(rezip(t, good, link("hyperlink"), nil)))
}

// sheet is the workbook with other rows in its sheet.
func sheet(t testing.TB, rows string) []byte {
	return rezip(t, workbook(t), func(name string, part []byte) []byte {
		if name == "xl/worksheets/sheet1.xml" {
			return []byte(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + rows + `</sheetData></worksheet>`)
		}
		return part
	}, nil)
}

// A small file can cost any amount of memory: cells are filled up to the last of each row.
func TestWorkbookThatGrowsIsRefused(t *testing.T) {
	wide := func(n int, cell string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, cell, i+1)
		}
		return b.String()
	}
	values := map[string]string{"title": "x"}
	fill := func(b []byte, ref string) error {
		cells, err := report.ParseCells("別添様式 2!" + ref + " = title")
		if err != nil {
			return err
		}
		_, err = report.FillWorkbook(b, cells, values)
		return err
	}
	merged := rezip(t, workbook(t), func(name string, part []byte) []byte {
		return bytes.Replace(part, []byte("<mergeCell "), []byte(strings.Repeat(`<mergeCell ref="A1:A2"/>`, 6000)+"<mergeCell "), 1)
	}, nil)
	hidden := func(name string) []byte {
		far := `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1048576"/></sheetData></worksheet>`
		return rezip(t, workbook(t), func(part string, b []byte) []byte {
			if part == "xl/_rels/workbook.xml.rels" {
				return bytes.Replace(b, []byte("worksheets/sheet1.xml"), []byte(name), 1)
			}
			return b
		}, map[string][]byte{"xl/" + name: []byte(far)})
	}
	for name, b := range map[string][]byte{
		"wide":           sheet(t, wide(200, `<row r="%[1]d"><c r="XFD%[1]d"/></row>`)),
		"wide, no rows":  sheet(t, wide(200, `<row><c r="XFD%[1]d"/></row>`)),
		"far down":       sheet(t, `<row r="1048576"><c r="A1048576"/></row>`),
		"a cell far":     sheet(t, `<row><c r="A1048576"/></row>`),
		"many rows":      sheet(t, strings.Repeat(`<row r="1"/>`, 20_000)),
		"many cells":     sheet(t, "<row>"+strings.Repeat("<c/>", 300_000)+"</row>"),
		"again and back": sheet(t, "<row>"+strings.Repeat(`<c r="A1"/>`, 300_000)+"</row>"),
		"many elements":  rezip(t, workbook(t), nil, map[string][]byte{"xl/x.xml": []byte("<x>" + strings.Repeat("<y/>", 500_000) + "</x>")}),
		"nowhere":        sheet(t, `<row r="-1"/>`),
		"no cell":        sheet(t, `<row r="1"><c r="1A"/></row>`),
		"merged":         merged,
		"elsewhere":      hidden("other/tab.xml"),
		"as a picture":   hidden("media/image1.png"),
		"broken":         sheet(t, `<row r="1"><c r="A1`),
		"other letters":  rezip(t, workbook(t), nil, map[string][]byte{"xl/y.xml": []byte(`<?xml version="1.0" encoding="UTF-16"?><x/>`)}),
	} {
		if err := fill(b, "B1"); !errors.Is(err, report.ErrWorkbook) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The library stumbles over it.
	if err := fill(sheet(t, `<row><c r="A100"/><c r="A1"/></row>`), "B1"); err != nil && !errors.Is(err, report.ErrWorkbook) {
		t.Error(err)
	}
	for _, ref := range []string{"XFD1", "SS1", "A5001", "A1048576"} {
		if err := fill(workbook(t), ref); !errors.Is(err, report.ErrCells) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	ok(t, fill(workbook(t), "SR5000"))
	ok(t, fill(sheet(t, wide(100, `<row r="%[1]d"><c r="AMJ%[1]d"/></row>`)), "B1")) // as other programs write them
}

// How a part is called says nothing of what it is.
func TestForeignPartsAreRefusedByTheirType(t *testing.T) {
	good := workbook(t)
	part := map[string][]byte{"xl/ext/e1.xml": []byte(`<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><ddeLink ddeService="cmd" ddeTopic="/c calc"/></externalLink>`)}
	with := func(where, before, piece string) []byte {
		return rezip(t, good, func(name string, b []byte) []byte {
			if name == where {
				return bytes.Replace(b, []byte(before), []byte(piece+before), 1)
			}
			return b
		}, part)
	}
	link := func(kind string) []byte {
		return with("xl/_rels/workbook.xml.rels", "</Relationships>", `<Relationship Id="rId99" Type="`+kind+`" Target="ext/e1.xml"/>`)
	}
	content := func(kind string) []byte {
		return with("[Content_Types].xml", "</Types>", `<Override PartName="/xl/ext/e1.xml" ContentType="`+kind+`"/>`)
	}
	const office, microsoft, strict = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/", "http://schemas.microsoft.com/office/2006/relationships/", "http://purl.oclc.org/ooxml/officeDocument/relationships/"
	for _, kind := range []string{office + "externalLink", strict + "externalLink", microsoft + "xlExternalLinkPath/xlPathMissing", office + "oleObject", office + "package", microsoft + "vbaProject", microsoft + "xlMacrosheet",
		microsoft + "xlIntlMacrosheet", office + "connections", office + "queryTable", office + "control", microsoft + "activeXControlBinary", office + "volatileDependencies", microsoft + "ui/extensibility"} {
		if err := report.CheckWorkbook(link(kind)); !errors.Is(err, report.ErrWorkbook) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	const sheetML = "application/vnd.openxmlformats-officedocument.spreadsheetml."
	for _, kind := range []string{sheetML + "externalLink+xml", sheetML + "connections+xml", sheetML + "queryTable+xml", "application/vnd.openxmlformats-officedocument.oleObject", "application/vnd.ms-office.vbaProject",
		"application/vnd.ms-excel.macrosheet+xml", "application/vnd.ms-excel.intlmacrosheet+xml", "application/vnd.ms-office.activeX+xml", sheetML + "VolatileDependencies+xml"} {
		if err := report.CheckWorkbook(content(kind)); !errors.Is(err, report.ErrWorkbook) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range []string{office + "ctrlProp", office + "printerSettings", office + "vmlDrawing", office + "comments", office + "customXml", office + "calcChain"} {
		ok(t, report.CheckWorkbook(link(kind)))
	}
	ok(t, report.CheckWorkbook(content("application/vnd.ms-excel.controlproperties+xml")))
}

func FuzzParseCells(f *testing.F) {
	f.Add("別添様式 2!B1 = discovered_at")
	f.Add("'a=b'!$A$1 = x")
	f.Fuzz(func(t *testing.T, s string) {
		cells, err := report.ParseCells(s)
		if err != nil {
			return
		}
		for _, c := range cells {
			if c.Ref == "" || c.Sheet == "" && !strings.Contains(s, "''") {
				t.Errorf("%q gave %+v", s, c)
			}
		}
	})
}

func FuzzCheckWorkbook(f *testing.F) {
	f.Add(workbook(f))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = report.CheckWorkbook(b) })
}
