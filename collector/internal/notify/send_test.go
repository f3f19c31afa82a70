package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
)

func opened() notify.Event {
	return notify.Event{Kind: notify.IncidentOpened, Key: "opened inc_1", IncidentNumber: "INC-2026-0007", Path: "/incidents/inc_1"}
}

func TestWebhookIsSignedOverTimeAndBody(t *testing.T) {
	run(t, func(x *rig) {
		var got *http.Request
		var body []byte
		x.serve(func(w http.ResponseWriter, r *http.Request) { got = r; body, _ = io.ReadAll(r.Body) })
		x.channel(notify.Webhook, notify.Settings{}, notify.Secret{URL: "https://example.com/hook?token=geheim", Key: "key"})
		x.put(opened())
		if list := x.look(); len(list) != 1 || list[0].State != notify.Sent || list[0].Tries != 1 {
			t.Fatalf("%+v", list)
		}
		at := got.Header.Get("Hozen-Timestamp")
		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write([]byte(at + "." + string(body)))
		if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); got.Header.Get("Hozen-Signature") != want || at != "1795395723" {
			t.Errorf("signature %q at %q, want %q", got.Header.Get("Hozen-Signature"), at, want)
		}
		var said map[string]any
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatal(err)
		}
		if said["kind"] != "incident_opened" || said["incident"] != "INC-2026-0007" || said["url"] != "https://console.example:8443/incidents/inc_1" || said["format"] != "hozen-notice/1" {
			t.Errorf("%s", body)
		}
	})
}

func TestSlackTeamsAndChatworkGetWhatTheyUnderstand(t *testing.T) {
	for kind, want := range map[notify.ChannelKind]string{
		notify.Slack:    `{"text":"[保全] PCの利用者から通報がありました（INC-2026-0007）`,
		notify.Teams:    `"contentType":"application/vnd.microsoft.card.adaptive"`,
		notify.Chatwork: "body=%5Binfo%5D%5Btitle%5D",
	} {
		t.Run(string(kind), func(t *testing.T) {
			run(t, func(x *rig) {
				var body, token, path string
				x.serve(func(_ http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					body, token, path = string(b), r.Header.Get("X-ChatWorkToken"), r.URL.Path
				})
				x.names["api.chatwork.com"] = []string{public}
				x.channel(kind, notify.Settings{Room: "123"}, notify.Secret{URL: "https://example.com/x", Token: "tok"})
				x.put(opened())
				list := x.look()
				if kind == notify.Chatwork { // its name is not in the test's certificate
					if list[0].State != notify.Waiting || !strings.Contains(list[0].Detail, "certificate") {
						t.Errorf("a wrong certificate was taken: %+v", list[0])
					}
					return
				}
				if list[0].State != notify.Sent || !strings.Contains(body, want) || token != "" || path != "/x" {
					t.Errorf("%s %s %+v", path, body, list[0])
				}
			})
		})
	}
}

func TestWhatFailsIsTriedAgainAndThenGivenUp(t *testing.T) {
	run(t, func(x *rig) {
		tries, status := 0, 503
		x.serve(func(w http.ResponseWriter, _ *http.Request) { tries++; w.WriteHeader(status) })
		x.channel(notify.Slack, notify.Settings{}, notify.Secret{URL: "https://example.com/services/SECRETPART"})
		x.put(opened())
		var d notify.Delivery
		for range 20 {
			d = x.look()[0]
			if strings.Contains(d.Detail, "SECRETPART") {
				t.Fatalf("the result shows the address: %s", d.Detail)
			}
			if d.State != notify.Waiting {
				break
			}
			if !d.NextAt.After(x.clock) {
				t.Fatalf("tried again at once: %+v", d)
			}
			x.look() // before its time nothing goes out
			x.clock = d.NextAt
		}
		if d.State != notify.Failed || tries != d.Tries || tries != 8 {
			t.Errorf("%d requests, %+v", tries, d)
		}
		status = 404
		x.put(notify.Event{Kind: notify.GroupResult, Key: "k2"})
		if d := x.look()[0]; d.State != notify.Failed || d.Tries != 1 {
			t.Errorf("an address that does not exist is tried again: %+v", d)
		}
	})
}

func TestOneEventIsToldOnce(t *testing.T) {
	run(t, func(x *rig) {
		n := 0
		x.serve(func(http.ResponseWriter, *http.Request) { n++ })
		c := x.channel(notify.Slack, notify.Settings{}, notify.Secret{URL: "https://example.com/"})
		for range 3 {
			x.put(opened())
			x.look()
		}
		if n != 1 {
			t.Errorf("told %d times", n)
		}
		c.Kinds = []notify.Kind{notify.DeadlineNear}
		x.save(c)
		x.put(notify.Event{Kind: notify.IncidentOpened, Key: "another"})
		if list := x.look(); n != 1 || len(list) != 1 {
			t.Errorf("told what the channel does not carry: %+v", list)
		}
		c.Kinds = notify.Kinds()
		x.save(c)
		x.put(notify.Event{Kind: notify.IncidentOpened, Key: "third"})
		x.tx(func(ctx context.Context, tx *sqldb.Tx) error { return notify.RemoveChannel(ctx, tx, c.ID, x.clock) })
		if list := x.look(); n != 1 || list[0].State != notify.Dropped && list[1].State != notify.Dropped {
			t.Errorf("a removed channel still sends: %+v", list)
		}
	})
}

// TestNothingLeadsInside: an address that somebody typed must not become a way into the
// collector's own network.
func TestNothingLeadsInside(t *testing.T) {
	run(t, func(x *rig) {
		asked := 0
		inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		defer inside.Close()
		for name, addr := range map[string]string{
			"loopback": "127.0.0.1", "loopback6": "::1", "metadata": "169.254.169.254", "private10": "10.0.0.1", "private172": "172.16.3.4", "private192": "192.168.1.1",
			"cgnat": "100.64.0.1", "ula": "fd00::1", "linklocal6": "fe80::1", "mapped": "::ffff:127.0.0.1", "nat64": "64:ff9b::7f00:1", "sixtofour": "2002:7f00:1::1",
			"teredo": "2001:0:1::1", "zero": "0.0.0.0", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "compatible": "::7f00:1", "benchmark": "198.18.0.1", "sitelocal": "fec0::1",
		} {
			x.names[name+".example"] = []string{addr}
			x.channel(notify.Webhook, notify.Settings{}, notify.Secret{URL: "https://" + name + ".example/", Key: "k"})
		}
		for _, literal := range []string{"https://127.0.0.1/", "https://[::1]:443/", "https://2130706433/", "https://0x7f.1/", "https://169.254.169.254/latest"} {
			x.channel(notify.Webhook, notify.Settings{}, notify.Secret{URL: literal, Key: "k"})
		}
		x.put(opened())
		for _, d := range x.look() {
			if d.State == notify.Sent {
				t.Errorf("sent: %+v", d)
			}
		}
		if len(x.dialed) != 0 || asked != 0 {
			t.Errorf("connected to %q", x.dialed)
		}
	})
}

// TestANameThatChangesItsMindLeadsNowhere: the connection goes to the address that was
// looked at; the second answer of the name server is never asked for.
func TestANameThatChangesItsMindLeadsNowhere(t *testing.T) {
	run(t, func(x *rig) {
		x.serve(func(http.ResponseWriter, *http.Request) {})
		x.names["example.com"] = []string{public, "127.0.0.1"}
		x.channel(notify.Slack, notify.Settings{}, notify.Secret{URL: "https://example.com/"})
		x.put(opened())
		if d := x.look()[0]; d.State != notify.Sent {
			t.Errorf("%+v", d)
		}
		if len(x.dialed) != 1 || x.dialed[0] != public+":443" {
			t.Errorf("connected to %q", x.dialed)
		}
		x.dialed = nil
		x.put(notify.Event{Kind: notify.IncidentOpened, Key: "later"})
		for _, d := range x.look() {
			if d.Event.IncidentNumber == "" && (d.State != notify.Failed || len(x.dialed) != 0) {
				t.Errorf("the changed name: %+v, connected to %q", d, x.dialed)
			}
		}
	})
}

func TestRedirectionsAreNotFollowed(t *testing.T) {
	run(t, func(x *rig) {
		asked := 0
		inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		defer inside.Close()
		x.serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		})
		x.channel(notify.Webhook, notify.Settings{}, notify.Secret{URL: "https://example.com/", Key: "k"})
		x.put(opened())
		if d := x.look()[0]; d.State != notify.Failed || asked != 0 || len(x.dialed) != 1 {
			t.Errorf("%+v, asked %d, connected to %q", d, asked, x.dialed)
		}
	})
}

func TestAnAllowedHostInsideIsReached(t *testing.T) {
	run(t, func(x *rig) {
		asked := 0
		inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		defer inside.Close()
		x.channel(notify.Webhook, notify.Settings{Inside: true}, notify.Secret{URL: inside.URL, Key: "k"})
		x.names["meta.example"] = []string{"169.254.169.254"}
		x.channel(notify.Webhook, notify.Settings{Inside: true}, notify.Secret{URL: "https://meta.example/", Key: "k"})
		x.put(opened())
		sent := 0
		for _, d := range x.look() {
			if d.State == notify.Sent {
				sent++
			}
		}
		if asked != 1 || sent != 1 || len(x.dialed) != 1 {
			t.Errorf("asked %d, sent %d, connected to %q: link-local stays closed", asked, sent, x.dialed)
		}
	})
}

func TestCheckChannel(t *testing.T) {
	good := notify.Settings{Host: "smtp.example", Security: notify.StartTLS, From: "hozen@example.jp", To: []string{"a@example.jp"}}
	change := func(f func(s *notify.Settings)) notify.Settings { s := good; f(&s); return s }
	for name, c := range map[string]struct {
		field  string
		kind   notify.ChannelKind
		s      notify.Settings
		secret notify.Secret
	}{
		"good":           {"", notify.Mail, good, notify.Secret{}},
		"plain":          {"", notify.Mail, change(func(s *notify.Settings) { s.Security = notify.PlainText }), notify.Secret{}},
		"plain sign-in":  {"security", notify.Mail, change(func(s *notify.Settings) { s.Security, s.User = notify.PlainText, "u" }), notify.Secret{}},
		"no security":    {"security", notify.Mail, change(func(s *notify.Settings) { s.Security = "" }), notify.Secret{}},
		"no host":        {"host", notify.Mail, change(func(s *notify.Settings) { s.Host = "" }), notify.Secret{}},
		"host of a URL":  {"host", notify.Mail, change(func(s *notify.Settings) { s.Host = "smtp.example/x" }), notify.Secret{}},
		"nobody":         {"to", notify.Mail, change(func(s *notify.Settings) { s.To = nil }), notify.Secret{}},
		"injected":       {"to", notify.Mail, change(func(s *notify.Settings) { s.To = []string{"a@example.jp\r\nBcc: b@example.jp"} }), notify.Secret{}},
		"from with name": {"from", notify.Mail, change(func(s *notify.Settings) { s.From = "Hozen <a@example.jp>" }), notify.Secret{}},
		"http":           {"url", notify.Slack, notify.Settings{Inside: true}, notify.Secret{URL: "http://example.com"}},
		"http inside":    {"", notify.Webhook, notify.Settings{Inside: true}, notify.Secret{URL: "http://example.com"}},
		"http outside":   {"url", notify.Webhook, notify.Settings{}, notify.Secret{URL: "http://example.com"}},
		"file":           {"url", notify.Webhook, notify.Settings{Inside: true}, notify.Secret{URL: "file:///etc/passwd"}},
		"sign-in in URL": {"url", notify.Webhook, notify.Settings{}, notify.Secret{URL: "https://u:p@example.com"}},
		"room":           {"room", notify.Chatwork, notify.Settings{Room: "../1"}, notify.Secret{Token: "t"}},
		"token":          {"token", notify.Chatwork, notify.Settings{Room: "1"}, notify.Secret{Token: "t\r\nx: y"}},
		"kind":           {"kind", "fax", notify.Settings{}, notify.Secret{}},
	} {
		field, err := notify.CheckChannel(notify.Channel{Name: "n", Language: "ja", Kind: c.kind, Settings: c.s}, c.secret)
		if (err != nil) != (c.field != "") || err != nil && field != c.field {
			t.Errorf("%s: %q, %v", name, field, err)
		}
	}
}

func TestDeadlineInBothLanguages(t *testing.T) {
	texts, err := notify.Texts()
	if err != nil {
		t.Fatal(err)
	}
	e := notify.Event{Kind: notify.DeadlineNear, IncidentNumber: "INC-2026-0001", Path: "//evil.example", Stage: "day", Clock: "ppc_final", Due: time.Date(2026, 12, 21, 14, 59, 0, 0, time.UTC), At: time.Date(2026, 12, 20, 14, 59, 0, 0, time.UTC)}
	ja := notify.Words(texts.Printer("ja"), e, "https://console.example/")
	if want := "インシデント INC-2026-0001 の個人情報保護委員会への確報について：期限まで24時間以内です。期限は 2026-12-21 23:59 JST です。"; !strings.Contains(ja.Text, want) {
		t.Errorf("%s", ja.Text)
	}
	if strings.Contains(ja.URL, "//evil") && !strings.HasPrefix(ja.URL, "https://console.example/") {
		t.Errorf("%s", ja.URL)
	}
	e.Clock = "<script>"
	if en := notify.Words(texts.Printer("en"), e, ""); strings.Contains(en.Plain(), "script") || en.URL != "" || !strings.Contains(en.Text, "less than 24 hours are left") {
		t.Errorf("%s", en.Plain())
	}
}

// TestDeadChannelHoldsUpNobody: while one channel gives no answer the others get theirs,
// those that come later too, and what waits for the dead one is put off untried.
func TestDeadChannelHoldsUpNobody(t *testing.T) {
	run(t, func(x *rig) {
		hangs, ends := make(chan struct{}, 8), make(chan struct{})
		told := make(chan string, 8)
		x.serve(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/dead" {
				hangs <- struct{}{}
				select {
				case <-ends:
				case <-r.Context().Done():
				}
				panic(http.ErrAbortHandler) // no answer
			}
			told <- r.URL.Path
		})
		dead := x.channel(notify.Slack, notify.Settings{}, notify.Secret{URL: "https://example.com/dead"})
		x.channel(notify.Slack, notify.Settings{}, notify.Secret{URL: "https://example.com/alive"})
		for _, key := range []string{"1", "2", "3"} {
			x.put(notify.Event{Kind: notify.GroupResult, Key: key})
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); x.Run(ctx) }()
		wait := func(what string, c <-chan string) {
			t.Helper()
			select {
			case <-c:
			case <-time.After(time.Minute):
				t.Fatal(what)
			}
		}
		select {
		case <-hangs:
		case <-time.After(time.Minute):
			t.Fatal("the dead channel was not tried")
		}
		for range 3 {
			wait("the other channel waits for the dead one", told)
		}
		x.put(notify.Event{Kind: notify.GroupResult, Key: "later"})
		x.Poke()
		wait("what came later waits for the dead channel", told)
		close(ends)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(time.Minute); ; <-tick.C {
			list, err := notify.Newest(t.Context(), x.db.Read(), org, 100)
			if err != nil {
				t.Fatal(err)
			}
			tried, off := 0, 0
			for _, d := range list {
				if d.ChannelID == dead.ID {
					tried += d.Tries
					if d.State == notify.Waiting && d.NextAt.After(x.clock) {
						off++
					}
				}
			}
			if tried == 1 && off == 4 {
				break
			}
			if tried > 1 || time.Now().After(deadline) {
				t.Fatalf("the dead channel was tried %d times, %d wait", tried, off)
			}
		}
		stop()
		<-done
	})
}
