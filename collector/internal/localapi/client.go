package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
)

// ErrNotRunning means that nobody answers at the socket.
var ErrNotRunning = errors.New("the collector is not running")

// Client asks a collector at its local socket.
type Client struct {
	http       *http.Client
	path       string
	token      string
	breakGlass string
}

// NewClient returns a client of the socket at path, which speaks with the token of a
// sign-in or, when breakGlass is not empty, with that reason.
func NewClient(path, token, breakGlass string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx, path)
	}
	return &Client{path: path, token: token, breakGlass: breakGlass,
		http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Call asks and stores the answer in out, which may be nil.
func (c *Client) Call(ctx context.Context, verb string, in, out any) error {
	return c.Follow(ctx, verb, in, out, nil)
}

// Follow asks and gives each event of the answer to event until the result is there.
func (c *Client) Follow(ctx context.Context, verb string, in, out any, event func(json.RawMessage) error) error {
	body, err := c.post(ctx, verb, in)
	if err != nil {
		return err
	}
	defer body.Close()
	d := json.NewDecoder(body)
	for {
		var l line
		if err := d.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the collector broke off: %w", err)
		}
		switch {
		case l.Error != nil:
			return l.Error
		case l.Event != nil:
			if event != nil {
				if err := event(l.Event); err != nil {
					return err
				}
			}
		default:
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(l.Result, out); err != nil {
				return fmt.Errorf("read the collector's answer: %w", err)
			}
			return nil
		}
	}
}

// Fetch asks for bytes; the caller closes them. A body that ends early is an error of
// its reader.
func (c *Client) Fetch(ctx context.Context, verb string, in any) (io.ReadCloser, error) {
	return c.post(ctx, verb, in)
}

func (c *Client) post(ctx context.Context, verb string, in any) (io.ReadCloser, error) {
	resp, err := c.ask(ctx, verb, in)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ask returns an answer that is no error; the caller closes its body.
func (c *Client) ask(ctx context.Context, verb string, in any) (*http.Response, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return c.do(ctx, verb, bytes.NewReader(b), func(h http.Header) { h.Set("Content-Type", "application/json") })
}

// do sends a body and returns an answer that is no error; the caller closes its body.
func (c *Client) do(ctx context.Context, verb string, body io.Reader, head func(http.Header)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector/v1/"+verb, body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	head(req.Header)
	if c.token != "" {
		req.Header.Set(headerAuthorization, "Bearer "+c.token)
	}
	if c.breakGlass != "" {
		req.Header.Set(headerBreakGlass, url.QueryEscape(c.breakGlass))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			if errors.Is(err, fs.ErrPermission) {
				return nil, fmt.Errorf("speak to the collector at %s: %w", c.path, op.Err)
			}
			return nil, fmt.Errorf("%w (nobody answers at %s)", ErrNotRunning, c.path)
		}
		return nil, fmt.Errorf("speak to the collector: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&a); err != nil || a.Error == nil {
		return nil, fmt.Errorf("the collector answered %s", resp.Status)
	}
	return nil, a.Error
}
