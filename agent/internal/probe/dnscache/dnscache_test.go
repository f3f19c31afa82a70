package dnscache

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// answered is what systemd-resolved answers (version 254 and later).
const answered = `{"parameters":{"dump":[{"protocol":"dns","family":2,"ifindex":2,"ifname":"eth0","cache":[` +
	`{"key":{"class":1,"type":1,"name":"c2.example"},"rrs":[{"rr":{"key":{"class":1,"type":1,"name":"c2.example"},"address":[203,0,113,9]},"raw":"AmMyB2V4YW1wbGUAAAEAAQAAAA4ABMsAcQk="},{"rr":{"key":{"class":1,"type":1,"name":"c2.example"},"address":[203,0,113,10]},"raw":"!"}],"until":5000000},` +
	`{"key":{"class":1,"type":28,"name":"c2.example"},"rrs":[],"until":5000000},` +
	`{"key":{"class":1,"type":5,"name":"www.example"},"rrs":[{"rr":{"name":"web.example"},"raw":""}],"until":6000000},` +
	`{"key":{"class":1,"type":255,"name":"xkq3v.example"},"type":"NXDOMAIN","until":7000000}]},` +
	`{"protocol":"mdns","ifindex":2,"ifname":"eth0","cache":[]}]}}`

// parse reads a whole answer.
func parse(b []byte, epoch time.Time) (list []record.DNSCache, err error) {
	var odd error
	p := parser{epoch: epoch, miss: func(_ int64, err error) { odd = err }, emit: func(d *record.DNSCache) error {
		list = append(list, *d)
		return nil
	}}
	return list, cmp.Or(p.parse(b), odd)
}

// TestManyTinyThings: an answer that is small and made of millions of things takes no
// memory to speak of, and what is left out is told.
func TestManyTinyThings(t *testing.T) {
	times := func(s string, size int) string {
		return strings.TrimSuffix(strings.Repeat(s+",", size/(len(s)+1)), ",")
	}
	const size = 2 << 20
	for name, c := range map[string]struct {
		text  string
		lines int
	}{
		"names":     {`{"parameters":{"dump":[{"cache":[` + times("{}", size) + `]}]}}`, maxItems},
		"scopes":    {`{"parameters":{"dump":[` + times(`{"cache":[{}]}`, size) + `]}}`, maxScopes},
		"answers":   {`{"parameters":{"dump":[{"cache":[{"rrs":[` + times("{}", size) + `]}]}]}}`, 1},
		"addresses": {`{"parameters":{"dump":[{"cache":[{"rrs":[{"rr":{"address":[` + times("1", size) + `]}}]}]}]}}`, 1},
	} {
		lines, missed := 0, int64(0)
		p := parser{miss: func(n int64, _ error) { missed += n }, emit: func(d *record.DNSCache) error {
			if lines++; len(d.Answers) > 0 {
				t.Errorf("%s: %q", name, d.Answers)
			}
			return nil
		}}
		var before, after runtime.MemStats
		b := []byte(c.text)
		runtime.ReadMemStats(&before)
		err := p.parse(b)
		runtime.ReadMemStats(&after)
		if err != nil || lines != c.lines || (missed > 0) != (name != "addresses") {
			t.Errorf("%s: %d lines, %d missed, %v", name, lines, missed, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 160<<20 { // much of it one after the other
			t.Errorf("%s: %d MB were allocated in all", name, n>>20)
		}
	}
}

func TestAnswer(t *testing.T) {
	for address, want := range map[string]string{
		"[203,0,113,9]": "203.0.113.9", "[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1]": "2001:db8::1",
		"[459,0,113,9]": "", "[-1,0,113,9]": "", "[1,2,3]": "name", "": "name", "null": "name", `"x"`: "name",
	} {
		if got := answer(json.RawMessage(address), "", "name"); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// TestGenuine: a user's own process of such a name is no resolver.
func TestGenuine(t *testing.T) {
	for _, c := range []struct {
		p    record.Process
		want bool
	}{
		{record.Process{Comm: "dnsmasq", EUID: 0}, true},
		{record.Process{Comm: "dnsmasq", EUID: 109, Exe: "/usr/sbin/dnsmasq"}, true},
		{record.Process{Comm: resolved, EUID: 990, Exe: "/usr/lib/systemd/systemd-resolved"}, true},
		{record.Process{Comm: "dnsmasq", EUID: 1000, Exe: "/home/a/dnsmasq"}, false},
		{record.Process{Comm: "dnsmasq", EUID: 1000, Exe: "/usr/bin/python3"}, false},
		{record.Process{Comm: "dnsmasq", EUID: 1000}, false},
		{record.Process{Comm: "named", EUID: 0, KernelOnly: true}, false},
	} {
		if got := genuine(&c.p); got != c.want {
			t.Errorf("%+v: %t", c.p, got)
		}
	}
}

func TestParse(t *testing.T) {
	epoch := time.Unix(1766400000, 0)
	list, err := parse([]byte(answered), epoch)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		got = append(got, strings.Join([]string{d.Protocol, d.Iface, d.Name, d.Kind, d.State, strings.Join(d.Answers, ",")}, " "))
	}
	want := []string{"dns eth0 c2.example A  203.0.113.9,203.0.113.10", "dns eth0 c2.example AAAA nodata ", "dns eth0 www.example CNAME  web.example", "dns eth0 xkq3v.example ANY nxdomain "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if d := list[0]; len(d.Raw) != 1 || d.Until.Sub(epoch) != 5*time.Second || d.UntilNS != 5e9 || d.IfIndex != 2 || d.Class != 1 {
		t.Errorf("%+v", d)
	}
	for _, c := range []struct {
		text string
		want error
	}{
		{`{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"x"}}`, errors.ErrUnsupported},
		{`{"error":"org.varlink.service.PermissionDenied"}`, fs.ErrPermission},
		{`{"error":"io.systemd.InteractiveAuthenticationRequired"}`, fs.ErrPermission},
		{`{"error":"io.systemd.Odd"}`, nil}, {`no JSON`, nil},
	} {
		if _, err := parse([]byte(c.text), epoch); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if list, err := parse([]byte(`{"parameters":{"dump":[{"cache":[{"key":{"type":"x","name":"a"}},{"key":{"name":"b"}}]}]}}`), epoch); err == nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

// resolver answers once at the socket below a root.
func resolver(t *testing.T, answer string) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "d") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	path := filepath.Join(root, filepath.FromSlash(socket))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if asked, _ := bufio.NewReader(c).ReadString(0); asked == question {
				io.WriteString(c, answer)
			}
			if !strings.HasSuffix(answer, "hangs") {
				c.Close()
				continue
			}
			defer c.Close()
		}
	}()
	return root
}

func TestConformance(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := resolver(t, answered+"\x00")
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return New(Config{Root: root}) }, Key: probetest.Join("name", "kind")})
}

func TestOutcomes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	for name, c := range map[string]struct {
		answer string
		want   error
		lines  int
	}{
		"whole":      {answer: answered + "\x00", lines: 4},
		"empty":      {answer: `{"parameters":{"dump":[]}}` + "\x00"},
		"too old":    {answer: `{"error":"org.varlink.service.MethodNotFound"}` + "\x00", want: errors.ErrUnsupported},
		"door shut":  {answer: "", want: fs.ErrPermission},
		"broken off": {answer: answered, want: io.EOF},
		"it hangs":   {answer: "hangs", want: os.ErrDeadlineExceeded},
	} {
		var l probetest.Lines
		err := New(Config{Root: resolver(t, c.answer)}).Acquire(t.Context(), &l)
		if (err != nil) != (c.want != nil) || c.want != nil && !errors.Is(err, c.want) || len(l.All) != c.lines {
			t.Errorf("%s: %d lines, %v", name, len(l.All), err)
		}
	}
	err := New(Config{Root: t.TempDir()}).Acquire(t.Context(), new(probetest.Lines))
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "no resolver that keeps a cache") {
		t.Errorf("no resolver: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(answered))
	f.Add([]byte(`{"error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := parse(b, time.Unix(1, 0))
		for i := range list {
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
