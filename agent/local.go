package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/buildinfo"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// localAgent is what the local socket speaks for.
type localAgent struct{ a *agent }

// Report keeps an alert and takes a flash capture at once, without waiting for it.
func (l localAgent) Report(_ context.Context, reporter, message string) (string, error) {
	a := l.a
	alert := journal.Alert{ID: id.New(id.Alert), Message: message, Reporter: reporter, ReportedAt: time.Now().UTC()}
	if err := a.uplink.Alert(alert); err != nil {
		return "", err
	}
	a.set.log.Info("trouble was reported", slog.String("alert", alert.ID))
	a.captureFor(alert.ID)
	return alert.ID, nil
}

// How often reports lead to a flash capture. Any user of the PC may report, and must
// not be able to fill the spool or the collector, nor to keep an order to isolate
// waiting for its turn; a report beyond that is delivered without a capture of its own.
const (
	alertCaptureEvery = 30 * time.Second
	alertCaptureBurst = 5
)

// captureFor takes the flash capture of an alert in the background, unless it was
// begun before. Its identifier follows from the alert's, so that an agent that was
// killed in between finds out which captures it still owes.
func (a *agent) captureFor(alertID string) {
	if !a.captureRate.Allow() {
		a.set.log.Warn("many reports; no flash capture for this one", slog.String("alert", alertID))
		return
	}
	acquisitionID := string(id.Acquisition) + strings.TrimPrefix(alertID, string(id.Alert))
	a.captures.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), captureLimit)
		defer cancel()
		// What comes of it stands in the log and in the manifest; the report itself is safe.
		_, _ = a.acquire(ctx, acquire.Order{AcquisitionID: acquisitionID, Trigger: artifact.TriggerAlert, AlertID: alertID, Profile: profileFlash})
	})
}

// AwaitReport waits until the collector has it.
func (l localAgent) AwaitReport(ctx context.Context, alertID string) (string, error) {
	r, err := l.a.uplink.AwaitAlert(ctx, alertID)
	return r.IncidentNumber, err
}

// Wake looks for the enrolment and the collector now.
func (l localAgent) Wake() { l.a.uplink.Wake() }

// Status puts together how the agent is.
func (l localAgent) Status(ctx context.Context) localapi.Status {
	a := l.a
	up, sp, iso := a.uplink.Status(), a.spool.Status(), measured(a.isolationFor(ctx))
	s := localapi.Status{
		Format: "hozen-agent-status/1", Version: buildinfo.Get().Version, StartedAt: a.started,
		Connected: up.Connected, Collector: up.Address, LastContact: up.LastContact, Problem: up.Problem,
		Isolation: localapi.Isolation{
			Capable: iso.Capable, Desired: string(iso.Desired), Observed: string(iso.Observed),
			MeasuredAt: iso.MeasuredAt, WayHome: iso.WayHome, Detail: iso.Detail,
		},
		Spool: localapi.Spool{
			UsedBytes: sp.UsedBytes, MaxBytes: sp.MaxBytes, Waiting: sp.Waiting, Received: sp.Received, Refused: sp.Refused,
			Full: sp.Full, Unsealed: a.unsealed.Load(), Problems: len(sp.Problems), Encrypted: len(a.organisation.keys()) > 0,
		},
		UnsentAlerts: len(a.journal.Alerts()), UnsentResults: len(a.journal.Unconfirmed()), UnfinishedCommands: len(a.journal.Unfinished()),
	}
	if e, err := a.identity.Enrolment(); err == nil {
		s.EndpointID = e.EndpointID
		s.Ledger = a.ledgerSeen(uplink.LedgerOwner(e))
		if cert, err := pki.ParseCertificate(e.Certificate); err == nil {
			s.CertificateExpires = cert.NotAfter
		}
	}
	return s
}

// ledgerSeen is what this PC saw of a collector's ledger; nil before it saw any.
func (a *agent) ledgerSeen(owner string) *localapi.Ledger {
	seen, _ := a.witness.Seen(owner)
	conflicts := a.witness.Conflicts(owner)
	if seen.Note == "" && len(conflicts) == 0 {
		return nil
	}
	l := &localapi.Ledger{Origin: seen.Origin, Size: seen.Size}
	for _, c := range conflicts {
		l.Conflicts = append(l.Conflicts, localapi.LedgerConflict{Kind: string(c.Kind), At: c.At, Detail: c.Detail, Told: c.Told})
	}
	return l
}

// thisHost is what the endpoint says of itself.
func thisHost() uplink.Host {
	h := acquire.ThisHost()
	name := h.Hostname
	if name == "" {
		name, _ = os.Hostname() // empty again when unknown, which is allowed
	}
	return uplink.Host{
		Hostname: name, OS: runtime.GOOS, Arch: runtime.GOARCH, Platform: platform(),
		AgentVersion: buildinfo.Get().Version, BootID: h.BootID,
	}
}
