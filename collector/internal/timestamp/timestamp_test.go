package timestamp_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/collector/internal/timestamp"
	"hozen/internal/id"
)

// rig is a signed ledger beside an authority.
type rig struct {
	*authority
	t       *testing.T
	db      *sqldb.DB
	dir     string
	org     string
	log     *checkpoint.Log
	stamper *timestamp.Stamper
	clock   time.Time
}

func run(t *testing.T, fn func(x *rig)) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := &rig{authority: newAuthority(t), t: t, db: db, dir: t.TempDir(), org: id.New(id.Organisation), clock: time.Now().UTC().Truncate(time.Second)}
		var err error
		if x.log, err = checkpoint.Open(t.Context(), checkpoint.Config{DB: db, KeyFile: filepath.Join(x.dir, "key.pem"), Dir: filepath.Join(x.dir, "ledger"),
			Name: "hozen-custody/0123456789abcdef"}); err != nil {
			t.Fatal(err)
		}
		x.restart()
		fn(x)
	})
}

func (x *rig) now() time.Time { return x.clock }

func (x *rig) restart() {
	x.t.Helper()
	var err error
	if x.stamper, err = timestamp.New(timestamp.Config{DB: x.db, Authority: x.client(nil), Signer: x.log, Dir: filepath.Join(x.dir, "ledger"), Now: x.now}); err != nil {
		x.t.Fatal(err)
	}
}

// add appends entries and signs.
func (x *rig) add(n int) checkpoint.Signed {
	x.t.Helper()
	var size int64
	if err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for i := range n {
			idx, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: x.org, At: x.clock, ActorKind: "system", Act: "incident.note", Subject: fmt.Sprint(i)})
			if err != nil {
				return err
			}
			size = idx + 1
		}
		return nil
	}); err != nil {
		x.t.Fatal(err)
	}
	s, err := x.log.Sign(x.t.Context(), x.org, size)
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// sign signs what is there.
func (x *rig) sign() checkpoint.Signed {
	x.t.Helper()
	h, err := ledger.HeadOf(x.t.Context(), x.db.Read(), x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	s, err := x.log.Sign(x.t.Context(), x.org, h.Size)
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

func (x *rig) stamp(s checkpoint.Signed) timestamp.Token {
	x.t.Helper()
	tok, err := x.stamper.Stamp(x.t.Context(), x.org, s, timestamp.By{Kind: "operator", ID: "opr_1", Name: "花子"}, timestamp.OnDemand)
	if err != nil {
		x.t.Fatal(err)
	}
	return tok
}

func (x *rig) round() {
	x.t.Helper()
	if err := timestamp.Round(x.t.Context(), x.stamper); err != nil {
		x.t.Fatal(err)
	}
}

// TestOpensslAccepts: what is kept is what the stock tool takes, and no other data.
func TestOpensslAccepts(t *testing.T) {
	run(t, func(x *rig) {
		s := x.add(3)
		tok := x.stamp(s)
		if tok.Note != s.Note || tok.Policy != policy || tok.Size != s.Size || tok.Accuracy != 1500*time.Millisecond || tok.Serial == "" {
			t.Errorf("%+v", tok)
		}
		if d := time.Since(tok.At); d < -time.Minute || d > time.Minute {
			t.Errorf("stamped %v ago", d)
		}
		base := filepath.Join(x.dir, "ledger", x.org)
		verify := func(data string) ([]byte, error) {
			return x.openssl(t.Context(), "ts", "-verify", "-in", base+timestamp.TokenFile, "-data", data, "-CAfile", base+timestamp.ChainFile)
		}
		if out, err := verify(base + timestamp.NoteFile); err != nil {
			t.Errorf("openssl ts -verify: %v\n%s", err, out)
		}
		other := x.file("other.txt", []byte(strings.Replace(s.Note, "\n", "\n1", 1)))
		if out, err := verify(other); err == nil || !bytes.Contains(out, []byte("mismatch")) {
			t.Errorf("openssl took other data: %v\n%s", err, out)
		}
		again := x.stamp(s)
		if again.SHA256 != tok.SHA256 || x.times() != 1 {
			t.Errorf("asked %d times for one checkpoint", x.times())
		}
		list, err := ledger.Entries(t.Context(), x.db.Read(), ledger.Filter{OrganisationID: x.org, Limit: 1})
		if err != nil || len(list) != 1 || list[0].Act != timestamp.ActStamped || list[0].Index != tok.LedgerIdx || list[0].ActorName != "花子" ||
			list[0].Details["token_sha256"] != tok.SHA256 || list[0].Details["note_sha256"] != tok.NoteSHA256 {
			t.Errorf("the ledger says %+v, %v", list, err)
		}
		rows, err := timestamp.List(t.Context(), x.db.Read(), x.org, 0, 10)
		if err != nil || len(rows) != 1 || !bytes.Equal(rows[0].Response, tok.Response) || !rows[0].At.Equal(tok.At) || rows[0].ChainPEM != tok.ChainPEM {
			t.Errorf("kept: %+v, %v", rows, err)
		}
	})
}

// TestByTheClock: once an hour while entries come, and its own entry is no reason.
func TestByTheClock(t *testing.T) {
	run(t, func(x *rig) {
		x.round()
		if x.times() != 0 {
			t.Fatal("stamped nothing")
		}
		x.add(2)
		x.round()
		for range 3 {
			x.clock = x.clock.Add(40 * time.Minute)
			x.sign() // its own entry
			x.round()
		}
		if n := x.times(); n != 1 {
			t.Errorf("asked %d times without news", n)
		}
		x.add(1)
		x.round()
		x.add(1)
		x.round() // too soon
		if n := x.times(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
		x.restart()
		x.round()
		if n := x.times(); n != 2 {
			t.Errorf("asked again after a restart: %d", n)
		}
		x.clock = x.clock.Add(61 * time.Minute)
		x.round()
		if n := x.times(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
	})
}

// TestAuthorityFails: nothing waits, it is asked less and less often, and told.
func TestAuthorityFails(t *testing.T) {
	run(t, func(x *rig) {
		x.instead(func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "closed", http.StatusServiceUnavailable)
			return true
		})
		s := x.add(2)
		if _, err := x.stamper.Stamp(t.Context(), x.org, s, timestamp.By{Kind: "system"}, timestamp.ForExport); !errors.Is(err, timestamp.ErrAuthority) {
			t.Errorf("%v", err)
		}
		since := x.clock
		if _, err := x.stamper.TryStamp(t.Context(), x.org, s, timestamp.By{Kind: "system"}, timestamp.ForExport); !errors.Is(err, timestamp.ErrAuthority) || x.times() != 1 {
			t.Errorf("asked %d times, %v", x.times(), err)
		}
		for range 60 { // an hour, minute by minute
			x.round()
			x.clock = x.clock.Add(time.Minute)
		}
		if n := x.times(); n != 6 { // at 0, 1, 3, 7, 15 and 31 minutes
			t.Errorf("asked %d times in an hour", n)
		}
		st, err := x.stamper.Status(t.Context())
		if err != nil || !strings.Contains(st.Failing, "503") || !st.Since.Equal(since) || !st.Next.After(x.clock) || !st.Newest.IsZero() {
			t.Errorf("%+v, %v", st, err)
		}
		x.instead(nil)
		x.clock = st.Next
		x.round()
		st, err = x.stamper.Status(t.Context())
		if err != nil || st.Failing != "" || st.Newest.IsZero() || st.Size != s.Size {
			t.Errorf("afterwards: %+v, %v", st, err)
		}
	})
}

// TestAnswersThatAreNone: whatever the authority, or somebody between, sends.
func TestAnswersThatAreNone(t *testing.T) {
	a := newAuthority(t)
	elsewhere := newAuthority(t)
	other, err := a.reply(t.Context(), query(t, a, "other data"))
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := a.reply(t.Context(), query(t, a, "data"))
	if err != nil {
		t.Fatal(err)
	}
	send := func(status int, kind string, b []byte) func(w http.ResponseWriter, _ *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, err := w.Write(b)
			return err == nil || err != nil
		}
	}
	const kind = "application/timestamp-reply"
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"other data":  send(200, kind, other),
		"a replay":    send(200, kind, replayed),
		"nothing":     send(200, kind, nil),
		"a page":      send(200, "text/html", other),
		"no bytes":    send(200, kind, []byte("hello")),
		"too much":    send(200, kind, make([]byte, timestamp.MaxResponse+1)),
		"more behind": send(200, kind, append(bytes.Clone(other), 0)),
		"cut off":     send(200, kind, other[:len(other)-9]),
		"status 500":  send(500, kind, other),
		"a refusal":   send(200, kind, []byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02}),
		"not found":   send(404, kind, nil),
		"a redirection": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.server.URL, http.StatusTemporaryRedirect)
			return true
		},
	} {
		a.instead(answer)
		if _, _, err := timestamp.Ask(t.Context(), a.client(nil), []byte("data")); !errors.Is(err, timestamp.ErrAuthority) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := elsewhere.times(); n != 0 {
		t.Errorf("followed a redirection %d times", n)
	}
	a.instead(nil)
	// An authority that the roots don't reach, though its answer is right.
	roots, err := timestamp.RootsPEM(elsewhere.caPEM)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := timestamp.Ask(t.Context(), a.client(func(c *timestamp.AuthorityConfig) { c.Roots = roots }), []byte("data")); !errors.Is(err, timestamp.ErrAuthority) || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("another CA: %v", err)
	}
	oid, err := timestamp.ParsePolicy("1.2.3.4.5.7")
	if err != nil {
		t.Fatal(err)
	}
	if _, f, err := timestamp.Ask(t.Context(), a.client(func(c *timestamp.AuthorityConfig) { c.Policy = oid }), []byte("data")); err != nil || f.Policy != "1.2.3.4.5.7" {
		t.Errorf("a policy that was asked for: %+v, %v", f, err)
	}
	if oid, err = timestamp.ParsePolicy("1.9.9"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := timestamp.Ask(t.Context(), a.client(func(c *timestamp.AuthorityConfig) { c.Policy = oid }), []byte("data")); !errors.Is(err, timestamp.ErrAuthority) {
		t.Errorf("a policy that the authority has not: %v", err)
	}
}

func query(t *testing.T, a *authority, data string) []byte {
	t.Helper()
	in, out := a.file("data", []byte(data)), filepath.Join(a.dir, "made.tsq")
	if text, err := a.openssl(t.Context(), "ts", "-query", "-data", in, "-sha256", "-cert", "-out", out); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignsIn(t *testing.T) {
	a := newAuthority(t)
	var user, password string
	a.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		user, password, _ = r.BasicAuth()
		return false
	})
	s := httptest.NewTLSServer(a.server.Config.Handler)
	defer s.Close()
	c := a.client(func(c *timestamp.AuthorityConfig) { c.URL, c.User, c.Password = s.URL, "u", "p" })
	timestamp.Trust(c, s.Client())
	if _, _, err := timestamp.Ask(t.Context(), c, []byte("data")); err != nil || user != "u" || password != "p" {
		t.Errorf("%q %q, %v", user, password, err)
	}
	// A password never goes where others can read it.
	if _, err := timestamp.NewAuthority(timestamp.AuthorityConfig{URL: a.server.URL, User: "u", Password: "secret"}); err == nil || !strings.Contains(err.Error(), "https://") || strings.Contains(err.Error(), "secret") {
		t.Errorf("over http: %v", err)
	}
}

// TestAuditNamesTokensThatWereChanged: an operator with the database.
func TestAuditNamesTokensThatWereChanged(t *testing.T) {
	run(t, func(x *rig) {
		tok := x.stamp(x.add(3))
		orgs := []string{x.org}
		findings, kept, err := timestamp.Audit(t.Context(), x.db.Read(), orgs)
		if err != nil || len(findings) != 0 || len(kept) != 1 || kept[0].Note != tok.Note {
			t.Errorf("an honest one: %v, %v, %v", findings, kept, err)
		}
		for _, change := range []string{
			`UPDATE timestamp_tokens SET stamped_at = '2020-01-01T00:00:00.000000000Z'`,
			`UPDATE timestamp_tokens SET note = note || 'x'`,
			`UPDATE timestamp_tokens SET response = 'AAAA'`,
			`UPDATE timestamp_tokens SET chain = ''`,
		} {
			back := errors.New("back")
			err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				if _, err := tx.ExecContext(ctx, change); err != nil {
					return err
				}
				findings, kept, err := timestamp.Audit(ctx, tx, orgs)
				if err != nil || len(findings) != 1 || len(kept) != 0 {
					t.Errorf("%s: %v, %v, %v", change, findings, kept, err)
				}
				return back
			})
			if !errors.Is(err, back) {
				t.Error(err)
			}
		}
	})
}

func TestURLsThatAreAskedOfNobody(t *testing.T) {
	for _, u := range []string{"", "tsa.example", "ftp://tsa.example/", "http://", "https://u:p@tsa.example/", "http://tsa.example/#x", "file:///etc/passwd", "http://[::1", "unix:///x"} {
		if err := timestamp.CheckURL(u); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, p := range []string{"1", "a", "1.2.", "1..2", "-1.2", "1.02", "3.9999999999999999999", "9.9.9"} {
		if oid, err := timestamp.ParsePolicy(p); err == nil {
			t.Errorf("policy %q: %v", p, oid)
		}
	}
}

// FuzzCheck reads answers of foreign bytes.
func FuzzCheck(f *testing.F) {
	a := newAuthority(f)
	response, _, err := timestamp.Ask(f.Context(), a.client(nil), []byte("data"))
	if err != nil {
		f.Fatal(err)
	}
	block, _ := pem.Decode(a.caPEM)
	roots, err := timestamp.RootsPEM(a.caPEM)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(response)
	f.Add(block.Bytes)
	f.Add([]byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02})
	f.Add([]byte{0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := timestamp.Check(t.Context(), b, []byte("data"), roots)
		if err != nil && !errors.Is(err, timestamp.ErrToken) {
			t.Errorf("%v", err)
		}
		if err == nil && (facts.At.IsZero() || len(facts.Chain) == 0) {
			t.Errorf("taken without a time or a signer: %+v", facts)
		}
	})
}
