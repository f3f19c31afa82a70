// Package spool is the durable, write-once queue of acquisitions that wait for the
// collector; it survives power loss and owns the spool directory. It knows nothing of
// probes, keys or gRPC.
//
// Each acquisition is one folder, named by its identifier:
//
//	acquisition.json     what the spool must know, and the caller's plan
//	artifacts/*          parts; a part that is still growing ends in ".part", an encrypted one in ".age"
//	artifacts/*.aside    whole files of which nothing tells what is in them; kept, not sent
//	parts.jsonl          what is to be known of encrypted parts
//	manifest.json, signer.pem, signer-cert.pem
//	manifest.json.sig    written last: from here on nothing may be lost
//	receipt.json         the collector has it; first thing to drop
//	refused.json         the collector won't have it; kept, and sent again only where it
//	                     lacked the key, see [Spool.OfferAgain]
//
// What is dropped when room is short, in this order: acquisitions with a receipt,
// oldest first; refused ones that are older than [Config.KeepAfterReceipt], oldest
// first, but for those whose key the collector lacks. Nothing else is ever dropped: when that isn't enough, [Spool.Begin] and
// [Part.Write] return [ErrFull].
package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/sorted"
	"hozen/internal/crashpoint"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// The errors on which a caller acts.
var (
	ErrFull    = errors.New("spool is full of evidence that the collector does not have yet")
	ErrExists  = errors.New("acquisition is already in the spool")
	ErrNoRoom  = errors.New("the disk has no room for an image of memory")
	ErrUnknown = errors.New("acquisition is not in the spool")
	ErrGone    = errors.New("part was given up")
	ErrInUse   = errors.New("another process uses the spool")
)

// Config is the manual of the spool.
type Config struct {
	// Dir is made with mode 0700 when absent. No other program may write in it.
	Dir string
	// MaxBytes is the most that all acquisitions together may hold, images of memory apart:
	// those are bounded by the disk, see [Acquisition.Room]. Default 1 GiB.
	MaxBytes int64
	// MinFreeBytes is left free on the volume, so that evidence never fills the PC's
	// disk. Default 256 MiB; negative switches the check off.
	MinFreeBytes int64
	// KeepAfterReceipt is how long an acquisition stays after the collector confirmed it,
	// so that a dead collector disk loses nothing fresh; one with an image of memory at most
	// a day. Default 7 days; negative drops at once.
	KeepAfterReceipt time.Duration
	// Wrap is asked at the beginning of each acquisition for what encrypts its parts: a
	// function that begins a file in the format age in w, whose Close ends it and leaves w
	// open. Nil: they lie in the clear, as they do without it. Optional.
	Wrap func() func(w io.Writer) (io.WriteCloser, error)
	// Now is the clock. Optional.
	Now func() time.Time
	// Log hears of what is dropped and of what does not belong here. Optional.
	Log *slog.Logger
	// Step is told before and after each step that persists something, such as
	// "spool.seal.signature.before"; an error stops there. Optional, for tests.
	Step func(step string) error
	// Free tells how many bytes are free on the volume of a folder. Optional, for tests.
	Free func(dir string) (int64, error)
	// Behind hands what was written of an image to the disk. Default durable.WriteBehind;
	// for tests.
	Behind func(f *os.File, offset, n int64) error
}

const (
	defaultMaxBytes = 1 << 30
	defaultMinFree  = 256 << 20
	defaultKeep     = 7 * 24 * time.Hour

	// admission is the room that Begin wants to see, so that an acquisition is not begun
	// that cannot hold even its process list.
	admission = 2 << 20
	// maxProblems bounds the list of things that do not belong here.
	maxProblems = 100
)

// State is how far an acquisition has come.
type State int

// The states of an acquisition in the spool.
const (
	Live        State = iota // being written
	Interrupted              // its agent died before it was sealed
	Sealed                   // waits for the collector
	Received                 // the collector has it
	Refused                  // the collector won't have it
)

func (s State) String() string {
	return [...]string{"live", "interrupted", "sealed", "received", "refused"}[s]
}

// Info describes one acquisition in the spool.
type Info struct {
	AcquisitionID string
	Sequence      uint64 // order of making, independent of clocks
	State         State
	BegunAt       time.Time // endpoint's clock
	Bytes         int64
	Reason        string // why it was refused
	Sealed        bool   // its parts lie encrypted
}

// Status describes the spool as a whole.
type Status struct {
	UsedBytes, MaxBytes, FreeBytes int64
	Waiting, Received, Refused     int       // Waiting counts what is live, interrupted or sealed
	Oldest                         time.Time // when the oldest waiting one was begun; zero when none waits
	Full                           bool      // there is no room for another acquisition
	Problems                       []string  // things in the folder that do not belong there
}

// Spool is safe for concurrent use.
type Spool struct {
	cfg  Config
	root *os.Root
	lock *os.File

	mu       sync.Mutex
	entries  map[string]*entry
	sequence uint64
	wake     chan struct{}
	problems []string
	keys     string // that the collector told last, see OfferAgain
}

// Open opens or makes the spool in cfg.Dir, finishes what an earlier process had
// begun to drop, and finds what it left unsealed. Things in the folder that do not
// belong there are left alone and named in [Status].Problems.
func Open(cfg Config) (*Spool, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MinFreeBytes == 0 {
		cfg.MinFreeBytes = defaultMinFree
	}
	if cfg.KeepAfterReceipt == 0 {
		cfg.KeepAfterReceipt = defaultKeep
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Free == nil {
		cfg.Free = freeBytes
	}
	if cfg.Behind == nil {
		cfg.Behind = durable.WriteBehind
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockFolder(root)
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("open spool %q: %w", cfg.Dir, err)
	}
	s := &Spool{cfg: cfg, root: root, lock: lock, entries: map[string]*entry{}, wake: make(chan struct{})}
	if err := s.load(); err != nil {
		s.Close()
		return nil, fmt.Errorf("open spool %q: %w", cfg.Dir, err)
	}
	if _, err := s.Sweep(); err != nil {
		s.Close()
		return nil, fmt.Errorf("open spool %q: %w", cfg.Dir, err)
	}
	return s, nil
}

// Close lets go of the folder. What was begun and not sealed is interrupted.
func (s *Spool) Close() error { return errors.Join(s.lock.Close(), s.root.Close()) }

// Begin makes room for a new acquisition and returns it live. plan is kept beside it
// and given back by [Spool.Resume] if this process dies; at most 1 MiB. The error
// wraps ErrExists when the identifier is known and ErrFull when there is no room.
func (s *Spool) Begin(acquisitionID string, plan []byte) (*Acquisition, error) {
	return s.BeginWith(acquisitionID, plan, s.cfg.Wrap)
}

// BeginWith is [Spool.Begin] with what encrypts the parts of this acquisition, in the place of
// [Config.Wrap]. After a crash the rest is encrypted as Config.Wrap says then.
func (s *Spool) BeginWith(acquisitionID string, plan []byte, with func() func(w io.Writer) (io.WriteCloser, error)) (*Acquisition, error) {
	if err := id.Check(id.Acquisition, acquisitionID); err != nil {
		return nil, fmt.Errorf("begin acquisition: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[acquisitionID] != nil {
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, ErrExists)
	}
	if _, err := s.sweep(); err != nil {
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, err)
	}
	if err := s.makeRoom(s.short(min(admission, s.cfg.MaxBytes/2), false)); err != nil {
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, err)
	}
	if err := s.step(crashpoint.SpoolBeginFolder, func() error { return s.root.Mkdir(acquisitionID, 0o700) }); err != nil {
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, err)
	}
	root, err := s.root.OpenRoot(acquisitionID)
	if err != nil {
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, err)
	}
	s.sequence++
	e := &entry{id: acquisitionID, sequence: s.sequence, state: Live, begunAt: s.cfg.Now().UTC(), plan: slices.Clone(plan)}
	wrap := wrapping(with)
	e.sealed = wrap != nil
	a := s.writer(e, root)
	a.wrap = wrap
	b, err := encodeHead(e, plan)
	if err == nil {
		err = root.Mkdir(artifactDir, 0o700)
	}
	if err == nil && e.sealed {
		a.notes, err = openNotes(root)
	}
	if err == nil {
		e.other = int64(len(b))
		err = s.step(crashpoint.SpoolBeginPlan, func() error { return errors.Join(a.write(headFile, b), durable.SyncDir(s.cfg.Dir)) })
	}
	if err != nil {
		// Nothing was acquired yet; what cannot be removed now is removed at the next Open.
		err = errors.Join(err, a.notes.close(), root.Close(), s.root.RemoveAll(acquisitionID))
		return nil, fmt.Errorf("begin %s: %w", acquisitionID, err)
	}
	s.entries[acquisitionID] = e
	s.changedLocked()
	return a, nil
}

// Resume gives an interrupted acquisition back to its writer, with the parts that had
// been closed. The error wraps ErrUnknown when there is no such interrupted acquisition.
func (s *Spool) Resume(acquisitionID string) (*Acquisition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[acquisitionID]
	if e == nil || e.state != Interrupted {
		return nil, fmt.Errorf("resume %s: %w", acquisitionID, ErrUnknown)
	}
	root, err := s.root.OpenRoot(acquisitionID)
	if err != nil {
		return nil, fmt.Errorf("resume %s: %w", acquisitionID, err)
	}
	a := s.writer(e, root)
	if e.sealed {
		if a.wrap = wrapping(s.cfg.Wrap); a.wrap == nil {
			a.wrap = noKey
		}
		if a.notes, err = openNotes(root); err != nil {
			return nil, fmt.Errorf("resume %s: %w", acquisitionID, errors.Join(err, root.Close()))
		}
	}
	e.state = Live
	s.changedLocked()
	return a, nil
}

// wrapping is what encrypts the parts of an acquisition that begins; nil: nothing does.
func wrapping(with func() func(io.Writer) (io.WriteCloser, error)) func(io.Writer) (io.WriteCloser, error) {
	if with == nil {
		return nil
	}
	return with()
}

// noKey stands where an acquisition whose parts are encrypted goes on without key.
func noKey(io.Writer) (io.WriteCloser, error) {
	return nil, errors.New("the other parts are encrypted, and there is no key any more")
}

func (s *Spool) writer(e *entry, root *os.Root) *Acquisition {
	a := &Acquisition{host: s, mu: &s.mu, e: e, dir: filepath.Join(s.cfg.Dir, e.id), root: root}
	if e.sealed {
		a.suffix = sealedSuffix
	}
	return a
}

// List describes every acquisition, in order of making.
func (s *Spool) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Info, 0, len(s.entries))
	for _, e := range s.entries {
		list = append(list, e.info())
	}
	sorted.Func(list, func(a, b Info) int {
		if a.Sequence < b.Sequence {
			return -1
		}
		return 1
	})
	return list
}

// Changed returns a channel that is closed when anything in the spool next grows,
// is sealed, received, refused or dropped. Take it before looking, then wait on it.
func (s *Spool) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// Status describes the spool as a whole.
func (s *Spool) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{UsedBytes: s.used(), MaxBytes: s.cfg.MaxBytes, Problems: slices.Clone(s.problems)}
	for _, e := range s.entries {
		switch e.state {
		case Received:
			st.Received++
		case Refused:
			st.Refused++
		case Live, Interrupted, Sealed:
			st.Waiting++
			if st.Oldest.IsZero() || e.begunAt.Before(st.Oldest) {
				st.Oldest = e.begunAt
			}
		}
	}
	free, err := s.cfg.Free(s.cfg.Dir)
	if err == nil {
		st.FreeBytes = free // 0 when it cannot be known
	}
	room := min(admission, s.cfg.MaxBytes/2)
	// A disk that is full is told also where no free space is asked for.
	l := s.short(room, false)
	if err == nil {
		l.disk = max(l.disk, room-free)
	}
	st.Full = !s.afterDropping(l).none()
	return st
}

func (s *Spool) problem(name, what string) {
	if line := fmt.Sprintf("%.200q: %s", name, what); len(s.problems) < maxProblems && !slices.Contains(s.problems, line) {
		s.problems = append(s.problems, line)
	}
	s.cfg.Log.Warn("spool holds something foreign", slog.String("name", name), slog.String("problem", what))
}

func (s *Spool) changedLocked() {
	close(s.wake)
	s.wake = make(chan struct{})
}
