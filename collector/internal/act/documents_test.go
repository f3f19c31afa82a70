package act_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/i18n"
)

func (o *office) newReport(k report.Kind) act.NewReport {
	return act.NewReport{IncidentID: o.incident, Kind: k, Language: i18n.Japanese}
}

func TestReportsAreIssuedAndFrozen(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		ctx := t.Context()
		o.keiri.send("volatile", captured())
		n := o.newReport(report.Owner)
		n.Added = map[string]string{"works": "電話は使えます。"}
		draft, err := o.DraftReport(ctx, o.owner, n)
		ok(t, err)
		if draft.Name() != "" || draft.Organisation != "組織" || !slices.ContainsFunc(draft.Sources, func(s report.Source) bool { return s.Ref == o.incident+"-E01" }) {
			t.Errorf("%+v", draft)
		}
		if list, err := o.Reports(ctx, o.owner, o.incident); err != nil || len(list) != 0 {
			t.Errorf("a draft was kept: %v %v", list, err)
		}
		if n.Seen, err = draft.Digest(); err != nil {
			t.Fatal(err)
		}
		x.clock = x.clock.Add(time.Minute) // time alone changes nothing of what it says
		r, v, err := o.IssueReport(ctx, o.owner, n)
		ok(t, err)
		if r.Number != o.incident+"-R01" || v.Version != 1 || v.NotKnown == 0 {
			t.Errorf("%+v %+v", r, v)
		}
		pdf, _, err := o.IssuedFile(ctx, o.owner, r.Number, 1, report.FormatPDF)
		ok(t, err)
		if f, _ := v.File(report.FormatPDF); digest.Of(pdf).String() != f.SHA256 || !bytes.HasPrefix(pdf, []byte("%PDF")) {
			t.Error("other bytes than were issued")
		}
		if got := printed(t, pdf); !strings.Contains(got, unspaced(r.Number+" v1")) || !strings.Contains(got, "電話は使えます。") || !strings.Contains(got, "1/1") {
			t.Errorf("%s", got)
		}
		entries, err := o.LedgerEntries(ctx, o.owner, act.LedgerFilter{Subject: r.ID})
		ok(t, err)
		if len(entries) != 1 || entries[0].Act != report.ActIssue || entries[0].Details["report_pdf_sha256"] != digest.Of(pdf).String() || entries[0].Index != v.LedgerIdx {
			t.Errorf("%+v", entries)
		}
		// What it says changes: what was looked at is not what would be issued.
		ok(t, o.AddNote(ctx, o.owner, o.incident, "x"))
		o.sales.send("flash", captured())
		if _, _, err := o.IssueReport(ctx, o.owner, n); !errors.Is(err, act.ErrDraftChanged) {
			t.Errorf("%v", err)
		}
		n.Seen = ""
		_, v2, err := o.IssueReport(ctx, o.owner, n)
		ok(t, err)
		if v2.Version != 2 {
			t.Errorf("%+v", v2)
		}
		one, _, err := o.IssuedDocument(ctx, o.owner, r.ID, 1)
		ok(t, err)
		two, _, err := o.IssuedDocument(ctx, o.owner, r.ID, 2)
		ok(t, err)
		if len(report.Differences(one, two)) == 0 {
			t.Error("the versions say the same")
		}
		again, _, err := o.IssuedFile(ctx, o.owner, r.ID, 1, report.FormatPDF)
		ok(t, err)
		if !bytes.Equal(pdf, again) {
			t.Error("the first version changed")
		}
		// Another document, another number.
		r2, _, err := o.IssueReport(ctx, o.owner, o.newReport(report.PPC))
		ok(t, err)
		if r2.Number != o.incident+"-R02" {
			t.Errorf("%s", r2.Number)
		}
		ok(t, o.RecordSending(ctx, o.owner, r.Number, act.SentReport{Version: 2, Recipient: "社長 田中", Channel: report.ByHand, Note: "口頭でも説明"}))
		got, err := o.Report(ctx, o.owner, r.ID)
		ok(t, err)
		if len(got.Versions) != 2 || len(got.Sendings) != 1 || got.Sendings[0].Recipient != "社長 田中" || got.Sendings[0].Version != 2 {
			t.Errorf("%+v", got)
		}
		lines, err := o.Timeline(ctx, o.owner, o.incident)
		ok(t, err)
		var told []string
		for _, l := range lines {
			if l.Kind == incident.EntryReport {
				told = append(told, l.Params["event"])
			}
		}
		if !slices.Equal(told, []string{"issued", "issued", "issued", "sent"}) {
			t.Errorf("%q", told)
		}
		for field, s := range map[string]act.SentReport{"recipient": {Version: 1, Channel: report.ByHand}, "channel": {Version: 1, Recipient: "x", Channel: "pigeon"}, "version": {Version: 9, Recipient: "x", Channel: report.ByHand},
			"sent_at": {Version: 1, Recipient: "x", Channel: report.ByHand, At: x.clock.Add(time.Hour)}} {
			var invalid *act.Invalid
			if err := o.RecordSending(ctx, o.owner, r.Number, s); !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}

func TestReportsOfOthersAreNotThere(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		for _, n := range []act.NewReport{{IncidentID: "INC-2026-9999", Kind: report.Owner, Language: i18n.Japanese}} {
			if _, _, err := o.IssueReport(t.Context(), o.owner, n); !errors.Is(err, act.ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		for field, n := range map[string]act.NewReport{"kind": {IncidentID: o.incident, Kind: "poem", Language: i18n.Japanese}, "language": {IncidentID: o.incident, Kind: report.Owner, Language: "fr"},
			"stage": {IncidentID: o.incident, Kind: report.Owner, Language: i18n.Japanese, Stage: report.Final}, "added-works": {IncidentID: o.incident, Kind: report.Owner, Language: i18n.Japanese, Added: map[string]string{"works": strings.Repeat("x", report.MaxAdded+1)}}} {
			var invalid *act.Invalid
			if _, _, err := o.IssueReport(t.Context(), o.owner, n); !errors.As(err, &invalid) || invalid.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		for _, version := range []int{0, 1, -1} {
			if _, _, err := o.IssuedFile(t.Context(), o.owner, "rep_none", version, "../x"); !errors.Is(err, act.ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
	})
}

// TestDisposedEvidenceIsSaidToBeGone: a report after a disposal does not speak of what cannot
// be checked any more, and those before stay as they were.
func TestDisposedEvidenceIsSaidToBeGone(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		ctx := t.Context()
		o.keiri.send("volatile", captured())
		for _, n := range []act.NewAnswer{
			{Item: record.Cause, State: record.Estimated, Value: record.Value{Fields: map[record.Field]string{record.Category: "mail", record.Text: "添付ファイルを開いたこと"}}, Basis: record.Basis{Evidence: []string{o.incident + "-E01"}}},
			{Item: record.Symptoms, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.What: "画面が変わった", record.Where: "経理部", record.Impact: "会計が止まった"}}, Basis: record.Basis{Person: "佐藤"}},
			{Item: record.People, State: record.Unknown},
			{Item: record.Type, State: record.Known, Value: record.Value{Types: []string{"ransomware", "leak"}}},
		} {
			_, err := o.SetAnswer(ctx, o.owner, o.incident, n)
			ok(t, err)
		}
		_, err := o.RecordDecision(ctx, o.owner, o.incident, record.Decision{Kind: record.DecideStop, Options: "止める\n続ける", Facts: "広がっている", Decision: "止める", Reason: "被害を広げない", Decider: "社長", DecidedAt: x.clock})
		ok(t, err)
		r, _, err := o.IssueReport(ctx, o.owner, o.newReport(report.Full))
		ok(t, err)
		before := o.answers()
		for n, want := range map[int]string{0: "ランサムウェア感染、情報漏えい", 2: "不明", 5: "画面が変わった\nどこで: 経理部\n影響: 会計が止まった", 7: "メール\n添付ファイルを開いたこと"} {
			if before[n][2] != want {
				t.Errorf("item %d: %q, want %q", n+1, before[n][2], want)
			}
		}
		if before[7][3] != "推定" || !strings.Contains(before[7][4], o.incident+"-E01") || !strings.Contains(before[5][4], "佐藤") {
			t.Errorf("%q", before)
		}
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "済"))
		o.disposed("E01")
		_, _, err = o.IssueReport(ctx, o.owner, o.newReport(report.Full))
		ok(t, err)
		after := o.answers()
		if !strings.HasPrefix(after[7][2], "不明") || strings.Contains(after[7][2], "添付") || after[7][3] != "不明" || after[5][2] != before[5][2] {
			t.Errorf("%q", after)
		}
		for version, gone := range map[int]bool{1: false, 2: true} {
			d, _, err := o.IssuedDocument(ctx, o.owner, r.ID, version)
			ok(t, err)
			i := slices.IndexFunc(d.Blocks, func(b report.Block) bool { return b.Key == "evidence" })
			row := strings.Join(d.Blocks[i].Table.Rows[0], " ")
			if strings.Contains(row, "廃棄済み") != gone || !strings.Contains(row, o.incident+"-E01") {
				t.Errorf("version %d: %s", version, row)
			}
		}
		owner, err := o.DraftReport(ctx, o.owner, o.newReport(report.Owner))
		ok(t, err)
		if words := strings.Join(owner.Words(), "\n"); !strings.Contains(words, "廃棄した証拠が1件") || strings.Contains(words, "保管している証拠は1件") {
			t.Errorf("%s", words)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}

// answers are the rows of the ten items in a draft of the full report.
func (o *office) answers() [][]string {
	o.t.Helper()
	d, err := o.DraftReport(o.t.Context(), o.owner, o.newReport(report.Full))
	ok(o.t, err)
	for _, b := range d.Blocks {
		if b.Key == "items" {
			return b.Table.Rows
		}
	}
	o.t.Fatal("no ten items")
	return nil
}

// disposed disposes of what an exhibit holds.
func (o *office) disposed(short string) {
	o.t.Helper()
	g, err := o.DisposalOf(o.t.Context(), o.owner, o.incident+"-"+short)
	ok(o.t, err)
	_, err = o.DisposeExhibit(o.t.Context(), o.owner, o.incident+"-"+short, "期間が過ぎた", g.Fingerprint())
	ok(o.t, err)
}

func TestFsckProvesReports(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		ctx := t.Context()
		r, v, err := o.IssueReport(ctx, o.owner, o.newReport(report.Owner))
		ok(t, err)
		ok(t, o.RecordSending(ctx, o.owner, r.ID, act.SentReport{Version: 1, Recipient: "社長", Channel: report.ByMail}))
		for name, c := range map[string]struct{ there, back, code string }{
			"version": {`UPDATE report_version SET title = 'X'`, `UPDATE report_version SET title = '` + v.Title + `'`, "report_edited"},
			"sending": {`UPDATE report_sending SET recipient = 'X'`, `UPDATE report_sending SET recipient = '社長'`, "report_edited"},
			"index":   {`UPDATE report_sending SET ledger_idx = 0`, "", "report_missing report_surplus"},
		} {
			change := func(q string) {
				ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { _, err := tx.ExecContext(ctx, q); return err }))
			}
			back := c.back
			if back == "" { // known before it is changed
				sent, err := o.Report(ctx, o.owner, r.ID)
				ok(t, err)
				back = `UPDATE report_sending SET ledger_idx = ` + strconv.FormatInt(sent.Sendings[0].LedgerIdx, 10)
			}
			change(c.there)
			if codes := strings.Join(o.fsckCodes(), " "); codes != c.code {
				t.Errorf("%s: %q", name, codes)
			}
			change(back)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		sum, err := digest.Parse(v.BundleSHA256)
		ok(t, err)
		ok(t, x.blobs.Remove(ctx, sum))
		if codes := strings.Join(o.fsckCodes(), " "); codes != "report_lost" {
			t.Errorf("%q", codes)
		}
	})
}

// TestDocumentsTellDeadlinesAndContacts: what the guides count and whom they name is printed.
func TestDocumentsTellDeadlinesAndContacts(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		d, err := o.DraftReport(t.Context(), o.owner, o.newReport(report.Owner))
		ok(t, err)
		words := strings.Join(d.Words(), "\n")
		if !strings.Contains(words, "期限 ") || !strings.Contains(words, "該当するかは未確認") {
			t.Errorf("no deadline: %s", words)
		}
		calls, err := o.DraftReport(t.Context(), o.owner, o.newReport(report.Calls))
		ok(t, err)
		i := slices.IndexFunc(calls.Blocks, func(b report.Block) bool { return b.Table != nil })
		if i < 0 || len(calls.Blocks[i].Table.Rows) < 8 {
			t.Errorf("whom to call: %+v", calls.Blocks)
		}
	})
}
