package checkpoint

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
)

// The acts that this package records in the ledger.
const (
	// ActBegun: from here on the ledger is signed, by which key and under which origin.
	ActBegun = "ledger.sign"
)

// Every is how often the ledger is signed while entries come; whoever needs a signed state
// at once, such as for a receipt, gets one at once.
const Every = time.Second

// Run signs what has grown, at most once a second, until ctx ends. tell hears of each
// difference that is found meanwhile, whoever asked for the signature that found it, and
// again until it returns no error. Meanwhile old signed states are thinned out.
func (l *Log) Run(ctx context.Context, tell func(ctx context.Context, d Difference) error) {
	var thinning sync.WaitGroup
	thinning.Go(func() { l.runThinning(ctx) })
	defer thinning.Wait()
	tick := time.NewTicker(Every)
	defer tick.Stop()
	failing, told, untold := map[string]bool{}, map[string]*Difference{}, map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		heads, err := ledger.Heads(ctx, l.cfg.DB.Read())
		if err != nil {
			heads = nil // the next reader of the ledger tells
		}
		for _, h := range heads {
			if h.Size == 0 {
				continue
			}
			_, err := l.Sign(ctx, h.OrganisationID, h.Size)
			if err != nil && !failing[h.OrganisationID] && ctx.Err() == nil {
				l.cfg.Log.ErrorContext(ctx, "the ledger is not signed", slog.String("organisation", h.OrganisationID), slog.Any("error", err))
			}
			failing[h.OrganisationID] = err != nil
		}
		for org, d := range l.found() {
			if d == told[org] {
				continue
			}
			err := tell(ctx, *d)
			if err == nil {
				told[org] = d
			} else if !untold[org] && ctx.Err() == nil {
				l.cfg.Log.ErrorContext(ctx, "difference of the ledger not recorded", slog.String("organisation", org), slog.Any("error", err))
			}
			untold[org] = err != nil
		}
	}
}

// found returns the differences that were found until now, by organisation.
func (l *Log) found() map[string]*Difference {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]*Difference{}
	for org, ln := range l.lines {
		if ln.differs != nil {
			out[org] = ln.differs
		}
	}
	return out
}

// Sign returns a signed state of at least so many entries, signing everything that is
// committed when the newest one has fewer. Whoever asks meanwhile shares it. It wraps
// [ErrDiffers] when the ledger does not go on from what was signed before.
func (l *Log) Sign(ctx context.Context, organisationID string, least int64) (Signed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.sign(ctx, organisationID, least)
	if err != nil {
		return Signed{}, fmt.Errorf("sign the ledger: %w", err)
	}
	return s, nil
}

func (l *Log) sign(ctx context.Context, organisationID string, least int64) (Signed, error) {
	ln, err := l.line(ctx, l.cfg.DB.Read(), organisationID)
	if err != nil {
		return Signed{}, err
	}
	if ln == nil {
		if ln, err = l.begin(ctx, organisationID); err != nil {
			return Signed{}, err
		}
	}
	if ln.differs != nil {
		return Signed{}, fmt.Errorf("%w: %s", ErrDiffers, ln.differs.Detail)
	}
	if ln.newest.Note != "" && ln.newest.Size >= max(least, 1) {
		return l.signed(ln), nil
	}
	next := checkpoint.Checkpoint{Origin: ln.origin}
	err = l.cfg.DB.ReadTx(ctx, func(ctx context.Context, q sqldb.Queryer) error {
		if ln.differs, err = l.compare(ctx, q, organisationID, ln.newest); err != nil || ln.differs != nil {
			return err
		}
		head, err := ledger.HeadOf(ctx, q, organisationID)
		if err != nil {
			return err
		}
		next.Size, next.Root = head.Size, head.Root
		if head.Size == ln.newest.Size {
			return nil
		}
		if ln.differs, err = l.forged(ctx, q, ln, head); err != nil || ln.differs != nil || ln.newest.Size == 0 {
			return err
		}
		// Equal roots at the old size would be enough if every stored hash were right; the
		// proof shows that the new root is made of the old one.
		proof, err := ledger.Consistency(ctx, q, organisationID, head.Size, ln.newest.Size)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, head.Size, head.Root, ln.newest.Size, ln.newest.Root); err != nil {
			ln.differs = &Difference{OrganisationID: organisationID, Kind: Rewritten, Known: ln.newest, Size: head.Size, Root: head.Root,
				Detail: fmt.Sprintf("the root of its %d entries is not made of the %d that were signed: %v", head.Size, ln.newest.Size, err)}
		}
		return nil
	})
	if err != nil {
		return Signed{}, err
	}
	if ln.differs != nil {
		return Signed{}, fmt.Errorf("%w: %s", ErrDiffers, ln.differs.Detail)
	}
	if next.Size == ln.newest.Size && ln.newest.Note != "" {
		return l.signed(ln), nil
	}
	if next, err = checkpoint.Sign(next, l.key); err != nil {
		return Signed{}, err
	}
	if ln.newest.Note == "" && ln.no > 1 {
		if err := setAside(l.cfg.Dir, organisationID, ln.no-1); err != nil { // what there is, is of a line that is over
			return Signed{}, err
		}
	}
	// The file first: no state is told of that this collector could forget.
	if err := writeNote(l.cfg.Dir, organisationID, next); err != nil {
		return Signed{}, err
	}
	if ln.newest.Note == "" {
		if err := removeBegun(l.cfg.Dir, organisationID); err != nil {
			return Signed{}, err
		}
	}
	now := l.cfg.Now()
	ln.newest, ln.signedAt = next, now
	if err := l.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		return insertNote(ctx, tx, organisationID, ln.no, next, now)
	}); err != nil {
		return Signed{}, err
	}
	return l.signed(ln), nil
}

// begin begins the first line of an organisation. The ledger's entry of it says which key
// signs from then on.
func (l *Log) begin(ctx context.Context, organisationID string) (*line, error) {
	if err := l.reload(); err != nil {
		return nil, err
	}
	key := public(l.key)
	if key == nil {
		return nil, fmt.Errorf("%w: the key is missing", ErrDiffers)
	}
	ln := &line{no: 1, origin: l.originOf(organisationID, 1)}
	if err := writeBegun(l.cfg.Dir, organisationID, begunText(ln.origin, key.Text(ln.origin), "")); err != nil {
		return nil, err
	}
	err := l.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		now := l.cfg.Now()
		idx, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: organisationID, At: now, ActorKind: "system", Act: ActBegun, Subject: organisationID,
			Details: map[string]string{"origin": ln.origin, "verifier_key": key.Text(ln.origin), "key_sha256": key.Fingerprint()}})
		if err != nil {
			return err
		}
		return insertLine(ctx, tx, lineRow{organisationID: organisationID, no: ln.no, origin: ln.origin, verifierKey: key.Text(ln.origin),
			startedAt: now, size: idx + 1, ledgerIdx: idx})
	})
	if err != nil {
		return nil, err
	}
	l.lines[organisationID] = ln
	return ln, nil
}

// Proofs are for those who hold an older state, or an entry.

// Consistency proves that a signed state goes on from the one with old entries.
func (l *Log) Consistency(ctx context.Context, organisationID string, s Signed, old int64) ([][]byte, error) {
	if old <= 0 || old >= s.Size {
		return nil, nil
	}
	p, err := ledger.Consistency(ctx, l.cfg.DB.Read(), organisationID, s.Size, old)
	return checkpoint.Hashes(p), err
}

// Inclusion proves that an entry is in a signed state.
func (l *Log) Inclusion(ctx context.Context, organisationID string, s Signed, index int64) ([][]byte, error) {
	p, err := ledger.Inclusion(ctx, l.cfg.DB.Read(), organisationID, s.Size, index)
	return checkpoint.Hashes(p), err
}
