package e2e

import (
	"archive/zip"
	"database/sql"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the hand of somebody with every right over the database

	"hozen/internal/e2e/rig"
)

// checkOf runs fsck on the data folder of a collector that does not run, and returns what
// it names.
func (s *system) checkOf(t *testing.T, dir string, args ...string) (codes []string, exit int) {
	t.Helper()
	out, errOut, code := command(t, programs(t).Collector, append([]string{"--data", dir, "--json", "fsck"}, args...)...)
	var check struct {
		Problems []struct{ Code, Subject, Detail string }
	}
	if err := json.Unmarshal([]byte(out), &check); err != nil {
		t.Fatalf("fsck: exit code %d\n%s%s", code, out, errOut)
	}
	for _, p := range check.Problems {
		codes = append(codes, p.Code)
	}
	return codes, code
}

func copied(t *testing.T, from, to string) string {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// TestTamperedLedgerIsNamed: an operator with every right over the database is caught by
// fsck alone.
func TestTamperedLedgerIsNamed(t *testing.T) {
	ctx := within(t, time.Minute)
	s := newSystem(t, ctx, options{})
	must(t, s.collector.Glass().Call(ctx, "incident.open", map[string]string{"title": "t"}, nil))
	s.signed(t)
	must(t, s.agent.Proc.Stop())
	must(t, s.collector.Proc.Stop())
	for name, tt := range map[string]struct{ sql, want string }{
		"untouched": {`SELECT 1`, ""},
		"edited":    {`UPDATE ledger_entries SET entry_json = REPLACE(entry_json, 'collector.', 'collectop.') WHERE idx = 0; UPDATE ledger_entries SET entry_json = entry_json || ' ' WHERE idx = 1`, "ledger_edited"},
		"deleted":   {`DELETE FROM ledger_entries WHERE idx = 2`, "ledger_missing"},
		"inserted": {`INSERT INTO ledger_entries SELECT organisation_id, (SELECT MAX(idx) FROM ledger_entries) + 1, at, actor_kind, actor_id, act, subject, entry_json, salt, record_sha256, mac
			FROM ledger_entries WHERE idx = 1`, "ledger_surplus"},
		"reordered":           {`UPDATE ledger_entries SET idx = -1 WHERE idx = 1; UPDATE ledger_entries SET idx = 1 WHERE idx = 2; UPDATE ledger_entries SET idx = 2 WHERE idx = -1`, "ledger_moved"},
		"emptied, all tables": {`DELETE FROM ledger_entries; DELETE FROM ledger_hashes; DELETE FROM ledger_heads; DELETE FROM checkpoint_notes; DELETE FROM checkpoint_lines`, "checkpoint_shorter"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, s.collector.Dir, filepath.Join(t.TempDir(), "c"))
			db, err := sql.Open("sqlite", filepath.Join(dir, "hozen.db"))
			must(t, err)
			for stmt := range strings.SplitSeq(tt.sql, ";") {
				_, err := db.ExecContext(ctx, stmt)
				must(t, err)
			}
			must(t, db.Close())
			codes, exit := s.checkOf(t, dir)
			if tt.want == "" {
				if exit != 0 {
					t.Errorf("exit code %d, named %v", exit, codes)
				}
				return
			}
			if exit != 9 || !strings.Contains(strings.Join(codes, " "), tt.want) {
				t.Errorf("exit code %d, named %v, want %s", exit, codes, tt.want)
			}
		})
	}
}

// signed signs the ledger and keeps the note outside the collector.
func (s *system) signed(t *testing.T) (file string, size int64) {
	t.Helper()
	var c struct {
		Note string
		Size int64
	}
	must(t, s.collector.Glass().Call(within(t, time.Minute), "ledger.checkpoint", nil, &c))
	file = filepath.Join(t.TempDir(), "checkpoint.txt")
	must(t, os.WriteFile(file, []byte(c.Note), 0o600))
	return file, c.Size
}

// seen is what the agent holds as a witness.
func (s *system) seen(t *testing.T) (note string, conflicts int) {
	t.Helper()
	var r struct {
		Note      string
		Conflicts []json.RawMessage
	}
	b, err := os.ReadFile(filepath.Join(s.agent.Dir, "witness", "ledger.json"))
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return r.Note, len(r.Conflicts)
}

// TestYesterdaysBackup: whoever puts yesterday's backup back, keys and all, is caught by
// fsck given a later checkpoint, and by the first agent that reconnects. The work goes on
// meanwhile, and a person decides.
func TestYesterdaysBackup(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	s := newSystem(t, ctx, options{})
	var inc struct{ ID, Number string }
	must(t, s.collector.Glass().Call(ctx, "incident.open", map[string]string{"title": "t"}, &inc))
	must(t, s.agent.Proc.Stop())
	must(t, s.collector.Proc.Stop())
	yesterday := copied(t, s.collector.Dir, filepath.Join(t.TempDir(), "c"))

	must(t, s.collector.Serve(ctx))
	for range 3 {
		must(t, s.collector.Glass().Call(ctx, "incident.note", map[string]string{"ref": inc.ID, "text": "what must not be known"}, nil))
	}
	old := filepath.Join(t.TempDir(), "old.zip")
	if r, err := s.collector.CLI(ctx, "--break-glass", "hand-over", "incident", "export", inc.Number, "--out", old, "--to", "警察", "--purpose", "相談"); err != nil || r.Code != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	kept, size := s.signed(t)
	must(t, s.agent.Run(ctx))
	s.await(t, ctx, "the agent to see the newest checkpoint", func() (bool, error) {
		note, _ := s.seen(t)
		return sizeOf(note) >= size, nil
	})
	must(t, s.agent.Proc.Stop())
	must(t, s.collector.Proc.Stop())

	must(t, os.RemoveAll(s.collector.Dir))
	copied(t, yesterday, s.collector.Dir)
	if codes, exit := s.checkOf(t, yesterday); exit != 0 {
		t.Errorf("yesterday's state by itself: exit code %d, %v", exit, codes)
	}
	if codes, exit := s.checkOf(t, yesterday, "--checkpoint", kept); exit != 9 || len(codes) != 1 || codes[0] != "checkpoint_shorter" {
		t.Errorf("with a later checkpoint: exit code %d, %v", exit, codes)
	}
	// An old package is as good, as it lies there and unpacked.
	for _, file := range []string{old, unpacked(t, old, "custody/checkpoint.txt")} {
		if codes, exit := s.checkOf(t, yesterday, "--checkpoint", file); exit != 9 || len(codes) != 1 || codes[0] != "checkpoint_shorter" {
			t.Errorf("with %s: exit code %d, %v", filepath.Base(file), exit, codes)
		}
	}
	must(t, s.collector.Serve(ctx))
	if d := s.differs(t); len(d) != 0 {
		t.Fatalf("before anybody came: %v", d)
	}
	must(t, s.agent.Run(ctx))
	s.await(t, ctx, "the collector to notice", func() (bool, error) { d := s.differs(t); return len(d) == 1, nil })
	if d := s.differs(t); d[0] != "shorter" {
		t.Errorf("it is told as %v", d)
	}
	s.await(t, ctx, "a line of the timeline", func() (bool, error) {
		var shown struct{ Timeline []struct{ Kind string } }
		err := s.collector.Glass().Call(ctx, "incident.show", map[string]string{"ref": inc.ID}, &shown)
		for _, e := range shown.Timeline {
			if e.Kind == "ledger_differs" {
				return true, err
			}
		}
		return false, err
	})
	if r := s.order(t, ctx, "acquire", nil); r.Status != "done" {
		t.Errorf("with a ledger that differs, an order ends as %s", r.Status)
	}
	s.awaitAcquisitions(t, ctx, 1)
	if err := s.collector.Glass().Call(ctx, "ledger.checkpoint", nil, nil); !rig.IsRefused(err, "conflict") {
		t.Errorf("it is signed: %v", err)
	}
	must(t, s.collector.Proc.Stop())
	must(t, s.collector.Serve(ctx)) // a restart forgets nothing
	if d := s.differs(t); len(d) != 1 {
		t.Errorf("after a restart: %v", d)
	}
	must(t, s.collector.Glass().Call(ctx, "ledger.fork", map[string]string{"reason": "the disk was lost"}, nil))
	must(t, s.agent.Proc.Stop())
	must(t, s.agent.Run(ctx))
	s.await(t, ctx, "the agent to follow the new line", func() (bool, error) {
		note, conflicts := s.seen(t)
		origin, _, _ := strings.Cut(note, "\n")
		return strings.HasSuffix(origin, "/2") && conflicts == 1, nil
	})
	s.clean(t, ctx)
	s.exported(t)
}

// differs are the kinds of difference that the collector tells.
func (s *system) differs(t *testing.T) (kinds []string) {
	t.Helper()
	var st struct{ Ledger []struct{ Kind string } }
	must(t, s.collector.Local().Call(within(t, time.Minute), "status", nil, &st))
	for _, d := range st.Ledger {
		kinds = append(kinds, d.Kind)
	}
	return kinds
}

// unpacked is one file of a package, by the end of its name.
func unpacked(t *testing.T, file, name string) string {
	t.Helper()
	z, err := zip.OpenReader(file)
	must(t, err)
	defer z.Close()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/"+name) {
			r, err := f.Open()
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, err)
			path := filepath.Join(t.TempDir(), filepath.Base(name))
			must(t, os.WriteFile(path, b, 0o600))
			return path
		}
	}
	t.Fatalf("the package has no %s", name)
	return ""
}

func sizeOf(note string) (n int64) {
	lines := strings.Split(note, "\n")
	if len(lines) < 2 {
		return 0
	}
	for _, c := range lines[1] {
		n = n*10 + int64(c-'0')
	}
	return n
}

// exported checks that the ledger as it is exported is taken by "ledger verify", and that
// one byte changed in it is not.
func (s *system) exported(t *testing.T) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "x")
	var c struct {
		Key string `json:"verifier_key"`
	}
	must(t, s.collector.Glass().Follow(within(t, time.Minute), "ledger.export", map[string]string{"dir": dir}, &c, func(json.RawMessage) {}))
	for _, tt := range []struct {
		args []string
		exit int
	}{{nil, 13}, {[]string{"--key", c.Key}, 0}} {
		out, errOut, code := command(t, programs(t).Collector, append([]string{"ledger", "verify", dir}, tt.args...)...)
		if code != tt.exit {
			t.Errorf("ledger verify: exit code %d, want %d\n%s%s", code, tt.exit, out, errOut)
		}
	}
	path := filepath.Join(dir, "texts", "000.jsonl")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(b), "incident.open", "incident.opem", 1)), 0o600))
	if out, _, code := command(t, programs(t).Collector, "ledger", "verify", dir, "--key", c.Key); code != 9 || !strings.Contains(out, "edited") {
		t.Errorf("edited: exit code %d\n%s", code, out)
	}
}
