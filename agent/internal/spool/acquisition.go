package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"hozen/internal/crashpoint"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// entry is what is known of one acquisition. Its fields are guarded by the mutex of
// whoever holds it.
type entry struct {
	id         string
	sequence   uint64
	state      State
	begunAt    time.Time
	plan       []byte
	parts      []*part
	other      int64 // bytes of everything but parts
	aside      int64 // bytes of what is kept and is no part
	reason     string
	receivedAt time.Time // of the receipt or the refusal
	verdict    int64     // bytes of the refusal, which are in other
	offered    string    // under which keys it was offered or handed over last, see Spool.OfferAgain
	dropped    []string  // half-written parts that recovery took away
	sealed     bool      // its parts lie encrypted
}

type part struct {
	name     string // final name; on disk with the suffix ".part" until complete
	onDisk   string
	size     int64 // of what was written, before it is encrypted
	sealed   bool  // it lies encrypted
	file     int64 // bytes of the file, of a sealed part alone
	complete bool
	gone     bool
	image    bool          // of memory: as large as the disk has room for, see Acquisition.Room
	sum      digest.Digest // of what was written; zero until known
	note     []byte        // the writer's, of a sealed part that is complete
}

func (e *entry) bytes() int64 {
	n := e.other + e.aside
	for _, p := range e.parts {
		n += p.size
	}
	return n
}

// counted is what the quota counts: all but images of memory.
func (e *entry) counted() int64 {
	n := e.other + e.aside
	for _, p := range e.parts {
		if !p.image {
			n += p.size
		}
	}
	return n
}

// isImage tells an image of memory by the name of its part.
func isImage(name string) bool { return strings.HasSuffix(name, ".lime.zst") }

func (e *entry) info() Info {
	return Info{AcquisitionID: e.id, Sequence: e.sequence, State: e.state, BegunAt: e.begunAt, Bytes: e.bytes(), Reason: e.reason, Sealed: e.sealed}
}

// head is acquisition.json.
type head struct {
	Format        string    `json:"format"`
	AcquisitionID string    `json:"acquisition_id"`
	Sequence      uint64    `json:"sequence"`
	BegunAt       time.Time `json:"begun_at"`
	Plan          []byte    `json:"plan"`
	// Sealed says that the parts lie encrypted; only in sealedFormat.
	Sealed bool `json:"sealed,omitempty"`
}

const (
	headFormat = "hozen-spool/1"
	// sealedFormat has a name of its own: an older agent must not take the parts for clear ones.
	sealedFormat = "hozen-spool/2"
)

// host is whoever an acquisition is written for: the spool, or a folder of its own.
type host interface {
	reserve(n int64, image bool) error // room for n more bytes, or ErrFull; called with the mutex held
	room(n int64) error                // the same for an image to come, see Acquisition.Room
	changedLocked()
	step(name string, do func() error) error
	behind(f *os.File, offset, n int64) error // see durable.WriteBehind
}

// Acquisition is being written. It serves one writer; its parts serve one writer each.
type Acquisition struct {
	host host
	mu   *sync.Mutex
	e    *entry
	dir  string
	root *os.Root // of dir
	bare bool     // a folder of its own, without acquisition.json
	open int      // parts being written

	// wrap encrypts parts, whose files have suffix behind their names; nil: they lie in the clear.
	wrap   func(w io.Writer) (io.WriteCloser, error)
	suffix string
	notes  *notes // of sealed parts in a spool; else nil
}

// Seal is what ends an acquisition.
type Seal struct {
	Manifest  []byte
	Signature []byte // over the exact bytes of Manifest
	SignerPEM []byte // public key
	CertPEM   []byte // leaf first, then issuer; empty before enrolment
}

// ID returns the identifier.
func (a *Acquisition) ID() string { return a.e.id }

// Plan returns the plan as last noted.
func (a *Acquisition) Plan() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.e.plan)
}

// Dropped names the half-written parts that were taken away after a crash.
func (a *Acquisition) Dropped() []string { return slices.Clone(a.e.dropped) }

// Note replaces the plan durably.
func (a *Acquisition) Note(plan []byte) error {
	if a.bare {
		return nil
	}
	b, err := encodeHead(a.e, plan)
	if err == nil {
		err = a.host.step(crashpoint.SpoolNote, func() error { return a.write(headFile, b) })
	}
	if err != nil {
		return fmt.Errorf("note plan of %s: %w", a.e.id, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.e.plan, a.e.other = slices.Clone(plan), int64(len(b))
	return nil
}

func encodeHead(e *entry, plan []byte) ([]byte, error) {
	h := head{headFormat, e.id, e.sequence, e.begunAt, plan, e.sealed}
	if e.sealed {
		h.Format = sealedFormat
	}
	b, err := json.Marshal(h)
	if err == nil && len(b) > maxHead {
		err = fmt.Errorf("plan of %d bytes is too large", len(plan))
	}
	return b, err
}

// write makes a whole file durable; what was there before is there until then.
func (a *Acquisition) write(name string, b []byte) error {
	if a.bare {
		return a.writeInside(name, b)
	}
	return durable.WriteFile(filepath.Join(a.dir, name), b, 0o600)
}

// writeInside does so in a folder of its own, which nothing leads out of.
func (a *Acquisition) writeInside(name string, b []byte) error {
	f, err := createFile(a.root, name+growing)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = a.root.Rename(name+growing, name)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(a.root, name+growing))
	}
	return a.syncInside(".")
}

// syncInside makes the names in a folder durable, whatever lies at its path by now.
func (a *Acquisition) syncInside(dir string) error {
	if runtime.GOOS == "windows" {
		return durable.SyncDir(a.dir) // which says how that system does it
	}
	d, err := a.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Create begins a part, such as "artifacts/process.jsonl.zst". A name serves once.
func (a *Acquisition) Create(name string) (*Part, error) {
	if err := checkPart(name); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.ContainsFunc(a.e.parts, func(p *part) bool { return p.name == name }) {
		return nil, fmt.Errorf("create part %s: %w", name, os.ErrExist)
	}
	p := &part{name: name, onDisk: name + a.suffix + growing, image: isImage(name)}
	var f *os.File
	err := a.host.step(crashpoint.SpoolPartCreate, func() (err error) {
		f, err = createFile(a.root, p.onDisk)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, fmt.Errorf("create part %s: %w", name, err)
	}
	out := &Part{a: a, p: p, f: f, hash: digest.NewWriter(f)}
	if a.wrap != nil {
		out.below = &counted{w: f}
		if out.wrapped, err = a.wrap(out.below); err != nil {
			f.Close()
			removeIfThere(a.root, p.onDisk)
			return nil, fmt.Errorf("create part %s: %w", name, err)
		}
		out.hash, p.sealed, p.file = digest.NewWriter(out.wrapped), true, out.below.n
	}
	a.e.parts = append(a.e.parts, p)
	a.open++
	a.host.changedLocked()
	return out, nil
}

// Room reports with an error that wraps ErrNoRoom that there is no room for n bytes of an
// image of memory. The quota does not count it: somebody ordered it and was told its
// size. What counts is the disk, of which [imageSpare] is left free besides what always
// is, so that whoever uses the PC can go on.
func (a *Acquisition) Room(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.host.room(n)
}

// Parts describes the parts so far.
func (a *Acquisition) Parts() []PartInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	return describe(a.e.parts)
}

// PartNote returns what the writer of a sealed part noted of it; nil when there is nothing.
func (a *Acquisition) PartNote(name string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.e.find(name); p != nil && !p.gone {
		return slices.Clone(p.note)
	}
	return nil
}

// Read opens a closed part as it lies there.
func (a *Acquisition) Read(name string) (io.ReadCloser, error) {
	if err := checkPart(name); err != nil {
		return nil, err
	}
	f, _, err := openRegular(a.root, name+a.suffix)
	return f, err
}

// Seal writes the manifest and last of all its signature; when it returns nil the
// acquisition survives whatever happens next. After an error it may be called again,
// or the acquisition be left with [Acquisition.Leave].
func (a *Acquisition) Seal(s Seal) error {
	a.mu.Lock()
	open := a.open
	a.mu.Unlock()
	if open > 0 {
		return fmt.Errorf("seal %s: %d parts are still being written", a.e.id, open)
	}
	if len(s.Manifest) == 0 || len(s.Manifest) > maxManifest || len(s.Signature) == 0 || len(s.Signature) > maxSmall ||
		len(s.SignerPEM) == 0 || len(s.SignerPEM) > maxSmall || len(s.CertPEM) > maxSmall {
		return fmt.Errorf("seal %s: a file is empty or larger than the format allows", a.e.id)
	}
	err := a.host.step(crashpoint.SpoolSealFiles, func() error {
		if err := errors.Join(a.write(manifestFile, s.Manifest), a.write(signerFile, s.SignerPEM)); err != nil {
			return err
		}
		if len(s.CertPEM) > 0 {
			return a.write(certFile, s.CertPEM)
		}
		return nil
	})
	if err == nil {
		err = a.host.step(crashpoint.SpoolSeal, func() error { return a.write(signatureFile, s.Signature) })
	}
	if err != nil {
		return fmt.Errorf("seal %s: %w", a.e.id, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.e.other += int64(len(s.Manifest) + len(s.Signature) + len(s.SignerPEM) + len(s.CertPEM))
	a.e.state = Sealed
	a.host.changedLocked()
	return errors.Join(a.notes.close(), a.root.Close())
}

// Part is one file of an acquisition while it is written.
type Part struct {
	a    *Acquisition
	p    *part
	f    *os.File
	hash *digest.Writer
	done bool
	// flushed is how much of an image was handed to the disk, see Write.
	flushed int64
	// wrapped and below stand between hash and f where what is written is encrypted; else nil.
	wrapped io.WriteCloser
	below   *counted
	note    []byte
}

// behindEvery is how much of an image is written between two words to the disk. A flash
// capture or a shutdown that comes then waits for so much, and not for gigabytes.
const behindEvery = 16 << 20

// Write appends. The error wraps ErrFull when the spool has no room; what was written
// before stays valid. An image goes to the disk while it grows.
func (p *Part) Write(b []byte) (int, error) {
	if p.done {
		return 0, os.ErrClosed
	}
	p.a.mu.Lock()
	err := p.a.host.reserve(int64(len(b)), p.p.image)
	p.a.mu.Unlock()
	if err != nil {
		return 0, fmt.Errorf("write part %s: %w", p.p.name, err)
	}
	n, err := p.hash.Write(b)
	p.a.mu.Lock()
	p.p.size += int64(n)
	size := p.p.size
	if p.below != nil {
		size, p.p.file = p.below.n, p.below.n
	}
	p.a.host.changedLocked()
	p.a.mu.Unlock()
	if err == nil && p.p.image && size-p.flushed >= behindEvery {
		err = p.a.host.behind(p.f, p.flushed, size-p.flushed)
		p.flushed = size
	}
	p.tell(err)
	return n, err
}

// tell lets a folder know what came of writing.
func (p *Part) tell(err error) {
	if f, ok := p.a.host.(*Folder); ok && err != nil {
		f.mu.Lock()
		f.wrote(err)
		f.mu.Unlock()
	}
}

// Sum returns digest and size of what was written.
func (p *Part) Sum() (digest.Digest, int64) { return p.hash.Sum(), p.hash.Size() }

// Note keeps JSON beside a part that is sealed, for [Acquisition.PartNote] after a crash: what
// else could only be learnt from the part. It is called before Close.
func (p *Part) Note(b []byte) { p.note = slices.Clone(b) }

// Close makes the part durable under its final name. After an error the part is
// given up.
func (p *Part) Close() error {
	if p.done {
		return os.ErrClosed
	}
	p.done = true
	var err error
	if p.wrapped != nil {
		err = p.wrapped.Close()
	}
	err = errors.Join(err, p.a.host.step(crashpoint.SpoolPartSync, p.sync))
	err = errors.Join(err, p.f.Close())
	if err == nil {
		err = p.a.host.step(crashpoint.SpoolPartRename, func() error {
			p.a.mu.Lock()
			defer p.a.mu.Unlock()
			if err := p.a.rename(p.p.onDisk, p.p.name+p.a.suffix); err != nil {
				return err
			}
			p.p.onDisk = p.p.name + p.a.suffix
			return nil
		})
	}
	p.finish(err == nil)
	if p.tell(err); err != nil {
		return fmt.Errorf("close part %s: %w", p.p.name, err)
	}
	return nil
}

// sync makes the bytes of the part durable, and beside them what is known of it.
func (p *Part) sync() error {
	if p.a.notes == nil {
		return p.f.Sync()
	}
	noted := make(chan error, 1)
	go func() { noted <- p.a.notes.keep(partNote{p.p.name, p.hash.Size(), p.hash.Sum().String(), p.note}) }()
	return errors.Join(p.f.Sync(), <-noted)
}

// rename gives a file its name durably.
func (a *Acquisition) rename(from, to string) error {
	if !a.bare {
		return durable.Rename(filepath.Join(a.dir, from), filepath.Join(a.dir, to))
	}
	if err := a.root.Rename(from, to); err != nil {
		return err
	}
	return a.syncInside(path.Dir(to))
}

// Discard gives the part up and takes its bytes away.
func (p *Part) Discard() error {
	if p.done {
		return nil
	}
	p.done = true
	err := p.f.Close()
	p.finish(false)
	return err
}

// finish ends the part under the mutex, and removes what lies on disk if it is no good.
func (p *Part) finish(ok bool) {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.a.open--
	if ok {
		p.p.complete, p.p.sum, p.p.note = true, p.hash.Sum(), p.note
		if p.below != nil {
			p.p.file = p.below.n
		}
	} else {
		p.p.gone, p.p.size = true, 0
		// What cannot be removed now is removed when the spool is opened next.
		removeIfThere(p.a.root, p.p.onDisk)
	}
	p.a.host.changedLocked()
}
