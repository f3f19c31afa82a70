package console

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
	"hozen/internal/usbkit"
)

// stick sends the zip of a stick that nobody took in yet, and returns its page.
func (x *site) stick() string {
	x.t.Helper()
	u, err := x.BeginStick(x.t.Context(), x.owner, act.NewStick{Name: evil + ".zip", Size: 3})
	must(x.t, err)
	_, err = x.AppendUpload(x.t.Context(), x.owner, u.ID, 0, strings.NewReader("PK!"))
	must(x.t, err)
	return "/kits/import/" + u.ID
}

// acquiredByKit is what is on the stick after an acquisition, and what is written on paper.
func (x *site) acquiredByKit(incidentID string) (files map[string][]byte, acq, code string) {
	x.t.Helper()
	made, err := x.BuildKit(x.t.Context(), x.owner, act.NewKit{IncidentID: incidentID, Profile: "volatile", Language: "ja", Agents: []usbkit.File{{Name: usbkit.LinuxAgent, SHA256: digest.Of([]byte("agent")).String(), Size: 5}}})
	must(x.t, err)
	key, err := pki.NewKey()
	must(x.t, err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(x.t, err)
	acq = id.New(id.Acquisition)
	at := artifact.Instant{Wall: x.now().UTC()}
	a := &evidencetest.Acquisition{Parts: map[string][]byte{}, Manifest: artifact.Manifest{
		Format: artifact.Format, AcquisitionID: acq, Trigger: artifact.TriggerManual, Profile: "volatile", Tool: artifact.Tool{Name: "hozen-agent", SHA256: digest.Of([]byte("agent")).String()},
		Host: artifact.Host{Hostname: "usb-pc", OS: "linux", Arch: "amd64"}, StartedAt: at, FinishedAt: at, Outcome: artifact.Complete,
		Signer: artifact.Signer{Algorithm: "ecdsa-p256-sha256", KeySHA256: digest.Of(spki).String(), OneTime: true}}}
	a.Add(x.t, artifact.KindProcess, []byte("{\"pid\":1}\n"), 1)
	s := record.Kit{KitID: made.Kit.KitID, KitSHA256: made.SHA256, Place: "倉庫 2階", Reason: "確認のため", By: "佐藤 花子"}
	a.Add(x.t, artifact.KindKit, append(s.AppendJSON(nil), '\n'), 1)
	(&evidencetest.Endpoint{Key: key}).Sign(x.t, a)
	files = map[string][]byte{usbkit.LinuxAgent: []byte("agent")}
	maps.Copy(files, made.Files)
	in := usbkit.ResultsDir + "/" + acq + "/"
	files[in+artifact.ManifestFile], files[in+artifact.SignatureFile] = a.Raw, a.Signature
	files[in+artifact.SignerFile] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	for name, b := range a.Parts {
		files[in+name] = b
	}
	return files, acq, usbkit.ReceiptCode(digest.Of(a.Raw))
}

func zipped(t testing.TB, files map[string][]byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create("HOZEN-KIT/" + name) // as systems do that pack a folder
		must(t, err)
		_, err = w.Write(files[name])
		must(t, err)
	}
	must(t, z.Close())
	return b.String()
}

// lacks looks for what must not be on a page.
func (r reply) lacks(t testing.TB, texts ...string) reply {
	t.Helper()
	for _, s := range texts {
		if strings.Contains(r.body, s) {
			t.Errorf("the page has %q: …%s…", s, around(r.body, s))
		}
	}
	return r
}

// What came of a USB kit is sent, in a form or in pieces, checked, and taken in once.
func TestStickIsTakenInByTheConsole(t *testing.T) {
	x := newSite(t)
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "倉庫のPC"})
	must(t, err)
	files, acq, code := x.acquiredByKit(inc.ID)
	b := x.as("owner", "ja")
	b.get("/incidents/"+inc.ID+"/upload").want(t, 200, "/kits/import?incident="+inc.ID)
	b.get("/kits/import?incident="+inc.ID).want(t, 200, `value="`+inc.ID+`"`, "kit.json")
	b.sendForm("/kits/import", nil, "", "").want(t, http.StatusBadRequest)

	altered := maps.Clone(files)
	part := usbkit.ResultsDir + "/" + acq + "/artifacts/process.jsonl.zst"
	altered[part] = append(slices.Clone(files[part]), 'x')
	bad := b.sendForm("/kits/import", url.Values{"incident": {inc.ID}}, "usb.zip", zipped(t, altered)).want(t, http.StatusSeeOther).header.Get("Location")
	r := b.post(bad, url.Values{}).want(t, http.StatusUnprocessableEntity, "取り込みませんでした", part)
	if strings.Contains(r.body, code) {
		t.Error("the page tells the code that somebody should read from paper")
	}
	b.post(strings.Replace(bad, "/kits/import", "/uploads", 1)+"/drop", nil).want(t, http.StatusSeeOther)
	b.get(bad).want(t, http.StatusNotFound)

	// In pieces, as the script of the page does, broken off once.
	whole := zipped(t, files)
	u := b.post("/kits/import/begin", url.Values{"incident": {inc.ID}, "name": {`C:\usb.zip`}, "size": {strconv.Itoa(len(whole))}}).want(t, http.StatusCreated).decoded(t)
	page := "/kits/import/" + u.ID
	b.put("/uploads/"+u.ID+"?offset=0", whole[:100]).want(t, 200)
	b.put("/uploads/"+u.ID+"?offset=0", whole).want(t, http.StatusConflict)
	b.get("/kits/import").want(t, 200, "受信の途中", "usb.zip")
	b.get(page).want(t, 200, "同じファイル")
	b.put("/uploads/"+u.ID+"?offset=100", whole[100:]).want(t, 200)
	if got := b.post("/uploads/"+u.ID+"/finish", nil).want(t, 200).decoded(t); got.Where != page {
		t.Errorf("%+v", got)
	}
	b.get("/incidents/"+inc.ID+"/upload").want(t, 200).lacks(t, "usb.zip") // it is no exhibit
	b.get(page).want(t, 200, "usb.zip", inc.Number)
	b.post(page, url.Values{"codes": {"nonsense"}}).want(t, http.StatusUnprocessableEntity, "受領コードとして読めません")
	b.post(page, url.Values{"codes": {"0000-0000-0000"}}).want(t, http.StatusUnprocessableEntity, "何も取り込みませんでした")
	b.post(page, url.Values{"foreign": {"1"}}).want(t, http.StatusUnprocessableEntity, "どのインシデント")
	b.post(page, nil).want(t, 200, "取り込みました", "まだ照合していません", "usb-pc", inc.Number, "佐藤 花子", "倉庫 2階")
	b.post(page, url.Values{"codes": {strings.ToLower(code)}}).want(t, 200, "取り込み済み", "紙の控えと一致", code, "送られたzipは消しました")
	b.get(page).want(t, http.StatusNotFound)
	list, err := x.Acquisitions(t.Context(), x.owner, inc.ID)
	if err != nil || len(list) != 1 || list[0].ID != acq {
		t.Errorf("%+v, %v", list, err)
	}

	junk := b.sendForm("/kits/import", nil, "x.zip", "no zip").want(t, http.StatusSeeOther).header.Get("Location")
	b.post(junk, nil).want(t, http.StatusUnprocessableEntity, "zipとして読めません")
	x.person("seer", "閲覧", "viewer")
	v := x.as("seer", "ja")
	v.get("/kits/import").want(t, http.StatusForbidden)
	v.get(junk).want(t, http.StatusForbidden)
	v.post(junk, nil).want(t, http.StatusForbidden)
	v.sendForm("/kits/import", nil, "x.zip", "x").want(t, http.StatusForbidden)
}

// What would be destroyed is shown before, and what the ledger says of it after.
func TestDisposalInTheConsole(t *testing.T) {
	x := newSite(t)
	ctx := t.Context()
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	must(t, err)
	b := x.as("owner", "ja")
	fields := url.Values{"source": {"router"}, "person": {"佐藤"}}
	b.sendForm("/incidents/"+inc.ID+"/upload", fields, "fw.log", "secret").want(t, http.StatusSeeOther)
	page := "/incidents/" + inc.ID + "/custody/E01"
	b.get(page).want(t, 200, page+"/dispose").lacks(t, "廃棄の証明")
	b.get(page+"/dispose").want(t, 200, "インシデントが終わっていない").lacks(t, "<textarea")
	must(t, x.CloseIncident(ctx, x.owner, inc.ID, "終息"))
	must(t, x.HoldIncident(ctx, x.owner, inc.ID, "訴訟"))
	b.get(page+"/dispose").want(t, 200, "保存期限の停止中", "訴訟").lacks(t, "<textarea")
	must(t, x.ReleaseHold(ctx, x.owner, inc.ID, "和解"))
	r := b.get(page+"/dispose").want(t, 200, "1ファイル", "6 B", "二度と戻せない")
	_, rest, _ := strings.Cut(r.body, `name="confirmed" value="`)
	confirmed, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"reason": {"保管の必要がない"}, "confirmed": {confirmed}, "sure": {"1"}}
	for name, says := range map[string]string{"sure": "確かめたら印", "reason": "class=\"wrong\"", "confirmed": "class=\"wrong\""} {
		bad := maps.Clone(form)
		bad.Del(name)
		b.post(page+"/dispose", bad).want(t, http.StatusUnprocessableEntity, says)
	}
	bad := maps.Clone(form)
	bad.Set("confirmed", "0000000000000000")
	b.post(page+"/dispose", bad).want(t, http.StatusUnprocessableEntity, "確かめた後で、消えるものが変わりました")
	b.get(page).want(t, 200).lacks(t, "廃棄の証明")
	b.post(page+"/dispose", form).want(t, http.StatusSeeOther)
	b.get(page).want(t, 200, "廃棄の証明", "1 個を消しました", "保管の必要がない", digest.Of([]byte("secret")).String()).lacks(t, page+"/dispose")
	b.get(page+"/dispose").want(t, 200, "すでに廃棄")
	b.post(page+"/dispose", form).want(t, http.StatusConflict, "すでに廃棄")
	x.person("handler", "担当", "handler")
	h := x.as("handler", "ja")
	h.get(page).want(t, 200, "廃棄の証明")
	h.get(page+"/dispose").want(t, http.StatusForbidden)
	h.post(page+"/dispose", form).want(t, http.StatusForbidden)
}
