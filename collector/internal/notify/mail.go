package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// mailTime is how long a mail server has for one message.
const mailTime = 30 * time.Second

func checkMail(s Settings) (field string, err error) {
	switch {
	case s.Host == "" || len(s.Host) > 253 || !hostLike(s.Host):
		return "host", errors.New("want the name of a mail server")
	case s.Port < 0 || s.Port > 65535:
		return "port", errors.New("want 1 to 65535")
	case s.Security != StartTLS && s.Security != ImplicitTLS && s.Security != PlainText:
		return "security", fmt.Errorf("there is no security %.20q", s.Security)
	case s.Security == PlainText && s.User != "":
		return "security", errors.New("a password never goes out in the clear")
	case len(s.User) > 256:
		return "user", errors.New("want at most 256 bytes")
	case CheckAddress(s.From) != nil:
		return "from", CheckAddress(s.From)
	case len(s.To) > MaxRecipients:
		return "to", fmt.Errorf("want at most %d addresses", MaxRecipients)
	case len(s.To) == 0 && !s.People:
		return "to", errors.New("nobody would get anything")
	}
	for _, a := range s.To {
		if err := CheckAddress(a); err != nil {
			return "to", err
		}
	}
	return "", nil
}

// CheckAddress reports why a is no bare mail address, or nil.
func CheckAddress(a string) error {
	if a == "" || len(a) > MaxAddress || !printable(a) {
		return fmt.Errorf("%.80q is no mail address", a)
	}
	p, err := netmail.ParseAddress(a)
	if err != nil || p.Name != "" || p.Address != a {
		return fmt.Errorf("%.80q is no mail address", a)
	}
	return nil
}

// hostLike reports whether s can be a host name or an address.
func hostLike(s string) bool {
	for _, c := range []byte(s) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == ':'
		if !ok {
			return false
		}
	}
	return true
}

// port is the settings' own, or what belongs to the security.
func (s Settings) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.Security == ImplicitTLS:
		return 465
	case s.Security == StartTLS:
		return 587
	}
	return 25
}

// sendMail sends one message to one address.
func (s *Sender) sendMail(ctx context.Context, c Channel, password string, d Delivery, m Message) error {
	set := c.Settings
	dial := s.guard.connect(set.Inside)
	conf := &tls.Config{ServerName: set.Host, MinVersion: tls.VersionTLS12, RootCAs: s.roots}
	policy := mail.TLSMandatory
	switch set.Security {
	case ImplicitTLS:
		policy, dial = mail.NoTLS, overTLS(dial, conf)
	case PlainText:
		policy = mail.NoTLS
	}
	var conn net.Conn
	opened := func(ctx context.Context, network, addr string) (net.Conn, error) {
		var err error
		conn, err = dial(ctx, network, addr)
		return conn, err
	}
	defer func() {
		if conn != nil {
			_ = conn.Close() // the library leaves it open when the server is not as it should be
		}
	}()
	opts := []mail.Option{mail.WithPort(set.port()), mail.WithTimeout(mailTime), mail.WithTLSConfig(conf), mail.WithTLSPolicy(policy), mail.WithDialContextFunc(opened), mail.WithoutNoop()}
	if set.User != "" {
		// Never NTLM or CRAM-MD5; PLAIN and LOGIN refuse to speak without TLS.
		opts = append(opts, mail.WithUsername(set.User), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	client, err := mail.NewClient(set.Host, opts...)
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := errors.Join(msg.From(set.From), msg.To(d.Recipient)); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	// Not the name of this machine, which the library would take.
	_, domain, _ := strings.Cut(set.From, "@")
	msg.SetMessageIDWithValue(d.ID + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation replies
	msg.SetBodyString(mail.TypeTextPlain, m.Plain())
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	return nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func overTLS(dial dialFunc, conf *tls.Config) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := tls.Client(raw, conf)
		if err := c.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return c, nil
	}
}

// oneLine is an error for a table: no line breaks, not longer than it is read.
func oneLine(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "\uFFFD")), " ")
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		text = "the server's certificate is not from an authority that this machine trusts: " + unknown.Error()
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}
