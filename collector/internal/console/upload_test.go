package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/internal/digest"
)

// sendForm sends a file in one form, as a browser without scripts does.
func (b *browser) sendForm(path string, fields url.Values, name, content string) reply {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, list := range fields {
		for _, v := range list {
			must(b.t, w.WriteField(k, v))
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		must(b.t, err)
		_, err = part.Write([]byte(content))
		must(b.t, err)
	}
	must(b.t, w.Close())
	return b.do(http.MethodPost, path, &body, http.Header{"Content-Type": {w.FormDataContentType()}, "Sec-Fetch-Site": {"same-origin"}})
}

func (b *browser) put(path, content string) reply {
	b.t.Helper()
	return b.do(http.MethodPut, path, strings.NewReader(content), http.Header{"Sec-Fetch-Site": {"same-origin"}})
}

func (r reply) decoded(t *testing.T) uploadAnswer {
	t.Helper()
	var a uploadAnswer
	must(t, json.Unmarshal([]byte(r.body), &a))
	return a
}

func TestFileIsSentInAForm(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/upload"
	b.get("/incidents/"+x.incidentID).want(t, 200, `href="`+page+`"`, "UTM・ファイアウォール", "として登録しました")
	b.get(page+"?source=nas").want(t, 200, `value="nas" selected`, "消えやすい", "電源を切らずに", "disk.img", "受信の途中", "5.4 GB", "正しい時刻との差 -90 秒", "⟨U+202E⟩")
	at := x.now().In(jst()).Format(localInput)
	fields := url.Values{"source": {"router"}, "device": {"本社ルーター"}, "person": {"佐藤 花子"}, "taken_at": {at}, "clock": {"known"}, "clock_offset": {"12.5"}, "clock_note": {"時報"}}
	content := strings.Repeat("Nov 22 10:00:00 router login failed\n", 100_000) // more than a form may have
	r := b.sendForm(page, fields, `..\..\etc\<b>log.txt`, content).want(t, http.StatusSeeOther)
	where := r.header.Get("Location")
	if !strings.HasPrefix(where, page+"#upl_") {
		t.Fatalf("to %s", where)
	}
	id := where[strings.Index(where, "#")+1:]
	sum := digest.Of([]byte(content)).String()
	b.get(page).want(t, 200, "受け取り、証拠物件として登録しました", sum, "本社ルーター", "&lt;b&gt;log.txt", "正しい時刻との差 &#43;12.5 秒")
	list, err := x.Uploads(t.Context(), x.owner, x.incidentID)
	must(t, err)
	short := ""
	for _, u := range list {
		if u.ID == id {
			short = u.Exhibit[strings.LastIndex(u.Exhibit, "-")+1:]
		}
	}
	b.get("/incidents/"+x.incidentID+"/custody/"+short).want(t, 200, sum, "ルーター", "佐藤 花子", "/uploads/"+id+"/download", "今すぐ照合")
	b.post("/incidents/"+x.incidentID+"/custody/"+short+"/verify", nil).want(t, http.StatusSeeOther)
	got := b.get("/uploads/"+id+"/download").want(t, 200)
	if got.body != content || got.header.Get("X-Hozen-Stored-Sha256") != sum || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename=\"INC-") || strings.ContainsAny(got.header.Get("Content-Disposition"), "<\\/") {
		t.Errorf("%d bytes, %v", len(got.body), got.header)
	}

	before := len(list)
	for name, c := range map[string]struct {
		change     url.Values
		file, text string
	}{
		"source":       {url.Values{"source": {"moon"}}, "a", "x"},
		"person":       {url.Values{"person": {""}}, "a", "x"},
		"clock_offset": {url.Values{"clock_offset": {"fast"}}, "a", "x"},
		"endless":      {url.Values{"clock_offset": {"1e300"}}, "a", "x"},
		"taken_at":     {url.Values{"taken_at": {"2090-01-01T00:00"}}, "a", "x"},
		"empty":        {nil, "a", ""},
	} {
		v := url.Values{}
		for k, w := range fields {
			v[k] = w
		}
		for k, w := range c.change {
			v[k] = w
		}
		if r := b.sendForm(page, v, c.file, c.text).want(t, http.StatusUnprocessableEntity); !strings.Contains(r.body, `class="wrong"`) {
			t.Errorf("%s: nothing is said beside the field", name)
		}
	}
	b.sendForm(page, fields, "", "").want(t, http.StatusBadRequest)
	b.sendForm(page, url.Values{"description": {strings.Repeat("x", maxUploadField+1)}}, "a", "x").want(t, http.StatusRequestEntityTooLarge)
	b.post(page, fields).want(t, http.StatusUnsupportedMediaType)
	if list, err := x.Uploads(t.Context(), x.owner, x.incidentID); err != nil || len(list) != before {
		t.Errorf("%d uploads, not %d, %v", len(list), before, err)
	}
	v := x.as("view", "ja")
	v.get(page).want(t, http.StatusForbidden)
	v.sendForm(page, fields, "a", "x").want(t, http.StatusForbidden)
	v.get("/uploads/"+id+"/download").want(t, http.StatusForbidden)
	other := b.do(http.MethodPost, page, strings.NewReader("x"), http.Header{"Content-Type": {"multipart/form-data; boundary=x"}, "Sec-Fetch-Site": {"cross-site"}})
	other.want(t, http.StatusForbidden)
	if r := x.browser("ja").sendForm(page, fields, "a", "x"); r.code != http.StatusSeeOther || !strings.HasPrefix(r.header.Get("Location"), "/sign-in") {
		t.Errorf("a stranger gets %d to %s", r.code, r.header.Get("Location"))
	}
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

func TestFileIsSentInPieces(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/upload"
	content := strings.Repeat("0123456789", 1000)
	fields := url.Values{"source": {"disk_image"}, "person": {"佐藤"}, "name": {"disk.img"}, "size": {fmt.Sprint(len(content))}}
	bad := b.post(page+"/begin", url.Values{"source": {"disk_image"}, "size": {"0"}}).want(t, http.StatusUnprocessableEntity).decoded(t)
	if bad.Errors["person"] == "" || bad.Errors["file"] == "" {
		t.Errorf("%+v", bad)
	}
	id := b.post(page+"/begin", fields).want(t, http.StatusCreated).decoded(t).ID
	at := "/uploads/" + id
	if n := b.put(at+"?offset=0", content[:4000]).want(t, 200).decoded(t).Size; n != 4000 {
		t.Errorf("%d bytes", n)
	}
	if n := b.put(at+"?offset=0", content[:4000]).want(t, http.StatusConflict).decoded(t).Size; n != 4000 {
		t.Errorf("goes on at %d", n)
	}
	if n := b.get(at).want(t, 200).decoded(t).Size; n != 4000 {
		t.Errorf("%d bytes", n)
	}
	b.post(at+"/finish", nil).want(t, http.StatusConflict)
	b.put(at+"?offset=-1", "x").want(t, http.StatusUnprocessableEntity)
	b.put(at+"?offset=4000", content+"x").want(t, http.StatusUnprocessableEntity) // more than announced
	have := b.get(at).want(t, 200).decoded(t).Size
	b.put(fmt.Sprintf("%s?offset=%d", at, have), content[have:]).want(t, 200)
	done := b.post(at+"/finish", nil).want(t, 200).decoded(t)
	if done.Where != page+"#"+id || done.Size != int64(len(content)) {
		t.Errorf("%+v", done)
	}
	b.post(at+"/finish", nil).want(t, 200) // the answer of the first was lost
	b.get(page).want(t, 200, "disk.img", digest.Of([]byte(content)).String())
	b.put(at+"?offset=0", "x").want(t, http.StatusConflict)

	id = b.post(page+"/begin", fields).want(t, http.StatusCreated).decoded(t).ID
	v := x.as("view", "ja")
	for _, r := range []reply{v.put("/uploads/"+id+"?offset=0", "x"), v.post("/uploads/"+id+"/finish", nil), v.post("/uploads/"+id+"/drop", nil), v.get("/uploads/" + id), v.post(page+"/begin", fields)} {
		r.want(t, http.StatusForbidden)
	}
	b.post("/uploads/"+id+"/drop", nil).want(t, http.StatusSeeOther)
	b.get("/uploads/"+id).want(t, http.StatusNotFound)
	b.put("/uploads/upl_none?offset=0", "x").want(t, http.StatusNotFound)
	if r := b.do(http.MethodPut, "/uploads/"+id+"?offset=0", strings.NewReader("x"), http.Header{"Sec-Fetch-Site": {"cross-site"}}); r.code != http.StatusForbidden {
		t.Errorf("another site sends a piece: %d", r.code)
	}
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
}

// TestHostileNamesOfFilesLeadNowhere: whatever a file is called and whatever is in it, it comes
// back byte by byte, as a file to be saved that no browser runs or guesses the type of.
func TestHostileNamesOfFilesLeadNowhere(t *testing.T) {
	x := newOffice(t, 5)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/upload"
	fields := url.Values{"source": {"photo"}, "person": {"佐藤 花子"}, "taken_at": {x.now().In(jst()).Format(localInput)}, "clock": {"unknown"}}
	saved := regexp.MustCompile(`^attachment; filename="INC-[A-Za-z0-9_-][A-Za-z0-9._-]{0,96}"$`)
	for name, content := range map[string]string{
		"../../../../etc/cron.d/x":        "#!/bin/sh\n",
		`C:\Windows\System32\evil.dll`:    "MZ",
		"a\u202egnp.html":                 "<!DOCTYPE html><script>parent.document.title='run'</script>",
		`x"; filename="y.html`:            "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
		".htaccess":                       "AddType text/html .jpg",
		"CON":                             "con",
		strings.Repeat("長", 120) + ".jpg": photo + "EXIF stays",
		"%2e%2e%2fsecret.svg":             "<?xml version='1.0'?>",
	} {
		where := b.sendForm(page, fields, name, content).want(t, http.StatusSeeOther).header.Get("Location")
		_, id, found := strings.Cut(where, "#")
		if !found || !strings.HasPrefix(id, "upl_") {
			t.Errorf("%q: to %s", name, where)
			continue
		}
		got := b.get("/uploads/"+id+"/download").want(t, http.StatusOK)
		if got.body != content {
			t.Errorf("%q came back as %q", name, got.body)
		}
		if d := got.header.Get("Content-Disposition"); !saved.MatchString(d) {
			t.Errorf("%q: %q", name, d)
		}
		if got.header.Get("Content-Type") != "application/octet-stream" || got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%q: %v", name, got.header)
		}
	}
}
