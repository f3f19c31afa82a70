package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
)

// capture is the flash capture of one order to isolate; it travels in the context,
// because the manager calls what comes before the cut without knowing of orders.
type capture struct {
	a     *agent
	order acquire.Order
	begun atomic.Bool
}

type captureKey struct{}

// captureBefore is what the manager calls before it cuts the network.
func captureBefore(ctx context.Context) error {
	c, ok := ctx.Value(captureKey{}).(*capture)
	if !ok {
		return nil
	}
	return c.run(ctx)
}

func (c *capture) run(ctx context.Context) error {
	if c.begun.Swap(true) {
		return nil
	}
	_, err := c.a.acquire(ctx, c.order)
	return err
}

// Isolate takes the flash capture, cuts the network, reads back, tries the rules and
// probes the way home. Where the system cannot cut, the capture is taken all the same;
// of an order that makes no sense nothing is done.
func (h handler) Isolate(ctx context.Context, c journal.Command) journal.Result {
	a := h.a
	defer a.proofs.hold()()
	r, err := a.request(ctx, c)
	if err != nil {
		return a.concluded(ctx, refusal(err), err.Error(), "")
	}
	shot := &capture{a: a, order: orderOf(c, artifact.TriggerIsolation)}
	st, err := a.isolate.Isolate(context.WithValue(ctx, captureKey{}, shot), r)
	poke(a.watch)
	a.uplink.IsolationChanged()
	res := verdict(st, err)
	if res.Status == journal.Refused || res.Status == journal.Expired {
		return res
	}
	notes := []string{}
	if !shot.begun.Load() && (c.IsolateFirst || err != nil) {
		limited, cancel := context.WithTimeout(ctx, captureLimit)
		if cerr := shot.run(limited); cerr != nil {
			notes = append(notes, "flash capture: "+cerr.Error())
		}
		cancel()
	}
	switch st.Before {
	case isolate.BeforeFailed, isolate.BeforeTimedOut:
		notes = append(notes, "flash capture before the cut: "+string(st.Before))
	}
	if st.Observed == isolate.Isolated && r.Policy.Mode != isolate.Full && !wayHome(st) {
		notes = append(notes, "a new connection to the collector could not be made through the rules")
	}
	if shot.begun.Load() {
		res.AcquisitionID = c.AcquisitionID
	}
	res.Detail = strings.Join(append(nonEmpty(res.Detail), notes...), "; ")
	if !errors.Is(err, isolate.ErrEnded) { // then nothing was done
		a.prove(res, proof{occasion: string(journal.Isolate), command: c, status: st})
	}
	return res
}

// Release gives the network back.
func (h handler) Release(ctx context.Context, c journal.Command) journal.Result {
	a := h.a
	defer a.proofs.hold()()
	a.notices.farewell(noticeOf(c))
	st, err := a.isolate.Release(ctx, isolate.Request{CommandID: c.ID, Notice: noticeOf(c)})
	poke(a.watch)
	a.uplink.IsolationChanged()
	res := verdict(st, err)
	a.prove(res, proof{occasion: string(journal.Release), command: c, status: st})
	return res
}

// request is what an order to isolate asks of the manager. Only an order that makes no
// sense has an error that wraps errOrder.
func (a *agent) request(ctx context.Context, c journal.Command) (isolate.Request, error) {
	r, err := requestOf(c)
	if err != nil {
		return r, err
	}
	named := r.Policy.Collectors
	if r.Policy.Mode != isolate.Full {
		pins, err := a.uplink.Pins(ctx)
		if err != nil {
			return r, err
		}
		r.Policy.Collectors = slices.Concat(named, pins)
	}
	r.Policy.Mark = a.marks.mark()
	if err := r.Policy.Check(); err != nil {
		return r, fmt.Errorf("%w: %w", errOrder, err)
	}
	if len(named) > 0 {
		// What stays open is of use only to an agent that goes there.
		return r, a.uplink.Learn(named)
	}
	return r, nil
}

// errOrder means that an order makes no sense and nothing of it was done.
var errOrder = errors.New("the order makes no sense")

// refusal is how a command ends of which nothing was done because of err.
func refusal(err error) journal.Status {
	if errors.Is(err, errOrder) {
		return journal.Refused
	}
	return journal.Failed
}

// requestOf reads an order strictly: what is not understood is never guessed at. The
// error wraps errOrder.
func requestOf(c journal.Command) (isolate.Request, error) {
	o := c.Isolate
	if o == nil { // of an earlier version
		o = &journal.IsolateOrder{Mode: journal.ModeStandard}
	}
	r := isolate.Request{
		CommandID: c.ID, IsolateFirst: c.IsolateFirst, Policy: isolate.Policy{Mode: isolate.Mode(o.Mode)},
		Within: o.ConfirmWithin, Else: isolate.Fallback(o.Fallback), Until: o.Until, Lease: o.Lease, Notice: noticeOf(c), Drill: o.Drill,
	}
	if o.Mode == journal.ModeFull && o.ConfirmWithin != 0 {
		return r, fmt.Errorf("%w: mode %q cannot be confirmed by a connection to the collector", errOrder, o.Mode)
	}
	for i, p := range o.Permits {
		permit, err := permitOf(p)
		if err != nil {
			return r, fmt.Errorf("%w: permit %d: %w", errOrder, i+1, err)
		}
		r.Policy.Permits = append(r.Policy.Permits, permit)
	}
	for i, s := range o.Collectors {
		at, err := collectorOf(s)
		if err != nil {
			return r, fmt.Errorf("%w: collector %d: %w", errOrder, i+1, err)
		}
		r.Policy.Collectors = append(r.Policy.Collectors, at)
	}
	if k := o.Code; k != nil {
		r.Code = &isolate.ReleaseCode{Number: k.Number, Hash: k.Hash, Salt: k.Salt, Iterations: int(k.Iterations)}
	}
	return r, nil
}

func noticeOf(c journal.Command) isolate.Notice {
	if c.Notice == nil {
		return isolate.Notice{}
	}
	return isolate.Notice{Text: c.Notice.Text, Phone: c.Notice.Phone}
}

// permitOf reads one permit; whether it is too wide, the policy says.
func permitOf(p journal.Permit) (isolate.Permit, error) {
	n, err := netip.ParsePrefix(p.Network)
	if err != nil {
		return isolate.Permit{}, fmt.Errorf("%.80q is not a network such as 192.0.2.7/32", p.Network)
	}
	if n != n.Masked() {
		return isolate.Permit{}, fmt.Errorf("%s has bits behind its prefix; %s is meant, or a longer prefix", n, n.Masked())
	}
	if p.First < 1 || p.First > p.Last || p.Last > maxPort {
		return isolate.Permit{}, fmt.Errorf("ports %d to %d are none", p.First, p.Last)
	}
	return isolate.Permit{
		Network: n, Protocol: isolate.Protocol(p.Protocol), First: uint16(p.First), Last: uint16(p.Last),
		Reason: p.Reason, Host: p.Host, ExpiresAt: p.ExpiresAt,
	}, nil
}

const maxPort = 1<<16 - 1

// collectorOf reads one address of the collector.
func collectorOf(s string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(s)
	if err != nil {
		return at, fmt.Errorf("%.80q is not an address such as 192.0.2.7:8443", s)
	}
	if a := at.Addr(); at.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return at, fmt.Errorf("nothing can be reached at %s", at)
	}
	return at, nil
}

// verdict is the result of an order about the network: what was measured.
func verdict(st isolate.Status, err error) journal.Result {
	m := measured(st)
	r := journal.Result{Status: journal.Done, Isolation: &m}
	switch {
	case err == nil:
	case errors.Is(err, isolate.ErrNeedsRoot):
		r.Status, r.Detail = journal.Unsupported, "The agent runs without the rights to change the network (root with CAP_NET_ADMIN); nothing was cut."
	case errors.Is(err, errors.ErrUnsupported):
		r.Status, r.Detail = journal.Unsupported, "The agent cannot cut the network of this system; nothing was cut."
	case errors.Is(err, isolate.ErrNoWayBack), errors.Is(err, isolate.ErrNoCollector), errors.Is(err, isolate.ErrDrill):
		r.Status, r.Detail = journal.Refused, err.Error()
	case errors.Is(err, isolate.ErrOver):
		r.Status, r.Detail = journal.Expired, err.Error()
	default:
		r.Status, r.Detail = journal.Failed, err.Error()
	}
	return r
}

func (a *agent) concluded(ctx context.Context, s journal.Status, detail, acquisitionID string) journal.Result {
	m := measured(a.isolate.Status(ctx))
	return journal.Result{Status: s, Detail: detail, AcquisitionID: acquisitionID, Isolation: &m}
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
