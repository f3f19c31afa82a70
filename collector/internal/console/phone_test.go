package console

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
)

const photo = "\xff\xd8\xff\xe1\x00\x20Exif\x00\x00MM and the rest of it"

// sendPhotos sends several files in one form, as a phone without scripts does.
func (b *browser) sendPhotos(path, person string, files ...[2]string) reply {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	must(b.t, w.WriteField("person", person))
	must(b.t, w.WriteField("about", "画面"))
	for _, f := range files {
		part, err := w.CreateFormFile("file", f[0])
		must(b.t, err)
		_, err = part.Write([]byte(f[1]))
		must(b.t, err)
	}
	must(b.t, w.Close())
	return b.do(http.MethodPost, path, &body, http.Header{"Content-Type": {w.FormDataContentType()}, "Sec-Fetch-Site": {"same-origin"}})
}

var phoneURL = regexp.MustCompile(`<code>(https?://[^/<]+)(/r/[A-Z2-7]+)</code>`)

// TestPhoneBehindAQRCode makes both kinds of QR codes and uses them without an account.
func TestPhoneBehindAQRCode(t *testing.T) {
	x := newSite(t)
	ctx := t.Context()
	must(t, x.SetPeopleSettings(ctx, x.owner, organisation.People{ConsoleURL: "https://hozen.example:8443"}))
	o := x.as("owner", "ja")
	inertPage(t, "/links", o.get("/links").want(t, 200, "通報用QRコード", "まだありません"))
	o.post("/links", url.Values{"note": {""}, "hours": {"2160"}}).want(t, http.StatusUnprocessableEntity)
	o.post("/links", url.Values{"note": {"受付"}, "hours": {"99999999"}}).want(t, http.StatusUnprocessableEntity, "選択肢から")
	shown := o.post("/links", url.Values{"note": {"<b>受付</b>"}, "hours": {"2160"}}).want(t, http.StatusSeeOther).header.Get("Location")
	r := o.get(shown).want(t, 200, `class="qr-dark"`, "&lt;b&gt;受付")
	inertPage(t, shown, r)
	if !regexp.MustCompile(`([0-9A-F]{2}:){31}[0-9A-F]{2}`).MatchString(r.body) {
		t.Error("nothing to compare the certificate with")
	}
	m := phoneURL.FindStringSubmatch(r.body)
	if m == nil || m[1] != "https://hozen.example:8443" {
		t.Fatalf("no address on the page\n%s", r.body)
	}
	page := m[2]

	for lang, words := range map[string][]string{"ja": {"パソコンがおかしい", "電源は切らず", "テスト商事"}, "en": {"Something is wrong", "switched on"}} {
		b := x.browser(lang)
		r := b.get(page).want(t, 200, append(words, `<html lang="`+lang+`">`)...)
		inertPage(t, page, r)
		if r.header.Get("X-Frame-Options") != "DENY" || r.header.Get("Referrer-Policy") != "same-origin" || r.header.Get("Set-Cookie") != "" {
			t.Errorf("%v", r.header)
		}
	}
	b := x.browser("ja")
	b.post(page, url.Values{"what": {"変な画面"}, "contact": {""}}).want(t, http.StatusUnprocessableEntity, "変な画面", "入力してください")
	r = b.post(page, url.Values{"what": {"変な<script>alert(1)</script>画面"}, "contact": {"佐藤 内線123"}, "computer": {"経理"}, "noticed": {x.now().In(jst()).Format(localInput)}}).want(t, http.StatusSeeOther)
	inertPage(t, "done", b.get(r.header.Get("Location")).want(t, 200, "受付番号は INC-20"))
	if body := b.get(page + "?done=%3Cb%3E").body; strings.Contains(body, "受付番号") {
		t.Error("the page says what the address says")
	}
	list, err := x.Incidents(ctx, x.owner)
	must(t, err)
	if len(list) != 1 || list[0].Reporter != "佐藤 内線123" {
		t.Fatalf("%+v", list)
	}
	inertPage(t, "incident", o.get("/incidents/"+list[0].ID).want(t, 200, "QRコード「&lt;b&gt;受付&lt;/b&gt;」から通報がありました", "&lt;script&gt;"))
	o.get("/ledger").want(t, 200, "QRコードからの通報", "QRコードを作成")

	// Another site's form, and one that is none.
	if r := b.do(http.MethodPost, page, strings.NewReader("what=x&contact=y"), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}}); r.code != http.StatusForbidden {
		t.Errorf("a form of another site: %d", r.code)
	}
	b.post("/r/AAAAAAAAAAAAAAAAAAAAAAAAAA", url.Values{"what": {"x"}, "contact": {"y"}}).want(t, http.StatusNotFound, "このQRコードは使えません")

	// Photographs.
	photos := "/incidents/" + list[0].ID + "/links"
	o.get("/incidents/"+list[0].ID+"/upload").want(t, 200, photos)
	inertPage(t, photos, o.get(photos).want(t, 200, "写真を送るQRコード"))
	shown = o.post(photos, url.Values{"note": {"工場 鈴木"}, "hours": {"24"}}).want(t, http.StatusSeeOther).header.Get("Location")
	page = phoneURL.FindStringSubmatch(o.get(shown).want(t, 200, list[0].Number).body)[2]
	inertPage(t, page, b.get(page).want(t, 200, list[0].Number, "位置情報", "multiple"))
	b.sendPhotos(page+"/photos", "").want(t, http.StatusUnprocessableEntity)
	b.sendPhotos(page+"/photos", "鈴木").want(t, http.StatusUnprocessableEntity, "入力してください")
	r = b.sendPhotos(page+"/photos", "鈴木", [2]string{"IMG_1.JPG", photo}, [2]string{"IMG_2.JPG", photo + "2"}).want(t, http.StatusSeeOther)
	b.get(r.header.Get("Location")).want(t, 200, "2 枚を受け取りました")
	b.sendPhotos(page+"/photos", "鈴木", [2]string{"<img src=x>.html", "<html>"}, [2]string{"IMG_3.JPG", photo + "3"}).want(t, http.StatusUnprocessableEntity, "1 枚を受け取りました", "写真として読めません", "&lt;img")
	var many [][2]string
	for range 12 {
		many = append(many, [2]string{"m.jpg", photo})
	}
	b.sendPhotos(page+"/photos", "鈴木", many...).want(t, http.StatusUnprocessableEntity, "10 枚を受け取りました", "多すぎます")
	uploads, err := x.Uploads(ctx, x.owner, list[0].ID)
	if err != nil || len(uploads) != 13 || uploads[0].Exhibit == "" {
		t.Errorf("%d files, %v", len(uploads), err)
	}
	o.get("/incidents/"+list[0].ID+"/upload").want(t, 200, "IMG_1.JPG", "QRコードから")
	o.get("/incidents/"+list[0].ID).want(t, 200, "QRコードから送った証拠")
	for _, path := range []string{"/incidents/" + list[0].ID, "/uploads/" + uploads[0].ID + "/download", "/links"} {
		if r := b.get(path); r.code != http.StatusSeeOther || !strings.HasPrefix(r.header.Get("Location"), "/sign-in") {
			t.Errorf("%s by somebody with a link: %d", path, r.code)
		}
	}
	o.post(shown+"/revoke", nil).want(t, http.StatusSeeOther)
	o.get(shown).want(t, 200, "取り消し済み")
	b.get(page).want(t, http.StatusNotFound, "担当者に新しいQRコードを頼んで")
	b.sendPhotos(page+"/photos", "鈴木", [2]string{"a.jpg", photo}).want(t, http.StatusNotFound)

	x.person("viewer", "閲覧", operator.Viewer)
	v := x.as("viewer", "ja")
	v.get("/links").want(t, http.StatusForbidden)
	v.post("/links", url.Values{"note": {"n"}, "hours": {"2160"}}).want(t, http.StatusForbidden)
}

func TestAddressesThatNoPhoneReaches(t *testing.T) {
	for base, want := range map[string]bool{"http://127.0.0.1:8080": true, "https://[::1]:8443": true, "http://localhost:8080": true, "https://a.localhost": true, "https://0.0.0.0:1": true, "https://": true, "https://192.0.2.10:8443": false, "https://hozen.example:8443": false} {
		if onlyHere(base) != want {
			t.Errorf("%s: %t", base, !want)
		}
	}
}

// Who has one link holds neither all places for forms nor one for ever.
func TestPhotosByOneLinkLeaveRoom(t *testing.T) {
	p := places{byLink: map[string]int{}}
	var done []func()
	take := func(link string, want bool) {
		t.Helper()
		d, ok := p.take(link)
		if ok != want {
			t.Fatalf("%s: %t", link, ok)
		}
		if ok {
			done = append(done, d)
		}
	}
	take("a", true)
	take("a", true)
	take("a", false)
	for _, link := range []string{"b", "b", "c", "c", "d", "d"} {
		take(link, true)
	}
	take("e", false)
	done[0]()
	take("e", true)
	take("a", false)
	done[1]()
	take("a", true)
	for _, d := range done[2:] {
		d()
	}
	if p.taken != 0 || len(p.byLink) != 0 {
		t.Errorf("%d, %v", p.taken, p.byLink)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := patient{Reader: slow{}, w: httptest.NewRecorder(), until: start.Add(maxPhoneTime)}
		if _, err := io.Copy(io.Discard, &r); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > maxPhoneTime+time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// slow gives a byte a minute, without end.
type slow struct{}

func (slow) Read(b []byte) (int, error) { <-time.After(time.Minute); return copy(b, "x"), nil }

func TestPhotosOfADrillSaySo(t *testing.T) {
	x := newSite(t)
	for _, drill := range []bool{true, false} {
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", Classification: incident.Ransomware, Drill: drill})
		must(t, err)
		l, err := x.MakeLink(t.Context(), x.owner, act.NewLink{Kind: phone.Photos, IncidentID: inc.ID, Life: phone.Photos.Lives()[0]})
		must(t, err)
		shown, err := x.ShowLink(t.Context(), x.owner, l.ID)
		must(t, err)
		if r := x.browser("ja").get("/r/"+shown.Token).want(t, 200); strings.Contains(r.body, "これは訓練です") != drill {
			t.Errorf("drill %t: %s", drill, r.body)
		}
	}
}
