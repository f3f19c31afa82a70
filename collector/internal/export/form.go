package export

import (
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"

	"hozen/collector/internal/pdf"
)

const formHead = `<!DOCTYPE html>
<html lang="ja"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>%s</title>
<style>body{font:14px/1.5 "Noto Sans CJK JP","Yu Gothic",Meiryo,sans-serif;margin:2em auto;max-width:52em;padding:0 1em;color:#111;background:#fff}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%%;margin:.5em 0}th,td{border:1px solid #555;padding:.3em .5em;text-align:left;vertical-align:top}
th{width:14em;font-weight:600;background:#f2f2f2}td{overflow-wrap:anywhere}.hand th,.handled th{width:auto;font-size:.85em}h3{font-size:1em}.handled td{font-size:.85em}.hand td{height:2.6em}code{font-family:monospace;font-size:.9em}
section{break-after:page}@media print{body{margin:0;max-width:none}}</style></head><body>
`

// form writes the chain of custody form: a cover, then each exhibit on a page of its own as the
// printed form has it, and each acquisition without one, with lines for signatures by hand.
func (x *writer) form(w io.Writer, f *pdf.Form) error {
	var b strings.Builder
	fmt.Fprintf(&b, formHead, html.EscapeString("証拠取扱い記録 / Chain of custody "+f.Number))
	b.WriteString("<section><h1>証拠取扱い記録 / Chain of custody</h1><table>\n")
	boxes(&b, f.Boxes())
	b.WriteString("</table>\n")
	hand(&b)
	b.WriteString("</section>\n")
	listed := map[string]docAcquisition{}
	for _, h := range x.doc.Hosts {
		for _, a := range h.Acquisitions {
			listed[a.ID] = a
		}
	}
	flush := func() error {
		hand(&b)
		b.WriteString("</section>\n")
		_, err := io.WriteString(w, b.String())
		b.Reset()
		return err
	}
	for i := range f.Exhibits {
		e := &f.Exhibits[i]
		fmt.Fprintf(&b, "<section><h2>証拠物件 / Exhibit %s</h2><table>\n", html.EscapeString(e.Number))
		boxes(&b, f.BoxesOf(*e))
		b.WriteString("</table>\n")
		handled(&b, f, e.Events)
		if a, there := listed[x.p.Exhibits[i].AcquisitionID]; there {
			delete(listed, a.ID)
			items(&b, a)
		}
		if err := flush(); err != nil {
			return err
		}
	}
	for _, h := range x.doc.Hosts {
		for _, a := range h.Acquisitions {
			if _, there := listed[a.ID]; !there {
				continue
			}
			fmt.Fprintf(&b, "<section><h2>%s %s</h2><table>\n", html.EscapeString(visible(h.Hostname)), html.EscapeString(a.ID))
			for _, r := range [][2]string{
				{"端末 / Endpoint", h.Hostname + " (" + h.EndpointID + ")"},
				{"呼び名 / Label", h.Label},
				{"システム / System", strings.TrimSpace(h.Platform + " " + h.OS + " " + h.Arch)},
				{"取得プロファイル / Profile", a.acq.Profile},
				{"契機 / Trigger", a.acq.Trigger},
				{"取得結果 / Outcome", a.acq.Outcome},
				{"開始（端末の時計） / Started (endpoint's clock)", clock(a.acq.StartedAt)},
				{"終了（端末の時計） / Finished (endpoint's clock)", clock(a.acq.FinishedAt)},
				{"受領（コレクターの時計） / Received (collector's clock)", clock(a.acq.ReceivedAt)},
				{"受領の台帳番号 / Ledger entry of the acceptance", strconv.FormatInt(a.acq.LedgerIdx, 10)},
			} {
				formRow(&b, r[0], r[1])
			}
			b.WriteString("</table>\n")
			items(&b, a)
			if err := flush(); err != nil {
				return err
			}
		}
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// boxes writes what the printed form says in the same order, with a dash where nothing is known.
func boxes(b *strings.Builder, rows [][]pdf.Box) {
	for _, row := range rows {
		for _, f := range row {
			name := f.Ja
			if f.En != f.Ja {
				name += " / " + f.En
			}
			value := f.Value
			if value == "" {
				value = "–"
			}
			formRow(b, name, value)
		}
	}
}

// handled writes what was done to an exhibit.
func handled(b *strings.Builder, f *pdf.Form, events []pdf.Event) {
	if len(events) == 0 {
		return
	}
	b.WriteString(`<h3>取扱いの記録 / Record of handling</h3><table class="handled"><tr><th>番<br>No.</th><th>日時・種別<br>Date, type</th><th>渡した人 → 受け取った人<br>From → to</th>` +
		"<th>場所・媒体・目的・結果<br>Place, medium, purpose, result</th><th>SHA-256（前 → 後）・台帳<br>before → after, ledger</th></tr>\n")
	for _, v := range events {
		b.WriteString("<tr>")
		for _, c := range f.Cells(v) {
			b.WriteString("<td>" + lines(c) + "</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

// items lists what one acquisition has.
func items(b *strings.Builder, a docAcquisition) {
	b.WriteString("<table><tr><th>証拠番号 / Number</th><th>種別 / Kind</th><th>件数 / Records</th><th>SHA-256</th></tr>\n")
	for _, it := range a.acq.Items {
		fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td>%d</td><td><code>%s</code></td></tr>\n", html.EscapeString(it.Number), html.EscapeString(visible(it.Kind)), it.Records, html.EscapeString(it.StoredSHA256))
	}
	b.WriteString("</table>\n")
}

// lines keeps the lines of a text apart.
func lines(s string) string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		out = append(out, html.EscapeString(visible(l)))
	}
	return strings.Join(out, "<br>")
}

func formRow(b *strings.Builder, label, value string) {
	fmt.Fprintf(b, "<tr><th>%s</th><td>%s</td></tr>\n", html.EscapeString(label), lines(value))
}

// hand is the table that people fill in.
func hand(b *strings.Builder) {
	b.WriteString(`<table class="hand"><tr><th>日時<br>Date, time</th><th>渡した人（署名）<br>Released by</th><th>受け取った人（署名）<br>Received by</th><th>目的・媒体・封印番号<br>Purpose, medium, seal</th><th>立会人<br>Witness</th></tr>` + "\n")
	for range 4 {
		b.WriteString("<tr><td></td><td></td><td></td><td></td><td></td></tr>\n")
	}
	b.WriteString("</table>\n")
}
