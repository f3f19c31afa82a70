// Package witness keeps the newest signed state of the collector's custody ledger that this
// agent saw, and both states wherever one does not go on from the other. It judges and
// remembers; it keeps nobody from isolating or uploading, and knows nothing of connections.
package witness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hozen/internal/custody/checkpoint"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// Kind says what is wrong between two states.
type Kind string

// The kinds.
const (
	Shorter     Kind = "shorter"      // the ledger has fewer entries than it had
	Rewritten   Kind = "rewritten"    // it does not begin with what was seen
	OtherKey    Kind = "other_key"    // another key signs it
	OtherOrigin Kind = "other_origin" // it is another line of history
	BadNote     Kind = "bad_note"     // the note or its signature is not right
)

// Shown is what a collector shows.
type Shown struct {
	Note        string
	VerifierKey string
	From        int64    // size that the proof begins with; 0 without proof
	Proof       [][]byte // consistency proof
}

// Conflict is two states that do not go together.
type Conflict struct {
	ID          string    `json:"id"` // SHA-256 of both notes
	Kind        Kind      `json:"kind"`
	Seen        string    `json:"seen"`
	SeenKey     string    `json:"seen_key"`
	Shown       string    `json:"shown"`
	ShownKey    string    `json:"shown_key"`
	Consistency [][]byte  `json:"consistency,omitempty"` // the proof that was shown
	At          time.Time `json:"at"`                    // the PC's clock
	Detail      string    `json:"detail"`                // English, for experts
	Told        bool      `json:"told"`                  // the collector has it
}

// record is the one file.
type record struct {
	Format    string     `json:"format"`
	Owner     string     `json:"owner"`
	Note      string     `json:"note"`
	Key       string     `json:"key"`
	At        time.Time  `json:"at"`
	Conflicts []Conflict `json:"conflicts,omitempty"`
}

const (
	recordFormat = "hozen-witness/1"
	maxRecord    = 1 << 20
	maxConflicts = 16 // further ones say nothing that these don't
	fileName     = "ledger.json"
)

// Store is what the agent remembers. It is safe for concurrent use.
type Store struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	is   record
	seen checkpoint.Checkpoint
}

// Open reads what is remembered. A file that cannot be read is put aside and logged: the
// agent works on and begins to remember anew.
func Open(dir string, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{path: filepath.Join(dir, fileName), log: log}
	r, err := read(s.path)
	if err == nil && r.Note != "" {
		s.seen, err = checkpoint.Parse(r.Note)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("what was seen of the custody ledger cannot be read, and is put aside", slog.Any("error", err))
		if err := durable.Rename(s.path, s.path+".bad"); err != nil {
			log.Error("it stays where it is", slog.Any("error", err))
		}
		return s
	}
	s.is = r
	return s
}

func read(path string) (record, error) {
	f, err := os.Open(path)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return record{}, err
	}
	return decode(b)
}

func decode(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if r.Format != recordFormat {
		return record{}, fmt.Errorf("format %.40q is not known", r.Format)
	}
	return r, nil
}

// Seen returns the newest state that was seen, and how many conflicts are kept. Its note is
// empty before the first one, and for another owner: who enrols with another collector is
// a witness of nothing there.
func (s *Store) Seen(owner string) (checkpoint.Checkpoint, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is.Owner != owner {
		return checkpoint.Checkpoint{}, 0
	}
	return s.seen, len(s.is.Conflicts)
}

// Show takes a state that the collector shows. When it goes on from the one that was seen,
// it is remembered instead; when it does not, both are kept and the conflict is returned.
// name is how the collector's logs must begin.
func (s *Store) Show(owner, name string, c Shown, now time.Time) *Conflict {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, key, err := open(name, c)
	if s.is.Owner != owner {
		if err != nil {
			s.log.Error("the collector shows no state of the custody ledger that can be kept", slog.Any("error", err))
			return nil
		}
		s.remember(record{Format: recordFormat, Owner: owner, Note: next.Note, Key: c.VerifierKey, At: now}, next)
		return nil
	}
	if err != nil {
		return s.keep(BadNote, c, err.Error(), now)
	}
	_, known, kerr := checkpoint.ParseKey(s.is.Key)
	r := s.is
	r.Note, r.Key, r.At = next.Note, c.VerifierKey, now
	switch {
	case kerr != nil: // the file is ours and was read; then it says nothing
		s.remember(r, next)
		return nil
	case next.Origin != s.seen.Origin:
		// A person declared a new line, or says so. It is followed, so that it is watched
		// from now on; what was seen before stays in the conflict.
		k := s.keep(OtherOrigin, c, "the log was "+s.seen.Origin+" and is "+next.Origin, now)
		r.Conflicts = s.is.Conflicts
		s.remember(r, next)
		return k
	case !known.Equal(key):
		return s.keep(OtherKey, c, "the key was "+known.Fingerprint()+" and is "+key.Fingerprint(), now)
	case next.Same(s.seen):
		return nil
	}
	proof := c.Proof
	if c.From != s.seen.Size {
		proof = nil
	}
	if err := checkpoint.CheckConsistency(s.seen, next, proof); err != nil {
		k := Rewritten
		if next.Size < s.seen.Size {
			k = Shorter
		}
		return s.keep(k, c, err.Error(), now)
	}
	s.remember(r, next)
	return nil
}

// open reads what is shown.
func open(name string, c Shown) (checkpoint.Checkpoint, checkpoint.Key, error) {
	origin, key, err := checkpoint.ParseKey(c.VerifierKey)
	if err != nil {
		return checkpoint.Checkpoint{}, nil, err
	}
	next, err := checkpoint.Open(c.Note, key)
	if err != nil {
		return checkpoint.Checkpoint{}, nil, err
	}
	if next.Origin != origin || !strings.HasPrefix(origin, name+"/") {
		return checkpoint.Checkpoint{}, nil, fmt.Errorf("it is the log %.200q, not one of %.200q", next.Origin, name)
	}
	return next, key, nil
}

// keep remembers a conflict, once for each state that was seen and kind.
func (s *Store) keep(k Kind, c Shown, detail string, now time.Time) *Conflict {
	for _, o := range s.is.Conflicts {
		if o.Seen == s.is.Note && o.Kind == k {
			return nil
		}
	}
	if len(s.is.Conflicts) >= maxConflicts {
		return nil
	}
	conflict := Conflict{ID: digest.Of([]byte(s.is.Note + c.Note)).String(), Kind: k, Seen: s.is.Note, SeenKey: s.is.Key, Shown: c.Note, ShownKey: c.VerifierKey,
		Consistency: c.Proof, At: now, Detail: detail}
	s.log.Error("the custody ledger is not the one that was seen before; both states are kept", slog.String("kind", string(k)), slog.String("detail", detail))
	r := s.is
	r.Conflicts = append(append([]Conflict{}, r.Conflicts...), conflict)
	s.remember(r, s.seen)
	return &conflict
}

// remember counts in memory also where it cannot be written.
func (s *Store) remember(r record, seen checkpoint.Checkpoint) {
	s.is, s.seen = r, seen
	b, err := json.Marshal(r)
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(s.path), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(s.path, b, 0o600)
	}
	if err != nil {
		s.log.Error("what was seen of the custody ledger is not kept", slog.Any("error", err))
	}
}

// Untold returns the conflicts that the collector does not have yet.
func (s *Store) Untold(owner string) []Conflict {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Conflict
	for _, c := range s.is.Conflicts {
		if !c.Told && s.is.Owner == owner {
			out = append(out, c)
		}
	}
	return out
}

// Conflicts returns the conflicts that are kept, oldest first; none for another owner.
func (s *Store) Conflicts(owner string) []Conflict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is.Owner != owner {
		return nil
	}
	return append([]Conflict(nil), s.is.Conflicts...)
}

// Told notes that the collector has a conflict. It is kept all the same.
func (s *Store) Told(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.is
	r.Conflicts = append([]Conflict{}, r.Conflicts...)
	for i, c := range r.Conflicts {
		if c.ID == id && !c.Told {
			r.Conflicts[i].Told = true
			s.remember(r, s.seen)
		}
	}
}
