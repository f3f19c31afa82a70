package main

import (
	"bytes"
	"strings"
	"testing"

	"hozen/collector/internal/fsck"
	"hozen/collector/internal/localapi"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

// What fsck finds is said in Japanese, each sentence of the audits, and whose row it is.
func TestDetailsAreSaidInJapanese(t *testing.T) {
	d, err := i18n.LoadDetails(details, "details/ja.json")
	must(t, err)
	// Parts of a sentence that stands in the catalogue whole, and what is for nobody's eyes.
	except := []string{" (and %d more stretches)", "ledger %d", "the database of the backup has SHA-256 ", ", its note says ", "it is of the acquisition ", "the channel was switched off or removed"}
	i18ntest.Details(t, d, except, []string{"find", "report", "differs", "wrong", "Difference", "Finding", "Problem"},
		"internal/ledger", "internal/checkpoint", "internal/evidence", "internal/exhibit", "internal/record", "internal/report", "internal/deadline", "internal/playbook", "internal/contact",
		"internal/operator", "internal/organisation", "internal/notify", "internal/phone", "internal/export", "internal/kit", "internal/drill", "internal/incident", "internal/endpoint",
		"internal/enroll", "internal/dispatch", "internal/group", "internal/fsck", "internal/timestamp", "internal/cosign")

	texts, err := catalogue()
	must(t, err)
	for _, l := range i18n.Languages() {
		p := texts.Printer(l)
		for _, a := range fsck.RowAudits() {
			if !p.Has("fsck.of." + a.Of) {
				t.Errorf("%s: no word for whose row is %s_edited", l, a.Of)
			}
		}
	}
}

// A person reads whose row it is and what is wrong in one language; the code is the same in both.
func TestProblemsAreSaidInTheLanguage(t *testing.T) {
	r := localapi.Check{Problems: []localapi.Problem{
		{Code: "operator_edited", Subject: "opr_1", Detail: "its row does not say what entry 1 of the ledger says: role"},
		{Code: "checkpoint_rewritten", Subject: "newest", Detail: "the first 47 entries are not those that were signed; entries 0 to 21 are as signed on 2026-11-24T10:59:52Z"},
		{Code: "receipt_wrong", Subject: "acq_1", Detail: "malformed receipt: format is \"x\", want \"hozen-receipt/1\""},
	}}
	for l, want := range map[i18n.Language][]string{
		i18n.Japanese: {"operator_edited  opr_1  担当ユーザー: 行の内容が台帳の記録 1 と違います: role\n",
			"初めの 47 件が、署名されたものと違います。記録 0 から 21 までは 2026-11-24T10:59:52Z の署名のとおりです\n", "受領証の形式が正しくありません: 形式は \"x\" です。\"hozen-receipt/1\" のはずです\n"},
		i18n.English: {"operator_edited  opr_1  people: its row does not say what entry 1 of the ledger says: role\n"},
	} {
		c, out, _ := testCLI(t, l)
		if err := c.printCheck(r); err == nil {
			t.Error("problems are no error")
		}
		for _, s := range want {
			if !bytes.Contains(out.Bytes(), []byte(s)) {
				t.Errorf("%s: no %q in\n%s", l, s, out)
			}
		}
		outside := localapi.Outside{Fault: "witnesses in [ledger]: want http://… or https://…", Timestamp: &localapi.TimestampState{Failing: "no time stamp from the authority: HTTP status 500"}}
		if c.sayOutside(outside); l == i18n.Japanese && (!strings.Contains(out.String(), "タイムスタンプを得られません: HTTPステータス 500") || !strings.Contains(out.String(), "[ledger] の witnesses: http://… か")) {
			t.Errorf("of outside:\n%s", out)
		}
		if l == i18n.Japanese && strings.Contains(out.String(), "entries") {
			t.Errorf("English is left:\n%s", out)
		}
	}
}
