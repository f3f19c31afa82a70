package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/playbook"
)

// step is the address of a step that the organisation has added; it adds one if there is none.
func (x *site) step() string {
	x.t.Helper()
	list, err := x.OwnSteps(x.t.Context(), x.owner)
	must(x.t, err)
	if len(list) == 0 {
		for _, text := range []string{"予備の回線に切り替える", "保守会社に電話し、受付番号を書き留める"} {
			must(x.t, x.SaveOwnStep(x.t.Context(), x.owner, playbook.OwnItem{Playbook: "outage", Substep: "contain", Mode: playbook.Record, Who: []string{playbook.ByHandler}, Text: playbook.Text{JA: text}}))
		}
		return x.step()
	}
	return "/settings/steps/" + list[0].ID
}

// The responsible person adds a step on the page, words it anew, moves it and retires it; the
// playbook of an incident follows, and the ledger says so.
func TestOwnStepsAreWrittenAtTheConsole(t *testing.T) {
	x := newSite(t)
	x.person("sekinin", "責任 花子", operator.Responsible)
	x.person("sato", "佐藤 花子", operator.Handler)
	b, handler := x.as("sekinin", "ja"), x.as("sato", "ja")
	b.get("/settings/steps").want(t, 200, "自社の手順はまだありません")
	of := func(change url.Values) url.Values {
		form := url.Values{"playbook": {"malware"}, "substep": {"contain"}, "mode": {"remind"}, "who_handler": {"1"}, "text_ja": {"保守会社に電話する"}}
		for k, v := range change {
			form[k] = v
		}
		return form
	}
	b.post("/settings/steps", of(url.Values{"text_ja": {""}})).want(t, 422, "入力してください。")
	b.post("/settings/steps", of(url.Values{"who_handler": {""}})).want(t, 422, "入力してください。", "保守会社に電話する")
	b.post("/settings/steps", of(url.Values{"mode": {"auto"}})).want(t, 422, "選択肢から選んでください。")
	handler.post("/settings/steps", of(nil)).want(t, http.StatusForbidden)
	b.post("/settings/steps", of(nil)).want(t, http.StatusSeeOther)
	b.post("/settings/steps", of(url.Values{"text_ja": {"複合機を止める"}, "text_en": {"Stop the printer"}})).want(t, http.StatusSeeOther)
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", Classification: incident.Malware})
	must(t, err)
	plan := "/incidents/" + inc.ID + "/playbook"
	b.get(plan).want(t, 200, "保守会社に電話する", "複合機を止める")
	x.as("sekinin", "en").get(plan).want(t, 200, "Stop the printer")

	list, err := x.OwnSteps(t.Context(), x.owner)
	must(t, err)
	first, second := "/settings/steps/"+list[0].ID, "/settings/steps/"+list[1].ID
	r := handler.get("/settings/steps").want(t, 200, "複合機を止める", "経営者または責任者")
	if strings.Contains(r.body, "<button class=\"small\"") || strings.Contains(r.body, first) {
		t.Error("buttons are offered to one who may not")
	}
	r = b.get("/settings/steps").want(t, 200, `action="`+second+`/raise"`)
	if strings.Contains(r.body, first+"/raise") {
		t.Error("the first can be raised")
	}
	b.post(second+"/raise", nil).want(t, http.StatusSeeOther)
	b.post(first, of(url.Values{"text_ja": {"保守会社（内線3）に電話する"}, "when_ja": {"複合機のとき"}})).want(t, http.StatusSeeOther)
	b.get(first).want(t, 200, "保守会社（内線3）に電話する", "複合機のとき")
	page := b.get(plan).want(t, 200, "保守会社（内線3）に電話する").body
	if strings.Index(page, "複合機を止める") > strings.Index(page, "保守会社（内線3）") {
		t.Error("the order did not change")
	}
	b.post(second+"/retire", url.Values{"retired": {"1"}}).want(t, http.StatusSeeOther)
	if strings.Contains(b.get(plan).body, "複合機を止める") {
		t.Error("a retired step stands in the playbook")
	}
	b.get("/settings/steps").want(t, 200, "使うのをやめた手順（1件）", "複合機を止める")
	b.post(second+"/retire", nil).want(t, http.StatusSeeOther)
	b.get(plan).want(t, 200, "複合機を止める")
	x.as("sekinin", "en").get("/settings/steps").want(t, 200, "Stop the printer", "保守会社（内線3）に電話する", "複合機のとき")
	b.get("/settings/steps/none").want(t, http.StatusNotFound)
	x.as("owner", "ja").get("/ledger").want(t, 200, "自社の手順の変更")
}
