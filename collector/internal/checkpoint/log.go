// Package checkpoint signs the state of the custody ledger again and again, and refuses to
// sign one that does not go on from what it signed before: the key and the newest signed
// state lie in files outside the database. It knows nothing of what entries say, of
// networks or of who may do what.
package checkpoint

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// The errors that callers act on.
var (
	// ErrDiffers means that nothing is signed because the ledger does not go on from what
	// was signed before. A person has to decide; see [Log.Differences].
	ErrDiffers = errors.New("the ledger does not go on from what was signed before")
	// ErrNothing means that there is no difference to decide about.
	ErrNothing = errors.New("the ledger goes on from what was signed before")
)

// errUnreadable means that a file outside the database cannot be read now. It may pass, so
// it is no verdict on the ledger, and nothing remembers it.
var errUnreadable = errors.New("a file outside the database cannot be read now")

// Config is the manual of the log. Every field without "Optional" is needed.
type Config struct {
	DB *sqldb.DB
	// KeyFile holds the private key, PKCS #8 PEM, Ed25519. It is made when nothing was ever
	// signed. Whoever has it and the database can rewrite the past.
	KeyFile string
	// Dir holds the newest signed state of each organisation, one file each.
	Dir string
	// Name begins the origins: what makes this collector's logs different from all others,
	// without spaces or pluses.
	Name string
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
	// Log hears of faults that no caller can be told of. Optional; default discards.
	Log *slog.Logger
}

// Log signs the ledgers of all organisations. It is safe for concurrent use.
type Log struct {
	cfg Config

	mu    sync.Mutex
	key   ed25519.PrivateKey // nil when it is missing
	lines map[string]*line   // by organisation
}

// line is the stretch of history that is being signed.
type line struct {
	no       int64
	origin   string
	newest   checkpoint.Checkpoint // the newest that is known to be signed; size 0 before
	signedAt time.Time
	differs  *Difference
}

// Kind says how a ledger differs from what was signed.
type Kind string

// The kinds.
const (
	Shorter   Kind = "shorter"   // entries are missing from the end: an older database
	Rewritten Kind = "rewritten" // it has entries enough, and they are not those that were signed
	KeyLost   Kind = "key_lost"  // the key is not there, or is another one
	OtherLine Kind = "line"      // the database does not know of the line that was signed, or of one that nobody declared
	BadFile   Kind = "file"      // the file of the newest signed state is missing or damaged
	Forged    Kind = "forged"    // entries have no MAC of the collector: somebody wrote them into the database
	EntryKey  Kind = "entry_key" // the key of the entries' MACs is another one
)

// Difference is why nothing is signed.
type Difference struct {
	OrganisationID string
	Kind           Kind
	Known          checkpoint.Checkpoint // what was signed; zero where it cannot be read
	Size           int64                 // of the ledger as it is
	Root           tlog.Hash             // of the ledger as it is
	Detail         string                // English, for experts
	// Passing: a file cannot be read now, and may be the next time. Nothing is signed while
	// it lasts; it is no finding to record or to decide about.
	Passing bool
}

// Signed is a checkpoint with when it was signed.
type Signed struct {
	checkpoint.Checkpoint
	Key      checkpoint.Key
	Line     int64
	SignedAt time.Time
}

// Open reads the key, or makes it when nothing was ever signed. A missing key is no error:
// the collector must work in an emergency; see [KeyLost].
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if cfg.DB == nil || cfg.KeyFile == "" || cfg.Dir == "" || cfg.Name == "" {
		return nil, errors.New("open checkpoints: a field of the Config is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{cfg: cfg, lines: map[string]*line{}}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open checkpoints: %w", err)
	}
	key, err := loadKey(cfg.KeyFile)
	switch {
	case err == nil:
		l.key = key
	case errors.Is(err, fs.ErrNotExist):
		used, uerr := l.everSigned(ctx)
		if uerr != nil {
			return nil, fmt.Errorf("open checkpoints: %w", uerr)
		}
		if used {
			cfg.Log.ErrorContext(ctx, "the key that signs the ledger is missing; nothing is signed until somebody decides", slog.String("file", cfg.KeyFile))
			return l, nil
		}
		if l.key, err = makeKey(cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("open checkpoints: %w", err)
		}
	default:
		cfg.Log.ErrorContext(ctx, "the key that signs the ledger cannot be read; nothing is signed until somebody decides", slog.Any("error", err))
	}
	return l, nil
}

// OpenCopy is for the audit of a copy of a database and of the files outside it, see [Log.Copy]. It makes and
// changes nothing; without the key the audit says that it is missing.
func OpenCopy(cfg Config) (*Log, error) {
	if cfg.DB == nil || cfg.KeyFile == "" || cfg.Dir == "" || cfg.Name == "" {
		return nil, errors.New("open copy of checkpoints: a field of the Config is missing")
	}
	cfg.Now, cfg.Log = time.Now, slog.New(slog.DiscardHandler)
	l := &Log{cfg: cfg, lines: map[string]*line{}}
	if err := l.reload(); err != nil {
		return nil, fmt.Errorf("open copy of checkpoints: %w", err)
	}
	return l, nil
}

// everSigned reports whether database or files speak of something signed.
func (l *Log) everSigned(ctx context.Context) (bool, error) {
	files, err := filepath.Glob(filepath.Join(l.cfg.Dir, "*"+noteSuffix))
	if err != nil || len(files) > 0 {
		return len(files) > 0, err
	}
	return anyLine(ctx, l.cfg.DB.Read())
}

// Key is the public key; nil when it is missing.
func (l *Log) Key() checkpoint.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return public(l.key)
}

func (l *Log) originOf(organisationID string, no int64) string {
	origin := l.cfg.Name + "/" + organisationID
	if no > 1 {
		origin += fmt.Sprintf("/%d", no)
	}
	return origin
}

// ours tells the organisation and the line of an origin, if it is one of this collector.
func (l *Log) ours(origin string) (organisationID string, no int64, ok bool) {
	rest, ok := strings.CutPrefix(origin, l.cfg.Name+"/")
	if !ok {
		return "", 0, false
	}
	organisationID, tail, more := strings.Cut(rest, "/")
	if id.Check(id.Organisation, organisationID) != nil {
		return "", 0, false
	}
	no = 1
	if more {
		if _, err := fmt.Sscanf(tail, "%d", &no); err != nil || no < 2 || fmt.Sprint(no) != tail {
			return "", 0, false
		}
	}
	return organisationID, no, true
}

// line returns what is known of an organisation's line, reading it at first; nil when
// nothing was ever signed. The caller holds the lock.
func (l *Log) line(ctx context.Context, q sqldb.Queryer, organisationID string) (*line, error) {
	if ln := l.lines[organisationID]; ln != nil {
		return ln, nil
	}
	ln, err := l.read(ctx, q, organisationID)
	if err != nil || ln == nil {
		return nil, err
	}
	l.lines[organisationID] = ln
	return ln, nil
}

// read puts together what the database and the file say.
func (l *Log) read(ctx context.Context, q sqldb.Queryer, organisationID string) (*line, error) {
	row, err := newestLine(ctx, q, organisationID)
	if err != nil {
		return nil, err
	}
	kept, ferr := readNote(l.cfg.Dir, organisationID)
	if ferr != nil && !errors.Is(ferr, checkpoint.ErrMalformed) {
		return nil, fmt.Errorf("%w: %w", errUnreadable, ferr)
	}
	if row == nil && ferr == nil && kept.Note == "" {
		return nil, nil
	}
	if err := l.reload(); err != nil {
		return nil, err
	}
	ln := &line{}
	differs := func(k Kind, known checkpoint.Checkpoint, detail string) (*line, error) {
		head, err := ledger.HeadOf(ctx, q, organisationID)
		if err != nil {
			return nil, err
		}
		ln.differs = &Difference{OrganisationID: organisationID, Kind: k, Known: known, Size: head.Size, Root: head.Root, Detail: detail}
		return ln, nil
	}
	if row != nil {
		ln.no, ln.origin = row.no, row.origin
		ln.newest, ln.signedAt, err = newestNote(ctx, q, organisationID, row.no)
		if err != nil && !errors.Is(err, checkpoint.ErrMalformed) {
			return nil, err
		}
		if err != nil {
			return differs(BadFile, checkpoint.Checkpoint{}, "the newest checkpoint in the database cannot be read: "+err.Error())
		}
	}
	begun, err := readBegun(l.cfg.Dir, organisationID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if row != nil && row.no > 1 && ln.newest.Note == "" && begun == row.begunText() && (ferr != nil || l.lineOf(kept.Origin, organisationID) < row.no) {
		kept, ferr = checkpoint.Checkpoint{}, nil // of what is over: a person decided, and nothing is signed since
	}
	if ferr != nil {
		return differs(BadFile, checkpoint.Checkpoint{}, ferr.Error())
	}
	var keptLine int64
	if kept.Note != "" {
		org, no, ok := l.ours(kept.Origin)
		if !ok || org != organisationID {
			return differs(BadFile, kept, "the file of the newest signed state is of another log: "+kept.Origin)
		}
		keptLine = no
	}
	if keptLine > ln.no {
		d, err := l.compare(ctx, q, organisationID, kept)
		if err != nil {
			return nil, err
		}
		ln.no, ln.origin, ln.newest = keptLine, kept.Origin, kept
		if d == nil {
			return differs(OtherLine, kept, "it was signed under a line that the database does not know")
		}
		ln.differs = d
		return ln, nil
	}
	key := public(l.key)
	if row != nil && key != nil && key.Text(row.origin) != row.verifierKey {
		key = nil
	}
	if key == nil {
		return differs(KeyLost, newer(ln.newest, kept, keptLine == ln.no), "the key that signed is not there")
	}
	if no := l.lineOf(begun, organisationID); no != 0 && (row == nil || no != row.no || keptLine >= no) {
		if err := removeBegun(l.cfg.Dir, organisationID); err != nil {
			return nil, err
		}
	}
	hasNotes := ln.newest.Note != ""
	candidates := []checkpoint.Checkpoint{ln.newest}
	if keptLine == ln.no {
		candidates = append(candidates, kept)
	}
	for _, c := range candidates {
		if c.Note == "" {
			continue
		}
		if _, err := checkpoint.Open(c.Note, key); err != nil {
			return differs(BadFile, checkpoint.Checkpoint{}, err.Error())
		}
		d, err := l.compare(ctx, q, organisationID, c)
		if err != nil {
			return nil, err
		}
		if d != nil {
			ln.newest, ln.differs = c, d
			return ln, nil
		}
		ln.newest = newer(ln.newest, c, true)
	}
	if row == nil {
		return ln, nil
	}
	why := uncovered(*row, hasNotes, kept, keptLine, begun)
	if why == "" {
		return ln, nil
	}
	if kept.Note == "" {
		return differs(BadFile, ln.newest, why)
	}
	if ln.differs, err = l.compare(ctx, q, organisationID, kept); err != nil || ln.differs != nil {
		return ln, err
	}
	return differs(OtherLine, kept, why)
}

// reload reads the key again when it could not be read before: whatever was wrong may have
// passed. Without a key it stays as it is.
func (l *Log) reload() error {
	if l.key != nil {
		return nil
	}
	key, err := loadKey(l.cfg.KeyFile)
	if err == nil {
		l.key = key
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoKey) {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

func newer(a, b checkpoint.Checkpoint, sameLine bool) checkpoint.Checkpoint {
	if b.Note != "" && (a.Note == "" || sameLine && b.Size > a.Size) {
		return b
	}
	return a
}

// compare reports how the ledger differs from a signed state; nil when it goes on from it.
func (l *Log) compare(ctx context.Context, q sqldb.Queryer, organisationID string, known checkpoint.Checkpoint) (*Difference, error) {
	if known.Size == 0 {
		return nil, nil // everything goes on from nothing
	}
	head, err := ledger.HeadOf(ctx, q, organisationID)
	if err != nil {
		if !errors.Is(err, ledger.ErrBroken) {
			return nil, err
		}
		return &Difference{OrganisationID: organisationID, Kind: Rewritten, Known: known, Detail: err.Error()}, nil
	}
	d := &Difference{OrganisationID: organisationID, Known: known, Size: head.Size, Root: head.Root}
	if head.Size < known.Size {
		d.Kind = Shorter
		d.Detail = fmt.Sprintf("%d entries were signed and there are %d", known.Size, head.Size)
		return d, nil
	}
	root, err := ledger.RootAt(ctx, q, organisationID, known.Size)
	switch {
	case errors.Is(err, ledger.ErrBroken):
		d.Kind, d.Detail = Rewritten, err.Error()
	case err != nil:
		return nil, err
	case root != known.Root:
		d.Kind = Rewritten
		d.Detail = fmt.Sprintf("the first %d entries are not those that were signed", known.Size)
	default:
		return nil, nil
	}
	return d, nil
}

// Newest returns the newest signed state of an organisation without signing anything.
func (l *Log) Newest(ctx context.Context, organisationID string) (Signed, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln, err := l.line(ctx, l.cfg.DB.Read(), organisationID)
	if err != nil || ln == nil || ln.differs != nil || ln.newest.Note == "" {
		return Signed{}, false, err
	}
	return l.signed(ln), true, nil
}

func (l *Log) signed(ln *line) Signed {
	return Signed{Checkpoint: ln.newest, Key: public(l.key), Line: ln.no, SignedAt: ln.signedAt}
}

// Differences returns the ledgers that do not go on from what was signed before.
func (l *Log) Differences(ctx context.Context) ([]Difference, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Difference
	q := l.cfg.DB.Read()
	orgs, err := l.organisations(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("compare ledger with checkpoints: %w", err)
	}
	for _, org := range orgs {
		ln, err := l.line(ctx, q, org)
		if errors.Is(err, errUnreadable) {
			out = append(out, Difference{OrganisationID: org, Kind: BadFile, Detail: err.Error(), Passing: true})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("compare ledger with checkpoints: %w", err)
		}
		if ln != nil && ln.differs != nil {
			out = append(out, *ln.differs)
		}
	}
	return out, nil
}
