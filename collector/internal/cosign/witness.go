// Package cosign has signed checkpoints of the custody ledger cosigned by outside witnesses
// (C2SP tlog-cosignature, tlog-witness) and keeps what they signed. It knows nothing of what
// entries say, of packages or of who may do what.
package cosign

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hozen/internal/custody/checkpoint"
)

// The errors that callers act on.
var (
	// ErrWitness means that a witness could not be reached, refused, or answered something
	// that is no cosignature of what it was shown.
	ErrWitness = errors.New("no cosignature from the witness")
	// ErrAhead means that a witness has seen more of the ledger than there is: an older
	// database was put back, or entries were cut off.
	ErrAhead = errors.New("the witness has seen more entries than there are")
)

// maxAnswer bounds what is read of a witness's answer, in bytes; a signature has some 200.
const maxAnswer = 16 << 10

// askTimeout bounds one question as a whole.
const askTimeout = 15 * time.Second

// Witness is a witness that is believed, and how to reach it.
type Witness struct {
	Key checkpoint.Witness
	URL string // of tlog-witness, without "add-checkpoint"; empty: people carry notes to it
}

// ParseWitness reads "name+hash+key" or "name+hash+key URL".
func ParseWitness(text string) (Witness, error) {
	key, at, _ := strings.Cut(text, " ")
	k, err := checkpoint.ParseWitness(key)
	if err != nil {
		return Witness{}, err
	}
	if at != "" {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
			return Witness{}, fmt.Errorf("witness %s: want http://… or https://…", k.Name())
		}
	}
	return Witness{k, strings.TrimRight(at, "/")}, nil
}

func newClient() *http.Client {
	return &http.Client{
		Timeout:   askTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		// A witness that sends us elsewhere would choose what this machine asks.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// conflict is the answer 409: the witness's newest state is of another size.
type conflict struct{ size int64 }

func (c *conflict) Error() string { return fmt.Sprintf("its newest state has %d entries", c.size) }

// add shows a witness a checkpoint (add-checkpoint) and returns its signature lines, not
// checked yet. old is the size of the state that proof goes on from.
func (w Witness) add(ctx context.Context, client *http.Client, old int64, proof [][]byte, note string) (string, error) {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		body.WriteString(base64.StdEncoding.EncodeToString(h) + "\n")
	}
	body.WriteString("\n" + note)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/add-checkpoint", strings.NewReader(body.String()))
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "hozen-collector")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxAnswer {
		return "", fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return answer(resp.StatusCode, resp.Header.Get("Content-Type"), string(b))
}

// answer reads what a witness answers.
func answer(status int, contentType, body string) (lines string, err error) {
	switch status {
	case http.StatusOK:
		return signatureLines(body)
	case http.StatusConflict:
		if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "text/x.tlog.size" {
			return "", errors.New("HTTP status 409 without a size")
		}
		text, ok := strings.CutSuffix(body, "\n")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !ok || n < 0 || strconv.FormatInt(n, 10) != text {
			return "", errors.New("HTTP status 409 without a size")
		}
		return "", &conflict{n}
	}
	return "", fmt.Errorf("HTTP status %d", status)
}

// signatureLines checks that a text is nothing but signature lines of a note (C2SP
// signed-note): put below one, it must not change what the note says.
func signatureLines(body string) (string, error) {
	if body == "" || !strings.HasSuffix(body, "\n") {
		return "", errors.New("the answer is no signature line")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
		rest, ok := strings.CutPrefix(line, "— ")
		name, sig, two := strings.Cut(rest, " ")
		if _, err := base64.StdEncoding.Strict().DecodeString(sig); !ok || !two || err != nil || name == "" || strings.ContainsAny(line, "\r\x00") {
			return "", errors.New("the answer is no signature line")
		}
	}
	return body, nil
}
