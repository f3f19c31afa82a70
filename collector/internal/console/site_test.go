package console

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	sealing "hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/transfer"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/buildinfo"
	"hozen/internal/digest"
	"hozen/internal/i18n"
	"hozen/internal/id"
	"hozen/internal/pki"
	"hozen/internal/releasecode"
)

// site is a whole collector behind a console, with the real acts on SQLite.
type site struct {
	*act.Acts
	t        testing.TB
	server   *httptest.Server
	handler  http.Handler
	hub      *act.Hub
	db       *sqldb.DB
	blobs    *fsblob.Store
	dir      string
	intake   *evidence.Intake
	sessions scs.Store
	owner    act.Actor
	log      *bytes.Buffer
	offset   atomic.Int64 // nanoseconds that the clock is ahead of the real one
}

const password = "correct horse battery"

func (x *site) now() time.Time { return time.Now().Add(time.Duration(x.offset.Load())) }

func (x *site) advance(d time.Duration) { x.offset.Add(int64(d)) }

func newSite(t testing.TB) *site {
	t.Helper()
	x := &site{t: t, hub: act.NewHub(), dir: t.TempDir(), log: &bytes.Buffer{}}
	db := sqldbtest.Open(t)
	x.db = db
	ca, err := pki.NewCA("test", x.now())
	must(t, err)
	x.blobs, err = fsblob.Open(filepath.Join(x.dir, "blobs"))
	must(t, err)
	recovery := releasecode.NewKey()
	secrets, err := sealing.NewKey(make([]byte, 32))
	must(t, err)
	texts, err := Texts()
	must(t, err)
	x.Acts, err = act.New(act.Config{Secrets: &secrets, DB: db, Say: func(l i18n.Language, e incident.Entry, names map[string]string) string {
		return Told(texts.Printer(l), e, names)
	}, CA: ca, Recovery: &recovery, Lookup: lookup, OwnAddr: func(a netip.Addr) bool { return a == collectorAddr }, Hub: x.hub, Blobs: x.blobs, Addresses: []string{"192.0.2.10:7443"},
		PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1}, Now: x.now})
	must(t, err)
	arriving, err := transfer.Open(transfer.Config{Dir: filepath.Join(x.dir, "uploads")})
	must(t, err)
	x.UseUploads(arriving)
	key, err := pki.NewKey()
	must(t, err)
	der, _, err := ca.IssueCollector([]string{"collector.test"}, nil, key.Public(), x.now())
	must(t, err)
	x.intake, err = evidence.OpenIntake(evidence.Config{
		DB: db, Blobs: x.blobs, Incoming: filepath.Join(x.dir, "incoming"), Verifier: x.Acts, Tie: x.Tie, OnAccepted: x.OnAccepted, OnRefused: x.OnRefused,
		Signer: key, Certificate: der, CollectorName: "保全テスト", CASHA256: digest.Of(ca.Certificate().Raw).String(), MinFree: 1, Now: x.now,
	})
	must(t, err)
	x.UseKits(act.Kits{Intake: x.intake, Name: "保全テスト", Dir: t.TempDir(), Certificate: func() ([]byte, crypto.Signer, error) { return der, key, nil }})
	o, once, err := x.Found(t.Context(), "テスト商事", act.NewOperator{Name: "owner", DisplayName: "社長 田中"})
	must(t, err)
	x.owner = x.welcome(o, once)
	x.sessions = x.SessionStore()
	x.handler, err = New(Config{Acts: x.Acts, Sessions: x.sessions, Log: slog.New(slog.NewTextHandler(io.MultiWriter(x.log, t.Output()), nil)),
		Version: buildinfo.Info{Version: "0.1.0", Commit: "abc1234", Go: "go1.26", OS: "linux", Arch: "amd64"}, Packages: filepath.Join(x.dir, "packages"), Now: x.now, Certificate: ca.Certificate})
	must(t, err)
	x.server = httptest.NewUnstartedServer(x.handler)
	Harden(x.server.Config)
	x.server.Start()
	t.Cleanup(x.server.Close)
	return x
}

// collectorAddr is where the collector itself runs, as an endpoint would.
var collectorAddr = netip.MustParseAddr("192.0.2.10")

// lookup knows one name.
func lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if host != "bank.example.jp" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8::5")}, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (x *site) welcome(o operator.Operator, once string) act.Actor {
	x.t.Helper()
	a := act.Actor{Kind: act.ByOperator, ID: o.ID}
	must(x.t, x.ChangePassword(x.t.Context(), a, once, password))
	return a
}

// person adds an operator who has a password.
func (x *site) person(name, display string, r operator.Role) act.Actor {
	x.t.Helper()
	o, once, err := x.AddOperator(x.t.Context(), x.owner, act.NewOperator{Name: name, DisplayName: display, Role: r})
	must(x.t, err)
	a := x.welcome(o, once)
	// Known for long: what was handed over today is a test of its own.
	must(x.t, x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		return operator.Handed(ctx, tx, o.ID, "", x.now())
	}))
	return a
}

// pc is an enrolled endpoint with its key.
type pc struct {
	evidencetest.Endpoint
	x      *site
	host   endpoint.Description
	addr   string // that it connects from
	cancel func()
}

// enrol makes an endpoint that is connected and has told that it is not isolated.
func (x *site) enrol(d endpoint.Description) *pc {
	x.t.Helper()
	ctx := x.t.Context()
	m, err := x.MintToken(ctx, x.owner, act.NewToken{Auto: true})
	must(x.t, err)
	tok, err := pki.ParseToken(m.Text)
	must(x.t, err)
	key, err := pki.NewKey()
	must(x.t, err)
	r, err := x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: csr(x.t, key), Host: d, RemoteAddr: "192.0.2.77"})
	must(x.t, err)
	p := &pc{Endpoint: evidencetest.Endpoint{ID: r.EndpointID, Key: key, Certificate: r.Certificate}, x: x, host: d, addr: "192.0.2.77"}
	p.connect()
	p.measured(endpoint.Released, "")
	return p
}

func csr(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := pki.NewCSR(key)
	must(t, err)
	return b
}

func (p *pc) connect() {
	p.x.t.Helper()
	_, _, p.cancel = p.x.hub.SubscribeEndpoint(p.ID)
	p.host.AgentTime = p.x.now()
	must(p.x.t, p.x.EndpointConnected(p.x.t.Context(), p.ID, p.host, p.addr))
}

func (p *pc) disconnect() {
	p.x.t.Helper()
	p.cancel()
	must(p.x.t, p.x.EndpointDisconnected(p.x.t.Context(), p.ID))
}

func (p *pc) status(s endpoint.State, commandID string) endpoint.IsolationStatus {
	return endpoint.IsolationStatus{Desired: s, Observed: s, MeasuredAt: p.x.now(), WayHome: s == endpoint.Isolated, Capable: true, CommandID: commandID,
		DroppedPackets: 1284, RulesDigest: strings.Repeat("ab12", 16)}
}

func (p *pc) measured(s endpoint.State, commandID string) {
	p.x.t.Helper()
	must(p.x.t, p.x.EndpointSeen(p.x.t.Context(), p.ID, p.status(s, commandID)))
}

// finish ends a command as done, in the state that it measured.
func (p *pc) finish(c dispatch.Command, s endpoint.State, acquisitionID string) {
	p.x.t.Helper()
	st := p.status(s, c.ID)
	must(p.x.t, p.x.CommandAcked(p.x.t.Context(), p.ID, c.ID))
	must(p.x.t, p.x.CommandFinished(p.x.t.Context(), p.ID, dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: p.x.now(), AcquisitionID: acquisitionID}, &st))
}

// send seals and uploads an acquisition of these artifacts.
func (p *pc) send(change func(m *artifact.Manifest), lines map[artifact.Kind][]string) string {
	p.x.t.Helper()
	a := p.Acquisition(p.x.t, 0)
	at := artifact.Instant{Wall: p.x.now().Add(-2 * time.Second).UTC(), BootNS: 1}
	a.Manifest.StartedAt, a.Manifest.FinishedAt, a.Manifest.CommandID, a.Manifest.Probes = at, at, "", nil
	for _, k := range []artifact.Kind{artifact.KindProcess, artifact.KindNetConn, artifact.KindOpenFile, artifact.KindExeHash, artifact.KindSession, artifact.KindHostInfo, artifact.KindClock,
		artifact.KindFlight, artifact.KindShutdown, artifact.KindBoot, artifact.KindPreserve, artifact.KindIsolation, artifact.KindSevered,
		artifact.KindProcState, artifact.KindProcMap, artifact.KindProcEnv, artifact.KindDeletedExe, artifact.KindFileLock, artifact.KindCrossView, artifact.KindFootprint, artifact.KindLogin, artifact.KindBPF, artifact.KindSysctl, artifact.KindUSB, artifact.KindKeyring, artifact.KindAutostart, artifact.KindShared, artifact.KindNetfilter, artifact.KindConntrack, artifact.KindKmod, artifact.KindStorage,
		artifact.KindNamespace, artifact.KindDNSCache, artifact.KindSecurity, artifact.KindKernLog} {
		if l := lines[k]; l != nil {
			a.Add(p.x.t, k, []byte(strings.Join(l, "\n")+"\n"), int64(len(l)))
		}
	}
	if change != nil {
		change(&a.Manifest)
	}
	p.Sign(p.x.t, a)
	if _, err := evidencetest.Send(p.x.t.Context(), p.x.intake, p.ID, a); err != nil {
		p.x.t.Fatal(err)
	}
	return a.Manifest.AcquisitionID
}

func (p *pc) alert(message, reporter string) string {
	p.x.t.Helper()
	inc, err := p.x.ReportTrouble(p.x.t.Context(), p.ID, act.AlertCall{AlertID: id.New(id.Alert), Message: message, Reporter: reporter, ReportedAt: p.x.now()})
	must(p.x.t, err)
	return inc.ID
}

// evil is a text that tries everything that the pages must survive.
const evil = "\u202egpj.exe\u202c <script>alert(1)</script> \"'><img src=x onerror=alert(2)> \x00\x1b[2J\u200b{{.}} ${7*7}"

func line(r interface{ AppendJSON([]byte) []byte }) string { return string(r.AppendJSON(nil)) }

// captured makes the artifacts of a PC with n processes and 2n sockets.
func captured(n int, now time.Time) map[artifact.Kind][]string {
	boot := now.Add(-30 * time.Hour)
	var ps, ss, fs []string
	names := []string{"bash", "sshd", "cupsd", "chrome", "python3", "systemd-journal", "NetworkManager", "soffice.bin", "gnome-shell", "postgres"}
	for i := 1; i <= n; i++ {
		name := names[i%len(names)]
		p := record.Process{PID: i, PPID: max(i/7, 1), StartTicks: uint64(i * 100), BootID: "b", Comm: name, State: "S", Threads: 1 + i%5, RSSBytes: int64(i) * 40960,
			StartedAt: boot.Add(time.Duration(i) * time.Second), Args: []string{"/usr/bin/" + name, "--flag", fmt.Sprintf("value %d", i)}, Exe: "/usr/bin/" + name,
			Cwd: "/", User: "root", Group: "root"}
		if i%3 == 0 {
			p.UID, p.EUID, p.User, p.EUser = 1000, 1000, "keiri", "keiri"
		}
		switch i {
		case 1:
			p.PPID, p.Comm, p.Args, p.Exe = 0, "systemd", []string{"/sbin/init"}, "/usr/lib/systemd/systemd"
		case 2:
			p.PPID, p.Comm, p.Args, p.Exe, p.KernelOnly = 0, "kthreadd", nil, "", true
		case 42:
			p.Comm, p.Args, p.Exe, p.ExeMemFD, p.UID = "\u202egpj.exe", []string{"/memfd:x", evil, ""}, "/memfd:x", true, 1000
		case 43:
			p.Comm, p.Exe, p.ExeDeleted = "kworker/u9", "/tmp/.X11-unix/kworker", true
			p.Args = []string{"/tmp/.X11-unix/kworker", "-o", "pool.example.net:3333"}
		case 44:
			p.PPID = 44 // its own parent
		}
		ps = append(ps, line(&p))
		fs = append(fs, line(&record.OpenFiles{PID: i, StartTicks: p.StartTicks, Comm: p.Comm, FDs: []record.FD{{FD: 0, Target: "/dev/null"}, {FD: 3, Target: fmt.Sprintf("socket:[%d]", i)}, {FD: 4, Target: "/home/keiri/" + fmt.Sprint(i) + ".xlsx"}}}))
		owner := []record.Owner{{PID: i, StartTicks: p.StartTicks, Comm: p.Comm, FD: 3}}
		ss = append(ss, line(&record.Socket{NetNS: 1, Family: "unix", Proto: "unix", Type: "stream", State: "ESTABLISHED", Path: "/run/systemd/journal/stdout", Inode: uint64(i), Owners: owner}))
		switch i % 3 {
		case 0:
			ss = append(ss, line(&record.Socket{NetNS: 1, Family: "inet", Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.168.10.23", LocalPort: uint16(40000 + i), RemoteAddr: fmt.Sprintf("203.0.113.%d", i%250+1), RemotePort: 443, Inode: uint64(10000 + i), UID: 1000, User: "keiri", Owners: owner}))
		case 1:
			ss = append(ss, line(&record.Socket{NetNS: 1, Family: "inet6", Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: uint16(1024 + i), Inode: uint64(10000 + i), User: "root", Owners: owner}))
		default:
			ss = append(ss, line(&record.Socket{NetNS: 1, Family: "inet", Proto: "tcp", State: "ESTABLISHED", LocalAddr: "127.0.0.1", LocalPort: uint16(20000 + i), RemoteAddr: "127.0.0.1", RemotePort: 5432, Inode: uint64(10000 + i), User: "root", Owners: owner}))
		}
	}
	return map[artifact.Kind][]string{
		artifact.KindProcess: ps, artifact.KindNetConn: ss, artifact.KindOpenFile: fs,
		artifact.KindExeHash: {line(&record.ExeHash{Path: "/memfd:x", MemFD: true, Size: 912_384, SHA256: strings.Repeat("9f86d081", 8), Processes: []record.ProcRef{{PID: 42, StartTicks: 4200}}}),
			line(&record.ExeHash{Path: "/usr/bin/bash", Size: 1_234_376, SHA256: strings.Repeat("e3b0c442", 8)})},
		artifact.KindSession: {line(&record.Session{Source: "logind", ID: "2", User: "keiri", UID: 1000, TTY: "tty2", Type: "wayland", State: "active", Since: now.Add(-3 * time.Hour)}),
			line(&record.Session{Source: "utmp", Kind: "user", User: evil, UID: -1, TTY: "pts/0", Remote: true, RemoteHost: "198.51.100.7", Since: now.Add(-20 * time.Minute)})},
		artifact.KindHostInfo: {line(&record.HostInfo{Hostname: "keiri-pc01", OS: "linux", Platform: "debian", PlatformVersion: "12.11", KernelVersion: "6.1.0-37-amd64", MemTotal: 8 << 30, CPULogical: 4})},
		artifact.KindClock:    {line(&record.Clock{Wall: now.UTC(), Zone: "Asia/Tokyo", ZoneAbbrev: "JST", UTCOffset: 32400})},
	}
}

// browser is a client with cookies, as a person uses it.
type browser struct {
	t      testing.TB
	base   string
	client *http.Client
	lang   string
}

func (x *site) browser(lang string) *browser {
	x.t.Helper()
	jar, err := cookiejar.New(nil)
	must(x.t, err)
	return &browser{t: x.t, base: x.server.URL, lang: lang, client: &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is a browser in which name is signed in.
func (x *site) as(name, lang string) *browser {
	x.t.Helper()
	b := x.browser(lang)
	if r := b.post("/sign-in", url.Values{"name": {name}, "password": {password}}); r.code != http.StatusSeeOther || r.header.Get("Location") != "/" {
		x.t.Fatalf("sign in as %s: %d to %q\n%s", name, r.code, r.header.Get("Location"), r.body)
	}
	return b
}

type reply struct {
	code   int
	header http.Header
	body   string
}

func (b *browser) get(path string) reply { return b.do(http.MethodGet, path, nil, nil) }

func (b *browser) post(path string, form url.Values) reply {
	return b.do(http.MethodPost, path, strings.NewReader(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}})
}

func (b *browser) do(method, path string, body io.Reader, header http.Header) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	must(b.t, err)
	req.Header.Set("Accept-Language", b.lang)
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := b.client.Do(req)
	must(b.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	return reply{res.StatusCode, res.Header, string(text)}
}

// want fails the test unless the page has the status and every text.
func (r reply) want(t testing.TB, code int, texts ...string) reply {
	t.Helper()
	if r.code != code {
		t.Fatalf("got %d, want %d\n%.3000s", r.code, code, r.body)
	}
	// A sentence with somebody's words in it has marks at both ends of them.
	same := strings.NewReplacer(`<bdi dir="ltr">`, "", "</bdi>", "", "&#43;", "+")
	bare := same.Replace(r.body)
	for _, s := range texts {
		if !strings.Contains(r.body, s) && !strings.Contains(bare, same.Replace(s)) {
			t.Errorf("%q is not on the page:\n%.6000s", s, r.body)
		}
	}
	return r
}
