package cosign_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	parsing "hozen/internal/custody/checkpoint"
	"hozen/internal/id"
)

// witness is a witness as C2SP tlog-witness has it, of one log whose key it knows.
type witness struct {
	t      *testing.T
	key    ed25519.PrivateKey
	pub    parsing.Witness
	log    parsing.Key
	server *httptest.Server

	mu     sync.Mutex
	newest parsing.Checkpoint
	asked  int
	at     time.Time
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newWitness(t *testing.T, name string, seed byte, log parsing.Key) *witness {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	pub, err := parsing.NewWitness(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{t: t, key: key, pub: pub, log: log, at: time.Unix(1_790_000_000, 0).UTC()}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.server.Close)
	return w
}

func (w *witness) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.answer != nil && w.answer(rw, r) {
		return
	}
	status, kind, body := w.add(r)
	rw.Header().Set("Content-Type", kind)
	rw.WriteHeader(status)
	if _, err := io.WriteString(rw, body); err != nil {
		w.t.Logf("answer: %v", err)
	}
}

func (w *witness) add(r *http.Request) (status int, kind, body string) {
	const text = "text/plain; charset=utf-8"
	b, err := io.ReadAll(r.Body)
	head, note, ok := strings.Cut(string(b), "\n\n")
	if err != nil || !ok || r.Method != http.MethodPost || r.URL.Path != "/w/add-checkpoint" {
		return 400, text, "malformed"
	}
	lines := strings.Split(head, "\n")
	var old int64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil {
		return 400, text, "malformed"
	}
	var proof [][]byte
	for _, l := range lines[1:] {
		h, err := base64.StdEncoding.DecodeString(l)
		if err != nil {
			return 400, text, "malformed"
		}
		proof = append(proof, h)
	}
	c, err := parsing.Open(note, w.log)
	switch {
	case err != nil:
		return 403, text, "unknown key"
	case old > c.Size:
		return 400, text, "old is above size"
	case old != w.newest.Size:
		return 409, "text/x.tlog.size", fmt.Sprintf("%d\n", w.newest.Size)
	}
	if w.newest.Size > 0 {
		if err := parsing.CheckConsistency(w.newest, c, proof); err != nil {
			return 422, text, err.Error()
		}
	}
	w.newest = c
	line, err := parsing.Cosign(note, w.pub, w.key, w.at)
	if err != nil {
		return 500, text, err.Error()
	}
	return 200, text, line
}

func (w *witness) instead(fn func(w http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = fn
}

func (w *witness) times() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *witness) config(t *testing.T, withURL bool) cosign.Witness {
	t.Helper()
	text := w.pub.Text()
	if withURL {
		text += " " + w.server.URL + "/w/"
	}
	c, err := cosign.ParseWitness(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type rig struct {
	t     *testing.T
	db    *sqldb.DB
	dir   string
	org   string
	log   *checkpoint.Log
	clock time.Time
}

func run(t *testing.T, fn func(x *rig)) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		x := &rig{t: t, db: db, dir: t.TempDir(), org: id.New(id.Organisation), clock: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
		x.reopen()
		fn(x)
	})
}

func (x *rig) reopen() {
	x.t.Helper()
	var err error
	if x.log, err = checkpoint.Open(x.t.Context(), checkpoint.Config{DB: x.db, KeyFile: filepath.Join(x.dir, "key.pem"), Dir: filepath.Join(x.dir, "ledger"),
		Name: "hozen-custody/0123456789abcdef"}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) cosigner(list ...cosign.Witness) *cosign.Cosigner {
	x.t.Helper()
	c, err := cosign.New(cosign.Config{DB: x.db, Log: x.log, Witnesses: list, Now: func() time.Time { return x.clock }})
	if err != nil {
		x.t.Fatal(err)
	}
	return c
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

func TestWitnessesCosign(t *testing.T) {
	run(t, func(x *rig) {
		one, two := newWitness(t, "w.example/1", 1, x.log.Key()), newWitness(t, "w.example/2", 2, x.log.Key())
		c := x.cosigner(one.config(t, true), two.config(t, true))
		for _, n := range []int{3, 1, 12} {
			s := x.add(n)
			list, err := c.Cosign(t.Context(), x.org, s)
			if err != nil || len(list) != 2 || list[0].Witness != "w.example/1" || list[1].Witness != "w.example/2" || !list[0].At.Equal(one.at) || list[0].Note != s.Note {
				t.Fatalf("%+v, %v", list, err)
			}
			joined := cosign.Join(s.Note, list)
			if got, err := parsing.Open(joined, x.log.Key()); err != nil || got.Size != s.Size {
				t.Errorf("the log's own signature: %v", err)
			}
			seen, err := parsing.Cosignatures(joined, []parsing.Witness{one.pub, two.pub})
			if err != nil || len(seen) != 2 {
				t.Errorf("%v, %v", seen, err)
			}
		}
		before := one.times()
		if _, err := c.Cosign(t.Context(), x.org, x.add(0+1)); err != nil || one.times() != before+1 {
			t.Errorf("asked %d times for one state, %v", one.times()-before, err)
		}
		// A witness that knows more than is kept here, as after its rows were lost.
		if err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM cosign_signatures`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		before = one.times()
		if list, err := c.Cosign(t.Context(), x.org, x.add(2)); err != nil || len(list) != 2 || one.times() != before+2 {
			t.Errorf("%v, %v, asked %d times", list, err, one.times()-before)
		}
		findings, kept, err := cosign.Audit(t.Context(), x.db.Read(), []string{x.org})
		if err != nil || len(kept) != 2 || len(findings) != 2 || !findings[0].Note || !findings[1].Note {
			t.Errorf("%v, %v, %v", findings, kept, err)
		}
	})
}

// TestRollbackIsSeenByTheWitness: an older database with its files is put back.
func TestRollbackIsSeenByTheWitness(t *testing.T) {
	run(t, func(x *rig) {
		w := newWitness(t, "w.example/1", 1, x.log.Key())
		c := x.cosigner(w.config(t, true))
		s := x.add(5)
		if _, err := c.Cosign(t.Context(), x.org, s); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.newest.Size += 7
		w.mu.Unlock()
		if _, err := c.Cosign(t.Context(), x.org, x.add(1)); !errors.Is(err, cosign.ErrAhead) || !errors.Is(err, cosign.ErrWitness) {
			t.Errorf("%v", err)
		}
		st, err := c.Status(t.Context())
		if err != nil || len(st) != 1 || !st[0].Ahead || st[0].Size != s.Size || st[0].Failing == "" {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestByTheClock(t *testing.T) {
	run(t, func(x *rig) {
		w, silent := newWitness(t, "w.example/1", 1, x.log.Key()), newWitness(t, "w.example/2", 2, x.log.Key())
		silent.instead(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(503); return true })
		c := x.cosigner(w.config(t, true), silent.config(t, true))
		round := func() {
			t.Helper()
			if err := cosign.Round(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		round()
		x.add(2)
		round()
		x.add(1)
		round() // too soon
		if w.times() != 1 || silent.times() != 1 {
			t.Errorf("asked %d and %d times", w.times(), silent.times())
		}
		for range 60 {
			x.clock = x.clock.Add(time.Minute)
			round()
		}
		if w.times() != 2 || silent.times() != 6 { // at 0, 1, 3, 7, 15 and 31 minutes
			t.Errorf("asked %d and %d times", w.times(), silent.times())
		}
		if list, err := c.TryCosign(t.Context(), x.org, x.add(1)); err != nil || len(list) != 1 || silent.times() != 6 {
			t.Errorf("%v, %v, asked %d times", list, err, silent.times())
		}
	})
}

// TestCarried: a note that somebody took to a witness and back.
func TestCarried(t *testing.T) {
	run(t, func(x *rig) {
		w, stranger := newWitness(t, "w.example/1", 1, x.log.Key()), newWitness(t, "w.example/9", 9, x.log.Key())
		c := x.cosigner(w.config(t, false))
		s := x.add(4)
		line, err := parsing.Cosign(s.Note, w.pub, w.key, w.at)
		if err != nil {
			t.Fatal(err)
		}
		other, err := parsing.Cosign(s.Note, stranger.pub, stranger.key, w.at)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Accept(t.Context(), x.org, s.Note+other+line, x.log.Key())
		if err != nil || len(list) != 1 || list[0].Witness != "w.example/1" || list[0].Note != s.Note || list[0].Line != line {
			t.Errorf("%+v, %v", list, err)
		}
		if kept, err := cosign.Of(t.Context(), x.db.Read(), x.org, s.Note); err != nil || len(kept) != 1 || kept[0].Line != line {
			t.Errorf("%v, %v", kept, err)
		}
		if list, err := c.Accept(t.Context(), x.org, s.Note+other, x.log.Key()); err != nil || len(list) != 0 {
			t.Errorf("a stranger's: %v, %v", list, err)
		}
		sig := []byte(line)
		sig[len(sig)-6] ^= 1
		if _, err := c.Accept(t.Context(), x.org, s.Note+string(sig), x.log.Key()); err == nil {
			t.Error("a forged signature was taken")
		}
		if _, err := c.Accept(t.Context(), x.org, strings.Replace(s.Note, "\n5\n", "\n6\n", 1)+line, x.log.Key()); err == nil {
			t.Error("a changed note was taken")
		}
		if w.times() != 0 {
			t.Error("a witness without a URL was asked")
		}
	})
}

// TestAuditNamesWhatWasChanged: an operator with the database.
func TestAuditNamesWhatWasChanged(t *testing.T) {
	run(t, func(x *rig) {
		w := newWitness(t, "w.example/1", 1, x.log.Key())
		if _, err := x.cosigner(w.config(t, true)).Cosign(t.Context(), x.org, x.add(3)); err != nil {
			t.Fatal(err)
		}
		for _, change := range []string{
			`UPDATE cosign_signatures SET cosigned_at = '2020-01-01T00:00:00.000000000Z'`,
			`UPDATE cosign_signatures SET size = size + 1`,
			`UPDATE cosign_signatures SET signature = ''`,
			`UPDATE cosign_signatures SET witness_key = 'x'`,
			`UPDATE cosign_signatures SET note = ''`,
		} {
			back := errors.New("back")
			if err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				if _, err := tx.ExecContext(ctx, change); err != nil {
					return err
				}
				findings, kept, err := cosign.Audit(ctx, tx, []string{x.org})
				if err != nil || len(findings) != 1 || findings[0].Note || len(kept) != 0 {
					t.Errorf("%s: %v, %v, %v", change, findings, kept, err)
				}
				return back
			}); !errors.Is(err, back) {
				t.Error(err)
			}
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	run(t, func(x *rig) {
		elsewhere := newWitness(t, "w.example/1", 1, x.log.Key())
		w := newWitness(t, "w.example/1", 1, x.log.Key())
		c := x.cosigner(w.config(t, true))
		s := x.add(2)
		other, err := parsing.Cosign(x.add(1).Note, w.pub, w.key, w.at)
		if err != nil {
			t.Fatal(err)
		}
		for name, fn := range map[string]func(rw http.ResponseWriter, r *http.Request) bool{
			"of another state": func(rw http.ResponseWriter, _ *http.Request) bool {
				_, err := io.WriteString(rw, other)
				return err == nil
			},
			"nothing": func(http.ResponseWriter, *http.Request) bool { return true },
			"more text": func(rw http.ResponseWriter, _ *http.Request) bool {
				_, err := io.WriteString(rw, "x\n"+other)
				return err == nil
			},
			"too much": func(rw http.ResponseWriter, _ *http.Request) bool {
				_, err := rw.Write(make([]byte, 1<<20))
				return err == nil || true
			},
			"redirected": func(rw http.ResponseWriter, r *http.Request) bool {
				http.Redirect(rw, r, elsewhere.server.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			},
			"always a conflict": func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Type", "text/x.tlog.size")
				rw.WriteHeader(409)
				_, err := io.WriteString(rw, "1\n")
				return err == nil
			},
		} {
			w.instead(fn)
			if list, err := c.Cosign(t.Context(), x.org, s); !errors.Is(err, cosign.ErrWitness) || len(list) != 0 {
				t.Errorf("%s: %v, %v", name, list, err)
			}
		}
		if elsewhere.times() != 0 {
			t.Error("followed a redirection")
		}
	})
}

func TestWitnessesOfTheSettings(t *testing.T) {
	w, err := parsing.NewWitness("w.example/1", make([]byte, ed25519.PublicKeySize))
	if err != nil {
		t.Fatal(err)
	}
	good := w.Text()
	if got, err := cosign.ParseWitness(good + " https://w.example/x/"); err != nil || got.URL != "https://w.example/x" || got.Key.Text() != good {
		t.Errorf("%+v, %v", got, err)
	}
	_, rest, _ := strings.Cut(good, "+")
	for _, bad := range []string{"", good + " ", "w.example/2+" + rest, good + " ftp://w/", good + " https://u:p@w/", good + " https://w/?x", good[:len(good)-4], "a b+" + rest} {
		if got, err := cosign.ParseWitness(bad); err == nil && bad != good+" " {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	if _, err := cosign.New(cosign.Config{DB: &sqldb.DB{}, Log: &checkpoint.Log{}, Witnesses: []cosign.Witness{{Key: w}, {Key: w}}}); err == nil {
		t.Error("a witness named twice")
	}
}

// FuzzAnswer reads what witnesses answer: foreign bytes.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "text/plain", "— w.example/1 AAAAAAAA\n")
	f.Add(200, "", "— a b\n— c d\n")
	f.Add(409, "text/x.tlog.size", "12\n")
	f.Add(409, "text/x.tlog.size; charset=utf-8", "-1\n")
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		lines, err := cosign.Answer(status, kind, body)
		if err == nil && (lines == "" || !strings.HasPrefix(lines, "— ") || strings.Contains(lines, "\n\n") || !strings.HasSuffix(lines, "\n")) {
			t.Errorf("taken: %q", lines)
		}
	})
}
