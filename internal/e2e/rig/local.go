package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Local speaks with a collector at its local socket: POST /v1/<verb> with JSON, the
// same that the collector's own commands do.
type Local struct {
	http   *http.Client
	header http.Header
}

// Refused is an answer that says no.
type Refused struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *Refused) Error() string { return r.Code + ": " + r.Message }

// DialLocal returns a client of the socket that speaks as nobody yet.
func DialLocal(socket string) *Local {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Local{http: &http.Client{Transport: &http.Transport{DialContext: dial}}, header: http.Header{}}
}

// BreakGlass makes the client speak without a sign-in; each call is recorded with
// the reason. Only root and the collector's own account may.
func (l *Local) BreakGlass(reason string) *Local {
	return &Local{l.http, http.Header{"Hozen-Break-Glass": {url.QueryEscape(reason)}}}
}

// SignIn returns a client that speaks as an operator. newPassword is needed when
// password is a one-time one.
func (l *Local) SignIn(ctx context.Context, name, password, newPassword string) (*Local, error) {
	var s struct {
		Token string `json:"token"`
	}
	in := map[string]string{"name": name, "password": password}
	if newPassword != "" {
		in["new_password"] = newPassword
	}
	if err := l.Call(ctx, "session.begin", in, &s); err != nil {
		return nil, err
	}
	return &Local{l.http, http.Header{"Authorization": {"Bearer " + s.Token}}}, nil
}

// Call asks and stores the answer in out, which may be nil. A refusal is a *Refused.
func (l *Local) Call(ctx context.Context, verb string, in, out any) error {
	return l.Follow(ctx, verb, in, out, func(json.RawMessage) {})
}

// Follow is Call for verbs that tell how it goes on.
func (l *Local) Follow(ctx context.Context, verb string, in, out any, event func(json.RawMessage)) error {
	body, err := l.Fetch(ctx, verb, in)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(bufio.NewReader(body)); ; {
		var line struct {
			Event, Result json.RawMessage
			Error         *Refused
		}
		if err := dec.Decode(&line); err != nil {
			return fmt.Errorf("read answer to %s: %w", verb, err)
		}
		switch {
		case line.Error != nil:
			return fmt.Errorf("%s: %w", verb, line.Error)
		case line.Event != nil:
			event(line.Event)
		case out == nil:
			return nil
		default:
			if err := json.Unmarshal(line.Result, out); err != nil {
				return fmt.Errorf("read answer to %s: %w", verb, err)
			}
			return nil
		}
	}
}

// Fetch asks for bytes; the caller closes them.
func (l *Local) Fetch(ctx context.Context, verb string, in any) (io.ReadCloser, error) {
	if in == nil {
		in = struct{}{}
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector/v1/"+verb, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	for k, v := range l.header {
		req.Header[k] = v
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var no struct{ Error *Refused }
	if err := json.NewDecoder(resp.Body).Decode(&no); err != nil || no.Error == nil {
		return nil, fmt.Errorf("%s: the collector answered %s", verb, resp.Status)
	}
	return nil, fmt.Errorf("%s: %w", verb, no.Error)
}

// IsRefused reports whether err is an answer with the code, such as "not_found".
func IsRefused(err error, code string) bool {
	r, ok := errors.AsType[*Refused](err)
	return ok && r.Code == code
}

// The parts of the socket's answers that are needed here.
type (
	// Endpoint is a PC.
	Endpoint struct {
		ID           string    `json:"id"`
		Hostname     string    `json:"hostname"`
		Online       bool      `json:"online"`
		AgentVersion string    `json:"agent_version"`
		Spooled      int       `json:"spooled"`
		Isolation    Isolation `json:"isolation"`
	}
	// Isolation is the state of a PC's network as measured.
	Isolation struct {
		Desired  string `json:"desired"`
		Observed string `json:"observed"`
		WayHome  bool   `json:"way_home"`
		Capable  bool   `json:"capable"`
		Detail   string `json:"detail"`
		Dropped  uint64 `json:"dropped_packets"`
	}
	// Command is an order to a PC.
	Command struct {
		ID            string    `json:"id"`
		Verb          string    `json:"verb"`
		Status        string    `json:"status"`
		Detail        string    `json:"detail"`
		AcquisitionID string    `json:"acquisition_id"`
		IncidentID    string    `json:"incident_id"`
		IssuedAt      time.Time `json:"issued_at"`
		AcceptedAt    time.Time `json:"accepted_at"`
	}
	// Incident is a case.
	Incident struct {
		ID           string        `json:"id"`
		Number       string        `json:"number"`
		Title        string        `json:"title"`
		Acquisitions []Acquisition `json:"acquisitions"`
		Timeline     []struct {
			Kind string `json:"kind"`
			Text string `json:"text"`
		} `json:"timeline"`
	}
	// Acquisition is one run on a PC.
	Acquisition struct {
		ID             string    `json:"id"`
		IncidentID     string    `json:"incident_id"`
		AlertID        string    `json:"alert_id"`
		Trigger        string    `json:"trigger"`
		Outcome        string    `json:"outcome"`
		StartedAt      time.Time `json:"started_at"`
		FinishedAt     time.Time `json:"finished_at"`
		ReceivedAt     time.Time `json:"received_at"`
		ManifestSHA256 string    `json:"manifest_sha256"`
		Items          int       `json:"items"`
		Records        int64     `json:"records"`
		StoredBytes    int64     `json:"stored_bytes"`
	}
	// Item is one piece of evidence.
	Item struct {
		ID            string `json:"id"`
		Number        string `json:"number"`
		AcquisitionID string `json:"acquisition_id"`
		Name          string `json:"name"`
		Kind          string `json:"kind"`
		Outcome       string `json:"outcome"`
		Records       int64  `json:"records"`
		StoredSHA256  string `json:"stored_sha256"`
	}
	// Check is what fsck found.
	Check struct {
		Clean        bool `json:"clean"`
		Acquisitions int  `json:"acquisitions"`
		Items        int  `json:"items"`
		Problems     []struct {
			Code    string `json:"code"`
			Subject string `json:"subject"`
			Detail  string `json:"detail"`
		} `json:"problems"`
	}
)
