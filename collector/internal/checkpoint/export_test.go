package checkpoint_test

import (
	"bytes"
	encodedhex "encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/custody/logdir"
	"hozen/internal/id"
)

// onSQLite is [run] for what needs no other database.
func onSQLite(t *testing.T, fn func(x *rig)) {
	x := &rig{t: t, db: sqldbtest.Open(t), dir: t.TempDir(), org: id.New(id.Organisation)}
	x.reopen()
	fn(x)
}

// tiles reads an exported folder as any reader of C2SP tlog-tiles does.
type tiles struct{ dir string }

func (tiles) Height() int { return logdir.Height }

func (r tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(list))
	for i, t := range list {
		b, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(logdir.TilePath(t.L, t.N, t.W))))
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// withoutMACs wants no MAC of an entry in what leaves the collector: they are its own business.
func (x *rig) withoutMACs(dir fs.FS) {
	x.t.Helper()
	files := map[string][]byte{}
	if err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(dir, path)
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
	rows, err := x.db.Read().QueryContext(x.t.Context(), `SELECT mac FROM ledger_entries`)
	if err != nil {
		x.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var mac string
		if err := rows.Scan(&mac); err != nil {
			x.t.Fatal(err)
		}
		raw, err := encodedhex.DecodeString(mac)
		if err != nil || len(raw) != 32 {
			x.t.Fatalf("entry %d has the MAC %q", n, mac)
		}
		for name, b := range files {
			if bytes.Contains(b, []byte(mac)) || bytes.Contains(b, raw) {
				x.t.Errorf("%s has a MAC", name)
			}
		}
	}
	if err := rows.Err(); err != nil || n == 0 {
		x.t.Fatal(n, err)
	}
}

func TestExport(t *testing.T) {
	onSQLite(t, func(x *rig) {
		entryKey(t, "a").Bind(x.db)
		early := x.add(0, 100)
		s := x.add(101, 300)
		dir := filepath.Join(x.dir, "export")
		if err := x.log.Export(t.Context(), x.org, s, dir, nil); err != nil {
			t.Fatal(err)
		}
		if err := x.log.Export(t.Context(), x.org, s, dir, nil); err == nil {
			t.Error("a folder that is not empty is written over")
		}
		x.withoutMACs(os.DirFS(dir))
		verify := func(cfg logdir.Config) logdir.Report {
			t.Helper()
			r, err := logdir.Verify(os.DirFS(dir), cfg)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		key := s.Key.Text(s.Origin)
		if r := verify(logdir.Config{}); len(r.Problems) > 0 || r.Anchored || r.Entries != s.Size {
			t.Errorf("without a key: %+v", r)
		}
		if r := verify(logdir.Config{Key: key, Older: []string{early.Note}}); len(r.Problems) > 0 || !r.Anchored {
			t.Errorf("with the key: %+v", r)
		}
		hashes := tlog.TileHashReader(tlog.Tree{N: s.Size, Hash: s.Root}, tiles{dir})
		for _, n := range []int64{0, 255, 256, s.Size - 1} {
			proof, err := tlog.ProveRecord(s.Size, n, hashes)
			if err != nil {
				t.Fatalf("another reader: %v", err)
			}
			leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, s.Size, s.Root, n, leaf[0]); err != nil {
				t.Errorf("another reader: entry %d: %v", n, err)
			}
		}

		for name, tt := range map[string]struct {
			path     string
			from, to string // empty from: the file is removed
			want     logdir.Code
		}{
			"a text":            {"texts/000.jsonl", "inc_3", "inc_4", logdir.Edited},
			"texts swapped":     {"texts/000.jsonl", `{"index":7,`, `{"index":8,`, logdir.Moved},
			"a record":          {"tile/entries/000", "", "\x01", logdir.BadTile},
			"a tile":            {"tile/0/000", "", "\x01", logdir.BadTile},
			"an upper tile":     {"tile/1/000.p/1", "", "\x01", logdir.BadTile},
			"the size":          {"checkpoint", "\n300\n", "\n299\n", logdir.BadCheckpoint},
			"a tile is missing": {"tile/0/001.p/44", "", "", logdir.Missing},
			"texts are missing": {"texts/001.jsonl", "", "", logdir.Missing},
			"another key":       {"key.vkey", "+", "x+", logdir.OtherKey},
		} {
			path := filepath.Join(dir, filepath.FromSlash(tt.path))
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			after := bytes.Replace(before, []byte(tt.from), []byte(tt.to), 1)
			if tt.from == "" {
				after = append(bytes.Clone(before[:len(before)-1]), before[len(before)-1]^1)
			}
			switch {
			case tt.from == "" && tt.to == "":
				err = os.Remove(path)
			case bytes.Equal(before, after):
				t.Fatalf("%s: nothing changed", name)
			default:
				err = os.WriteFile(path, after, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			found := ""
			for _, p := range verify(logdir.Config{Key: key}).Problems {
				found += string(p.Code) + " "
			}
			if !strings.Contains(found, string(tt.want)) {
				t.Errorf("%s: found %q, want %s", name, found, tt.want)
			}
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		x.rewrite("!", 310)
		x.reopen()
		x.declare("test")
		other := x.add(311, 312)
		rewritten := filepath.Join(x.dir, "rewritten")
		if err := x.log.Export(t.Context(), x.org, other, rewritten, nil); err != nil {
			t.Fatal(err)
		}
		r, err := logdir.Verify(os.DirFS(rewritten), logdir.Config{Older: []string{early.Note}})
		if err != nil || len(r.Problems) == 0 || r.Problems[0].Code != logdir.Rewritten {
			t.Errorf("a rewritten ledger against an older checkpoint: %+v, %v", r, err)
		}
		count := 0
		if err := fs.WalkDir(os.DirFS(dir), ".", func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				count++
			}
			return err
		}); err != nil || count != 2+2+2+1+3 {
			t.Errorf("%d files, %v", count, err)
		}
	})
}
