package isolation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"hozen/internal/e2e/rig"
)

// console is a session at a collector's console, whose forms are sent as a browser sends
// them.
type console struct {
	base    string
	cookies map[string]string
	client  http.Client
}

// signIn signs the owner of a collector in, who has chosen [rig.Password].
func signIn(ctx context.Context, address string) (*console, error) {
	c := &console{base: "http://" + address, cookies: map[string]string{},
		client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	to, err := c.send(ctx, "/sign-in", url.Values{"name": {rig.Owner}, "password": {rig.Password}, "next": {"/"}})
	if err == nil && to.Path != "/" {
		err = fmt.Errorf("led to %s", to)
	}
	if err != nil {
		return nil, fmt.Errorf("sign in at the console: %w", err)
	}
	return c, nil
}

// send sends a form and returns where its answer leads.
func (c *console) send(ctx context.Context, path string, fields url.Values) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", c.base)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	a, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	for _, k := range a.Cookies() { // also those for TLS alone: a browser keeps them for its own machine
		c.cookies[k.Name] = k.Value
	}
	if a.StatusCode != http.StatusSeeOther {
		b, err := io.ReadAll(io.LimitReader(a.Body, 4<<10))
		return nil, errors.Join(fmt.Errorf("send form: %s: %s", a.Status, b), err)
	}
	return a.Location()
}

// isolate presses the button of an endpoint's form, and returns the command.
func (c *console) isolate(ctx context.Context, endpoint string, first bool) (string, error) {
	fields := url.Values{"reason": {"bench"}}
	if first {
		fields.Set("isolate_first", "1")
	}
	to, err := c.send(ctx, "/endpoints/"+endpoint+"/order/isolate", fields)
	if err != nil {
		return "", fmt.Errorf("click: %w", err)
	}
	command := to.Query().Get("command")
	if command == "" {
		return "", fmt.Errorf("click: led to %s", to)
	}
	return command, nil
}
