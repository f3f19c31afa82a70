package cosign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	parsing "hozen/internal/custody/checkpoint"
)

// Times of the cosigner.
const (
	// Every is how often a ledger that grew is shown to the witnesses by the clock.
	Every = 10 * time.Minute
	// look is how often it is seen whether one is to be shown.
	look = time.Minute
	// backoff is how long a witness is not asked by the clock after a failure; it doubles up
	// to an hour.
	backoff    = time.Minute
	maxBackoff = time.Hour
)

// Log gives signed states of a ledger, and proofs between them; see [checkpoint.Log].
type Log interface {
	Newest(ctx context.Context, organisationID string) (checkpoint.Signed, bool, error)
	Consistency(ctx context.Context, organisationID string, s checkpoint.Signed, old int64) ([][]byte, error)
}

// Config is the manual of the cosigner. Every field without "Optional" is needed.
type Config struct {
	DB  *sqldb.DB
	Log Log
	// Witnesses are those that are believed.
	Witnesses []Witness
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
	// Logger hears of faults that no caller can be told of. Optional; default discards.
	Logger *slog.Logger
}

// Cosigner has checkpoints cosigned. It is safe for concurrent use.
type Cosigner struct {
	cfg  Config
	http *http.Client

	mu    sync.Mutex
	state map[string]*trouble // by the witness's key and the organisation
}

// trouble is what went wrong with a witness since its last signature.
type trouble struct {
	err   string
	ahead bool
	since time.Time
	next  time.Time
	wait  time.Duration
}

// New returns a cosigner. It asks nobody.
func New(cfg Config) (*Cosigner, error) {
	if cfg.DB == nil || cfg.Log == nil {
		return nil, errors.New("make cosigner: a field of the Config is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	seen := map[string]bool{}
	for _, w := range cfg.Witnesses {
		if seen[w.Key.Name()] {
			return nil, fmt.Errorf("make cosigner: the witness %s is named twice", w.Key.Name())
		}
		seen[w.Key.Name()] = true
	}
	return &Cosigner{cfg: cfg, http: newClient(), state: map[string]*trouble{}}, nil
}

// Cosign shows a signed checkpoint to every witness that has a URL, all at once, and returns
// what they and others signed of it. Faults of witnesses are in [Cosigner.Status] and wrap
// [ErrWitness]; what the others signed is returned all the same.
func (c *Cosigner) Cosign(ctx context.Context, organisationID string, signed checkpoint.Signed) ([]Signature, error) {
	return c.show(ctx, organisationID, signed, func(Witness) bool { return true })
}

// TryCosign is Cosign for somebody who does not wait for witnesses that failed lately.
func (c *Cosigner) TryCosign(ctx context.Context, organisationID string, signed checkpoint.Signed) ([]Signature, error) {
	return c.show(ctx, organisationID, signed, func(w Witness) bool { return !c.resting(organisationID, w) })
}

func (c *Cosigner) show(ctx context.Context, organisationID string, signed checkpoint.Signed, which func(Witness) bool) ([]Signature, error) {
	faults := make([]error, len(c.cfg.Witnesses))
	var asking sync.WaitGroup
	for i, w := range c.cfg.Witnesses {
		if w.URL == "" || !which(w) {
			continue
		}
		asking.Go(func() { faults[i] = c.ask(ctx, organisationID, signed, w) })
	}
	asking.Wait()
	have, err := Of(ctx, c.cfg.DB.Read(), organisationID, signed.Note)
	return have, errors.Join(append(faults, err)...)
}

// ask shows one witness a checkpoint, and keeps what it signs.
func (c *Cosigner) ask(ctx context.Context, organisationID string, signed checkpoint.Signed, w Witness) error {
	last, _, err := Newest(ctx, c.cfg.DB.Read(), organisationID, signed.Origin, w.Key.Text())
	if err != nil {
		return err
	}
	if last.Note == signed.Note {
		return nil
	}
	lines, err := c.shown(ctx, organisationID, signed, w, min(last.Size, signed.Size))
	if behind, ok := errors.AsType[*conflict](err); ok {
		if behind.size > signed.Size {
			err = fmt.Errorf("%w: %d entries, and the newest checkpoint has %d", ErrAhead, behind.size, signed.Size)
		} else {
			lines, err = c.shown(ctx, organisationID, signed, w, behind.size)
		}
	}
	if err == nil {
		var got []Signature
		if got, err = c.read(organisationID, signed.Note+lines, signed.Note, []Witness{w}); err == nil && len(got) == 0 {
			err = errors.New("the answer has no signature by its key")
		}
		if err == nil {
			err = c.keep(ctx, got)
		}
	}
	if err != nil {
		err = fmt.Errorf("%w %s: %w", ErrWitness, w.Key.Name(), err)
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // that the asker has gone says nothing of the witness
		c.outcome(ctx, organisationID, w, err)
	}
	return err
}

func (c *Cosigner) shown(ctx context.Context, organisationID string, signed checkpoint.Signed, w Witness, old int64) (string, error) {
	proof, err := c.cfg.Log.Consistency(ctx, organisationID, signed, old)
	if err != nil {
		return "", err
	}
	return w.add(ctx, c.http, old, proof, signed.Note)
}

// read checks the signatures of witnesses on a cosigned note.
func (c *Cosigner) read(organisationID, cosigned, note string, witnesses []Witness) ([]Signature, error) {
	state, err := parsing.Parse(note)
	if err != nil {
		return nil, err
	}
	keys := make([]parsing.Witness, 0, len(witnesses))
	for _, w := range witnesses {
		keys = append(keys, w.Key)
	}
	list, err := parsing.Cosignatures(cosigned, keys)
	if err != nil {
		return nil, err
	}
	out := make([]Signature, 0, len(list))
	for _, s := range list {
		out = append(out, Signature{OrganisationID: organisationID, Origin: state.Origin, Size: state.Size, Note: note, Witness: s.Witness.Name(), WitnessKey: s.Witness.Text(),
			Line: s.Line, At: s.At, ReceivedAt: c.cfg.Now().UTC()})
	}
	return out, nil
}

func (c *Cosigner) keep(ctx context.Context, list []Signature) error {
	return c.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		for _, s := range list {
			if err := insert(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Accept keeps what witnesses signed of a checkpoint that somebody carried to them. The
// caller has made sure that this collector signed it and that the ledger goes on from it; key
// is the one that did. Without a signature of a witness that is believed it returns none.
func (c *Cosigner) Accept(ctx context.Context, organisationID, cosigned string, key parsing.Key) ([]Signature, error) {
	state, err := parsing.Open(cosigned, key)
	if err != nil {
		return nil, fmt.Errorf("accept cosignatures: %w", err)
	}
	note, err := parsing.Own(cosigned, key)
	if err != nil {
		return nil, fmt.Errorf("accept cosignatures of %s: %w", state.Origin, err)
	}
	list, err := c.read(organisationID, cosigned, note, c.cfg.Witnesses)
	if err != nil {
		return nil, fmt.Errorf("accept cosignatures: %w", err)
	}
	return list, c.keep(ctx, list)
}

// Run shows ledgers that grew to the witnesses, until ctx ends. Nothing waits for it.
func (c *Cosigner) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := c.round(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Logger.ErrorContext(ctx, "witnesses are not looked after", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round shows what is due. The error is about this collector, not about witnesses.
func (c *Cosigner) round(ctx context.Context) error {
	heads, err := ledger.Heads(ctx, c.cfg.DB.Read())
	if err != nil {
		return err
	}
	for _, h := range heads {
		signed, ok, err := c.cfg.Log.Newest(ctx, h.OrganisationID)
		if err != nil || !ok {
			continue // the ledger is not signed; its own status tells
		}
		due := map[string]bool{}
		for _, w := range c.cfg.Witnesses {
			last, ok, err := Newest(ctx, c.cfg.DB.Read(), h.OrganisationID, signed.Origin, w.Key.Text())
			if err != nil {
				return err
			}
			age := c.cfg.Now().Sub(last.ReceivedAt)
			due[w.Key.Name()] = !c.resting(h.OrganisationID, w) && (!ok || signed.Size > last.Size && (age < 0 || age >= Every))
		}
		if _, err := c.show(ctx, h.OrganisationID, signed, func(w Witness) bool { return due[w.Key.Name()] }); err != nil && !errors.Is(err, ErrWitness) {
			return err
		}
	}
	return nil
}

func (c *Cosigner) resting(organisationID string, w Witness) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.state[w.Key.Text()+" "+organisationID]
	return t != nil && c.cfg.Now().Before(t.next)
}

func (c *Cosigner) outcome(ctx context.Context, organisationID string, w Witness, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := w.Key.Text() + " " + organisationID
	t := c.state[key]
	if err == nil {
		if t != nil {
			c.cfg.Logger.InfoContext(ctx, "the witness signs again", slog.String("witness", w.Key.Name()))
		}
		delete(c.state, key)
		return
	}
	ahead := errors.Is(err, ErrAhead)
	if t == nil {
		t = &trouble{since: c.cfg.Now()}
		c.state[key] = t
		c.cfg.Logger.WarnContext(ctx, "no cosignature; the witness is asked again", slog.String("witness", w.Key.Name()), slog.Any("error", err))
	} else if ahead && !t.ahead {
		c.cfg.Logger.ErrorContext(ctx, "a witness has seen more of the ledger than there is", slog.String("witness", w.Key.Name()), slog.Any("error", err))
	}
	t.err, t.ahead = err.Error(), ahead
	t.wait = min(max(2*t.wait, backoff), maxBackoff)
	t.next = c.cfg.Now().Add(t.wait)
}
