package localapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// network is a stand-in.
type network struct {
	code string
	by   Peer
	fail error
	gone int
}

func (n *network) Network(context.Context) NetworkStatus {
	return NetworkStatus{Format: NetworkFormat, Source: "agent", Desired: "isolated", Observed: "isolated", CodeNumber: "123456789012"}
}

func (n *network) ReleaseByCode(_ context.Context, code string, by Peer) (NetworkStatus, error) {
	n.code, n.by = code, by
	return NetworkStatus{Observed: "released"}, n.fail
}

func (n *network) Drill(_ context.Context, by Peer) (NetworkStatus, error) {
	n.by = by
	return n.Network(context.Background()), n.fail
}

func (n *network) ReleaseForUninstall(_ context.Context, by Peer) (NetworkStatus, bool, error) {
	n.gone++
	n.by = by
	return NetworkStatus{Observed: "released"}, true, n.fail
}

func TestIsolationIsAskedByAnybody(t *testing.T) {
	path := serveWith(t, Config{Agent: &agent{}, Network: &network{}})
	last, err := Do(t.Context(), path, Request{Verb: VerbIsolation}, nil)
	if err != nil || last.Network == nil || last.Network.CodeNumber != "123456789012" {
		t.Fatalf("%+v, %v", last, err)
	}
}

func TestReleaseByCode(t *testing.T) {
	n := &network{}
	path := serveWith(t, Config{Agent: &agent{}, Network: n})
	last, err := Do(t.Context(), path, Request{Verb: VerbRelease, Code: "１２３45-…"}, nil)
	if err != nil || last.Network == nil || last.Network.Observed != "released" || n.code != "１２３45-…" {
		t.Fatalf("%+v, %v, given %q", last, err, n.code)
	}
	if n.by.UID != ownUID(t) || n.by.PID != os.Getpid() || !strings.Contains(n.by.String(), fmt.Sprintf("uid %s), pid %d", ownUID(t), os.Getpid())) {
		t.Errorf("by %+v, %s", n.by, n.by)
	}
	for _, c := range []struct {
		fail error
		want Reply
	}{
		{&ReleaseError{Code: CodeWrong, Err: errors.New("x")}, Reply{Code: CodeWrong, Release: &Release{}}},
		{fmt.Errorf("y: %w", &ReleaseError{Code: CodeTooMany, RetryAfter: 1500 * time.Millisecond, Err: errors.New("x")}), Reply{Code: CodeTooMany, Release: &Release{RetryAfterSeconds: 2}}},
		{&ReleaseError{Code: CodeMistyped, Group: 3, Err: errors.New("x")}, Reply{Code: CodeMistyped, Release: &Release{Group: 3}}},
		{errors.New("rules stay"), Reply{Code: CodeInternal, Release: &Release{}}},
	} {
		n.fail = c.fail
		last, err := Do(t.Context(), path, Request{Verb: VerbRelease, Code: "1"}, nil)
		if !errors.Is(err, ErrRefused) || last.Code != c.want.Code || *last.Release != *c.want.Release || last.Network == nil {
			t.Errorf("%v: %+v, %v", c.fail, last, err)
		}
	}
}

func TestUninstallIsRootsAlone(t *testing.T) {
	n := &network{}
	path := serveWith(t, Config{Agent: &agent{}, Network: n})
	last, err := Do(t.Context(), path, Request{Verb: VerbUninstall}, nil)
	if ownUID(t) == rootUser {
		if err != nil || n.gone != 1 || !last.Release.Told {
			t.Fatalf("%+v, %v", last, err)
		}
	} else if last.Code != CodeDenied || n.gone != 0 {
		t.Fatalf("%+v, %v", last, err)
	}
	// Who is not root is turned away before anything is done, whoever tests this.
	n.gone = 0
	s := &Server{cfg: Config{Network: n}, limits: newLimits()}
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		defer a.Close()
		s.network(t.Context(), a, Peer{UID: "1000"}, Request{Verb: VerbUninstall})
	}()
	line, err := bufio.NewReader(b).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseReply(line); err != nil || r.Code != CodeDenied || n.gone != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWithoutNetwork(t *testing.T) {
	path := serveWith(t, Config{Agent: &agent{}})
	for _, r := range []Request{{Verb: VerbIsolation}, {Verb: VerbRelease, Code: "1"}, {Verb: VerbUninstall}} {
		if last, err := Do(t.Context(), path, r, nil); last.Code != CodeInvalid {
			t.Errorf("%s: %+v, %v", r.Verb, last, err)
		}
	}
}

func TestReleaseIsReadStrictly(t *testing.T) {
	for name, line := range map[string]string{
		"no code":             `{"verb":"release"}`,
		"code too long":       `{"verb":"release","code":"` + strings.Repeat("1", 257) + `"}`,
		"code of others":      `{"verb":"isolation","code":"1"}`,
		"waits":               `{"verb":"release","code":"1","wait_seconds":3}`,
		"uninstall with text": `{"verb":"uninstall","message":"x"}`,
		"report with code":    `{"verb":"report","message":"x","code":"1"}`,
		"release with then":   `{"verb":"release","code":"1","then":"reboot"}`,
	} {
		if r, err := parseRequest([]byte(line)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		} else if strings.Contains(err.Error(), "111") {
			t.Errorf("%s: the code is told: %v", name, err)
		}
	}
}

// TestCodesOfManyPersons: a range of user identifiers is not heard without end, and root
// is all the same.
func TestCodesOfManyPersons(t *testing.T) {
	l, looked := newLimits(), 0
	for uid := range 500 {
		for l.allow(VerbRelease, fmt.Sprint(100000+uid)) {
			looked++
		}
	}
	if looked > allCodesBurst+5 || !l.allow(VerbRelease, rootUser) || !l.allow(VerbIsolation, "1000") {
		t.Errorf("%d codes were looked at", looked)
	}
}

func TestTTY(t *testing.T) {
	for want, nr := range map[string]string{"tty1": "1025", "pts/0": "34816", "pts/300": "1083436", "ttyS0": "1088", "": "0"} {
		if got := ttyOf("17 (a) b) (x) S 1 17 17 " + nr + " 17 4194304 0"); got != want {
			t.Errorf("%s: %q, want %q", nr, got, want)
		}
	}
}

func FuzzTTY(f *testing.F) {
	f.Add("17 (sh) S 1 17 17 34816 17")
	f.Add("1 (a) b) R")
	f.Add(")  1 2 3 -1")
	f.Fuzz(func(t *testing.T, s string) {
		got := ttyOf(s)
		for _, r := range strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(got, "pts/"), "ttyS"), "tty") {
			if r < '0' || r > '9' {
				t.Fatalf("%q", got)
			}
		}
	})
}

func TestDrillIsRootsAlone(t *testing.T) {
	n := &network{}
	path := serveWith(t, Config{Agent: &agent{}, Network: n})
	last, err := Do(t.Context(), path, Request{Verb: VerbDrill}, nil)
	if ownUID(t) != rootUser {
		if last.Code != CodeDenied || n.by.UID != "" {
			t.Fatalf("%+v %v", last, err)
		}
		return
	}
	if err != nil || last.Network == nil || last.Network.Observed != "isolated" {
		t.Fatalf("%+v %v", last, err)
	}
	n.fail = errors.New("isolated in earnest")
	if last, err = Do(t.Context(), path, Request{Verb: VerbDrill}, nil); !errors.Is(err, ErrRefused) || last.Network == nil {
		t.Fatalf("%+v %v", last, err)
	}
}
