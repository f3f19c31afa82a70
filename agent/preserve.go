package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/logind"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/preserve"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/id"
)

// preserveLimit is how long the evidence may take from its turn on; whoever waits wants
// the PC off.
const preserveLimit = 15 * time.Second

// preserve takes the evidence of a decision to switch off, the decision included.
func (a *agent) preserve(ctx context.Context, d record.Preserve, o acquire.Order) (acquire.Result, error) {
	g, now := a.losses(ctx), acquire.SystemClock()
	d.At, d.BootNS = now.Wall, now.BootNS
	d.Processes, d.Connections, d.Sessions = g.Processes, g.Connections, g.Sessions
	d.UnsentAcquisitions, d.UnsentBytes, d.Isolated, d.Connected = g.UnsentAcquisitions, g.UnsentBytes, g.Isolated, g.Connected
	o.Trigger, o.Profile, o.Limit = artifact.TriggerPreserve, profileFlash, preserveLimit
	o.Extra = []acquire.Planned{{Budget: 100 * time.Millisecond, First: true, New: func() probe.Probe { return preserve.New(d) }}}
	return a.acquire(ctx, o)
}

// Preserve takes evidence and seals it. It does not take the PC down: that comes when
// the collector has heard the result, see goDown.
func (h handler) Preserve(ctx context.Context, c journal.Command) journal.Result {
	if c.Then.Down() && !h.a.power.able() {
		return journal.Result{Status: journal.Unsupported, Detail: "This agent cannot switch the PC off or restart it: the system's login service does not answer. Nothing was taken and the PC goes on running."}
	}
	return h.preserve(ctx, c)
}

func (h handler) preserve(ctx context.Context, c journal.Command) journal.Result {
	d := record.Preserve{Then: string(c.Then), Via: "collector", DecidedBy: c.Issuer, Reason: c.Reason, CommandID: c.ID}
	res, err := h.a.preserve(ctx, d, acquire.Order{AcquisitionID: c.AcquisitionID, CommandID: c.ID, IncidentID: c.IncidentID})
	if err == nil && res.Repeated && c.Then.Down() {
		// An agent that was killed meanwhile, or a PC that went down, left the command
		// unfinished and its evidence broken off.
		return journal.Result{Status: journal.Failed, AcquisitionID: c.AcquisitionID,
			Detail: "The agent was started again while it carried this out. What was taken before is kept, and the PC goes on running; give the order again to switch it off."}
	}
	if err == nil && c.Then.Down() && shutdown.Empty(res.Manifest) {
		return journal.Result{Status: journal.Failed, AcquisitionID: c.AcquisitionID,
			Detail: "Neither processes nor connections could be kept, so the PC goes on running; what there was is kept."}
	}
	return sealed(c, res, err)
}

// goDown takes the PC down after an order of the collector, which is told where it fails.
func (a *agent) goDown(ctx context.Context, c journal.Command, _ journal.Result) {
	// Who ordered it was shown what would be lost: no program that blocks keeps the PC on.
	_ = a.power.down(ctx, string(c.Then), c.Issuer, record.Unknown, logind.PassLocks)
}

// localPower is what the socket speaks for about going down.
type localPower struct{ a *agent }

// Gate says what would be lost.
func (l localPower) Gate(ctx context.Context) localapi.Gate {
	g := l.a.losses(ctx)
	g.MayPowerOff = l.a.mayGoDown(ctx, localapi.UID(ctx)) && l.a.power.able()
	return g
}

// GoingDown keeps what can be kept, because the companion unit says that the PC goes down.
func (l localPower) GoingDown(ctx context.Context) error { return l.a.power.companion(ctx) }

// Preserve keeps the evidence and then has the PC go down if so wished.
func (l localPower) Preserve(ctx context.Context, o localapi.PreserveOrder, tell func(localapi.Preserve)) error {
	a, down := l.a, o.Then != localapi.ThenNothing
	if err := a.admit(o, l.a.mayGoDown(ctx, o.UID)); err != nil {
		return err
	}
	// Whoever hangs up has decided all the same.
	ctx = context.WithoutCancel(ctx)
	acquisitionID := id.New(id.Acquisition)
	d := record.Preserve{Then: o.Then, Via: "local", DecidedBy: o.DecidedBy, Reason: o.Reason, Shown: o.Shown}
	res, err := a.preserve(ctx, d, acquire.Order{AcquisitionID: acquisitionID, Progress: func(p acquire.Progress) {
		tell(localapi.Preserve{Step: localapi.StepAcquiring, AcquisitionID: acquisitionID, Done: p.Done, Total: p.Total})
	}})
	if err != nil {
		return err // and the PC stays on: what could not be kept would be lost
	}
	step := localapi.Preserve{Step: localapi.StepSealed, AcquisitionID: acquisitionID, Outcome: string(res.Manifest.Outcome)}
	tell(step)
	if out := res.Manifest.Outcome; down && (out == artifact.Interrupted || shutdown.Empty(res.Manifest)) {
		return fmt.Errorf("keep the evidence: it ended as %s, and the PC goes on running", out)
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(o.WaitSeconds)*time.Second)
	if step.Step = localapi.StepKept; a.delivered(limited, acquisitionID) {
		step.Step = localapi.StepDelivered
	}
	cancel()
	tell(step)
	if !down {
		step.Step = localapi.StepDone
		tell(step)
		return nil
	}
	step.Step = localapi.StepGoingDown
	tell(step)
	uid, err := strconv.ParseInt(o.UID, 10, 64)
	if err != nil {
		uid = record.Unknown
	}
	locks := logind.HonourLocks
	if err == nil && uid == 0 {
		locks = logind.PassLocks // root would be let through by "systemctl -i" too
	}
	return a.power.down(ctx, o.Then, o.DecidedBy, uid, locks)
}

// admit says why an order is not carried out; may is whether this person may have the PC
// go down.
func (a *agent) admit(o localapi.PreserveOrder, may bool) error {
	const root = "0"
	down := o.Then != localapi.ThenNothing
	switch {
	case down && !may:
		return localapi.ErrDenied
	case down && !a.power.able():
		return fmt.Errorf("%w: the system's login service does not answer", errors.ErrUnsupported)
	case !down && o.UID != root && !a.captureRate.Allow():
		// As with reports: nobody fills the spool, or keeps an order waiting. An order that
		// takes the PC down ends by itself.
		return localapi.ErrTooMany
	}
	return nil
}

// delivered waits until the collector has an acquisition, as long as there is a
// connection and until ctx ends.
func (a *agent) delivered(ctx context.Context, acquisitionID string) bool {
	look := time.NewTicker(time.Second) // for a connection that goes away
	defer look.Stop()
	for {
		changed := a.spool.Changed()
		if slices.ContainsFunc(a.spool.List(), func(i spool.Info) bool { return i.AcquisitionID == acquisitionID && i.State == spool.Received }) {
			return true
		}
		if !a.uplink.Status().Connected {
			return false
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}
