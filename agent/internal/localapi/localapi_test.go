package localapi

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent is a stand-in.
type agent struct {
	mu       sync.Mutex
	messages []string
	reporter string
	arrive   chan struct{} // closed when the collector has the report
	fail     error
	woken    int
	checks   []Check
}

func (a *agent) Report(_ context.Context, reporter, message string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail != nil {
		return "", a.fail
	}
	a.messages, a.reporter = append(a.messages, message), reporter
	return "alt_x", nil
}

func (a *agent) AwaitReport(ctx context.Context, alertID string) (string, error) {
	select {
	case <-a.arrive:
		return "INC-2026-0001", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (a *agent) Status(context.Context) Status {
	return Status{Format: "hozen-agent-status/1", EndpointID: "end_x", Connected: true}
}

func (a *agent) Wake() { a.woken++ }

func (a *agent) SelfTest(_ context.Context, checks []Check) (string, error) {
	a.checks = checks
	return "acq_t", a.fail
}

// serve starts a server and returns its socket.
func serve(t *testing.T, a *agent) string {
	t.Helper()
	return serveWith(t, Config{Agent: a})
}

func serveWith(t *testing.T, cfg Config) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hz") // a socket's name has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "run", "agent.sock")
	cfg.Path = path
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestReport(t *testing.T) {
	a := &agent{arrive: make(chan struct{})}
	path := serve(t, a)
	stored := 0
	last, err := Do(t.Context(), path, Request{Verb: VerbReport, Message: "画面に脅迫文\nが出た", WaitSeconds: 30}, func(r Reply) {
		if r.Report != nil && !r.Report.Delivered && r.Report.AlertID == "alt_x" {
			stored++
			close(a.arrive)
		}
	})
	if err != nil || stored != 1 || !last.Report.Delivered || last.Report.IncidentNumber != "INC-2026-0001" {
		t.Fatalf("%+v %d %v", last.Report, stored, err)
	}
	if a.messages[0] != "画面に脅迫文\nが出た" {
		t.Fatalf("%q", a.messages)
	}
	if a.reporter == "" || a.reporter == unknownReporter {
		t.Errorf("reporter %q", a.reporter)
	}
}

func TestReportThatIsNotDeliveredInTime(t *testing.T) {
	path := serve(t, &agent{arrive: make(chan struct{})})
	last, err := Do(t.Context(), path, Request{Verb: VerbReport, Message: "m", WaitSeconds: 1}, nil)
	if err != nil || last.Report.Delivered || last.Report.AlertID == "" {
		t.Fatalf("%+v %v", last, err)
	}
	if last, err = Do(t.Context(), path, Request{Verb: VerbReport, Message: "m"}, nil); err != nil || last.Report.AlertID == "" {
		t.Fatalf("%+v %v", last, err)
	}
}

func TestStatusAndErrors(t *testing.T) {
	a := &agent{fail: errors.New("disk full")}
	path := serve(t, a)
	if r, err := Do(t.Context(), path, Request{Verb: VerbStatus}, nil); err != nil || r.Status.EndpointID != "end_x" {
		t.Fatal(r, err)
	}
	if r, err := Do(t.Context(), path, Request{Verb: VerbReport, Message: "m"}, nil); !errors.Is(err, ErrRefused) || r.Code != CodeInternal {
		t.Fatal(r, err)
	}
	if _, err := Do(t.Context(), path, Request{Verb: VerbWake}, nil); err != nil || a.woken != 1 {
		t.Fatal(err)
	}
	if _, err := Do(t.Context(), filepath.Join(t.TempDir(), "none"), Request{Verb: VerbStatus}, nil); !errors.Is(err, ErrNotRunning) {
		t.Fatal(err)
	}
	if _, err := Listen(Config{Path: path, Agent: a}); !errors.Is(err, ErrInUse) {
		t.Fatal(err)
	}
}

func TestHostileRequests(t *testing.T) {
	a := &agent{}
	path := serve(t, a)
	ask := func(raw string) string {
		c, err := dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		c.Write([]byte(raw)) // the agent may have hung up already
		b, _ := io.ReadAll(c)
		return string(b)
	}
	for name, c := range map[string]struct{ raw, want string }{
		"no JSON":       {"GET / HTTP/1.1\r\n", "invalid"},
		"unknown verb":  {`{"verb":"exec","message":"id"}` + "\n", "not known"},
		"unknown field": {`{"verb":"status","as":"root"}` + "\n", "unknown field"},
		"empty":         {`{"verb":"report","message":""}` + "\n", "empty"},
		"long":          {`{"verb":"report","message":"` + strings.Repeat("x", MaxMessage+1) + `"}` + "\n", "at most"},
		"endless line":  {strings.Repeat("x", 2*maxRequest), "more than"},
		"long wait":     {`{"verb":"report","message":"m","wait_seconds":9999}` + "\n", "wait_seconds"},
		"two":           {`{"verb":"status"}{"verb":"status"}` + "\n", "follows"},
		"not UTF-8":     {"{\"verb\":\"report\",\"message\":\"\xff\"}\n", "UTF-8"},
	} {
		if got := ask(c.raw); !strings.Contains(got, c.want) || !strings.Contains(got, `"code":"invalid"`) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if len(a.messages) != 0 {
		t.Fatalf("%q was taken for a report", a.messages)
	}
	limited := false
	for range 20 {
		limited = limited || strings.Contains(ask(`{"verb":"report","message":"m"}`+"\n"), CodeTooMany)
	}
	if !limited || len(a.messages) > reportBurst+5 {
		t.Errorf("one person made %d reports in a row", len(a.messages))
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"verb":"report","message":"m","wait_seconds":3}`))
	f.Add([]byte(`{"verb":"status"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err == nil && (len(r.Message) > MaxMessage || r.WaitSeconds > 60 || r.Verb == "") {
			t.Fatalf("%+v", r)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"done":true,"status":{"connected":true}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseReply(b); err != nil && r.Status != nil {
			t.Fatal("half a reply")
		}
	})
}
