package operator_test

import (
	"context"
	"encoding/gob"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/operator"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

func TestOneTimePasswordsAreReadableAndDifferent(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		p := operator.OneTimePassword()
		if len(p) != 24 || strings.ContainsAny(p, "0o1il ") || seen[p] {
			t.Fatalf("%q", p)
		}
		seen[p] = true
		if err := operator.CheckPassword(p, "owner"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHasher(t *testing.T) {
	h, err := operator.NewHasher(operator.Cost{MemoryKiB: 64, Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := h.Hash(t.Context(), "合言葉は山と川です")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%q, %v", hash, err)
	}
	for _, c := range []struct {
		password, hash string
		want           bool
	}{{"合言葉は山と川です", hash, true}, {"合言葉は山と川でつ", hash, false}, {"", hash, false}, {"anything", "", false}, {strings.Repeat("x", 1<<20), hash, false}} {
		if got, err := h.Verify(t.Context(), c.password, c.hash); err != nil || got != c.want {
			t.Errorf("%.20q: %t, %v", c.password, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 8 { // a caller who has gone does not wait for a turn for ever
		_, err = h.Verify(ctx, "x", hash)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDefaultCostIsWhatOWASPAsksFor(t *testing.T) {
	if c := operator.DefaultCost(); c.MemoryKiB < 19<<10 || c.Iterations < 2 {
		t.Errorf("%+v", c)
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "tanaka", "t.tanaka-2", "0x"} {
		if err := operator.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "Tanaka", ".a", "-a", "a b", "田中", "a\x00", strings.Repeat("a", 65)} {
		if operator.CheckName(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := operator.NewLimiter(func() time.Time { return now })
	tried := 0
	for range 20 {
		if ok, _ := l.Begin("owner", "203.0.113.1:1000"); ok {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d guesses at once, want 5", tried)
	}
	var waits []time.Duration
	for range 12 { // each further guess costs more waiting, up to a limit
		from := now
		for ok := false; !ok; {
			now = now.Add(time.Second)
			ok, _ = l.Begin("owner", "203.0.113.1:2000")
		}
		waits = append(waits, now.Sub(from))
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] || waits[i] > 15*time.Minute {
			t.Errorf("waits: %v", waits)
			break
		}
	}
	if waits[len(waits)-1] != 15*time.Minute {
		t.Errorf("waits: %v", waits)
	}
	if ok, _ := l.Begin("owner", "192.0.2.5"); !ok {
		t.Error("a guesser elsewhere kept the owner out")
	}
	now = now.Add(2 * time.Hour)
	if ok, _ := l.Begin("owner", "203.0.113.1"); !ok {
		t.Error("it is never forgotten")
	}

	// One /64 is one person.
	l = operator.NewLimiter(func() time.Time { return now })
	tried = 0
	for i := range 60 {
		if ok, _ := l.Begin(string(rune('a'+i%26)), "[2001:db8::"+string("0123456789"[i%10])+"]:1"); ok {
			tried++
		}
	}
	if tried > 20 {
		t.Errorf("%d guesses from one /64", tried)
	}
	l.Right("a", "[2001:db8::1]:1")
	if ok, _ := l.Begin("zz", "[2001:db8::1]:1"); !ok {
		t.Error("a right password does not end the waiting")
	}
}

func withOperator(t *testing.T, db *sqldb.DB) operator.Operator {
	t.Helper()
	o := operator.Operator{ID: id.New(id.Operator), OrganisationID: "org_x", Name: "tanaka", Role: operator.Handler, CreatedAt: time.Unix(1, 0)}
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return operator.Insert(ctx, tx, o, "hash") }); err != nil {
		t.Fatal(err)
	}
	return o
}

func seals(t *testing.T) operator.Seals {
	t.Helper()
	k, err := secret.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return operator.NewSeals(k)
}

func TestSessionStore(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := withOperator(t, db)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := operator.NewSessionStore(db, seals(t), func() time.Time { return now })
		gob.Register("")
		data := func(values map[string]any) []byte {
			b, err := scs.GobCodec{}.Encode(now.Add(time.Hour), values)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		find := func(token string) bool {
			t.Helper()
			_, ok, err := s.Find(token)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		mine := data(map[string]any{operator.SessionKey: o.ID})
		for token, b := range map[string][]byte{"visitor": data(nil), "mine": mine, "stranger": data(map[string]any{operator.SessionKey: "opr_none"})} {
			if err := s.Commit(token, b, now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if !find("visitor") || !find("mine") || find("stranger") || find("") {
			t.Error("the wrong sessions are there")
		}
		if b, _, err := s.Find("mine"); err != nil || string(b) != string(mine) {
			t.Errorf("%q, %v", b, err)
		}
		var hits int
		if err := db.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM operator_session WHERE token_sha256 LIKE '%mine%' OR data LIKE '%mine%'`).Scan(&hits); err != nil || hits != 0 {
			t.Errorf("the token itself is in the database (%d, %v)", hits, err)
		}
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return operator.Disable(ctx, tx, o.ID, now) }); err != nil {
			t.Fatal(err)
		}
		// A request that was under way comes to its end.
		if err := s.Commit("mine", mine, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if find("mine") {
			t.Error("a disabled operator's session lives")
		}
		now = now.Add(2 * time.Hour)
		if find("visitor") {
			t.Error("an expired session lives")
		}
		if err := s.Delete("never was"); err != nil {
			t.Error(err)
		}
	})
}

func TestLocalSessionIsNoConsoleSession(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := withOperator(t, db)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var token string
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) (err error) {
			token, _, err = operator.NewLocalSession(ctx, tx, seals(t), o.ID, now)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got, err := operator.LocalSession(t.Context(), db.Read(), seals(t), token, now); err != nil || got.ID != o.ID {
			t.Errorf("%+v, %v", got, err)
		}
		if _, ok, err := operator.NewSessionStore(db, seals(t), func() time.Time { return now }).Find(token); ok || err != nil {
			t.Errorf("%t, %v", ok, err)
		}
		if _, err := operator.LocalSession(t.Context(), db.Read(), seals(t), token, now.Add(operator.LocalSessionLife)); !errors.Is(err, operator.ErrNotFound) {
			t.Errorf("after its life: %v", err)
		}
	})
}
