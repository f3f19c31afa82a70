package timestamp

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
)

// Run has ledgers that grew stamped, at most one time each hour, until ctx ends. Nothing waits
// for it: while the authority does not answer it is asked again, less and less often.
func (s *Stamper) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "time stamps are not looked after", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round stamps what is due. The error is about this collector, not about the authority,
// of which outcome tells.
func (s *Stamper) round(ctx context.Context) error {
	heads, err := ledger.Heads(ctx, s.cfg.DB.Read())
	if err != nil {
		return err
	}
	for _, h := range heads {
		signed, due, err := s.due(ctx, h.OrganisationID)
		if err != nil {
			return err
		}
		if !due {
			continue
		}
		if _, err := s.stamp(ctx, h.OrganisationID, signed, By{Kind: "system"}, ByClock); err != nil {
			if s.failed() {
				return nil // told by outcome
			}
			return err
		}
	}
	return nil
}

// due reports whether a ledger is to be stamped now, and which state of it.
func (s *Stamper) due(ctx context.Context, organisationID string) (signed checkpoint.Signed, due bool, err error) {
	signed, ok, err := s.cfg.Signer.Newest(ctx, organisationID)
	if err != nil || !ok {
		return signed, false, nil // the ledger is not signed; its own status tells
	}
	now := s.cfg.Now()
	s.mu.Lock()
	resting, wanted := now.Before(s.state.next), s.state.wanted[organisationID]
	s.mu.Unlock()
	if resting {
		return signed, false, nil
	}
	last, ok, err := Newest(ctx, s.cfg.DB.Read(), organisationID)
	if err != nil {
		return signed, false, err
	}
	if !ok {
		return signed, true, nil
	}
	// The entry of the last time stamp is no reason for another one. A line that was begun
	// anew is another ledger.
	own := signed.Size == last.Size+1 && last.LedgerIdx == last.Size
	was, _, _ := strings.Cut(last.Note, "\n")
	grown := signed.Size > last.Size && !own || was != signed.Origin
	age := now.Sub(last.ReceivedAt)
	return signed, grown && (wanted || age < 0 || age >= Every), nil
}

func (s *Stamper) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.err != ""
}

// Status is how time stamping goes.
type Status struct {
	Authority string // URL
	// Newest is the time that was stamped last, by the authority's clock, and Size how many
	// entries of the ledger it covers; zero when there is none.
	Newest time.Time
	Size   int64
	// Failing says why the last question failed; empty when it did not.
	Failing string
	Since   time.Time // when it began to fail
	Next    time.Time // when it is asked again by the clock
}

// Status tells how time stamping goes, over all organisations.
func (s *Stamper) Status(ctx context.Context) (Status, error) {
	heads, err := ledger.Heads(ctx, s.cfg.DB.Read())
	if err != nil {
		return Status{}, err
	}
	st := Status{Authority: s.cfg.Authority.URL()}
	for _, h := range heads {
		t, ok, err := Newest(ctx, s.cfg.DB.Read(), h.OrganisationID)
		if err != nil {
			return Status{}, err
		}
		if ok && t.At.After(st.Newest) {
			st.Newest, st.Size = t.At, t.Size
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Failing, st.Since, st.Next = s.state.err, s.state.since, s.state.next
	return st, nil
}
