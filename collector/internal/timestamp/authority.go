// Package timestamp has signed checkpoints of the custody ledger time stamped by an outside
// authority (RFC 3161) and keeps the tokens. It knows nothing of what entries say, of
// packages or of who may do what.
package timestamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/notaryproject/tspclient-go"
)

// MaxResponse bounds what is read of an authority's answer, in bytes. Answers with a whole
// chain of certificates have less than 20,000.
const MaxResponse = 128 << 10

// ErrAuthority means that the authority could not be reached, refused, or answered something
// that is no time stamp of what was asked.
var ErrAuthority = errors.New("no time stamp from the authority")

// AuthorityConfig says whom to ask. Every field without "Optional" is needed.
type AuthorityConfig struct {
	// URL is where time stamps are asked for: http or https, RFC 3161 section 3.4. No other
	// address is ever asked: redirects are refused.
	URL string
	// Roots are the certificates that the authority's own must chain to. Optional; default
	// those of the operating system.
	Roots *x509.CertPool
	// Policy is the policy to ask for. Optional; default whatever the authority gives.
	Policy asn1.ObjectIdentifier
	// User and Password sign in (HTTP Basic, RFC 7617), over https alone. Optional.
	User, Password string
	// Timeout bounds one question as a whole. Optional; default 20 seconds.
	Timeout time.Duration
}

// Authority is an outside authority for time stamps. It is safe for concurrent use.
type Authority struct {
	cfg  AuthorityConfig
	http *http.Client
}

// NewAuthority checks cfg. It asks nobody.
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("time stamp authority: %w", err)
	}
	if u, err := url.Parse(cfg.URL); cfg.User != "" && (err != nil || u.Scheme != "https") {
		return nil, errors.New("time stamp authority: a user signs in, and the password would go over http:// for all to read: use the authority's https:// address, or take user and password_file out")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	if cfg.Roots == nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("time stamp authority: %w", err)
		}
		cfg.Roots = roots
	}
	return &Authority{cfg: cfg, http: &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout: cfg.Timeout, ResponseHeaderTimeout: cfg.Timeout},
		// An authority that sends us elsewhere would choose what this machine asks.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckURL reports why an address cannot be asked.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("want the URL of an authority") // the URL's error repeats it, and what stands in it
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("want http://… or https://…")
	case u.User != nil:
		return errors.New("want no user and password in the URL")
	case u.Fragment != "":
		return errors.New("want no # in the URL")
	}
	return nil
}

// ParsePolicy reads an object identifier in dots, such as "1.2.392.200091.1". Nothing is no
// policy.
func ParsePolicy(s string) (asn1.ObjectIdentifier, error) {
	if s == "" {
		return nil, nil
	}
	var out asn1.ObjectIdentifier
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || strconv.Itoa(n) != part {
			return nil, errors.New("want an object identifier such as 1.2.3")
		}
		out = append(out, n)
	}
	if _, err := asn1.Marshal(out); err != nil {
		return nil, errors.New("want an object identifier such as 1.2.3")
	}
	return out, nil
}

// URL is where time stamps are asked for.
func (a *Authority) URL() string { return a.cfg.URL }

// ask has data time stamped: the imprint is its SHA-256. All errors wrap [ErrAuthority].
func (a *Authority) ask(ctx context.Context, data []byte) (response []byte, f Facts, err error) {
	req, err := tspclient.NewRequest(tspclient.RequestOptions{Content: data, HashAlgorithm: crypto.SHA256, ReqPolicy: a.cfg.Policy})
	if err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	query, err := req.MarshalBinary()
	if err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	if response, err = a.post(ctx, query); err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	parsed, err := parse(response)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	// The nonce shows that it is the answer to this question.
	if err := parsed.Validate(req); err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	if f, err = Check(ctx, response, data, a.cfg.Roots); err != nil {
		return nil, Facts{}, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return response, f, nil
}

func (a *Authority) post(ctx context.Context, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.URL, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", tspclient.MediaTypeTimestampQuery)
	req.Header.Set("Accept", tspclient.MediaTypeTimestampReply)
	req.Header.Set("User-Agent", "hozen-collector")
	if a.cfg.User != "" {
		req.SetBasicAuth(a.cfg.User, a.cfg.Password)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != tspclient.MediaTypeTimestampReply {
		return nil, fmt.Errorf("the answer is %.60q, want %s", resp.Header.Get("Content-Type"), tspclient.MediaTypeTimestampReply)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxResponse {
		return nil, fmt.Errorf("the answer has more than %d bytes", MaxResponse)
	}
	return b, nil
}
