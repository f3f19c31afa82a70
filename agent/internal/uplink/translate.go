package uplink

import (
	"time"

	"hozen/agent/internal/uplink/journal"
	"hozen/internal/capability"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// What the agent says is made to fit the rules of the wire here, so that a strange
// host name or a long message never costs the connection.

func toHost(h Host) *agentv1.HostDescription {
	return &agentv1.HostDescription{
		Hostname: wire.Line(h.Hostname, wire.MaxHostname), Os: h.OS, Arch: h.Arch,
		Platform: wire.Line(h.Platform, wire.MaxPlatform), AgentVersion: wire.Line(h.AgentVersion, wire.MaxVersion),
	}
}

func toHello(h Host, i journal.Isolation, waiting uint32, waitingBytes uint64) *agentv1.Hello {
	return &agentv1.Hello{
		Capability: uint32(capability.Current), Host: toHost(h), BootId: wire.Line(h.BootID, wire.MaxBootID),
		AgentTime: wire.Timestamp(time.Now()), Isolation: toIsolation(i), SpooledAcquisitions: waiting, SpooledBytes: waitingBytes,
	}
}

func toResult(r journal.Result) *agentv1.CommandResult {
	m := &agentv1.CommandResult{
		CommandId: r.CommandID, Status: toStatus(r.Status), Detail: wire.Text(r.Detail, wire.MaxDetail),
		FinishedAt: wire.Timestamp(r.FinishedAt), AcquisitionId: r.AcquisitionID,
	}
	if r.Isolation != nil {
		m.Isolation = toIsolation(*r.Isolation)
	}
	return m
}

func toStatus(s journal.Status) agentv1.CommandStatus {
	switch s {
	case journal.Done:
		return agentv1.CommandStatus_COMMAND_STATUS_DONE
	case journal.Expired:
		return agentv1.CommandStatus_COMMAND_STATUS_EXPIRED
	case journal.Unsupported:
		return agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED
	case journal.Refused:
		return agentv1.CommandStatus_COMMAND_STATUS_REFUSED
	}
	return agentv1.CommandStatus_COMMAND_STATUS_FAILED
}

func toAlert(a journal.Alert) *agentv1.Alert {
	return &agentv1.Alert{
		AlertId: a.ID, Message: wire.Text(a.Message, wire.MaxAlert), Reporter: wire.Line(a.Reporter, wire.MaxName),
		ReportedAt: wire.Timestamp(a.ReportedAt),
	}
}

func toProgress(p Progress) *agentv1.AcquisitionProgress {
	return &agentv1.AcquisitionProgress{
		AcquisitionId: p.AcquisitionID, CommandId: p.CommandID, AlertId: p.AlertID, Kind: p.Kind,
		Done: uint32(p.Done), Total: uint32(p.Total), Records: uint64(p.Records), Sealed: p.Sealed,
		Bytes: uint64(p.Bytes), ExpectedBytes: uint64(p.Expected), BytesPerSecond: uint64(p.Rate),
	}
}

func fromConfigure(m *agentv1.Configure) Configure {
	c := Configure{Recipients: m.GetRecipients()}
	if t := m.GetTriage(); t != nil {
		c.Triage = &TriageScope{Private: t.GetPrivate(), Histories: t.GetHistories()}
	}
	return c
}

// fromCommand translates an order that [wire.ConnectResponse] let pass.
func fromCommand(m *agentv1.Command) journal.Command {
	c := journal.Command{
		ID: m.GetCommandId(), Counter: m.GetCounter(), Verb: journal.Unknown, Issuer: m.GetIssuer(), Reason: m.GetReason(),
		IncidentID: m.GetIncidentId(), IssuedAt: wire.Time(m.GetIssuedAt()), ExpiresAt: wire.Time(m.GetExpiresAt()),
	}
	switch v := m.GetVerb().(type) {
	case *agentv1.Command_Acquire:
		c.Verb, c.Profile = journal.Acquire, v.Acquire.GetProfile()
	case *agentv1.Command_Isolate:
		// A mode of a newer collector is a verb that this agent does not know.
		if o, ok := fromIsolate(v.Isolate, time.Now().Round(0)); ok {
			c.Verb, c.IsolateFirst, c.Isolate, c.Notice = journal.Isolate, v.Isolate.GetIsolateFirst(), o, fromNotice(v.Isolate.GetNotice())
		}
	case *agentv1.Command_Release:
		c.Verb, c.Notice = journal.Release, fromNotice(v.Release.GetNotice())
	case *agentv1.Command_Preserve:
		// As with a mode: what this agent cannot do afterwards, it does not begin.
		if then := fromThen(v.Preserve.GetThen()); then != "" {
			c.Verb, c.Then = journal.Preserve, then
		}
	}
	return c
}

// fromThen returns "" for what a newer collector means.
func fromThen(t agentv1.PreserveThen) journal.Then {
	switch t {
	case agentv1.PreserveThen_PRESERVE_THEN_UNSPECIFIED, agentv1.PreserveThen_PRESERVE_THEN_NOTHING:
		return journal.ThenNothing
	case agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF:
		return journal.ThenPowerOff
	case agentv1.PreserveThen_PRESERVE_THEN_REBOOT:
		return journal.ThenReboot
	}
	return ""
}
