package localapi

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"hozen/collector/internal/dispatch"
)

// TestSlowRequestsEnd: whoever may open the socket cannot hold it with halves of requests.
func TestSlowRequestsEnd(t *testing.T) {
	x := newFixture(t)
	h := x.server.http
	if h.ReadHeaderTimeout != headerTime || h.ReadTimeout != requestTime || h.IdleTimeout != idleTime {
		t.Errorf("%s, %s, %s", h.ReadHeaderTimeout, h.ReadTimeout, h.IdleTimeout)
	}
	slow, err := New(Config{Acts: x.acts})
	if err != nil {
		t.Fatal(err)
	}
	slow.http.ReadHeaderTimeout, slow.http.ReadTimeout, slow.http.IdleTimeout = time.Hour, 50*time.Millisecond, 50*time.Millisecond
	l, err := Listen(x.path + "2")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- slow.Serve(l) }()
	defer func() {
		if err := slow.http.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	for name, said := range map[string]string{
		"half a body": "POST /v1/status HTTP/1.1\r\nHost: c\r\nContent-Length: 100\r\n\r\n{",
		"idle":        "POST /v1/status HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\n{}",
	} {
		c, err := dial(t.Context(), x.path+"2")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: the server does not end it: %v", name, err)
		}
		c.Close()
	}
	// Who asked in time may wait for the answer as long as it takes.
	cl := x.owner(t)
	pc := x.enrolled(t, cl, "PC-01")
	var o Command
	if err := cl.Call(t.Context(), "command.order", Order{Verb: "isolate", Endpoint: pc, Reason: "r"}, &o); err != nil {
		t.Fatal(err)
	}
	waiting := NewClient(x.path+"2", cl.token, "")
	there, done := make(chan struct{}, 16), make(chan error, 1)
	go func() {
		done <- waiting.Follow(t.Context(), "command.wait", Wait{CommandID: o.ID}, nil, func(json.RawMessage) error {
			there <- struct{}{}
			return nil
		})
	}()
	select {
	case <-there:
	case err := <-done:
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("the wait ended by itself: %v", err)
	case <-time.After(4 * slow.http.ReadTimeout):
	}
	if err := x.acts.CommandFinished(t.Context(), pc, dispatch.Result{CommandID: o.ID, Status: dispatch.Failed, FinishedAt: time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
