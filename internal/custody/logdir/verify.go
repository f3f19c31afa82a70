package logdir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/internal/custody/checkpoint"
)

// Code says what is wrong with a folder.
type Code string

// The codes.
const (
	BadCheckpoint Code = "checkpoint" // it cannot be read, or its key did not sign it
	OtherKey      Code = "key"        // it is signed by another key than the one that was given
	Missing       Code = "missing"    // a file that must be there is not
	BadTile       Code = "tile"       // a tile or bundle is not what follows from the entries
	Edited        Code = "edited"     // a text does not have its hash
	Moved         Code = "moved"      // a text stands in another's place
	BadRoot       Code = "root"       // the entries do not have the root that was signed
	Rewritten     Code = "rewritten"  // the log does not begin with what an older checkpoint shows
	NotCosigned   Code = "witness"    // a witness that was given did not sign it
)

// Problem is one thing that is wrong.
type Problem struct {
	Code   Code   `json:"code"`
	Path   string `json:"path"`
	Detail string `json:"detail"` // English, for experts
}

// Report is what was found.
type Report struct {
	Checkpoint checkpoint.Checkpoint `json:"-"`
	Origin     string                `json:"origin"`
	Size       int64                 `json:"size"`
	RootSHA256 string                `json:"root_sha256"`
	KeySHA256  string                `json:"key_sha256"`
	// Anchored: the key was given from elsewhere. Without that the folder agrees with
	// itself, and anybody could have made it.
	Anchored bool      `json:"anchored"`
	Entries  int64     `json:"entries"` // whose hash was computed from their text
	Erased   int64     `json:"erased"`  // entries without their text
	Problems []Problem `json:"problems"`
	// Witnesses are those of the given ones that signed the checkpoint.
	Witnesses []Witness `json:"witnesses,omitempty"`
}

// Witness is one who signed the checkpoint.
type Witness struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"` // by its own clock
}

// maxProblems bounds what is told of a folder that is wrong everywhere.
const maxProblems = 100

// maxBundle is the largest file that is read, in bytes: texts of 256 entries.
const maxBundle = 64 << 20

// Config says what a folder is held against.
type Config struct {
	// Key is the verifier key that was got by another way. Optional: without it the key in
	// the folder is taken, and the report is not anchored.
	Key string
	// Older are signed checkpoints of the same log. Optional.
	Older []string
	// Witnesses are the verifier keys of witnesses who must have signed the checkpoint
	// (C2SP tlog-cosignature), got by another way. Optional.
	Witnesses []string
}

// Verify checks a folder from its bytes. The error is only about not being able to look.
func Verify(dir fs.FS, cfg Config) (Report, error) {
	r := Report{Problems: []Problem{}}
	note, err := fs.ReadFile(dir, CheckpointFile)
	if err != nil {
		return r, fmt.Errorf("verify ledger: %w", err)
	}
	own, err := fs.ReadFile(dir, KeyFile)
	if err != nil && cfg.Key == "" {
		return r, fmt.Errorf("verify ledger: %w", err)
	}
	text := strings.TrimSpace(string(own))
	if cfg.Key != "" {
		if text != "" && text != cfg.Key {
			r.wrong(OtherKey, KeyFile, "the key in the folder is not the one that was given")
		}
		text, r.Anchored = cfg.Key, true
	}
	name, key, err := checkpoint.ParseKey(text)
	if err != nil {
		return r, fmt.Errorf("verify ledger: %w", err)
	}
	r.KeySHA256 = key.Fingerprint()
	c, err := checkpoint.Open(string(note), key)
	if err == nil && c.Origin != name {
		err = fmt.Errorf("it is of the log %q, the key of %q", c.Origin, name)
	}
	if err != nil {
		r.wrong(BadCheckpoint, CheckpointFile, "%v", err)
		if c, err = checkpoint.Parse(string(note)); err != nil {
			return r, nil
		}
	}
	r.Checkpoint, r.Origin, r.Size, r.RootSHA256 = c, c.Origin, c.Size, hex.EncodeToString(c.Root[:])
	if err := r.witnesses(string(note), cfg.Witnesses); err != nil {
		return r, fmt.Errorf("verify ledger: %w", err)
	}
	older := map[int64][]checkpoint.Checkpoint{}
	for _, o := range cfg.Older {
		old, err := checkpoint.Open(o, key)
		switch {
		case err != nil:
			r.wrong(Rewritten, CheckpointFile, "an older checkpoint: %v", err)
		case old.Origin != c.Origin || old.Size > c.Size:
			r.wrong(Rewritten, CheckpointFile, "a checkpoint of %s with %d entries is not in %s with %d", old.Origin, old.Size, c.Origin, c.Size)
		default:
			older[old.Size] = append(older[old.Size], old)
		}
	}
	v := verifier{Report: &r, dir: dir, older: older}
	v.run()
	return r, nil
}

// witnesses looks for the signatures of witnesses. The error is about their keys.
func (r *Report) witnesses(note string, keys []string) error {
	for _, text := range keys {
		w, err := checkpoint.ParseWitness(text)
		if err != nil {
			return err
		}
		list, err := checkpoint.Cosignatures(note, []checkpoint.Witness{w})
		switch {
		case err != nil:
			r.wrong(NotCosigned, CheckpointFile, "%v", err)
		case len(list) == 0:
			r.wrong(NotCosigned, CheckpointFile, "%s did not sign it", w.Name())
		default:
			r.Witnesses = append(r.Witnesses, Witness{w.Name(), list[0].At})
		}
	}
	return nil
}

func (r *Report) wrong(code Code, path, format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{code, path, fmt.Sprintf(format, args...)})
	}
}

// verifier builds the tree from the records and holds each tile against it.
type verifier struct {
	*Report
	dir    fs.FS
	older  map[int64][]checkpoint.Checkpoint
	levels []level
	// frontier[l] is the root of the complete subtree of 2^l leaves that ends last.
	frontier [63]tlog.Hash
}

// level is the tile of one level that is being filled.
type level struct {
	n    int64
	data []byte
}

func (v *verifier) run() {
	_, org, _ := strings.Cut(v.Origin, "/")
	_, org, _ = strings.Cut(org, "/")
	org, _, _ = strings.Cut(org, "/")
	for lo := int64(0); lo < v.Size; lo += Width {
		width := int(min(Width, v.Size-lo))
		records, ok := v.bundle(lo/Width, width)
		if !ok {
			return // nothing after it can be computed
		}
		v.texts(lo, records, org)
		for i, record := range records {
			v.leaf(lo+int64(i), tlog.RecordHash(record))
		}
	}
	for l := range v.levels {
		if len(v.levels[l].data) > 0 {
			v.tile(l)
		}
	}
	if root := v.root(v.Size); root != v.Checkpoint.Root {
		v.wrong(BadRoot, CheckpointFile, "the %d entries have the root %x and %x was signed", v.Size, root[:], v.Checkpoint.Root[:])
	}
}

func (v *verifier) read(path string) ([]byte, bool) {
	info, err := fs.Stat(v.dir, path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxBundle) {
		err = errors.New("it is no file of a size that may be")
	}
	var b []byte
	if err == nil {
		b, err = fs.ReadFile(v.dir, path)
	}
	if err != nil {
		v.wrong(Missing, path, "%v", err)
		return nil, false
	}
	return b, true
}

// bundle reads the records of a bundle.
func (v *verifier) bundle(n int64, width int) ([][]byte, bool) {
	path := BundlePath(n, width)
	b, ok := v.read(path)
	if !ok {
		return nil, false
	}
	if len(b) != width*(2+RecordSize) {
		v.wrong(BadTile, path, "%d bytes, want %d records of %d", len(b), width, RecordSize)
		return nil, false
	}
	records := make([][]byte, width)
	for i := range records {
		at := b[i*(2+RecordSize):]
		if at[0] != 0 || at[1] != RecordSize {
			v.wrong(BadTile, path, "record %d has another length than %d", i, RecordSize)
			return nil, false
		}
		records[i] = at[2 : 2+RecordSize]
	}
	return records, true
}

// texts checks that the texts of a bundle are those whose records it holds.
func (v *verifier) texts(lo int64, records [][]byte, organisationID string) {
	path := TextPath(lo / Width)
	b, ok := v.read(path)
	if !ok {
		return
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) != len(records) {
		v.wrong(Missing, path, "%d texts for %d entries", len(lines), len(records))
		return
	}
	for i, raw := range lines {
		index := lo + int64(i)
		var line Line
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&line); err != nil || dec.More() {
			v.wrong(Edited, path, "entry %d: the line cannot be read", index)
			continue
		}
		if line.Index == index && line.Salt == "" && line.Text == "" {
			v.Erased++
			continue
		}
		salt, err := hex.DecodeString(line.Salt)
		sum := sha256.Sum256(append(salt, line.Text...))
		if err != nil || len(salt) != 32 || !bytes.Equal(sum[:], records[i]) {
			v.wrong(Edited, path, "entry %d: its text does not have its hash", index)
			continue
		}
		var entry struct {
			Index          int64  `json:"index"`
			OrganisationID string `json:"organisation_id"`
		}
		if err := json.Unmarshal([]byte(line.Text), &entry); err != nil || line.Index != index || entry.Index != index || entry.OrganisationID != organisationID {
			v.wrong(Moved, path, "entry %d holds entry %d of %s", index, entry.Index, entry.OrganisationID)
			continue
		}
		v.Entries++
	}
}

// leaf adds a leaf to the tree and looks at the older checkpoint that ends with it.
func (v *verifier) leaf(n int64, leaf tlog.Hash) {
	v.push(0, leaf)
	hash := leaf
	for l := 0; ; l++ {
		if n>>l&1 == 0 {
			v.frontier[l] = hash
			break
		}
		hash = tlog.NodeHash(v.frontier[l], hash)
	}
	for _, old := range v.older[n+1] {
		if root := v.root(n + 1); root != old.Root {
			v.wrong(Rewritten, CheckpointFile, "the first %d entries are not those of the older checkpoint", n+1)
		}
	}
}

// push adds a hash to the tile of a level; a full one has a root a level above.
func (v *verifier) push(l int, h tlog.Hash) {
	if l == len(v.levels) {
		v.levels = append(v.levels, level{})
	}
	v.levels[l].data = append(v.levels[l].data, h[:]...)
	if len(v.levels[l].data) < Width*tlog.HashSize {
		return
	}
	v.tile(l)
	root := tileRoot(v.levels[l].data)
	v.levels[l] = level{n: v.levels[l].n + 1, data: v.levels[l].data[:0]}
	v.push(l+1, root)
}

// tile holds the tile of a level against its file.
func (v *verifier) tile(l int) {
	t := v.levels[l]
	path := TilePath(l, t.n, len(t.data)/tlog.HashSize)
	if b, ok := v.read(path); ok && !bytes.Equal(b, t.data) {
		v.wrong(BadTile, path, "it does not follow from the entries")
	}
}

func tileRoot(data []byte) tlog.Hash {
	hashes := make([]tlog.Hash, 0, Width)
	for len(data) > 0 {
		hashes, data = append(hashes, tlog.Hash(data[:tlog.HashSize])), data[tlog.HashSize:]
	}
	for len(hashes) > 1 {
		for i := range len(hashes) / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = hashes[:len(hashes)/2]
	}
	return hashes[0]
}

// root is the root of the tree of the first size leaves, which must be those so far.
func (v *verifier) root(size int64) tlog.Hash {
	root, first := tlog.Hash(sha256.Sum256(nil)), true
	for l := range v.frontier {
		switch {
		case size>>l&1 == 0:
		case first:
			root, first = v.frontier[l], false
		default:
			root = tlog.NodeHash(v.frontier[l], root)
		}
	}
	return root
}
