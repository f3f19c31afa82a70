package logdir_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/internal/custody/checkpoint"
	"hozen/internal/custody/logdir"
)

const org = "org_0000000000000000000000000"

// folder is an exported ledger of a few entries, made by hand.
func folder(t testing.TB, n int) (fstest.MapFS, string) {
	t.Helper()
	dir := fstest.MapFS{}
	var bundle, texts, tile bytes.Buffer
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	for i := range n {
		salt := sha256.Sum256([]byte{byte(i)})
		text := fmt.Sprintf(`{"index":%d,"organisation_id":"%s","note":"保全"}`, i, org)
		record := sha256.Sum256(append(salt[:], text...))
		bundle.Write([]byte{0, 32})
		bundle.Write(record[:])
		fmt.Fprintf(&texts, "{\"index\":%d,\"salt\":\"%s\",\"text\":%q}\n", i, hex.EncodeToString(salt[:]), text)
		leaf := tlog.RecordHash(record[:])
		tile.Write(leaf[:])
		h, err := tlog.StoredHashesForRecordHash(int64(i), leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, h...)
	}
	root, err := tlog.TreeHash(int64(n), reader)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	origin := "hozen-custody/0123456789abcdef/" + org
	c, err := checkpoint.Sign(checkpoint.Checkpoint{Origin: origin, Size: int64(n), Root: root}, key)
	if err != nil {
		t.Fatal(err)
	}
	vkey := checkpoint.Key(key.Public().(ed25519.PublicKey)).Text(origin)
	dir["checkpoint"] = &fstest.MapFile{Data: []byte(c.Note)}
	dir["key.vkey"] = &fstest.MapFile{Data: []byte(vkey + "\n")}
	dir[logdir.BundlePath(0, n)] = &fstest.MapFile{Data: bundle.Bytes()}
	dir[logdir.TilePath(0, 0, n)] = &fstest.MapFile{Data: tile.Bytes()}
	dir[logdir.TextPath(0)] = &fstest.MapFile{Data: texts.Bytes()}
	return dir, vkey
}

func TestPaths(t *testing.T) {
	for got, want := range map[string]string{
		logdir.TilePath(0, 0, 256):       "tile/0/000",
		logdir.TilePath(1, 1234067, 256): "tile/1/x001/x234/067",
		logdir.TilePath(0, 3, 17):        "tile/0/003.p/17",
		logdir.BundlePath(1234, 256):     "tile/entries/x001/234",
		logdir.BundlePath(0, 9):          "tile/entries/000.p/9",
		logdir.TextPath(0):               "texts/000.jsonl",
	} {
		if got != want {
			t.Errorf("%s, want %s (C2SP tlog-tiles)", got, want)
		}
	}
}

func TestFolderOfAnotherMaker(t *testing.T) {
	dir, vkey := folder(t, 5)
	r, err := logdir.Verify(dir, logdir.Config{Key: vkey})
	if err != nil || len(r.Problems) > 0 || r.Entries != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	// A text that was erased takes nothing from the rest.
	lines := strings.SplitAfter(string(dir["texts/000.jsonl"].Data), "\n")
	lines[2] = `{"index":2,"salt":"","text":""}` + "\n"
	dir["texts/000.jsonl"].Data = []byte(strings.Join(lines, ""))
	if r, err = logdir.Verify(dir, logdir.Config{Key: vkey}); err != nil || len(r.Problems) > 0 || r.Entries != 4 || r.Erased != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// Any file with any other bytes is a problem or an error, and never a crash.
func FuzzVerify(f *testing.F) {
	names := []string{"checkpoint", "key.vkey", logdir.BundlePath(0, 3), logdir.TilePath(0, 0, 3), logdir.TextPath(0)}
	f.Add(uint8(0), []byte("x"))
	f.Add(uint8(4), []byte(`{"index":0,"salt":"","text":""}`))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		dir, vkey := folder(t, 3)
		name := names[int(which)%len(names)]
		same := bytes.Equal(bytes.TrimSpace(dir[name].Data), bytes.TrimSpace(data))
		dir[name].Data = data
		r, err := logdir.Verify(dir, logdir.Config{Key: vkey})
		if err == nil && len(r.Problems) == 0 && !same && r.Erased == 0 && name != logdir.TextPath(0) && name != "checkpoint" && name != "key.vkey" {
			t.Errorf("%s of %q is taken", name, data)
		}
	})
}
