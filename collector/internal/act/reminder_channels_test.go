package act_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

// mailbox is a mail server that keeps what it is given.
type mailbox struct {
	mu   sync.Mutex
	mail []string
}

func (m *mailbox) count() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.mail) }

func (m *mailbox) serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { m.talk(c) })
		}
	})
	return l.Addr().String()
}

func (m *mailbox) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "220 test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); word {
		case "DATA":
			fmt.Fprint(c, "354 go\r\n")
			var b strings.Builder
			for l := ""; l != ".\r\n" && err == nil; l, err = r.ReadString('\n') {
				b.WriteString(l)
			}
			m.mu.Lock()
			m.mail = append(m.mail, b.String())
			m.mu.Unlock()
			fmt.Fprint(c, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

// TestRemindersGoByMailAndWebhook: at half of the time, a day before its end and at its end a
// contract's deadline is told by both channels, to servers on this machine, once each.
func TestRemindersGoByMailAndWebhook(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	ctx := t.Context()
	box := &mailbox{}
	mailAt := box.serve(t)
	var mu sync.Mutex
	var hooked []string
	hook := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var said struct{ Kind, Stage, Clock, Incident string }
		if err := json.Unmarshal(b, &said); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		mu.Lock()
		hooked = append(hooked, said.Kind+" "+said.Clock+" "+said.Stage)
		mu.Unlock()
	}))
	t.Cleanup(hook.Close)
	roots := x509.NewCertPool()
	roots.AddCert(hook.Certificate())
	sender, err := notify.NewSender(notify.Config{DB: x.db, Open: func(_, sealed string) ([]byte, error) { return []byte(sealed), nil }, Roots: roots, Now: func() time.Time { return x.clock },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
		},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := hook.Listener.Addr().String()
			if strings.HasSuffix(addr, ":2525") {
				to = mailAt
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}})
	ok(t, err)
	x.clock = japan("2026-11-22 12:00")
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "秘密の題"})
	ok(t, err)
	for kind, hours := range map[contact.Kind]int{contact.Insurer: 72, contact.Partner: 96} {
		_, err = x.SaveContact(ctx, x.owner, contact.Own{Kind: kind, Name: string(kind), WithinHours: hours})
		ok(t, err)
	}
	ok(t, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		for kind, c := range map[notify.ChannelKind]notify.Channel{
			notify.Mail:    {Settings: notify.Settings{Host: "mail.example", Port: 2525, Security: notify.PlainText, From: "hozen@example.jp", To: []string{"sekinin@example.jp"}}, Sealed: "{}"},
			notify.Webhook: {Sealed: `{"url":"https://example.com/hook","key":"k"}`},
		} {
			c.ID, c.OrganisationID, c.Kind, c.Name, c.Language, c.Enabled, c.Kinds = id.New(id.Channel), inc.OrganisationID, kind, string(kind), "ja", true, []notify.Kind{notify.DeadlineNear}
			if err := notify.SaveChannel(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	}))
	ok(t, x.LookAtDeadlines(ctx))
	// What the product itself proposes comes every four hours and is not looked at here.
	for _, c := range []struct{ at, want string }{
		{"2026-11-23 23:59", ""},
		{"2026-11-24 00:00", "insurer half"},              // 36 of 72 hours
		{"2026-11-24 12:00", "insurer day, partner half"}, // 48 of 96 hours, and a day before the end of 72
		{"2026-11-25 12:00", "insurer overdue, partner day"},
		{"2026-11-26 12:00", "partner overdue"},
		{"2026-11-26 12:01", ""},
	} {
		x.clock = japan(c.at)
		mu.Lock()
		hooked = nil
		mu.Unlock()
		mails := box.count()
		for range 2 { // looking again tells nothing again
			ok(t, x.LookAtDeadlines(ctx))
			ok(t, sender.Look(ctx))
		}
		mu.Lock()
		all, some := len(hooked), []string{}
		for _, h := range hooked {
			if h, is := strings.CutPrefix(h, "deadline "); is && (strings.HasPrefix(h, "insurer") || strings.HasPrefix(h, "partner")) {
				some = append(some, h)
			}
		}
		mu.Unlock()
		slices.Sort(some)
		if got := strings.Join(some, ", "); got != c.want {
			t.Errorf("%s: told %q, want %q", c.at, got, c.want)
		}
		if n := box.count() - mails; n != all {
			t.Errorf("%s: %d by mail, %d by webhook", c.at, n, all)
		}
	}
	list, err := notify.Newest(ctx, x.db.Read(), inc.OrganisationID, 100)
	ok(t, err)
	for _, d := range list {
		if d.State != notify.Sent {
			t.Errorf("%+v", d)
		}
	}
	for _, m := range box.mail {
		if strings.Contains(m, "秘密") {
			t.Errorf("a mail says what the incident is about: %s", m)
		}
	}
}
