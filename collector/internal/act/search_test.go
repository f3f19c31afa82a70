package act_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// kindsFound are the kinds of what somebody finds.
func (x *fixture) kindsFound(a act.Actor, text string) string {
	x.t.Helper()
	f, err := x.Search(x.t.Context(), a, text, "")
	ok(x.t, err)
	var kinds []string
	for _, h := range f.Hits {
		kinds = append(kinds, fmt.Sprintf("%s:%d", h.Kind, len(h.List)))
	}
	return strings.Join(kinds, " ")
}

// TestSearchFindsEverything: each kind of thing, by words in it, in the spelling of somebody
// else; and by each role what that role may see, whatever else there is.
func TestSearchFindsEverything(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		office := newOffice(t, x)
		p := office.keiri.endpoint.ID
		acq := office.keiri.send("flash", captured())
		inc, err := x.Incident(ctx, x.owner, office.incident)
		ok(t, err)
		_, err = x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "100%ＡＢＣの不審な件"})
		ok(t, err)
		other, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "別件の不審メール"})
		ok(t, err)
		ok(t, x.AddNote(ctx, x.owner, inc.ID, "ﾗﾝｻﾑｳｪｱの脅迫文を確認"))
		ok(t, x.AddNote(ctx, x.owner, other.ID, "別件にもランサムの記載"))
		_, err = x.RecordDecision(ctx, x.owner, inc.ID, record.Decision{Kind: record.DecideOther, Options: "支払う", Facts: "f", Decision: "身代金は支払わない", Reason: "r", Decider: "社長"})
		ok(t, err)
		_, err = x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Channel: record.ByPhone, Who: "顧客 山田", Question: "漏れた名簿のこと"})
		ok(t, err)
		_, err = x.Acquire(ctx, x.owner, p, act.Order{Reason: "暗号化の痕跡を見る", IncidentID: inc.ID})
		ok(t, err)
		_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: contact.Vendor, Name: "みなと保守", Tel: "03-1234-5678"})
		ok(t, err)
		_, err = x.AddExhibit(ctx, x.owner, act.NewExhibit{IncidentID: inc.ID, Kind: exhibit.Device, Place: "p", Fields: map[exhibit.Field]string{exhibit.Description: "外付けディスク BLACK"}})
		ok(t, err)
		_, err = x.SetAnswer(ctx, x.owner, inc.ID, act.NewAnswer{Item: record.Cause, State: record.Estimated, Value: record.Value{Fields: map[record.Field]string{record.Text: "公開サーバーの脆弱性"}}, Basis: record.Basis{Person: "佐藤"}, After: act.AnyVersion})
		ok(t, err)
		items, err := x.Evidence(ctx, x.owner, inc.ID)
		ok(t, err)
		people := map[string]act.Actor{"o": x.owner, "h": x.person("handler-1", operator.Handler), "v": x.person("viewer-1", operator.Viewer), "a": x.person("auditor-1", operator.Auditor),
			"x": x.person("vendor-1", operator.Vendor), "n": x.person("nobody-1", operator.Vendor)}
		ok(t, x.GrantIncident(ctx, x.owner, people["x"].ID, inc.ID, x.clock.Add(time.Hour)))
		for _, c := range []struct{ text, kind, who string }{ // who finds it: o h v a, x with a grant, n without
			{"画面", "incident:1", "ohvax"},
			{"経理ｐｃ", "endpoint:1 exhibit:1", "ohvax"},
			{"SALES", "endpoint:1", "ohvax"},
			{"abc 100%", "incident:1", "ohva"},
			{"ランサムウェア", "timeline:1", "ohvax"},
			{"脅迫文　確認", "timeline:1", "ohvax"},
			{"支払わない", "timeline:1 decision:1", "oha"},
			{"名簿", "timeline:1 enquiry:1", "oh"},
			{"山田", "enquiry:1", "oh"},
			{"暗号化", "timeline:1 command:1", "ohvax"},
			{"みなと", "contact:1", "ohva"},
			{"０３－１２３４", "contact:1", "ohva"},
			{"black", "exhibit:1", "ohvax"},
			{"脆弱性", "answer:1", "ohvax"},
			{items[0].PlainSHA256, "evidence:1", "ohvax"},
			{items[0].Number, "evidence:1", "ohvax"},
			{acq, "evidence:" + strconv.Itoa(len(items)) + " acquisition:1", "ohvax"},
			{items[0].PlainSHA256[:12], "evidence:1", "ohvax"},
			{items[0].PlainSHA256[:4], "", "ohvaxn"},
			{items[0].PlainSHA256[8:30], "", "ohvaxn"},
			{inc.ID, "incident:1", "ohvax"},
			{"handler-1", "person:1", "ohva"},
			{"別件", "incident:1 timeline:1", "ohva"},
			{"0", "ledger:1", ""},
			{"1_0", "", "ohvaxn"},
			{"' OR 1=1 --", "", "ohvaxn"},
			{"fields", "", "ohvaxn"},
		} {
			for letter, a := range people {
				got := x.kindsFound(a, c.text)
				if c.text == "0" { // numbers of other things have it too
					if strings.Contains(got, "ledger:1") != strings.Contains("oha", letter) {
						t.Errorf("the first entry of the ledger by %s: %q", letter, got)
					}
					continue
				}
				want := ""
				if strings.Contains(c.who, letter) {
					want = c.kind
				}
				if strings.TrimSuffix(got, " ledger:1") != want { // what it is about finds the ledger's entry too
					t.Errorf("%q by %s: %q, want %q", c.text, letter, got, want)
				}
			}
		}
		f, err := x.Search(ctx, people["x"], "の", act.HitIncident)
		ok(t, err)
		if len(f.Hits) != 1 || len(f.Hits[0].List) != 1 || f.Hits[0].List[0].ID != inc.ID || len(f.Numbers) != 1 {
			t.Errorf("somebody from outside finds %+v", f)
		}
	})
}

func TestSearchIsBounded(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		x.notes(inc, act.MaxHits+5)
		f, err := x.Search(ctx, x.owner, "多数", act.HitTimeline)
		ok(t, err)
		if len(f.Hits) != 1 || len(f.Hits[0].List) != act.MaxHits || !f.Hits[0].More {
			t.Errorf("%d kinds", len(f.Hits))
		}
		if f.Hits[0].List[0].Text != fmt.Sprintf("多数 %d", act.MaxHits+4) {
			t.Errorf("the newest is %q", f.Hits[0].List[0].Text)
		}
		_, err = x.Search(ctx, x.owner, "x", "everything")
		wantInvalid(t, err, "in", "unknown")
		if f, err := x.Search(ctx, x.owner, "", ""); err != nil || len(f.Hits) != 0 {
			t.Errorf("nothing was asked: %+v, %v", f, err)
		}
		if _, err := x.Search(ctx, act.Actor{Kind: act.ByOperator, ID: "opr_x"}, "t", ""); !errors.Is(err, act.ErrForbidden) {
			t.Error(err)
		}
		if !slices.Contains(act.HitKinds(), act.HitTimeline) {
			t.Error("kinds are missing")
		}
	})
}

// notes writes many entries into a timeline at once.
func (x *fixture) notes(inc incident.Incident, n int) {
	x.t.Helper()
	for i := range n {
		ok(x.t, x.AddNote(x.t.Context(), x.owner, inc.ID, fmt.Sprintf("多数 %d", i)))
	}
}

// TestSearchFindsFiles: names of files as other systems write them, and not the names of
// what is said of files.
func TestSearchFindsFiles(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			u := record.Upload{ID: id.New(id.Upload), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Exhibit: inc.Number + "-E01", SHA256: strings.Repeat("ab12", 16), ReceivedAt: x.clock,
				File: record.File{Source: record.Sources()[0], Name: "ルータのロク\u3099.txt", Person: "佐藤"}}
			if err := record.InsertUpload(ctx, tx, u); err != nil {
				return err
			}
			return record.EndUpload(ctx, tx, u)
		}))
		for text, want := range map[string]string{"ログ": "upload:1", "ab12ab12ab": "upload:1", "佐藤": "upload:1", "ab12": "", "person": "", "source": ""} {
			if got := x.kindsFound(x.owner, text); got != want {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
	})
}
