package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/internal/buildinfo"
)

// limited is an answer of a server whose limits of time can be moved.
type limited struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (t *limited) SetReadDeadline(at time.Time) error  { t.read = at; return nil }
func (t *limited) SetWriteDeadline(at time.Time) error { t.write = at; return nil }

// long are acts that take long; during is called meanwhile.
type long struct {
	sticks
	custody
	during func(ctx context.Context)
}

func (l *long) ImportStick(ctx context.Context, a act.Actor, id string, o act.ImportOrder) (act.Imported, error) {
	l.during(ctx)
	return l.sticks.ImportStick(ctx, a, id, o)
}

func (l *long) VerifyExhibit(ctx context.Context, a act.Actor, id, purpose string) (act.Verified, error) {
	l.during(ctx)
	return l.custody.VerifyExhibit(ctx, a, id, purpose)
}

// What takes as long as the evidence is large outlasts the limits of the server; a stick is
// taken in even when the browser leaves, and its page shows then what came of it.
func TestLongWorkOutlastsTheLimits(t *testing.T) {
	x := newSite(t)
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "倉庫のPC"})
	must(t, err)
	files, _, code := x.acquiredByKit(inc.ID)
	b := x.as("owner", "ja")
	page := b.sendForm("/kits/import", nil, "usb.zip", zipped(t, files)).want(t, http.StatusSeeOther).header.Get("Location")
	b.sendForm("/incidents/"+inc.ID+"/upload", url.Values{"source": {"router"}, "person": {"佐藤"}}, "fw.log", "log").want(t, http.StatusSeeOther)

	s, err := build(Config{Acts: x.Acts, Sessions: x.sessions, Version: buildinfo.Info{Version: "0.1.0"}, Packages: t.TempDir(), Now: x.now})
	must(t, err)
	l := &long{sticks: s.sticks, custody: s.custody}
	s.sticks, s.custody = l, l
	handler := s.routes()
	u, err := url.Parse(x.server.URL)
	must(t, err)
	var w *limited // of the last that was asked
	ask := func(ctx context.Context, method, path string, form url.Values) *limited {
		r := httptest.NewRequestWithContext(ctx, method, x.server.URL+path, strings.NewReader(form.Encode()))
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Accept-Language": {"ja"}}
		for _, c := range b.client.Jar.Cookies(u) {
			r.AddCookie(c)
		}
		limit := time.Now().Add(time.Minute)
		mine := &limited{httptest.NewRecorder(), limit, limit}
		w = mine
		handler.ServeHTTP(mine, r)
		return mine
	}
	wants := func(w *limited, code int, text string) {
		t.Helper()
		if w.Code != code || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%d, without %q: %s", w.Code, text, w.Body)
		}
	}

	calls := 0
	l.during = func(context.Context) {
		calls++
		if !w.read.IsZero() || !w.write.IsZero() {
			t.Errorf("it has until %s to be read and %s to be answered", w.read, w.write)
		}
	}
	wants(ask(t.Context(), http.MethodPost, "/incidents/"+inc.ID+"/custody/E01/verify", nil), http.StatusSeeOther, "")
	wants(ask(t.Context(), http.MethodPost, page, url.Values{"codes": {"0000-0000-0000"}}), http.StatusUnprocessableEntity, "何も取り込みませんでした")
	if calls != 2 || w.write.IsZero() {
		t.Errorf("%d calls, and the answer has until %s", calls, w.write)
	}

	// The browser leaves while a stick is taken in, and somebody looks meanwhile.
	ctx, leave := context.WithCancel(t.Context())
	l.during = func(got context.Context) {
		wants(ask(t.Context(), http.MethodGet, page, nil), http.StatusOK, "いま取り込んでいます")
		wants(ask(t.Context(), http.MethodPost, page, nil), http.StatusConflict, "いま取り込んでいます")
		leave()
		if got.Err() != nil {
			t.Error("the import ends with the request")
		}
	}
	ask(ctx, http.MethodPost, page, url.Values{"codes": {code}})
	wants(ask(t.Context(), http.MethodGet, page, nil), http.StatusOK, "紙の控えと一致")
	x.person("other", "別の人", "handler")
	b = x.as("other", "ja")
	wants(ask(t.Context(), http.MethodGet, page, nil), http.StatusNotFound, "")
}
