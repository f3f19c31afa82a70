package export

import (
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
)

const formHead = `<!DOCTYPE html>
<html lang="ja"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>%s</title>
<style>body{font:14px/1.5 "Noto Sans CJK JP","Yu Gothic",Meiryo,sans-serif;margin:2em auto;max-width:52em;padding:0 1em;color:#111;background:#fff}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%%;margin:.5em 0}th,td{border:1px solid #555;padding:.3em .5em;text-align:left;vertical-align:top}
th{width:14em;font-weight:600;background:#f2f2f2}td{overflow-wrap:anywhere}.hand th{width:auto;font-size:.85em}.hand td{height:2.6em}code{font-family:monospace;font-size:.9em}
section{break-after:page}@media print{body{margin:0;max-width:none}}</style></head><body>
`

// form writes the chain of custody form: a cover, then each acquisition on a page of its
// own with lines for signatures by hand.
func (x *writer) form(w io.Writer) error {
	p := x.p
	var b strings.Builder
	fmt.Fprintf(&b, formHead, html.EscapeString("証拠取扱い記録 / Chain of custody "+p.Number))
	b.WriteString("<section><h1>証拠取扱い記録 / Chain of custody</h1><table>\n")
	by := p.ActorName
	if by == "" {
		by = p.ActorKind
	}
	for _, r := range [][2]string{
		{"パッケージ / Package", p.Number + " (" + p.ID + ")"},
		{"インシデント / Incident", p.Frozen.Incident.Number + " " + p.Frozen.Incident.Title},
		{"組織 / Organisation", p.Frozen.Organisation},
		{"作成の指示 / Ordered", clock(p.At) + " " + by},
		{"渡す相手 / Recipient", p.Recipient},
		{"目的 / Purpose", p.Purpose},
		{"証拠管理台帳 / Custody ledger", fmt.Sprintf("%d 件 / entries", p.LedgerSize)},
		{"台帳のルートハッシュ / Root hash", p.LedgerRoot},
	} {
		formRow(&b, r[0], r[1])
	}
	b.WriteString("</table>\n")
	hand(&b)
	b.WriteString("</section>\n")
	for _, h := range x.doc.Hosts {
		for _, a := range h.Acquisitions {
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
			b.WriteString("</table>\n<table><tr><th>証拠番号 / Number</th><th>種別 / Kind</th><th>件数 / Records</th><th>SHA-256</th></tr>\n")
			for _, it := range a.acq.Items {
				fmt.Fprintf(&b, "<tr><td>%s</td><td>%s</td><td>%d</td><td><code>%s</code></td></tr>\n", html.EscapeString(it.Number), html.EscapeString(visible(it.Kind)), it.Records, html.EscapeString(it.StoredSHA256))
			}
			b.WriteString("</table>\n")
			hand(&b)
			b.WriteString("</section>\n")
			if _, err := io.WriteString(w, b.String()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func formRow(b *strings.Builder, label, value string) {
	fmt.Fprintf(b, "<tr><th>%s</th><td>%s</td></tr>\n", html.EscapeString(label), html.EscapeString(visible(value)))
}

// hand is the table that people fill in.
func hand(b *strings.Builder) {
	b.WriteString(`<table class="hand"><tr><th>日時<br>Date, time</th><th>渡した人（署名）<br>Released by</th><th>受け取った人（署名）<br>Received by</th><th>目的・媒体・封印番号<br>Purpose, medium, seal</th><th>立会人<br>Witness</th></tr>` + "\n")
	for range 4 {
		b.WriteString("<tr><td></td><td></td><td></td><td></td><td></td></tr>\n")
	}
	b.WriteString("</table>\n")
}
