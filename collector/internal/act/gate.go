package act

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/capability"
	"hozen/internal/digest"
)

// ErrTooOld is the [ErrConflict] of an order that the endpoint's agent does not know.
var ErrTooOld = fmt.Errorf("%w: the agent of the endpoint is too old for this order; update it first", ErrConflict)

// ErrPending is the [ErrConflict] of an order to have a PC go down while another one
// for the same PC waits.
var ErrPending = fmt.Errorf("%w: an order to have this PC go down is waiting already; withdraw it first", ErrConflict)

// Gate is what somebody must know before a PC is switched off: what goes with it, and
// what has been kept. It holds what the collector knows, and says what it does not.
type Gate struct {
	Endpoint endpoint.Endpoint // as known now
	// AcquisitionID is the newest evidence that counts what ran, empty when none was ever
	// received. Captured is when it was begun, by the endpoint's clock; zero when not
	// known. The counts are of that moment, -1 where it has none.
	AcquisitionID                    string
	Captured                         time.Time
	Processes, Connections, Sessions int64
	// Pending is the order to have this PC go down that waits already; nil when none does.
	// Until it has ended or is withdrawn, no other is taken.
	Pending *dispatch.Command
}

// Facts are what the gate says, for the record. Their names are stable.
func (g Gate) Facts() map[string]string {
	count := func(n int64) string {
		if n < 0 {
			return "unknown"
		}
		return strconv.FormatInt(n, 10)
	}
	f := map[string]string{
		"gate_isolation": string(g.Endpoint.Isolation.Observed), "gate_isolation_at": sqldb.FormatTime(g.Endpoint.Isolation.MeasuredAt),
		"gate_spooled":     strconv.FormatUint(uint64(g.Endpoint.Spooled), 10),
		"gate_captured_at": sqldb.FormatTime(g.Captured), "gate_acquisition": g.AcquisitionID,
		"gate_processes": count(g.Processes), "gate_connections": count(g.Connections), "gate_sessions": count(g.Sessions),
		"gate_memory": "not_acquired", "gate_disk_encryption": "unknown",
	}
	switch {
	case g.AcquisitionID == "":
		f["gate_captured_at"], f["gate_enrolled_at"] = "never", sqldb.FormatTime(g.Endpoint.EnrolledAt)
	case g.Captured.IsZero():
		f["gate_captured_at"] = "unknown"
	}
	if g.Endpoint.LastSeenAt.IsZero() {
		f["gate_spooled"] = "unknown"
	}
	if c := g.Pending; c != nil {
		f["gate_pending"], f["gate_pending_then"], f["gate_pending_status"] = c.ID, string(c.Then), string(c.Status)
		f["gate_pending_by"], f["gate_pending_at"], f["gate_pending_until"] = c.Issuer, sqldb.FormatTime(c.IssuedAt), sqldb.FormatTime(c.ExpiresAt)
	}
	return f
}

// Fingerprint names the PC and the facts that somebody decides by: who confirms it has
// seen these and no others. What changes by itself from minute to minute is not in it.
func (g Gate) Fingerprint() string {
	f := g.Facts()
	for _, moving := range []string{"gate_spooled", "gate_isolation_at", "gate_pending_status"} {
		delete(f, moving)
	}
	f["endpoint"] = g.Endpoint.ID
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(f)) {
		b = fmt.Appendf(b, "%s=%q\n", k, f[k])
	}
	return digest.Of(b).String()[:16]
}

// PowerOffGate tells what switching an endpoint off would cost. The error is
// [ErrTooOld] when its agent does not know the order.
func (s *Acts) PowerOffGate(ctx context.Context, a Actor, endpointID string) (Gate, error) {
	return read(ctx, s, a, mayPreserve, func(q sqldb.Queryer, a Actor) (Gate, error) {
		e, err := endpoint.ByID(ctx, q, endpointID)
		if err == nil {
			err = a.own(e.OrganisationID)
		}
		if err != nil {
			return Gate{}, err
		}
		return s.gate(ctx, q, e)
	})
}

func (s *Acts) gate(ctx context.Context, q sqldb.Queryer, e endpoint.Endpoint) (Gate, error) {
	if err := knowsPreserve(e); err != nil {
		return Gate{}, err
	}
	g := Gate{Endpoint: s.asOfNow(e), Processes: -1, Connections: -1, Sessions: -1}
	open, err := dispatch.Outstanding(ctx, q, e.ID)
	if err != nil {
		return Gate{}, err
	}
	now := s.now()
	if i := slices.IndexFunc(open, func(c dispatch.Command) bool { return c.Pending(now) }); i >= 0 {
		g.Pending = &open[i]
	}
	return g, s.counts(ctx, &g)
}

func knowsPreserve(e endpoint.Endpoint) error {
	if !e.RevokedAt.IsZero() {
		return fmt.Errorf("%w: the endpoint was revoked", ErrConflict)
	}
	if capability.Number(e.Capability) < capability.Preserve {
		return ErrTooOld
	}
	return nil
}

// counts fills in what the newest evidence counted.
func (s *Acts) counts(ctx context.Context, g *Gate) error {
	acq, err := s.evidence.Counted(ctx, g.Endpoint.OrganisationID, g.Endpoint.ID, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
	if errors.Is(err, evidence.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	g.AcquisitionID, g.Captured = acq.ID, sane(acq.StartedAt)
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: acq.OrganisationID, AcquisitionID: acq.ID})
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.Records == 0 && it.Outcome != artifact.Complete && it.Outcome != artifact.Empty {
			continue // nothing was counted, which is not none
		}
		switch it.Kind {
		case artifact.KindProcess:
			g.Processes = it.Records
		case artifact.KindNetConn:
			g.Connections = it.Records
		case artifact.KindSession:
			g.Sessions = it.Records
		}
	}
	return nil
}

// Preserve orders evidence to be taken and sealed, and then what o.Then says. To have
// a PC go down, a reason and the fingerprint of the gate as it is now are needed; the
// facts of the gate go into the ledger and the timeline with the order. Such an order
// expires after [dispatch.DownWithin], and there is one at a time: else [ErrPending].
func (s *Acts) Preserve(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	switch o.Then {
	case "":
		o.Then = dispatch.ThenNothing
	case dispatch.ThenNothing, dispatch.ThenPowerOff, dispatch.ThenReboot:
	default:
		return dispatch.Command{}, &Invalid{Field: "then", Code: "unknown", Err: fmt.Errorf("%.40q is nothing that can come then", o.Then)}
	}
	if err := text("reason", o.Reason, dispatch.MaxReason, o.Then.Down()); err != nil {
		return dispatch.Command{}, err
	}
	c := dispatch.Command{Verb: dispatch.Preserve, Then: o.Then}
	if !o.Then.Down() {
		o.check = func(_ context.Context, _ *deed, e endpoint.Endpoint) (map[string]string, error) {
			return map[string]string{"then": string(o.Then)}, knowsPreserve(e)
		}
		return s.order(ctx, a, mayPreserve, endpointID, c, o)
	}
	c.ExpiresAt = s.now().Add(dispatch.DownWithin)
	// In the transaction: nothing changes between the look and the order.
	o.check = func(ctx context.Context, d *deed, e endpoint.Endpoint) (map[string]string, error) {
		gate, err := s.gate(ctx, d.tx, e)
		if err != nil {
			return nil, err
		}
		if gate.Pending != nil {
			return nil, ErrPending
		}
		switch o.Confirmed {
		case gate.Fingerprint():
		case "":
			return nil, &Invalid{Field: "confirmed", Code: "required", Err: errors.New("what switching off costs must be confirmed")}
		default:
			return nil, &Invalid{Field: "confirmed", Code: "changed", Err: errors.New("what switching off costs has changed since it was confirmed")}
		}
		facts := gate.Facts()
		facts["then"], facts["gate_confirmed"], facts["expires_at"] = string(o.Then), o.Confirmed, sqldb.FormatTime(c.ExpiresAt)
		return facts, nil
	}
	return s.order(ctx, a, mayPreserve, endpointID, c, o)
}

// Attention is how much an endpoint's evidence is worth waiting for.
type Attention struct {
	Open   bool   // an incident with this endpoint is open
	Number string // of the newest of them
}

// Attention tells whether an incident with an endpoint is open.
func (s *Acts) Attention(ctx context.Context, endpointID string) (Attention, error) {
	number, err := s.asking.openNumbers.ask(ctx, s.db.Read(), incident.NewestOpenNumbers, endpointID)
	return Attention{Open: number != "", Number: number}, err
}
