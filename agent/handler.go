package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
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
			Done: p.Done, Total: p.Total, Records: p.Records, Bytes: p.Bytes, Expected: p.Expected, Rate: p.Rate, Sealed: p.Sealed,
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
		a.sealSoon()
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
