package agentapi

import (
	"context"
	"log/slog"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// Enroll implements the EnrollmentService.
func (s *Server) Enroll(ctx context.Context, m *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	if err := wire.EnrollRequest(m); err != nil {
		return nil, invalid(err)
	}
	c := callerOf(ctx)
	d := describe(m.GetHost())
	d.Capability = m.GetCapability()
	reply, err := s.cfg.Enrolling.Enroll(ctx, act.EnrollCall{Secret: m.GetToken(), CSR: m.GetCsr(), Host: d, RemoteAddr: c.remote})
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "enrolment refused", slog.String("remote", c.remote), slog.Any("error", err))
		return nil, s.fault(ctx, "enrol", err)
	}
	if reply.PendingCode != "" {
		return &agentv1.EnrollResponse{Result: &agentv1.EnrollResponse_Pending{Pending: &agentv1.Pending{
			Code: reply.PendingCode, RetryAfterSeconds: uint32(pendingRetry / time.Second),
		}}}, nil
	}
	return &agentv1.EnrollResponse{Result: &agentv1.EnrollResponse_Issued{Issued: &agentv1.Issued{
		EndpointId: reply.EndpointID, Certificate: reply.Certificate, CaCertificate: reply.CA,
	}}}, nil
}

// Renew implements the AgentService.
func (s *Server) Renew(ctx context.Context, m *agentv1.RenewRequest) (*agentv1.RenewResponse, error) {
	if err := wire.RenewRequest(m); err != nil {
		return nil, invalid(err)
	}
	c := callerOf(ctx)
	cert, err := s.cfg.Enrolling.Renew(ctx, c.endpointID, c.serial, m.GetCsr())
	if err != nil {
		return nil, s.fault(ctx, "renew certificate", err)
	}
	return &agentv1.RenewResponse{Issued: &agentv1.Issued{EndpointId: c.endpointID, Certificate: cert, CaCertificate: s.cfg.CA.Raw}}, nil
}

func describe(h *agentv1.HostDescription) endpoint.Description {
	return endpoint.Description{
		Hostname: h.GetHostname(), OS: h.GetOs(), Arch: h.GetArch(), Platform: h.GetPlatform(), AgentVersion: h.GetAgentVersion(),
	}
}
