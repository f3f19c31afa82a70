package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// captureLimit is how long the flash capture may keep the network open.
const captureLimit = 10 * time.Second

// handler carries the collector's orders out.
type handler struct{ a *agent }

// Acquire takes evidence.
func (h handler) Acquire(ctx context.Context, c journal.Command) journal.Result {
	res, err := h.a.acquire(ctx, orderOf(c, artifact.TriggerCommand))
	return sealed(c, res, err)
}

// sealed is the result of an order to take evidence.
func sealed(c journal.Command, res acquire.Result, err error) journal.Result {
	r := journal.Result{Status: journal.Done, AcquisitionID: c.AcquisitionID}
	if err != nil {
		return journal.Result{Status: journal.Failed, Detail: err.Error()}
	}
	// An outcome of "partial" is what there was to take; the manifest says what is missing.
	if o := res.Manifest.Outcome; o == artifact.Failed || o == artifact.Interrupted {
		r.Status, r.Detail = journal.Failed, "the acquisition ended as "+string(o)+"; what was taken is kept"
	}
	return r
}

func orderOf(c journal.Command, t artifact.Trigger) acquire.Order {
	profile := c.Profile
	if profile == "" {
		profile = profileFlash
	}
	return acquire.Order{AcquisitionID: c.AcquisitionID, Trigger: t, CommandID: c.ID, IncidentID: c.IncidentID, Profile: profile}
}

// acquire runs one acquisition and tells how far it is.
func (a *agent) acquire(ctx context.Context, o acquire.Order) (acquire.Result, error) {
	also := o.Progress
	o.Progress = func(p acquire.Progress) {
		if also != nil {
			also(p)
		}
		a.uplink.Progress(uplink.Progress{
			AcquisitionID: p.AcquisitionID, CommandID: p.CommandID, AlertID: p.AlertID, Kind: string(p.Kind),
			Done: p.Done, Total: p.Total, Records: p.Records, Sealed: p.Sealed,
		})
	}
	switch o.Trigger {
	case artifact.TriggerIsolation:
		o.Extra = append(o.Extra, a.recording.before(a.bootID, hastyBudget)...)
	case artifact.TriggerCommand, artifact.TriggerAlert, artifact.TriggerPreserve:
		o.Extra = append(o.Extra, a.recording.before(a.bootID, flightBudget)...)
	}
	res, err := a.runner.Run(ctx, o)
	if err == nil && res.Repeated && res.Manifest.Format == "" {
		res.Manifest, err = a.kept(o.AcquisitionID)
	}
	if err != nil {
		a.set.log.ErrorContext(ctx, "acquisition failed", slog.String("acquisition", o.AcquisitionID), slog.Any("error", err))
		poke(a.mend)
	} else {
		a.set.log.InfoContext(ctx, "acquisition sealed", slog.String("acquisition", res.AcquisitionID), slog.String("outcome", string(res.Manifest.Outcome)))
	}
	if !o.Urgent { // else the PC is going down, and waits
		releaseMemory() // the agent is back to its small self before anyone looks
	}
	return res, err
}

// kept reads the manifest of an acquisition that an earlier run of the agent made, so
// that what came of it is told and not taken for done.
func (a *agent) kept(acquisitionID string) (m artifact.Manifest, err error) {
	r, err := a.spool.Open(acquisitionID)
	if err != nil {
		return m, fmt.Errorf("read what was kept before: %w", err)
	}
	defer r.Close()
	seal, ok, err := r.Seal()
	if err == nil && !ok {
		err = errors.New("it is not sealed yet")
	}
	if err == nil {
		err = json.Unmarshal(seal.Manifest, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read what was kept before: %w", err)
	}
	return m, nil
}

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

// Isolate takes the flash capture, cuts the network, reads back and probes the way
// home. Where the system cannot cut, the capture is taken all the same.
func (h handler) Isolate(ctx context.Context, c journal.Command) journal.Result {
	a := h.a
	pins, err := a.uplink.Pins(ctx)
	if err != nil {
		return a.concluded(ctx, journal.Failed, err.Error(), "")
	}
	shot := &capture{a: a, order: orderOf(c, artifact.TriggerIsolation)}
	st, err := a.isolate.Isolate(context.WithValue(ctx, captureKey{}, shot), isolate.Request{
		CommandID: c.ID, IsolateFirst: c.IsolateFirst,
		Policy: isolate.Policy{Mode: isolate.Standard, Collectors: pins, Mark: a.marks.mark()},
	})
	poke(a.watch)
	a.uplink.IsolationChanged()
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
	r := verdict(st, err)
	if st.Observed == isolate.Isolated && !wayHome(st) {
		notes = append(notes, "a new connection to the collector could not be made through the rules")
	}
	if shot.begun.Load() {
		r.AcquisitionID = c.AcquisitionID
	}
	r.Detail = strings.Join(append(nonEmpty(r.Detail), notes...), "; ")
	return r
}

// Release gives the network back.
func (h handler) Release(ctx context.Context, c journal.Command) journal.Result {
	st, err := h.a.isolate.Release(ctx, isolate.Request{CommandID: c.ID})
	poke(h.a.watch)
	h.a.uplink.IsolationChanged()
	return verdict(st, err)
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

func wayHome(st isolate.Status) bool { return st.WayHome != nil && st.WayHome.OK }

// measured puts what the manager measured into the words of the wire.
func measured(st isolate.Status) journal.Isolation {
	m := journal.Isolation{
		Desired: journal.State(st.Desired), Observed: journal.State(st.Observed), MeasuredAt: st.Observation.MeasuredAt,
		WayHome: wayHome(st), DroppedPackets: st.Observation.DroppedPackets(), Detail: st.Detail, CommandID: st.CommandID, Capable: st.Capable,
	}
	if _, err := digest.Parse(st.Observation.Digest); err == nil {
		m.RulesDigest = st.Observation.Digest
	}
	if st.Desired != isolate.Released && st.Desired != isolate.Isolated {
		m.Desired = journal.StateUnknown
	}
	if m.MeasuredAt.IsZero() {
		m.MeasuredAt = time.Now()
	}
	return m
}

// watchIsolation keeps an isolated PC isolated and tells when what is measured
// changed. While nothing is ordered it sleeps.
func (a *agent) watchIsolation(ctx context.Context) error {
	var tick <-chan time.Time
	last, events := isolate.State(""), a.isolate.Watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events: // the kernel says that rules or devices changed
		case <-a.watch:
		case <-tick:
		}
		st, err := a.isolate.Reconcile(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			a.set.log.ErrorContext(ctx, "isolation is not as ordered", slog.Any("error", err))
		}
		if len(st.Drift) > 0 {
			a.set.log.WarnContext(ctx, "isolation was changed by somebody else and put right", slog.Any("differences", st.Drift), slog.Any("seen", st.Seen))
		}
		if st.Observed != last || len(st.Drift) > 0 {
			last = st.Observed
			a.uplink.IsolationChanged()
		}
		tick = nil
		if st.Desired != isolate.Released || st.Observed != isolate.Released && st.Capable {
			tick = time.After(a.set.config.Isolation.CheckEvery.Duration)
		}
	}
}
