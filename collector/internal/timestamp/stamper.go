package timestamp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// ActStamped records a time stamp in the ledger.
const ActStamped = "ledger.timestamp"

// Times of the stamper.
const (
	// Every is how often a ledger that grew is stamped by the clock.
	Every = time.Hour
	// look is how often it is seen whether one is due.
	look = time.Minute
	// backoff is how long nobody asks by the clock after a failure; it doubles up to Every.
	backoff = time.Minute
)

// Signer gives the newest signed state of a ledger; see [checkpoint.Log].
type Signer interface {
	Newest(ctx context.Context, organisationID string) (checkpoint.Signed, bool, error)
}

// Config is the manual of the stamper. Every field without "Optional" is needed.
type Config struct {
	DB        *sqldb.DB
	Authority *Authority
	Signer    Signer
	// Dir is the folder of the newest signed states; the newest time stamp of each ledger is
	// kept there too, as three files that "openssl ts -verify" takes.
	Dir string
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
	// Log hears of faults that no caller can be told of. Optional; default discards.
	Log *slog.Logger
}

// Stamper has checkpoints time stamped. It is safe for concurrent use.
type Stamper struct {
	cfg  Config
	turn chan struct{} // one question at a time

	mu    sync.Mutex
	state failing
}

// failing is what went wrong since the last success.
type failing struct {
	err    string
	since  time.Time
	next   time.Time
	wait   time.Duration
	wanted map[string]bool // organisations whose checkpoint somebody wanted stamped in vain
}

// By says who has a checkpoint stamped.
type By struct {
	Kind, ID, Name string
	BreakGlass     string // why somebody acts without sign-in
}

// New returns a stamper. It asks nobody.
func New(cfg Config) (*Stamper, error) {
	if cfg.DB == nil || cfg.Authority == nil || cfg.Signer == nil || cfg.Dir == "" {
		return nil, errors.New("make stamper: a field of the Config is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Stamper{cfg: cfg, turn: make(chan struct{}, 1), state: failing{wanted: map[string]bool{}}}, nil
}

// Stamp returns the time stamp of a signed checkpoint, asking the authority when it has
// none. Errors of the authority wrap [ErrAuthority].
func (s *Stamper) Stamp(ctx context.Context, organisationID string, signed checkpoint.Signed, by By, why Reason) (Token, error) {
	t, err := s.stamp(ctx, organisationID, signed, by, why)
	if err != nil {
		return Token{}, fmt.Errorf("time stamp a checkpoint: %w", err)
	}
	return t, nil
}

// TryStamp is Stamp for somebody who does not wait for an authority that failed lately: it
// is asked again by the clock. The error is [ErrAuthority] then.
func (s *Stamper) TryStamp(ctx context.Context, organisationID string, signed checkpoint.Signed, by By, why Reason) (Token, error) {
	if t, ok, err := Of(ctx, s.cfg.DB.Read(), organisationID, signed.Note); ok || err != nil {
		return t, err
	}
	s.mu.Lock()
	lately, last := s.state.err != "" && s.cfg.Now().Before(s.state.next), s.state.err
	if lately {
		s.state.wanted[organisationID] = true
	}
	s.mu.Unlock()
	if lately {
		return Token{}, fmt.Errorf("time stamp a checkpoint: %w: it failed lately: %s", ErrAuthority, last)
	}
	return s.Stamp(ctx, organisationID, signed, by, why)
}

func (s *Stamper) stamp(ctx context.Context, organisationID string, signed checkpoint.Signed, by By, why Reason) (Token, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return Token{}, fmt.Errorf("%w: %w", ErrAuthority, ctx.Err())
	}
	defer func() { <-s.turn }()
	if t, ok, err := Of(ctx, s.cfg.DB.Read(), organisationID, signed.Note); ok || err != nil {
		return t, err
	}
	response, facts, err := s.cfg.Authority.ask(ctx, []byte(signed.Note))
	if !errors.Is(ctx.Err(), context.Canceled) { // that the asker has gone says nothing of the authority
		s.outcome(ctx, organisationID, err)
	}
	if err != nil {
		return Token{}, err
	}
	sum, of := sha256.Sum256(response), sha256.Sum256([]byte(signed.Note))
	t := Token{OrganisationID: organisationID, Size: signed.Size, Note: signed.Note, NoteSHA256: hex.EncodeToString(of[:]), Response: response,
		SHA256: hex.EncodeToString(sum[:]), ChainPEM: chainPEM(facts.Chain), Authority: s.cfg.Authority.URL(), Policy: facts.Policy, Serial: facts.Serial,
		At: facts.At, Accuracy: facts.Accuracy, ReceivedAt: s.cfg.Now().UTC(), Reason: why}
	if err := s.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		idx, err := ledger.Append(ctx, tx, t.entry(by))
		if err != nil {
			return err
		}
		t.LedgerIdx = idx
		return insert(ctx, tx, t)
	}); err != nil {
		return Token{}, err
	}
	if err := s.keepFiles(t); err != nil {
		// The database has it; the files are for whoever has lost that.
		s.cfg.Log.ErrorContext(ctx, "time stamp not kept beside the checkpoint", slog.Any("error", err))
	}
	return t, nil
}

func (t Token) entry(by By) ledger.Entry {
	details := map[string]string{"size": strconv.FormatInt(t.Size, 10), "note_sha256": t.NoteSHA256, "token_sha256": t.SHA256, "authority": t.Authority,
		"policy": t.Policy, "serial": t.Serial, "stamped_at": sqldb.FormatTime(t.At), "reason": string(t.Reason)}
	if t.Accuracy > 0 {
		details["accuracy_ns"] = strconv.FormatInt(int64(t.Accuracy), 10)
	}
	if by.BreakGlass != "" {
		details["break_glass"] = by.BreakGlass
	}
	return ledger.Entry{OrganisationID: t.OrganisationID, At: t.ReceivedAt, ActorKind: by.Kind, ActorID: by.ID, ActorName: by.Name, Act: ActStamped,
		Subject: t.OrganisationID, Details: details}
}

// outcome notes how a question went.
func (s *Stamper) outcome(ctx context.Context, organisationID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if err == nil {
		if s.state.err != "" {
			s.cfg.Log.InfoContext(ctx, "the time stamp authority answers again")
		}
		wanted := s.state.wanted
		delete(wanted, organisationID)
		s.state = failing{wanted: wanted}
		return
	}
	s.state.wanted[organisationID] = true
	if s.state.err == "" {
		s.state.since = now
		s.cfg.Log.WarnContext(ctx, "no time stamp; it is asked for again", slog.String("authority", s.cfg.Authority.URL()), slog.Any("error", err))
	}
	s.state.err = err.Error()
	s.state.wait = min(max(2*s.state.wait, backoff), Every)
	s.state.next = now.Add(s.state.wait)
}

// The files of the newest time stamp, after the organisation's identifier.
const (
	NoteFile  = ".timestamp.txt"    // the signed checkpoint that was stamped
	TokenFile = ".timestamp.tsr"    // the authority's answer
	ChainFile = ".timestamp-ca.pem" // the certificates above the authority's
)

// keepFiles writes the newest time stamp beside the newest checkpoint. Each file is whole; a
// crash between them leaves an answer that is not of the note, which the next one mends.
func (s *Stamper) keepFiles(t Token) error {
	if err := id.Check(id.Organisation, t.OrganisationID); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{NoteFile, []byte(t.Note)}, {ChainFile, []byte(t.ChainPEM)}, {TokenFile, t.Response}} {
		if err := durable.WriteFile(filepath.Join(s.cfg.Dir, t.OrganisationID+f.name), f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
