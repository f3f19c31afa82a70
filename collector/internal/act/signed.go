package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// ActDiffers records that the ledger does not go on from what was signed of it before.
const ActDiffers = "ledger.differs"

// ActConflict records what a witness told that this collector cannot see by itself.
const ActConflict = "endpoint.ledger_conflict"

// Shown is the signed state of the ledger that an endpoint is shown, with the proof that it
// goes on from the state that the endpoint holds.
type Shown struct {
	Note        string // empty: nothing is signed
	VerifierKey string
	From        int64 // size that the proof begins with; 0 without proof
	Consistency [][]byte
}

// LedgerSigned returns the newest signed state of the ledger, signing what has come since.
func (s *Acts) LedgerSigned(ctx context.Context, a Actor) (checkpoint.Signed, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayReadLedger)
	if err != nil {
		return checkpoint.Signed{}, err
	}
	return s.signedNow(ctx, a.OrganisationID)
}

func (s *Acts) signedNow(ctx context.Context, organisationID string) (checkpoint.Signed, error) {
	if s.checkpoints == nil {
		return checkpoint.Signed{}, fmt.Errorf("sign the ledger: %w", errors.ErrUnsupported)
	}
	head, err := ledger.HeadOf(ctx, s.db.Read(), organisationID)
	if err != nil {
		return checkpoint.Signed{}, err
	}
	signed, err := s.checkpoints.Sign(ctx, organisationID, head.Size)
	if errors.Is(err, checkpoint.ErrDiffers) {
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return signed, err
}

// Proof is the proof that an entry stands in a signed ledger.
type Proof struct {
	Signed    checkpoint.Signed
	Entry     ledger.Recorded
	Inclusion [][]byte
}

// LedgerProof proves that an entry stands in the ledger as it is signed now.
func (s *Acts) LedgerProof(ctx context.Context, a Actor, index int64) (Proof, error) {
	signed, err := s.LedgerSigned(ctx, a)
	if err != nil {
		return Proof{}, err
	}
	a, err = s.identify(ctx, s.db.Read(), a, mayReadLedger)
	if err != nil {
		return Proof{}, err
	}
	list, err := ledger.Entries(ctx, s.db.Read(), ledger.Filter{OrganisationID: a.OrganisationID, Before: index + 1, Limit: 1})
	if err != nil {
		return Proof{}, err
	}
	if index < 0 || len(list) == 0 || list[0].Index != index || index >= signed.Size {
		return Proof{}, fmt.Errorf("prove ledger entry: %w: no entry %d", ErrNotFound, index)
	}
	p, err := s.checkpoints.Inclusion(ctx, a.OrganisationID, signed, index)
	return Proof{Signed: signed, Entry: list[0], Inclusion: p}, err
}

// LedgerConsistency proves that the ledger as it is signed now begins with the one that an
// older checkpoint shows, or says how it differs.
func (s *Acts) LedgerConsistency(ctx context.Context, a Actor, note string) (checkpoint.Verdict, checkpoint.Signed, [][]byte, error) {
	fail := func(err error) (checkpoint.Verdict, checkpoint.Signed, [][]byte, error) {
		return checkpoint.Verdict{}, checkpoint.Signed{}, nil, err
	}
	a, err := s.identify(ctx, s.db.Read(), a, mayReadLedger)
	if err != nil {
		return fail(err)
	}
	if s.checkpoints == nil {
		return fail(errors.ErrUnsupported)
	}
	v, err := s.checkpoints.Held(ctx, a.OrganisationID, note)
	if err != nil {
		return fail(err)
	}
	if v.Difference != nil {
		return v, checkpoint.Signed{}, nil, s.noteDifference(ctx, *v.Difference, "", note)
	}
	if !v.Ours || v.Declared {
		return v, checkpoint.Signed{}, nil, nil
	}
	signed, err := s.signedNow(ctx, a.OrganisationID)
	if err != nil {
		return fail(err)
	}
	p, err := s.checkpoints.Consistency(ctx, a.OrganisationID, signed, v.Known.Size)
	return v, signed, p, err
}

// LedgerDifferences returns the ledgers that are not signed because they do not go on from
// what was signed before. Everybody may know that.
func (s *Acts) LedgerDifferences(ctx context.Context) ([]checkpoint.Difference, error) {
	if s.checkpoints == nil {
		return nil, nil
	}
	return s.checkpoints.Differences(ctx)
}

// LedgerDiffers reports how the ledger of the actor's organisation differs; nil if it does not.
func (s *Acts) LedgerDiffers(ctx context.Context, a Actor) (*checkpoint.Difference, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayLook)
	if err != nil {
		return nil, err
	}
	list, err := s.LedgerDifferences(ctx)
	for _, d := range list {
		if d.OrganisationID == a.OrganisationID {
			return &d, err
		}
	}
	return nil, err
}

// WatchLedger looks at the start whether the ledgers go on from what was signed of them,
// records where one does not, then and whenever that is found, and signs what grows until ctx ends. Nothing else waits for
// it: an emergency goes on with a ledger that differs.
func (s *Acts) WatchLedger(ctx context.Context) {
	if s.checkpoints == nil {
		return
	}
	list, err := s.checkpoints.Differences(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "the ledger is not compared with what was signed", slog.Any("error", err))
	}
	for _, d := range list {
		if !d.Passing {
			if err := s.noteDifference(ctx, d, "", d.Known.Note); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "difference of the ledger not recorded", slog.Any("error", err))
			}
		}
		s.log.ErrorContext(ctx, "the ledger does not go on from what was signed before; a person has to decide (ledger fork)",
			slog.String("organisation", d.OrganisationID), slog.String("kind", string(d.Kind)), slog.String("detail", d.Detail))
	}
	s.checkpoints.Run(ctx, func(ctx context.Context, d checkpoint.Difference) error {
		return s.noteDifference(ctx, d, "", d.Known.Note)
	})
}

// noteDifference records a difference once: in the ledger, and on the timelines of all open
// incidents, because what stands there may be missing something.
func (s *Acts) noteDifference(ctx context.Context, diff checkpoint.Difference, endpointID, note string) error {
	c := checkpoint.Conflict{
		OrganisationID: diff.OrganisationID, ID: checkpoint.ConflictID(note, string(diff.Kind)), EndpointID: endpointID, Kind: string(diff.Kind),
		KnownNote: note, ShownNote: fmt.Sprintf("%d %x", diff.Size, diff.Root), Detail: diff.Detail,
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: diff.OrganisationID}
		facts := diff.Details()
		facts["endpoint"] = endpointID
		return s.conflict(ctx, d, c, ActDiffers, diff.OrganisationID, facts)
	})
}

// maxTold bounds how many incidents are told of one difference.
const maxTold = 20

// conflict stores a conflict that is not known yet, with its entry and its lines.
func (s *Acts) conflict(ctx context.Context, d *deed, c checkpoint.Conflict, act, subject string, facts map[string]string) error {
	known, err := checkpoint.HasConflict(ctx, d.tx, c.OrganisationID, c.ID)
	if err != nil || known {
		return err
	}
	if c.LedgerIdx, err = d.record(ctx, act, subject, facts); err != nil {
		return err
	}
	c.ReceivedAt = d.now
	if c.NoticedAt.IsZero() {
		c.NoticedAt = d.now
	}
	if err := checkpoint.InsertConflict(ctx, d.tx, c); err != nil {
		return err
	}
	all, err := incident.List(ctx, d.tx, c.OrganisationID)
	if err != nil {
		return err
	}
	told := 0
	for _, inc := range all {
		if !inc.ClosedAt.IsZero() || told == maxTold {
			continue
		}
		told++
		params := map[string]string{"event": c.Kind, "endpoint": c.EndpointID, "detail": c.Detail}
		if err := s.line(ctx, d, inc, c.EndpointID, incident.Entry{Kind: incident.EntryLedgerDiffers, AgentAt: c.NoticedAt, Params: params, LedgerIdx: c.LedgerIdx}); err != nil {
			return err
		}
	}
	d.tell(s, Event{Kind: EventEndpoint, EndpointID: c.EndpointID}) // the first page shows it
	return nil
}

// DeclareFork is a person's decision that the ledger is signed from here on although it does
// not go on from what was signed before, such as after a disk was lost. What was signed
// before stays on record.
func (s *Acts) DeclareFork(ctx context.Context, a Actor, reason string) (checkpoint.Signed, error) {
	if err := text("reason", reason, incident.MaxText, true); err != nil {
		return checkpoint.Signed{}, err
	}
	who, err := s.identify(ctx, s.db.Read(), a, mayFork)
	if err != nil {
		return checkpoint.Signed{}, err
	}
	if s.checkpoints == nil {
		return checkpoint.Signed{}, errors.ErrUnsupported
	}
	f, err := s.checkpoints.Plan(ctx, who.OrganisationID)
	if errors.Is(err, checkpoint.ErrNothing) {
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if err != nil {
		return checkpoint.Signed{}, err
	}
	if err := s.write(ctx, a, mayFork, func(ctx context.Context, d *deed) error {
		facts := f.Details()
		facts["reason"] = reason
		idx, err := d.record(ctx, checkpoint.ActForked, d.actor.OrganisationID, facts)
		if err != nil {
			return err
		}
		return f.Store(ctx, d.tx, idx, reason, d.now)
	}); err != nil {
		return checkpoint.Signed{}, errors.Join(err, s.checkpoints.Abandon(context.WithoutCancel(ctx), f))
	}
	return s.checkpoints.Begin(ctx, f)
}

// EndpointCheckpoint shows an endpoint the signed state of its organisation's ledger, after
// looking at the one that the endpoint holds. Nothing here keeps an endpoint from working:
// faults are logged, and nothing is shown then.
func (s *Acts) EndpointCheckpoint(ctx context.Context, endpointID string, held []byte) Shown {
	if s.checkpoints == nil {
		return Shown{}
	}
	shown, err := s.endpointCheckpoint(ctx, endpointID, string(held))
	if err != nil && !errors.Is(err, checkpoint.ErrDiffers) && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "no checkpoint for an endpoint", slog.String("endpoint", endpointID), slog.Any("error", err))
	}
	return shown
}

func (s *Acts) endpointCheckpoint(ctx context.Context, endpointID, held string) (Shown, error) {
	e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
	if err != nil {
		return Shown{}, err
	}
	var v checkpoint.Verdict
	if held != "" {
		if v, err = s.checkpoints.Held(ctx, e.OrganisationID, held); err != nil {
			return Shown{}, err
		}
		if v.Difference != nil {
			if err := s.noteDifference(ctx, *v.Difference, endpointID, held); err != nil {
				return Shown{}, err
			}
		}
	}
	signed, err := s.recent(ctx, e.OrganisationID)
	if err != nil {
		return Shown{}, err
	}
	shown := Shown{Note: signed.Note, VerifierKey: signed.Key.Text(signed.Origin)}
	if v.Ours && v.Difference == nil && v.Known.Origin == signed.Origin && v.Known.Size < signed.Size {
		shown.From = v.Known.Size
		shown.Consistency, err = s.checkpoints.Consistency(ctx, e.OrganisationID, signed, v.Known.Size)
	}
	return shown, err
}

// recent returns a signed state that is at most as old as one that is signed by the clock:
// a thousand endpoints that come at once need no thousand signatures.
func (s *Acts) recent(ctx context.Context, organisationID string) (checkpoint.Signed, error) {
	signed, ok, err := s.checkpoints.Newest(ctx, organisationID)
	if err != nil {
		return signed, err
	}
	if age := s.now().Sub(signed.SignedAt); ok && age >= 0 && age < checkpoint.Every {
		return signed, nil
	}
	head, err := ledger.HeadOf(ctx, s.db.Read(), organisationID)
	if err != nil {
		return signed, err
	}
	return s.checkpoints.Sign(ctx, organisationID, head.Size)
}

// ReceiptProof is what goes beside a receipt: a signed state that covers its entry.
type ReceiptProof struct {
	Note        string // empty: nothing is signed
	VerifierKey string
	Inclusion   [][]byte
}

// ReceiptProof proves to an endpoint that the acceptance of its evidence stands in the
// signed ledger. A receipt counts without it.
func (s *Acts) ReceiptProof(ctx context.Context, endpointID string, index int64) ReceiptProof {
	if s.checkpoints == nil {
		return ReceiptProof{}
	}
	p, err := func() (ReceiptProof, error) {
		e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
		if err != nil {
			return ReceiptProof{}, err
		}
		signed, err := s.checkpoints.Sign(ctx, e.OrganisationID, index+1)
		if err != nil {
			return ReceiptProof{}, err
		}
		list, err := s.checkpoints.Inclusion(ctx, e.OrganisationID, signed, index)
		return ReceiptProof{Note: signed.Note, VerifierKey: signed.Key.Text(signed.Origin), Inclusion: list}, err
	}()
	if err != nil {
		if !errors.Is(err, checkpoint.ErrDiffers) && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "receipt without proof", slog.String("endpoint", endpointID), slog.Any("error", err))
		}
		return ReceiptProof{}
	}
	return p
}

// ConflictCall is a conflict that a witness tells.
type ConflictCall struct {
	ID          string // by the witness: SHA-256 of both notes
	Kind        string
	Seen, Shown string // signed notes
	At          time.Time
	Detail      string
}

// LedgerConflict records what a witness tells. What a key of this collector signed proves
// itself; of what anybody could have written, one line an endpoint is kept.
func (s *Acts) LedgerConflict(ctx context.Context, endpointID string, c ConflictCall) error {
	if s.checkpoints == nil {
		return nil
	}
	e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
	if err != nil {
		return known(err)
	}
	v, err := s.checkpoints.Held(ctx, e.OrganisationID, c.Seen)
	if err != nil {
		return err
	}
	if v.Declared {
		return s.declaredConflict(ctx, e, c)
	}
	if v.Difference != nil {
		if err := s.noteDifference(ctx, *v.Difference, endpointID, c.Seen); err != nil {
			return err
		}
	}
	conflictID := checkpoint.ConflictID(endpointID, "told")
	if v.Ours && v.Difference != nil {
		// Of what it says only the state that was signed is proven: by its own identifier,
		// or by other words beside it, it could fill the ledger.
		conflictID = checkpoint.ConflictID(endpointID, fmt.Sprintf("told %s %d %s", v.Known.Origin, v.Known.Size, v.Known.Root))
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		if _, err := d.agent(ctx, endpointID); err != nil {
			return err
		}
		ours := "no"
		if v.Ours {
			ours = "yes"
		}
		return s.conflict(ctx, d, checkpoint.Conflict{
			OrganisationID: e.OrganisationID, ID: conflictID, EndpointID: endpointID, Kind: "told_" + c.Kind, KnownNote: c.Seen, ShownNote: c.Shown,
			NoticedAt: sane(c.At), Detail: c.Detail,
		}, ActConflict, endpointID, map[string]string{"kind": c.Kind, "seen": c.Seen, "shown": c.Shown, "at": sqldb.FormatTime(sane(c.At)), "detail": c.Detail, "seen_is_ours": ours})
	})
}

// declaredConflict keeps what a witness tells of a line that a person ended: once for each
// endpoint and line, and on no timeline, because the declaration is known to all.
func (s *Acts) declaredConflict(ctx context.Context, e endpoint.Endpoint, c ConflictCall) error {
	origin, _, _ := strings.Cut(c.Seen, "\n")
	conflictID := checkpoint.ConflictID(e.ID, "declared\n"+origin)
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		if _, err := d.agent(ctx, e.ID); err != nil {
			return err
		}
		known, err := checkpoint.HasConflict(ctx, d.tx, e.OrganisationID, conflictID)
		if err != nil || known {
			return err
		}
		at := sane(c.At)
		idx, err := d.record(ctx, ActConflict, e.ID, map[string]string{"kind": c.Kind, "seen": c.Seen, "shown": c.Shown, "at": sqldb.FormatTime(at),
			"detail": c.Detail, "seen_is_ours": "yes", "declared": "yes"})
		if err != nil {
			return err
		}
		return checkpoint.InsertConflict(ctx, d.tx, checkpoint.Conflict{
			OrganisationID: e.OrganisationID, ID: conflictID, EndpointID: e.ID, Kind: checkpoint.DeclaredKind + c.Kind, KnownNote: c.Seen, ShownNote: c.Shown,
			NoticedAt: at, ReceivedAt: d.now, Detail: c.Detail, LedgerIdx: idx,
		})
	})
}

// LedgerExport writes the signed ledger with everything that is needed to check it into a
// folder on the collector's machine. That somebody took a copy is in the ledger, and in the copy.
func (s *Acts) LedgerExport(ctx context.Context, a Actor, dir string, progress func(step string, done, total int)) (checkpoint.Signed, error) {
	if s.checkpoints == nil {
		return checkpoint.Signed{}, errors.ErrUnsupported
	}
	var org string
	err := s.write(ctx, a, mayExportLedger, func(ctx context.Context, d *deed) error {
		org = d.actor.OrganisationID
		_, err := d.record(ctx, "ledger.export", org, map[string]string{"dir": dir})
		return err
	})
	if err != nil {
		return checkpoint.Signed{}, err
	}
	signed, err := s.signedNow(ctx, org)
	if err != nil {
		return checkpoint.Signed{}, err
	}
	s.witnessCheckpoint(ctx, a, org, signed)
	written := signed
	if written.Note, err = s.cosignedNote(ctx, org, signed.Note); err != nil {
		return checkpoint.Signed{}, err
	}
	if err := s.checkpoints.Export(ctx, org, written, dir, func(done, total int) { progress(fsck.StepLedger, done, total) }); err != nil {
		return checkpoint.Signed{}, err
	}
	return signed, s.exportStamp(ctx, org, signed.Note, dir)
}
