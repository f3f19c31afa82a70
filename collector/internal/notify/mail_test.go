package notify_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"hozen/collector/internal/notify"
)

// smtpd is as much of a mail server (RFC 5321) as a test needs.
type smtpd struct {
	mu    sync.Mutex
	lines []string // what clients said
	mail  []string // messages
	auth  bool     // somebody signed in
}

func (s *smtpd) said(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.HasPrefix(l, prefix) {
			return true
		}
	}
	return false
}

// listen serves until the test ends. conf nil: no TLS is offered; implicit: TLS at once.
func (x *rig) smtp(conf *tls.Config, implicit bool) *smtpd {
	x.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		x.t.Fatal(err)
	}
	x.to = l.Addr().String()
	x.names["example.com"] = []string{public}
	if implicit {
		l = tls.NewListener(l, conf)
	}
	s := &smtpd{}
	var wg sync.WaitGroup
	x.t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.talk(c, conf, implicit) })
		}
	})
	return s
}

func (s *smtpd) talk(c net.Conn, conf *tls.Config, secure bool) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	say := func(lines ...string) { fmt.Fprint(c, strings.Join(lines, "\r\n")+"\r\n") }
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		switch word, _, _ := strings.Cut(strings.ToUpper(line), " "); word {
		case "EHLO":
			switch {
			case conf != nil && !secure:
				say("250-test", "250-AUTH PLAIN LOGIN", "250 STARTTLS")
			default:
				say("250-test", "250-8BITMIME", "250 AUTH PLAIN LOGIN")
			}
		case "STARTTLS":
			say("220 go")
			t := tls.Server(c, conf)
			c, r, secure = t, bufio.NewReader(t), true
			say = func(lines ...string) { fmt.Fprint(t, strings.Join(lines, "\r\n")+"\r\n") }
		case "AUTH":
			s.mu.Lock()
			s.auth = secure && strings.HasSuffix(line, base64.StdEncoding.EncodeToString([]byte("\x00user\x00geheim")))
			s.mu.Unlock()
			say("235 yes")
		case "DATA":
			say("354 go")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				b.WriteString(l)
			}
			s.mu.Lock()
			s.mail = append(s.mail, b.String())
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// certificate is the one of package httptest, for example.com.
func (x *rig) certificate() *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	x.t.Cleanup(s.Close)
	x.roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}
}

func mailSettings(sec notify.Security) notify.Settings {
	return notify.Settings{Host: "example.com", Port: 2525, Security: sec, User: "user", From: "hozen@example.jp", To: []string{"sekinin@example.jp"}, People: true}
}

func TestMail(t *testing.T) {
	for _, sec := range []notify.Security{notify.StartTLS, notify.ImplicitTLS} {
		t.Run(string(sec), func(t *testing.T) {
			run(t, func(x *rig) {
				s := x.smtp(x.certificate(), sec == notify.ImplicitTLS)
				x.channel(notify.Mail, mailSettings(sec), notify.Secret{Password: "geheim"})
				x.put(opened(), "tanaka@example.jp", "sekinin@example.jp")
				list := x.look()
				if len(list) != 2 || list[0].State != notify.Sent || list[1].State != notify.Sent {
					t.Fatalf("%+v", list)
				}
				if !s.auth || len(s.mail) != 2 || !s.said("RCPT TO:<tanaka@example.jp>") || !s.said("RCPT TO:<sekinin@example.jp>") {
					t.Errorf("signed in %t, %q", s.auth, s.lines)
				}
				if m := s.mail[0]; !strings.Contains(m, "Auto-Submitted: auto-generated") || !strings.Contains(m, "@example.jp>") || !strings.Contains(m, "=?UTF-8?") || strings.Contains(m, "go-mail") || strings.Contains(m, "geheim") {
					t.Errorf("%s", m)
				}
			})
		})
	}
}

// TestMailIsNeverSentInTheClear: a server, or somebody between, that does not offer TLS
// gets neither the password nor the message.
func TestMailIsNeverSentInTheClear(t *testing.T) {
	run(t, func(x *rig) {
		s := x.smtp(nil, false)
		x.channel(notify.Mail, mailSettings(notify.StartTLS), notify.Secret{Password: "geheim"})
		x.put(opened())
		if d := x.look()[0]; d.State != notify.Waiting || !strings.Contains(d.Detail, "STARTTLS") {
			t.Errorf("%+v", d)
		}
		if s.said("AUTH") || s.said("MAIL") || len(s.mail) != 0 {
			t.Errorf("%q", s.lines)
		}
	})
}

func TestMailServerWithAForeignCertificateIsRefused(t *testing.T) {
	for _, sec := range []notify.Security{notify.StartTLS, notify.ImplicitTLS} {
		run(t, func(x *rig) {
			conf := x.certificate()
			x.names["other.example"] = []string{public}
			s := x.smtp(conf, sec == notify.ImplicitTLS)
			set := mailSettings(sec)
			set.Host = "other.example"
			x.channel(notify.Mail, set, notify.Secret{Password: "geheim"})
			x.put(opened())
			if d := x.look()[0]; d.State != notify.Waiting || s.said("AUTH") || s.said("MAIL") {
				t.Errorf("%s: %+v %q", sec, d, s.lines)
			}
		})
	}
}

func TestPlainMailWhereSomebodyChoseIt(t *testing.T) {
	run(t, func(x *rig) {
		s := x.smtp(nil, false)
		set := mailSettings(notify.PlainText)
		set.User, set.People = "", false
		x.channel(notify.Mail, set, notify.Secret{})
		x.put(opened())
		if d := x.look()[0]; d.State != notify.Sent || len(s.mail) != 1 {
			t.Errorf("%+v", d)
		}
	})
}

func TestMailServerInsideIsForOwnersToAllow(t *testing.T) {
	run(t, func(x *rig) {
		x.smtp(nil, false)
		x.names["mail.local"] = []string{"10.1.2.3"}
		set := mailSettings(notify.PlainText)
		set.Host, set.User = "mail.local", ""
		x.channel(notify.Mail, set, notify.Secret{})
		x.put(opened())
		if d := x.look()[0]; d.State != notify.Failed || len(x.dialed) != 0 {
			t.Errorf("%+v, connected to %q", d, x.dialed)
		}
	})
}
