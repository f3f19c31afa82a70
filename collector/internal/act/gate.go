package act

import (
	"context"
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

// Gate is what somebody must know before a PC is switched off: what goes with it, and
// what has been kept. It holds what the collector knows, and says what it does not.
type Gate struct {
	Endpoint endpoint.Endpoint // as known now
	// Captured is when the newest evidence that counts what runs was begun, by the
	// endpoint's clock; zero when there is none. The counts are of that moment, -1 when
	// that acquisition has none.
	Captured                            time.Time
	AcquisitionID                       string
	Processes, Connections, Sessions    int64
	Incident                            string // number of the newest open incident; empty when none is open
	MemoryAcquired, DiskEncryptionKnown bool   // neither can be true in this version
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
		"gate_isolation": string(g.Endpoint.Isolation.Observed), "gate_spooled": strconv.FormatUint(uint64(g.Endpoint.Spooled), 10),
		"gate_captured_at": sqldb.FormatTime(g.Captured), "gate_acquisition": g.AcquisitionID,
		"gate_processes": count(g.Processes), "gate_connections": count(g.Connections), "gate_sessions": count(g.Sessions),
		"gate_memory": "not_acquired", "gate_disk_encryption": "unknown",
	}
	if g.Captured.IsZero() {
		f["gate_captured_at"] = "never"
	}
	if g.Endpoint.LastSeenAt.IsZero() {
		f["gate_spooled"] = "unknown"
	}
	return f
}

// Fingerprint names the facts: who confirms it has seen these and no others.
func (g Gate) Fingerprint() string {
	var b []byte
	f := g.Facts()
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
		if err := knowsPreserve(e); err != nil {
			return Gate{}, err
		}
		g := Gate{Endpoint: s.asOfNow(e), Processes: -1, Connections: -1, Sessions: -1}
		if g.Incident, err = openNumber(ctx, q, e.ID); err != nil {
			return Gate{}, err
		}
		return g, s.counts(ctx, &g)
	})
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

// gateLooksAt is how many of the newest acquisitions may be without counts.
const gateLooksAt = 20

// counts fills in what the newest evidence counted.
func (s *Acts) counts(ctx context.Context, g *Gate) error {
	list, err := s.evidence.Acquisitions(ctx, evidence.AcquisitionFilter{OrganisationID: g.Endpoint.OrganisationID, EndpointID: g.Endpoint.ID, Limit: gateLooksAt})
	if err != nil {
		return err
	}
	for _, acq := range list {
		items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: acq.OrganisationID, AcquisitionID: acq.ID})
		if err != nil {
			return err
		}
		found := false
		for _, it := range items {
			for kind, n := range map[artifact.Kind]*int64{artifact.KindProcess: &g.Processes, artifact.KindNetConn: &g.Connections, artifact.KindSession: &g.Sessions} {
				if it.Kind == kind {
					*n, found = it.Records, true
				}
			}
		}
		if found {
			g.AcquisitionID, g.Captured = acq.ID, sane(acq.StartedAt)
			return nil
		}
	}
	return nil
}

// Preserve orders evidence to be taken and sealed, and then what o.Then says. To have
// a PC go down, a reason and the fingerprint of the gate as it is now are needed; the
// facts of the gate go into the ledger and the timeline with the order.
func (s *Acts) Preserve(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	switch o.Then {
	case "":
		o.Then = dispatch.ThenNothing
	case dispatch.ThenNothing, dispatch.ThenPowerOff, dispatch.ThenReboot:
	default:
		return dispatch.Command{}, &Invalid{Field: "then", Code: "unknown", Err: fmt.Errorf("%.40q is nothing that can come then", o.Then)}
	}
	gate, err := s.PowerOffGate(ctx, a, endpointID)
	if err != nil {
		return dispatch.Command{}, err
	}
	if err := text("reason", o.Reason, dispatch.MaxReason, o.Then.Down()); err != nil {
		return dispatch.Command{}, err
	}
	o.facts = map[string]string{"then": string(o.Then)}
	if o.Then.Down() {
		switch o.Confirmed {
		case gate.Fingerprint():
		case "":
			return dispatch.Command{}, &Invalid{Field: "confirmed", Code: "required", Err: fmt.Errorf("what switching off costs must be confirmed")}
		default:
			return dispatch.Command{}, &Invalid{Field: "confirmed", Code: "changed", Err: fmt.Errorf("what switching off costs has changed since it was confirmed")}
		}
		maps.Copy(o.facts, gate.Facts())
		o.facts["gate_confirmed"] = o.Confirmed
	}
	return s.order(ctx, a, mayPreserve, endpointID, dispatch.Command{Verb: dispatch.Preserve, Then: o.Then}, o)
}

// Attention is how much an endpoint's evidence is worth waiting for.
type Attention struct {
	Open   bool   // an incident with this endpoint is open
	Number string // of the newest of them
}

// Attention tells whether an incident with an endpoint is open.
func (s *Acts) Attention(ctx context.Context, endpointID string) (Attention, error) {
	number, err := openNumber(ctx, s.db.Read(), endpointID)
	return Attention{Open: number != "", Number: number}, err
}

func openNumber(ctx context.Context, q sqldb.Queryer, endpointID string) (string, error) {
	number, err := incident.NewestOpenNumber(ctx, q, endpointID)
	if err != nil {
		return "", err
	}
	return number, nil
}
