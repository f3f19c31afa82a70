package wire

import (
	"math"

	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// EnrollRequest checks what an unknown PC sends.
func EnrollRequest(m *agentv1.EnrollRequest) error {
	return first(
		word("token", m.GetToken(), 1, MaxTokenSecret),
		size("csr", m.GetCsr(), 1, MaxCSR),
		host("host", m.GetHost()),
		capable("capability", m.GetCapability()),
	)
}

// EnrollResponse checks what a collector answers.
func EnrollResponse(m *agentv1.EnrollResponse) error {
	switch r := m.GetResult().(type) {
	case *agentv1.EnrollResponse_Issued:
		return issued("issued", r.Issued)
	case *agentv1.EnrollResponse_Pending:
		if s := r.Pending.GetRetryAfterSeconds(); s < 1 || s > MaxRetryAfter {
			return wrong("pending.retry_after_seconds", "%d, want 1 to %d", s, MaxRetryAfter)
		}
		return word("pending.code", r.Pending.GetCode(), 1, 32)
	}
	return wrong("result", "missing or of a kind that this version does not know")
}

// RenewRequest checks a request for a new certificate.
func RenewRequest(m *agentv1.RenewRequest) error { return size("csr", m.GetCsr(), 1, MaxCSR) }

// RenewResponse checks the answer to it.
func RenewResponse(m *agentv1.RenewResponse) error { return issued("issued", m.GetIssued()) }

func issued(f string, m *agentv1.Issued) error {
	if m == nil {
		return wrong(f, "missing")
	}
	return first(
		identifier(f+".endpoint_id", id.Endpoint, m.GetEndpointId()),
		size(f+".certificate", m.GetCertificate(), 1, MaxCertificate),
		size(f+".ca_certificate", m.GetCaCertificate(), 1, MaxCertificate),
	)
}

func host(f string, m *agentv1.HostDescription) error {
	if m == nil {
		return wrong(f, "missing")
	}
	return first(
		line(f+".hostname", m.GetHostname(), MaxHostname),
		word(f+".os", m.GetOs(), 1, 16),
		word(f+".arch", m.GetArch(), 1, 16),
		line(f+".platform", m.GetPlatform(), MaxPlatform),
		line(f+".agent_version", m.GetAgentVersion(), MaxVersion),
	)
}

func capable(f string, n uint32) error {
	if n == 0 {
		return wrong(f, "0, capability numbers begin at 1")
	}
	return nil
}

// ConnectRequest checks a message from an agent on the control stream.
func ConnectRequest(m *agentv1.ConnectRequest) error {
	switch b := m.GetBody().(type) {
	case *agentv1.ConnectRequest_Hello:
		return hello("hello", b.Hello)
	case *agentv1.ConnectRequest_Heartbeat:
		return heartbeat("heartbeat", b.Heartbeat)
	case *agentv1.ConnectRequest_CommandAck:
		return identifier("command_ack.command_id", id.Command, b.CommandAck.GetCommandId())
	case *agentv1.ConnectRequest_CommandResult:
		return result("command_result", b.CommandResult)
	case *agentv1.ConnectRequest_Progress:
		return progress("progress", b.Progress)
	case *agentv1.ConnectRequest_Alert:
		return alert("alert", b.Alert)
	case *agentv1.ConnectRequest_Isolation:
		return isolation("isolation", b.Isolation)
	case *agentv1.ConnectRequest_IsolationEvent:
		return isolationEvent("isolation_event", b.IsolationEvent)
	case *agentv1.ConnectRequest_LedgerConflict:
		return conflict("ledger_conflict", b.LedgerConflict)
	}
	return wrong("body", "missing or of a kind that this version does not know")
}

// ConnectResponse checks a message from a collector on the control stream.
func ConnectResponse(m *agentv1.ConnectResponse) error {
	switch b := m.GetBody().(type) {
	case *agentv1.ConnectResponse_Welcome:
		if s := b.Welcome.GetHeartbeatSeconds(); s < MinHeartbeat || s > MaxHeartbeat {
			return wrong("welcome.heartbeat_seconds", "%d, want %d to %d", s, MinHeartbeat, MaxHeartbeat)
		}
		return first(capable("welcome.capability", b.Welcome.GetCapability()), moment("welcome.collector_time", b.Welcome.GetCollectorTime()),
			optionalCheckpoint("welcome.checkpoint", b.Welcome.GetCheckpoint()))
	case *agentv1.ConnectResponse_Heartbeat:
		return heartbeat("heartbeat", b.Heartbeat)
	case *agentv1.ConnectResponse_Command:
		return command("command", b.Command)
	case *agentv1.ConnectResponse_ResultReceived:
		return identifier("result_received.command_id", id.Command, b.ResultReceived.GetCommandId())
	case *agentv1.ConnectResponse_AlertReceived:
		return first(
			identifier("alert_received.alert_id", id.Alert, b.AlertReceived.GetAlertId()),
			word("alert_received.incident_number", b.AlertReceived.GetIncidentNumber(), 1, 64),
			identifier("alert_received.incident_id", id.Incident, b.AlertReceived.GetIncidentId()),
		)
	case *agentv1.ConnectResponse_Attention:
		return attention("attention", b.Attention)
	case *agentv1.ConnectResponse_IsolationEventReceived:
		return identifier("isolation_event_received.event_id", id.IsolationEvent, b.IsolationEventReceived.GetEventId())
	case *agentv1.ConnectResponse_Checkpoint:
		return checkpoint("checkpoint", b.Checkpoint)
	case *agentv1.ConnectResponse_LedgerConflictReceived:
		return word("ledger_conflict_received.conflict_id", b.LedgerConflictReceived.GetConflictId(), 64, 64)
	case *agentv1.ConnectResponse_Configure:
		return configure("configure", b.Configure)
	}
	return ErrUnknownBody
}

// ErrUnknownBody is returned for a message from a collector whose body this version
// does not know; a newer collector may send one, and an agent passes over it.
var ErrUnknownBody = wrong("body", "missing or of a kind that this version does not know")

func hello(f string, m *agentv1.Hello) error {
	if m.GetIsolation() == nil {
		return wrong(f+".isolation", "missing")
	}
	return first(
		capable(f+".capability", m.GetCapability()),
		host(f+".host", m.GetHost()),
		word(f+".boot_id", m.GetBootId(), 0, MaxBootID),
		moment(f+".agent_time", m.GetAgentTime()),
		isolation(f+".isolation", m.GetIsolation()),
		size(f+".checkpoint_note", m.GetCheckpointNote(), 0, MaxNote),
	)
}

func configure(f string, m *agentv1.Configure) error {
	if n := len(m.GetRecipients()); n > MaxRecipients {
		return wrong(f+".recipients", "%d, at most %d are allowed", n, MaxRecipients)
	}
	for _, r := range m.GetRecipients() {
		if err := word(f+".recipients", r, 1, MaxRecipient); err != nil {
			return err
		}
	}
	return nil
}

func heartbeat(f string, m *agentv1.Heartbeat) error {
	return first(moment(f+".sent_at", m.GetSentAt()), isolation(f+".isolation", m.GetIsolation()))
}

func result(f string, m *agentv1.CommandResult) error {
	if s := m.GetStatus(); s == agentv1.CommandStatus_COMMAND_STATUS_UNSPECIFIED || agentv1.CommandStatus_name[int32(s)] == "" {
		return wrong(f+".status", "status %d is not known", s)
	}
	return first(
		identifier(f+".command_id", id.Command, m.GetCommandId()),
		text(f+".detail", m.GetDetail(), MaxDetail),
		moment(f+".finished_at", m.GetFinishedAt()),
		optionalIdentifier(f+".acquisition_id", id.Acquisition, m.GetAcquisitionId()),
		isolation(f+".isolation", m.GetIsolation()),
	)
}

func progress(f string, m *agentv1.AcquisitionProgress) error {
	if m.GetDone() > m.GetTotal() {
		return wrong(f+".done", "%d of %d", m.GetDone(), m.GetTotal())
	}
	if e := m.GetExpectedBytes(); e > 0 && m.GetBytes() > e {
		return wrong(f+".bytes", "%d of %d", m.GetBytes(), e)
	}
	if n := max(m.GetBytes(), m.GetExpectedBytes(), m.GetBytesPerSecond()); n > math.MaxInt64 {
		return wrong(f+".bytes", "%d is more than there can be", n)
	}
	return first(
		identifier(f+".acquisition_id", id.Acquisition, m.GetAcquisitionId()),
		optionalIdentifier(f+".command_id", id.Command, m.GetCommandId()),
		optionalIdentifier(f+".alert_id", id.Alert, m.GetAlertId()),
		word(f+".kind", m.GetKind(), 0, 64),
	)
}

func alert(f string, m *agentv1.Alert) error {
	return first(
		identifier(f+".alert_id", id.Alert, m.GetAlertId()),
		text(f+".message", m.GetMessage(), MaxAlert),
		line(f+".reporter", m.GetReporter(), MaxName),
		moment(f+".reported_at", m.GetReportedAt()),
	)
}

// command checks an order, apart from its verb: an agent answers a verb that it
// does not know by saying so.
func command(f string, m *agentv1.Command) error {
	if m.GetCounter() == 0 {
		return wrong(f+".counter", "0, counters begin at 1")
	}
	if err := first(
		identifier(f+".command_id", id.Command, m.GetCommandId()),
		line(f+".issuer", m.GetIssuer(), MaxName),
		text(f+".reason", m.GetReason(), MaxReason),
		optionalIdentifier(f+".incident_id", id.Incident, m.GetIncidentId()),
		moment(f+".issued_at", m.GetIssuedAt()),
		optionalMoment(f+".expires_at", m.GetExpiresAt()),
	); err != nil {
		return err
	}
	switch v := m.GetVerb().(type) {
	case *agentv1.Command_Isolate:
		return isolate(f+".isolate", v.Isolate)
	case *agentv1.Command_Release:
		return notice(f+".release.notice", v.Release.GetNotice())
	case *agentv1.Command_Acquire:
		return word(f+".acquire.profile", v.Acquire.GetProfile(), 1, MaxProfile)
	case *agentv1.Command_Preserve:
		// What comes after may be a newer collector's word, which the agent answers as it
		// answers a verb that it does not know; without a reason none switches a PC off.
		switch v.Preserve.GetThen() {
		case agentv1.PreserveThen_PRESERVE_THEN_UNSPECIFIED, agentv1.PreserveThen_PRESERVE_THEN_NOTHING:
		default:
			if m.GetReason() == "" {
				return wrong(f+".reason", "missing, and no PC is switched off without one")
			}
		}
	}
	return nil
}

// attention checks the word about open incidents: the number of one that is not open
// would be shown to somebody who waits for it.
func attention(f string, m *agentv1.Attention) error {
	if m.GetIncidentNumber() != "" && !m.GetIncidentOpen() {
		return wrong(f+".incident_number", "there although no incident is open")
	}
	return word(f+".incident_number", m.GetIncidentNumber(), 0, 64)
}

// UploadStateRequest checks a question about an acquisition.
func UploadStateRequest(m *agentv1.UploadStateRequest) error {
	return identifier("acquisition_id", id.Acquisition, m.GetAcquisitionId())
}

// UploadStateResponse checks the answer to it.
func UploadStateResponse(m *agentv1.UploadStateResponse) error {
	if n := len(m.GetParts()); n > MaxParts {
		return wrong("parts", "%d parts, at most %d are allowed", n, MaxParts)
	}
	for _, p := range m.GetParts() {
		if err := PartName("parts.name", p.GetName()); err != nil {
			return err
		}
	}
	if m.GetReceipt() == nil {
		return nil
	}
	return receipt("receipt", m.GetReceipt())
}

// UploadRequest checks one step of an upload by itself; the order of steps is the
// receiver's to check.
func UploadRequest(m *agentv1.UploadRequest) error {
	switch s := m.GetStep().(type) {
	case *agentv1.UploadRequest_Begin:
		return identifier("begin.acquisition_id", id.Acquisition, s.Begin.GetAcquisitionId())
	case *agentv1.UploadRequest_PartBegin:
		if s.PartBegin.GetOffset() > 1<<62 {
			return wrong("part_begin.offset", "larger than any part")
		}
		return first(PartName("part_begin.name", s.PartBegin.GetName()), size("part_begin.envelope", s.PartBegin.GetEnvelope(), 0, MaxEnvelope))
	case *agentv1.UploadRequest_Chunk:
		return size("chunk", s.Chunk, 1, MaxChunk)
	case *agentv1.UploadRequest_PartEnd:
		if s.PartEnd.GetSize() > 1<<62 {
			return wrong("part_end.size", "larger than any part")
		}
		return size("part_end.sha256", s.PartEnd.GetSha256(), 32, 32)
	case *agentv1.UploadRequest_Seal:
		return first(
			size("seal.manifest", s.Seal.GetManifest(), 1, MaxManifest),
			size("seal.signature", s.Seal.GetSignature(), 1, MaxSignature),
			size("seal.certificate", s.Seal.GetCertificate(), 1, MaxCertificate),
		)
	}
	return wrong("step", "missing or of a kind that this version does not know")
}

// UploadResponse checks how an upload ended.
func UploadResponse(m *agentv1.UploadResponse) error {
	switch r := m.GetResult().(type) {
	case *agentv1.UploadResponse_Receipt:
		return receipt("receipt", r.Receipt)
	case *agentv1.UploadResponse_Refusal:
		if r.Refusal.GetPart() != "" && len(r.Refusal.GetPart()) > MaxPartName {
			return wrong("refusal.part", "%d bytes, at most %d are allowed", len(r.Refusal.GetPart()), MaxPartName)
		}
		return text("refusal.detail", r.Refusal.GetDetail(), MaxReason)
	}
	return wrong("result", "missing or of a kind that this version does not know")
}

func receipt(f string, m *agentv1.Receipt) error {
	return first(
		size(f+".payload", m.GetPayload(), 1, MaxReceipt),
		size(f+".signature", m.GetSignature(), 1, MaxSignature),
		size(f+".certificate", m.GetCertificate(), 1, MaxCertificate),
		size(f+".checkpoint_note", m.GetCheckpointNote(), 0, MaxNote),
		line(f+".verifier_key", m.GetVerifierKey(), MaxVerifierKey),
		hashes(f+".inclusion", m.GetInclusion()),
	)
}

func optionalCheckpoint(f string, m *agentv1.Checkpoint) error {
	if m == nil {
		return nil
	}
	return checkpoint(f, m)
}

// checkpoint checks the form alone: what the note says and who signed it is for the
// witness, who keeps a wrong one as evidence.
func checkpoint(f string, m *agentv1.Checkpoint) error {
	if m.GetFromSize() > 1<<62 {
		return wrong(f+".from_size", "larger than any ledger")
	}
	return first(
		size(f+".note", m.GetNote(), 1, MaxNote),
		line(f+".verifier_key", m.GetVerifierKey(), MaxVerifierKey),
		hashes(f+".consistency", m.GetConsistency()),
	)
}

func conflict(f string, m *agentv1.LedgerConflict) error {
	if k := m.GetKind(); k == agentv1.LedgerConflictKind_LEDGER_CONFLICT_KIND_UNSPECIFIED || agentv1.LedgerConflictKind_name[int32(k)] == "" {
		return wrong(f+".kind", "kind %d is not known", k)
	}
	return first(
		word(f+".conflict_id", m.GetConflictId(), 64, 64),
		size(f+".seen", m.GetSeen(), 1, MaxNote),
		size(f+".shown", m.GetShown(), 1, MaxNote),
		moment(f+".at", m.GetAt()),
		text(f+".detail", m.GetDetail(), MaxDetail),
	)
}

// hashes checks a proof: a tree of 2^63 leaves needs no more hashes.
func hashes(f string, list [][]byte) error {
	if len(list) > MaxProof {
		return wrong(f, "%d hashes, at most %d are allowed", len(list), MaxProof)
	}
	for _, h := range list {
		if err := size(f, h, 32, 32); err != nil {
			return err
		}
	}
	return nil
}
