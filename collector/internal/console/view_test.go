package console

import (
	"bytes"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
)

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"plain text　日本語 é":             `<bdi dir="ltr">plain text　日本語 é</bdi>`,
		`<b>&"'`:                       `<bdi dir="ltr">&lt;b&gt;&amp;&#34;&#39;</bdi>`,
		"a\u202eb":                     `<bdi dir="ltr">a<span class="esc">⟨U+202E⟩</span>b</bdi>`,
		"a\x00\x1b\x7f\n\t":            `<bdi dir="ltr">a<span class="esc">\x00</span><span class="esc">\x1b</span><span class="esc">\x7f</span><span class="esc">\n</span><span class="esc">\t</span></bdi>`,
		"\xff\xfe":                     `<bdi dir="ltr"><span class="esc">\xff</span><span class="esc">\xfe</span></bdi>`,
		"\u200b\ufeff\u2028\u00a0":     `<bdi dir="ltr"><span class="esc">⟨U+200B⟩</span><span class="esc">⟨U+FEFF⟩</span><span class="esc">⟨U+2028⟩</span><span class="esc">⟨U+00A0⟩</span></bdi>`,
		"\u3164\U000e0041\ufe0f\ue000": `<bdi dir="ltr"><span class="esc">⟨U+3164⟩</span><span class="esc">⟨U+E0041⟩</span><span class="esc">⟨U+FE0F⟩</span><span class="esc">⟨U+E000⟩</span></bdi>`,
		"":                             `<bdi dir="ltr"></bdi>`,
	} {
		if got := string(inert(in, 100, false)); got != want {
			t.Errorf("%q\n got %s\nwant %s", in, got, want)
		}
	}
	if got := string(inert("a\r\nb\rc", 100, true)); got != `<bdi dir="ltr">a`+"\n"+`b<span class="esc">\r</span>c</bdi>` {
		t.Errorf("lines: %q", got)
	}
	if got := string(inert("日本語です", 2, false)); got != `<bdi dir="ltr">日本</bdi><span class="cut">… +3</span>` {
		t.Errorf("cut: %q", got)
	}
	if got := plain("\u202e<b>\n"+strings.Repeat("x", 100), 6); got != `⟨U+202E⟩<b>\nx…` {
		t.Errorf("plain: %q", got)
	}
}

func FuzzInert(f *testing.F) {
	f.Add(evil)
	f.Add("\xf0\x9f\x91\xa9\u200d\U0001f4bb")
	f.Fuzz(func(t *testing.T, s string) {
		html := string(inert(s, 50, true))
		for _, tag := range []string{`<bdi dir="ltr">`, `</bdi>`, `<span class="esc">`, `<span class="cut">`, `</span>`} {
			html = strings.ReplaceAll(html, tag, "")
		}
		if strings.ContainsAny(html, "<>\"'") {
			t.Errorf("%q has markup: %q", s, html)
		}
		for _, text := range []string{html, plain(s, 50)} {
			if !utf8.ValidString(text) {
				t.Errorf("%q is not UTF-8", text)
			}
			for _, r := range text {
				if hidden(r) && r != '\n' {
					t.Errorf("%q: %U got through", s, r)
				}
			}
		}
		if strings.Contains(plain(s, 50), "\n") {
			t.Errorf("%q: a line break got through", s)
		}
	})
}

func TestUnknownIsNeverAGoodState(t *testing.T) {
	now := time.Now()
	fresh := endpoint.IsolationStatus{Desired: endpoint.Isolated, Observed: endpoint.Isolated, ReceivedAt: now.Add(-time.Second), WayHome: true, Capable: true}
	with := func(change func(e *endpoint.Endpoint)) isolationView {
		e := endpoint.Endpoint{ID: "end_x", Online: true, Isolation: fresh}
		change(&e)
		return viewIsolation(e, now)
	}
	for name, c := range map[string]struct {
		got        isolationView
		state, why string
		notes      []string
	}{
		"as measured":   {with(func(*endpoint.Endpoint) {}), "isolated", "", nil},
		"never":         {with(func(e *endpoint.Endpoint) { e.Isolation = endpoint.IsolationStatus{} }), "unknown", "never", nil},
		"old":           {with(func(e *endpoint.Endpoint) { e.Isolation.ReceivedAt = now.Add(-endpoint.StaleAfter - 1) }), "unknown", "stale", nil},
		"future":        {with(func(e *endpoint.Endpoint) { e.Isolation.ReceivedAt = now.Add(24 * time.Hour) }), "unknown", "stale", nil},
		"revoked":       {with(func(e *endpoint.Endpoint) { e.RevokedAt = now }), "unknown", "revoked", nil},
		"not said":      {with(func(e *endpoint.Endpoint) { e.Isolation.Observed = "" }), "unknown", "unclear", nil},
		"odd":           {with(func(e *endpoint.Endpoint) { e.Isolation.Observed = "perfect" }), "unknown", "unclear", nil},
		"no way home":   {with(func(e *endpoint.Endpoint) { e.Isolation.WayHome = false }), "isolated", "", []string{"no_way_home"}},
		"not as wished": {with(func(e *endpoint.Endpoint) { e.Isolation.Observed = endpoint.Released }), "released", "", []string{"not_as_ordered"}},
		"incapable":     {with(func(e *endpoint.Endpoint) { e.Isolation.Capable = false }), "isolated", "", []string{"incapable"}},
	} {
		if c.got.State != c.state || c.got.Ahead != (name == "future") || c.got.Why != c.why || !slices.Equal(c.got.Notes, c.notes) {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
}

func TestProgressClaimsNothingThatWasNotRecorded(t *testing.T) {
	now := time.Now()
	states := func(c dispatch.Command, e endpoint.Endpoint, a ...evidence.Acquisition) string {
		var b strings.Builder
		for _, s := range viewProgress(c, viewEndpoint(e, now), a).Steps {
			fmt.Fprintf(&b, "%s=%s ", s.Key, s.State)
		}
		return strings.TrimSpace(b.String())
	}
	online := endpoint.Endpoint{ID: "end_x", Online: true}
	away := endpoint.Endpoint{ID: "end_x", LastSeenAt: now}
	cut := online
	cut.Isolation = endpoint.IsolationStatus{Observed: endpoint.Isolated, Desired: endpoint.Isolated, ReceivedAt: now, CommandID: "cmd_1", WayHome: false}
	before := cut
	before.Isolation.CommandID = "cmd_0" // it was cut by an earlier command
	c := dispatch.Command{ID: "cmd_1", Verb: dispatch.Isolate, Status: dispatch.Queued}
	accepted, failed, done := c, c, c
	accepted.Status, failed.Status, done.Status = dispatch.Accepted, dispatch.Failed, dispatch.Done
	underWay := done
	underWay.AcquisitionID = "acq_1"
	acq := evidence.Acquisition{ID: "acq_1", CommandID: "cmd_1"}
	for _, tc := range []struct{ name, got, want string }{
		{"away", states(c, away), "ordered=done accepted=queued captured=waiting cut=waiting read_back=waiting way_home=waiting received=waiting"},
		{"online", states(c, online), "ordered=done accepted=active captured=waiting cut=waiting read_back=waiting way_home=waiting received=waiting"},
		{"accepted", states(accepted, online), "ordered=done accepted=done captured=active cut=waiting read_back=waiting way_home=waiting received=waiting"},
		{"cut by another", states(accepted, before), "ordered=done accepted=done captured=active cut=waiting read_back=waiting way_home=waiting received=waiting"},
		{"cut", states(accepted, cut), "ordered=done accepted=done captured=done cut=done read_back=done way_home=active received=waiting"},
		{"failed", states(failed, online), "ordered=done accepted=done captured=failed cut=unknown read_back=unknown way_home=unknown received=unknown"},
		{"done without evidence", states(done, online), "ordered=done accepted=done captured=unknown cut=done read_back=done way_home=done received=unknown"},
		{"done, evidence under way", states(underWay, online), "ordered=done accepted=done captured=done cut=done read_back=done way_home=done received=active"},
		{"done", states(done, online, acq), "ordered=done accepted=done captured=done cut=done read_back=done way_home=done received=done"},
		{"released", states(dispatch.Command{ID: "cmd_1", Verb: dispatch.Release, Status: dispatch.Done}, online), "ordered=done accepted=done opened=done read_back_open=done"},
		{"acquired", states(dispatch.Command{ID: "cmd_1", Verb: dispatch.Acquire, Status: dispatch.Done}, online, acq), "ordered=done accepted=done captured=done received=done"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, tc.got, tc.want)
		}
	}
}

func TestTreeHoldsEveryProcessOnce(t *testing.T) {
	deep := []record.Process{{PID: 1, StartTicks: 1}}
	for i := 2; i <= 200; i++ {
		deep = append(deep, record.Process{PID: i, PPID: i - 1, StartTicks: uint64(i)})
	}
	for name, c := range map[string]struct {
		in   []record.Process
		want string
	}{
		"family":         {[]record.Process{{PID: 3, PPID: 1, StartTicks: 9}, {PID: 1, StartTicks: 1}, {PID: 2, PPID: 1, StartTicks: 5}, {PID: 4, PPID: 2, StartTicks: 6}}, "1:0 2:1 4:2 3:1"},
		"own parent":     {[]record.Process{{PID: 7, PPID: 7}}, "7:0"},
		"circle":         {[]record.Process{{PID: 1, PPID: 2}, {PID: 2, PPID: 1}}, "1:0 2:1"},
		"younger parent": {[]record.Process{{PID: 1, StartTicks: 50}, {PID: 2, PPID: 1, StartTicks: 3}}, "2:0 1:0"},
		"repeated PID":   {[]record.Process{{PID: 1}, {PID: 1}, {PID: 2, PPID: 1}}, "1:0 2:1 1:0"},
		"nothing":        {nil, ""},
	} {
		var got []string
		for _, r := range growTree(c.in) {
			got = append(got, fmt.Sprintf("%d:%d", r.PID, r.Depth))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
	rows := growTree(deep)
	if last := rows[len(rows)-1]; len(rows) != 200 || last.Depth != maxIndent || !last.Deep {
		t.Errorf("%d rows, the last %+v", len(rows), last)
	}
}

func TestQuery(t *testing.T) {
	q := readQuery(url.Values{"q": {" 見 x\xff "}, "sort": {"drop table"}, "dir": {"desc"}, "show": {"x"}, "page": {"-3"}}, []string{"pid", "name"}, []string{"all"})
	if q != (query{Q: "見 x", Sort: "pid", Show: "all", Page: 1}) {
		t.Errorf("%+v", q)
	}
	q = readQuery(url.Values{"q": {`a&b="`}, "sort": {"name"}}, []string{"pid", "name"}, []string{"all"})
	if got := q.SortURL("name"); got != "?dir=desc&q=a%26b%3D%22&show=all&sort=name" {
		t.Error(got)
	}
	rows := make([]int, 250)
	for i := range rows {
		rows[i] = i
	}
	for page, want := range map[int]string{1: "1–100 0", 3: "201–250 200", 99: "201–250 200"} {
		p := turn(rows, page)
		if got := fmt.Sprintf("%d–%d %d", p.First, p.Last, p.Rows[0]); got != want {
			t.Errorf("page %d: %s, want %s", page, got, want)
		}
	}
	if p := turn([]int{}, 1); p.Total != 0 || p.First != 0 || p.Last != 0 || p.Pages != 1 {
		t.Errorf("%+v", p)
	}
}

func TestSockets(t *testing.T) {
	for _, c := range []struct {
		s             record.Socket
		class, remote string
	}{
		{record.Socket{Family: "inet", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: "203.0.113.5", RemotePort: 443}, "outside", "203.0.113.5:443"},
		{record.Socket{Family: "inet6", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: "2001:db8::1", RemotePort: 443}, "outside", "[2001:db8::1]:443"},
		{record.Socket{Family: "inet6", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: "::ffff:127.0.0.1", RemotePort: 1}, "inside", "[::ffff:127.0.0.1]:1"},
		{record.Socket{Family: "inet", Proto: "tcp", State: "LISTEN"}, "listening", ""},
		{record.Socket{Family: "inet", Proto: "udp", State: "CLOSE", LocalPort: 53}, "listening", ""},
		{record.Socket{Family: "unix", Proto: "unix", Path: "@x"}, "unix", ""},
		{record.Socket{Family: "inet", Proto: "tcp", State: "ESTABLISHED", RemoteAddr: "not an address", RemotePort: 1}, "outside", "not an address:1"},
	} {
		row := socketRow{&c.s}
		if row.Class() != c.class || row.Remote() != c.remote {
			t.Errorf("%+v: %s %s", c.s, row.Class(), row.Remote())
		}
	}
}

func TestFormats(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 30, 5, 123, time.UTC)
	if got := string(timeTag(at)); got != `<time datetime="2026-11-22T10:30:05.000000123Z" title="2026-11-22T10:30:05.000000123Z">2026-11-22 19:30:05 JST</time>` {
		t.Error(got)
	}
	if timeTag(time.Time{}) != "" || clock(time.Time{}) != "" {
		t.Error("the zero time is shown")
	}
	c, err := i18n.Load(sub("translations"))
	must(t, err)
	p := c.Printer(i18n.Japanese)
	for d, want := range map[time.Duration]string{0: "たった今", -time.Hour: "たった今", 59 * time.Second: "59秒前", 119 * time.Second: "119秒前", 3 * time.Minute: "3分前", 25 * time.Hour: "25時間前", 72 * time.Hour: "3日前"} {
		if got := ago(p, at, at.Add(-d)); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB", 9_000_000_000: "9.0 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestTemplatesMustBeDeclared(t *testing.T) {
	c, err := i18n.Load(sub("translations"))
	must(t, err)
	a, err := loadAssets(sub("static"))
	must(t, err)
	if _, err := loadPages(fstest.MapFS{"part_a.html": {Data: []byte("{{define \"page\"}}{{end}}")}, "stray.html": {Data: []byte("x")}}, c, a); err == nil {
		t.Error("a template that is not declared was accepted")
	}
	if _, err := loadAssets(fstest.MapFS{"x.exe": {Data: []byte("x")}}); err == nil {
		t.Error("a file of unknown type would be served")
	}
}

// TestColoursHaveContrast computes what WCAG 2.2, 1.4.3 asks for (4.5 to 1) in both
// schemes, from the style sheet itself.
func TestColoursHaveContrast(t *testing.T) {
	css, err := files.ReadFile("static/base.css")
	must(t, err)
	light, dark, ok := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no dark scheme")
	}
	tokens := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	for scheme, part := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]string{}
		for _, m := range tokens.FindAllStringSubmatch(part, -1) {
			colour[m[1]] = m[2]
		}
		for _, pair := range []string{"text bg", "text surface", "text raised", "muted bg", "muted surface", "muted raised", "link bg", "link surface", "link raised",
			"accent-text accent", "danger danger-bg", "danger surface", "ok ok-bg", "ok surface", "ok bg", "warn warn-bg", "warn surface", "iso iso-bg", "iso surface",
			"unknown unknown-bg", "plain plain-bg"} {
			fg, bg, _ := strings.Cut(pair, " ")
			a, b := luminance(t, colour[fg]), luminance(t, colour[bg])
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", scheme, fg, bg, ratio)
			}
		}
	}
}

// luminance is the relative luminance of a colour "#rrggbb" (WCAG 2.2).
func luminance(t *testing.T, s string) float64 {
	t.Helper()
	var rgb [3]int
	if _, err := fmt.Sscanf(s, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// BenchmarkProcessTable renders a page of a table of 5,000 processes.
func BenchmarkProcessTable(b *testing.B) {
	x := newSite(b)
	p := x.enrol(endpoint.Description{Hostname: "pc", OS: "linux"})
	inc := p.alert("x", "y")
	p.send(nil, captured(5000, x.now()))
	_ = inc
	acquisitions, err := x.EndpointAcquisitions(b.Context(), x.owner, p.ID)
	must(b, err)
	items, err := x.Evidence(b.Context(), x.owner, acquisitions[0].IncidentID)
	must(b, err)
	id := ""
	for _, it := range items {
		if it.Kind == "process" {
			id = it.ID
		}
	}
	w := x.as("owner", "ja")
	if !bytes.Contains([]byte(w.get("/evidence/"+id).want(b, 200).body), []byte("5,000")) {
		b.Fatal("not 5,000 rows")
	}
	for b.Loop() {
		w.get("/evidence/"+id+"?q=chrome&sort=command&dir=desc").want(b, 200)
	}
}
