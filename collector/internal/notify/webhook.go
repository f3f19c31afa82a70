package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed webhook.
const (
	HeaderTimestamp = "Hozen-Timestamp" // Unix seconds, decimal
	HeaderSignature = "Hozen-Signature" // "v1=" and the HMAC in lower-case hexadecimal
	HeaderDelivery  = "Hozen-Delivery"  // the same at each try of one delivery
)

// Sign returns the value of [HeaderSignature]: HMAC-SHA-256 (RFC 2104) with the channel's
// key over the timestamp, a dot and the bytes of the body. Whoever checks it compares in
// constant time, and refuses a timestamp that is more than five minutes off.
func Sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// hook is the body of a signed webhook.
type hook struct {
	Format  string `json:"format"` // "hozen-notice/1"
	ID      string `json:"id"`
	Event          // kind, incident, at and what belongs to the kind
	Subject string `json:"subject"`
	Text    string `json:"text"`
	URL     string `json:"url,omitempty"`
}

// chatworkAPI is where rooms are written to.
const chatworkAPI = "https://api.chatwork.com/v2/rooms/"

// request makes the request of a delivery by a channel that speaks HTTP.
func request(ctx context.Context, c Channel, secret Secret, d Delivery, m Message, now time.Time) (*http.Request, error) {
	var body any
	switch c.Kind {
	case Chatwork:
		form := url.Values{"body": {"[info][title]" + m.Subject + "[/title]" + m.Plain() + "[/info]"}, "self_unread": {"1"}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, chatworkAPI+c.Settings.Room+"/messages", strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-ChatWorkToken", secret.Token)
		return r, nil
	case Slack:
		body = map[string]any{"text": m.Subject + "\n" + m.Plain()}
	case Teams:
		body = card(m)
	default:
		e := d.Event
		body = hook{Format: "hozen-notice/1", ID: d.ID, Event: e, Subject: m.Subject, Text: m.Text, URL: m.URL}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, secret.URL, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if c.Kind == Webhook {
		at := strconv.FormatInt(now.Unix(), 10)
		r.Header.Set(HeaderTimestamp, at)
		r.Header.Set(HeaderSignature, Sign(secret.Key, at, b))
		r.Header.Set(HeaderDelivery, d.ID)
	}
	return r, nil
}

// card is an adaptive card, which the workflows of Teams post.
func card(m Message) any {
	block := func(text string, more map[string]any) map[string]any {
		b := map[string]any{"type": "TextBlock", "text": text, "wrap": true}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	content := map[string]any{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"body": []any{block(m.Subject, map[string]any{"weight": "Bolder", "size": "Medium"}), block(m.Text, nil)},
	}
	if m.URL != "" {
		content["actions"] = []any{map[string]any{"type": "Action.OpenUrl", "title": "Hozen", "url": m.URL}}
	}
	return map[string]any{"type": "message", "attachments": []any{
		map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": content},
	}}
}

// hookTime is how long a webhook has to answer.
const hookTime = 15 * time.Second

// post sends a request and takes any answer of 200 to 299 for yes. It follows nothing: the
// address that was checked is the only one that is talked to.
func (s *Sender) post(r *http.Request, inside bool) error {
	t := &http.Transport{
		DialContext: s.guard.connect(inside), TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.roots},
		ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSHandshakeTimeout: hookTime, MaxResponseHeaderBytes: 64 << 10,
	}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, Timeout: hookTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.Header.Set("User-Agent", "Hozen")
	resp, err := c.Do(r)
	if err != nil {
		return fmt.Errorf("post to %s: %w", hostOf(r.URL.String()), withoutURL(err))
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("read answer of %s: %w", hostOf(r.URL.String()), withoutURL(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refused{host: hostOf(r.URL.String()), status: resp.StatusCode}
	}
	return nil
}

// refused is an answer that is no yes.
type refused struct {
	host   string
	status int
}

func (e *refused) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.host, e.status, http.StatusText(e.status))
}

// final reports whether another try would get the same answer: the request is wrong, or
// leads elsewhere.
func (e *refused) final() bool {
	switch e.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.status >= 300 && e.status < 500
}
