package evidence

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// Verifier knows whose certificates are whose.
type Verifier interface {
	// SignerKey returns the key of a certificate (DER) if that certificate, or an
	// earlier one, was issued to the endpoint; a certificate that was not is an error
	// wrapping [ErrNotIssued], and any other error means that it could not be found out.
	SignerKey(ctx context.Context, endpointID string, certificate []byte) (*ecdsa.PublicKey, error)
}

// ErrNotIssued means that a certificate was not issued to that endpoint.
var ErrNotIssued = errors.New("the certificate was not issued to this endpoint")

// Tied is where an acquisition belongs.
type Tied struct {
	OrganisationID string // of the endpoint; never empty
	IncidentID     string // may be empty
	IncidentNumber string // "INC-2026-0007"; empty without an incident
	// ExhibitNo is the number that the acquisition has among the exhibits of the incident;
	// its artifacts are numbered within it. At 0 they are numbered on their own, as versions
	// without exhibits did.
	ExhibitNo int64
}

// Refused is a refusal for the record.
type Refused struct {
	EndpointID    string // caller
	AcquisitionID string // that it named
	At            time.Time
	Refusal       Refusal
	Suppressed    int // refusals of this endpoint since the last recorded one that were too many to record
}

// Config is what an Intake is made of. Everything is needed that is not optional.
type Config struct {
	DB    *sqldb.DB
	Blobs blob.Store
	// Incoming is the folder of uploads that are not sealed yet, on the same file system
	// as the blobs. It is made when it is not there.
	Incoming string
	Verifier Verifier
	// Tie says, in the transaction of the acceptance, where an acquisition belongs. It
	// may open an incident. It may return a [*Refusal].
	Tie func(ctx context.Context, tx *sqldb.Tx, endpointID string, m *artifact.Manifest) (Tied, error)
	// OnAccepted is called in the same transaction, after rows and ledger entries are
	// written and before the receipt is signed. Optional.
	OnAccepted func(ctx context.Context, tx *sqldb.Tx, a Acquisition, items []Item) error
	// OnRefused records a refusal in a transaction of its own. Optional.
	OnRefused func(ctx context.Context, tx *sqldb.Tx, r Refused) error
	// Signer is the key of Certificate (DER), the collector's, which CASHA256's CA issued.
	Signer      crypto.Signer
	Certificate []byte
	// CollectorName and CASHA256 (hexadecimal) name the collector in receipts.
	CollectorName string
	CASHA256      string
	// MaxPart is the size in bytes from which a part is refused. Optional; default 64 GiB.
	MaxPart int64
	// MaxIncoming is how many bytes of one endpoint may lie there unsealed; when it is
	// passed, the oldest abandoned uploads of that endpoint are dropped first (the agent
	// still has them). Optional; default 128 GiB.
	MaxIncoming int64
	// MinFree is how many bytes uploads leave free on the disk, so that the collector
	// itself can go on. Optional; default 256 MiB.
	MinFree uint64
	// DailyBytes is how many bytes of one endpoint are taken in within 24 hours; the rest
	// has to wait on the endpoint. Optional; default 50 GB.
	DailyBytes int64
	// DailyShare bounds them to a part of the disk, in percent of what is free and what
	// they take together; 64 MiB are always taken. Optional; default 25.
	DailyShare int
	// OnExhausted records, in a transaction of its own, that an endpoint has sent that
	// much; for each at most once in six hours. Optional.
	OnExhausted func(ctx context.Context, tx *sqldb.Tx, e Exhausted) error
	// Abandoned is the age from which an upload that nobody went on with is dropped when
	// the collector starts. Optional; default 30 days.
	Abandoned time.Duration
	// RefusalsPerMinute bounds how many refusals of one endpoint are recorded, so that it
	// can't flood the ledger. Optional; default 10.
	RefusalsPerMinute int
	// Now is the collector's clock. Optional; default time.Now.
	Now func() time.Time
	// Log hears of what no caller hears. Optional.
	Log *slog.Logger
	// fail is a test's door: it is asked before and after each step.
	fail func(step string, persisted bool) error
}

// Intake takes uploads in. It is safe for concurrent use.
type Intake struct {
	cfg      Config
	refusals refusalLimit

	mu       sync.Mutex
	sessions map[string]*session // by acquisition folder
	incoming map[string]int64    // bytes on disk by endpoint, of endpoints that have sessions
	uploads  map[string]int      // open uploads by endpoint
	arrivals map[string]*arrivals
}

// What one endpoint may have at one time. An open upload holds a decoder, which is
// memory; a folder holds inodes and time to list it. An agent has two of the first,
// and a few more of connections that died.
const (
	maxOpen     = 8
	maxUnsealed = 256
)

// OpenIntake opens the intake and drops abandoned uploads. Call [Intake.Recover]
// before serving.
func OpenIntake(cfg Config) (*Intake, error) {
	if cfg.MaxPart <= 0 {
		cfg.MaxPart = 64 << 30
	}
	if cfg.MaxIncoming <= 0 {
		cfg.MaxIncoming = 128 << 30
	}
	if cfg.MinFree == 0 {
		cfg.MinFree = 256 << 20
	}
	if cfg.DailyBytes <= 0 {
		cfg.DailyBytes = 50e9
	}
	if cfg.DailyShare <= 0 || cfg.DailyShare > 100 {
		cfg.DailyShare = 25
	}
	if cfg.Abandoned <= 0 {
		cfg.Abandoned = 30 * 24 * time.Hour
	}
	if cfg.RefusalsPerMinute <= 0 {
		cfg.RefusalsPerMinute = 10
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAll(cfg.Incoming, 0o700); err != nil {
		return nil, fmt.Errorf("open evidence intake: %w", err)
	}
	i := &Intake{cfg: cfg, sessions: map[string]*session{}, incoming: map[string]int64{}, uploads: map[string]int{}, arrivals: map[string]*arrivals{}, refusals: newRefusalLimit(cfg.RefusalsPerMinute)}
	if err := i.dropAbandoned(); err != nil {
		return nil, fmt.Errorf("open evidence intake: %w", err)
	}
	return i, nil
}

// step runs one step of which a crash may come before or after.
func (i *Intake) step(name string, do func() error) error {
	crashpoint.Hit(name + ".before")
	if i.cfg.fail != nil {
		if err := i.cfg.fail(name, false); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	crashpoint.Hit(name + ".after")
	if i.cfg.fail != nil {
		return i.cfg.fail(name, true)
	}
	return nil
}

// folder is one folder of an unsealed acquisition.
type folder struct {
	endpointID, acquisitionID string
	dir                       string
	size                      int64 // bytes of its files
	touched                   time.Time
	sealed                    bool // it was proven; only rows are missing
}

// folders lists what lies there of one endpoint, or of all.
func (i *Intake) folders(endpointID string) ([]folder, error) {
	endpoints := []string{endpointID}
	if endpointID == "" {
		list, err := os.ReadDir(i.cfg.Incoming)
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		endpoints = nil
		for _, e := range list {
			endpoints = append(endpoints, e.Name())
		}
	}
	var out []folder
	for _, ep := range endpoints {
		list, err := os.ReadDir(filepath.Join(i.cfg.Incoming, ep))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		for _, acq := range list {
			if id.Check(id.Endpoint, ep) != nil || id.Check(id.Acquisition, acq.Name()) != nil {
				continue // not ours
			}
			f, err := statFolder(filepath.Join(i.cfg.Incoming, ep, acq.Name()))
			if err != nil {
				return nil, fmt.Errorf("list uploads: %w", err)
			}
			f.endpointID, f.acquisitionID = ep, acq.Name()
			out = append(out, f)
		}
	}
	return out, nil
}

func statFolder(dir string) (folder, error) {
	f := folder{dir: dir}
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil // just cleaned
	}
	if err != nil {
		return f, err
	}
	if fi, err := os.Stat(dir); err == nil {
		f.touched = fi.ModTime()
	}
	for _, e := range list {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, err
		}
		f.size += fi.Size()
		f.sealed = f.sealed || e.Name() == sealFile
		if fi.ModTime().After(f.touched) {
			f.touched = fi.ModTime()
		}
	}
	return f, nil
}

// dropAbandoned removes what nobody came back for. What is sealed stays: it is the
// collector's turn.
func (i *Intake) dropAbandoned() error {
	list, err := i.folders("")
	if err != nil {
		return err
	}
	for _, f := range list {
		if !f.sealed && i.cfg.Now().Sub(f.touched) > i.cfg.Abandoned {
			i.cfg.Log.Warn("abandoned upload dropped", slog.String("endpoint", f.endpointID), slog.String("acquisition", f.acquisitionID), slog.Int64("bytes", f.size))
			if err := os.RemoveAll(f.dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recover finishes what a crash interrupted between proving an acquisition and
// storing its rows, and returns how many were accepted. What can't be finished now
// stays for the next time and is in the error.
func (i *Intake) Recover(ctx context.Context) (accepted int, err error) {
	list, err := i.folders("")
	if err != nil {
		return 0, err
	}
	for _, f := range list {
		if !f.sealed {
			continue
		}
		s, serr := i.session(ctx, f.endpointID, f.acquisitionID)
		if serr != nil {
			return accepted, errors.Join(err, serr)
		}
		_, ferr := s.finish(ctx)
		s.release()
		if ferr != nil {
			err = errors.Join(err, fmt.Errorf("finish acquisition %s: %w", f.acquisitionID, ferr))
			continue
		}
		accepted++
	}
	return accepted, err
}

// charge books n more bytes for an endpoint and makes room when it has too many.
func (i *Intake) charge(endpointID string, n int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.incoming[endpointID] += n
	if n <= 0 || i.incoming[endpointID] <= i.cfg.MaxIncoming {
		return nil
	}
	err := i.dropOldest(endpointID, func(int) bool { return i.incoming[endpointID] <= i.cfg.MaxIncoming })
	if err != nil || i.incoming[endpointID] <= i.cfg.MaxIncoming {
		return err
	}
	i.incoming[endpointID] -= n
	return fmt.Errorf("%w: %d bytes are the limit", ErrQuota, i.cfg.MaxIncoming)
}

// dropOldest drops abandoned uploads of an endpoint, the oldest first, until enough
// says so of the number of folders that are left. Needs i.mu.
func (i *Intake) dropOldest(endpointID string, enough func(left int) bool) error {
	list, err := i.folders(endpointID)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b folder) int { return a.touched.Compare(b.touched) })
	left := len(list)
	for _, f := range list {
		if enough(left) {
			return nil
		}
		if i.sessions[f.dir] != nil || f.sealed {
			continue
		}
		i.cfg.Log.Warn("abandoned upload dropped for room", slog.String("endpoint", endpointID), slog.String("acquisition", f.acquisitionID), slog.Int64("bytes", f.size))
		if err := os.RemoveAll(f.dir); err != nil {
			return err
		}
		i.incoming[endpointID] -= f.size
		left--
	}
	return nil
}

// newFolder makes the folder of an acquisition, if it is not there, and room for it
// among the others of its endpoint.
func (i *Intake) newFolder(s *session) error {
	if _, err := os.Lstat(s.dir); err == nil {
		return nil
	}
	list, err := os.ReadDir(filepath.Dir(s.dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list uploads: %w", err)
	}
	if len(list) >= maxUnsealed {
		i.mu.Lock()
		err := i.dropOldest(s.endpointID, func(left int) bool { return left < maxUnsealed })
		i.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return durable.MkdirAll(s.dir, 0o700)
}

// enter takes a place for an upload of an endpoint; leave gives it back.
func (i *Intake) enter(endpointID string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.uploads[endpointID] >= maxOpen {
		return fmt.Errorf("%w: %d uploads at one time are the limit", ErrQuota, maxOpen)
	}
	i.uploads[endpointID]++
	return nil
}

func (i *Intake) leave(endpointID string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.uploads[endpointID]--; i.uploads[endpointID] == 0 {
		delete(i.uploads, endpointID)
	}
}

// room reports whether the disk has space for more.
func (i *Intake) room() error {
	free, err := durable.Free(i.cfg.Incoming)
	if err != nil {
		return err
	}
	if free < i.cfg.MinFree {
		return fmt.Errorf("%w: %d bytes are free, %d must stay so", ErrNoSpace, free, i.cfg.MinFree)
	}
	return nil
}

// spaceError names a full disk as what it is.
func spaceError(err error) error {
	if err != nil && (durable.IsFull(err) || sqldb.IsFull(err)) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
