package console

import (
	"fmt"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
)

// progressView is how far a command has come, step by step.
type progressView struct {
	Command dispatch.Command
	Steps   []step
	Waiting bool   // the endpoint is away; the command waits for it
	Kept    string // key of the word that the PC was not made to go down, and what next; empty when that was not ordered or is not known
	Final   bool
	Good    bool   // done, and nothing left to say
	Now     string // how far an acquisition has come that goes on just now; empty when none is known to
}

// progressOf is the progress of a command, with what its endpoint says of it just now.
func (s *server) progressOf(v *visit, c dispatch.Command, e endpointView, acquisitions []evidence.Acquisition) (*progressView, error) {
	p := viewProgress(c, e, acquisitions)
	if p.Final {
		return &p, nil
	}
	far, err := s.live.Running(v.ctx(), v.actor, c.ID)
	if err != nil {
		return nil, err
	}
	if far != nil {
		p.Now = sayProgress(v.text, *far) + sayPart(far.Done, far.Total)
	}
	return &p, nil
}

// sayPart writes how many of the probes are through, as the page's script does.
func sayPart(done, total uint32) string {
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d/%d)", done, total)
}

// sayProgress says what an agent reads just now.
func sayProgress(p i18n.Printer, far act.Progress) string {
	kind := optional(p, "kind.", far.Kind)
	switch {
	case far.Sealed:
		return p.Text("live.sealed")
	case far.Kind == "":
		return p.Text("live.started")
	case far.Expected > 0:
		return p.Text("live.bytes_of", "kind", kind, "bytes", size(toInt64(far.Bytes)), "expected", size(toInt64(far.Expected)), "rate", size(toInt64(far.Rate)))
	case far.Bytes > 0:
		return p.Text("live.bytes", "kind", kind, "records", number(toInt64(far.Records)), "bytes", size(toInt64(far.Bytes)), "rate", size(toInt64(far.Rate)))
	}
	return p.Text("live.reading", "kind", kind, "records", number(toInt64(far.Records)))
}

// Withdrawable reports whether the command can be taken back.
func (p *progressView) Withdrawable() bool {
	return (p.Command.Verb == dispatch.Preserve || p.Command.Verb == dispatch.Isolate) && p.Command.Status == dispatch.Queued
}

// Running is the verb while the command is not finished, else empty.
func (p *progressView) Running() string {
	if p == nil || p.Final {
		return ""
	}
	return string(p.Command.Verb)
}

// step is one line of the progress.
type step struct {
	Key   string // step.<key>
	State string // done, active, queued, waiting, failed, skipped, unknown
}

// viewProgress derives the steps from what is recorded: the command, what was
// measured, and what evidence has arrived. A step that the records don't speak of is
// never shown as done.
func viewProgress(c dispatch.Command, e endpointView, acquisitions []evidence.Acquisition) progressView {
	v := progressView{Command: c, Final: c.Status.Final(), Good: c.Status == dispatch.Done}
	v.Waiting = c.Status == dispatch.Queued && e.Presence != "online"
	if c.Down() {
		switch c.Status {
		case dispatch.NotDown:
			v.Kept = "progress.not_down." + string(c.Then)
		case dispatch.Failed, dispatch.Unsupported, dispatch.Refused:
			v.Kept = "progress.kept_on"
		}
	}
	accepted := !c.AcceptedAt.IsZero() || c.Status == dispatch.Accepted || c.Status == dispatch.Done || c.Status == dispatch.Failed || c.Status == dispatch.NotDown
	m := e.Measured()
	ours := m.CommandID == c.ID && !m.ReceivedAt.IsZero()

	captured := c.AcquisitionID != "" || ours && (m.Observed == endpoint.Isolated || m.Observed == endpoint.Isolating)
	received := false
	for _, a := range acquisitions {
		if a.CommandID == c.ID || c.AcquisitionID != "" && a.ID == c.AcquisitionID {
			captured, received = true, true
		}
	}
	steps := []struct {
		key     string
		reached bool
	}{{"ordered", true}, {"accepted", accepted}}
	add := func(key string, reached bool) {
		steps = append(steps, struct {
			key     string
			reached bool
		}{key, reached})
	}
	done := c.Status == dispatch.Done
	switch c.Verb {
	case dispatch.Isolate:
		isolated := done || ours && m.Observed == endpoint.Isolated
		if c.IsolateFirst {
			add("cut", isolated || ours && m.Observed == endpoint.Isolating)
			add("read_back", isolated)
			add("way_home", isolated && (!ours || m.WayHome))
			add("captured", captured && (received || v.Final))
		} else {
			add("captured", captured)
			add("cut", isolated || ours && m.Observed == endpoint.Isolating)
			add("read_back", isolated)
			add("way_home", isolated && (!ours || m.WayHome))
		}
		add("received", received)
	case dispatch.Release:
		released := done || ours && m.Observed == endpoint.Released
		add("opened", released)
		add("read_back_open", released)
	case dispatch.Preserve:
		add("captured", captured || done || c.Status == dispatch.NotDown)
		add("received", received)
		if c.Then.Down() {
			// That the PC went down, nothing but the record of its next boot tells.
			add("down."+string(c.Then), wentDown(c, e.Ends))
		}
	default:
		add("captured", captured)
		add("received", received)
	}
	active := true
	for _, s := range steps {
		state := "waiting"
		switch {
		case s.reached:
			state = "done"
		case c.EndedHere():
			state = "skipped" // unless the endpoint had received it, which it will then say
		case v.Final && s.key == "received" && (v.Good || c.Status == dispatch.NotDown) && c.AcquisitionID != "":
			state = "active" // the order is done, its evidence is still on its way
		case v.Final && v.Good && strings.HasPrefix(s.key, "down."):
			state = "waiting"
		case v.Final && active && !v.Good:
			state, active = "failed", false
		case v.Final:
			state = "unknown"
		case active && v.Waiting:
			state, active = "queued", false
		case active:
			state, active = "active", false
		}
		v.Steps = append(v.Steps, step{s.key, state})
	}
	return v
}

// wentDown reports whether the records of an endpoint's boots say that the PC went down
// as it was ordered: in an orderly way, of the kind that was ordered, and as the next
// thing that happened after the order was done, all by the endpoint's own clock.
func wentDown(c dispatch.Command, ends []endpoint.Boot) bool {
	if c.Status != dispatch.Done || c.FinishedAt.IsZero() {
		return false
	}
	var next *endpoint.Boot
	for i, b := range ends {
		if b.Judged() && !b.EndedAfter.Before(c.FinishedAt) && (next == nil || b.EndedAfter.Before(next.EndedAfter)) {
			next = &ends[i]
		}
	}
	if next == nil || next.ClockContradicts || next.Asked.Type != map[dispatch.Then]string{dispatch.ThenPowerOff: "poweroff", dispatch.ThenReboot: "reboot"}[c.Then] {
		return false
	}
	return next.Verdict == record.BootCleanWithCapture || next.Verdict == record.BootCleanWithoutCapture
}

// Measured is the isolation as it was last reported, fresh or not.
func (v endpointView) Measured() endpoint.IsolationStatus { return v.Isolation.Measured }
