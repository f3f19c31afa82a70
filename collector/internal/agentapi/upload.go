package agentapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozen/collector/internal/evidence"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

type uploadStream = grpc.ClientStreamingServer[agentv1.UploadRequest, agentv1.UploadResponse]

// UploadState implements the AgentService.
func (s *Server) UploadState(ctx context.Context, m *agentv1.UploadStateRequest) (*agentv1.UploadStateResponse, error) {
	if err := wire.UploadStateRequest(m); err != nil {
		return nil, invalid(err)
	}
	st, err := s.cfg.Uploads.State(ctx, callerOf(ctx).endpointID, m.GetAcquisitionId())
	if err != nil {
		return nil, s.fault(ctx, "read state of upload", err)
	}
	out := &agentv1.UploadStateResponse{}
	for _, p := range st.Parts {
		out.Parts = append(out.Parts, &agentv1.PartState{Name: p.Name, Size: uint64(p.Size), Complete: p.Complete})
	}
	if st.Receipt != nil {
		out.Receipt = s.toReceipt(ctx, callerOf(ctx).endpointID, *st.Receipt)
	}
	return out, nil
}

// Upload implements the AgentService. A refusal is an answer, not an error: the agent
// keeps it, and the connection with its control stream goes on.
func (s *Server) Upload(stream uploadStream) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	who := callerOf(ctx)
	_, revoked, unsubscribe := s.cfg.Live.SubscribeEndpoint(who.endpointID)
	defer unsubscribe()
	idle := time.AfterFunc(uploadIdle, func() { cancel(errIdle) })
	defer idle.Stop()

	// Recv does not hear of revoked; so the steps run beside this and are left behind,
	// to end with the stream, which ends when this returns.
	done := make(chan error, 1)
	go func() { done <- s.takeIn(ctx, stream, who, idle) }()
	select {
	case err := <-done:
		return err
	case <-revoked:
		return errRevoked
	case <-ctx.Done():
		if err := context.Cause(ctx); errors.Is(err, errIdle) {
			return status.Error(codes.DeadlineExceeded, err.Error())
		}
		return status.FromContextError(ctx.Err()).Err()
	}
}

var errIdle = errors.New("no step of the upload within " + uploadIdle.String())

// takeIn runs the steps of one upload.
func (s *Server) takeIn(ctx context.Context, stream uploadStream, who caller, idle *time.Timer) (err error) {
	defer s.recovered(ctx, agentv1.AgentService_Upload_FullMethodName, &err)
	// In turns, so that their chunks are room for others when the intake has done with them.
	var turns [evidence.Held + 1]agentv1.UploadRequest
	turn := 0
	next := func() (*agentv1.UploadRequest, error) {
		turn = (turn + 1) % len(turns)
		m := &turns[turn]
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return nil, status.Error(codes.Canceled, "upload ended without seal")
		}
		if err != nil {
			return nil, err
		}
		idle.Reset(uploadIdle)
		if err := wire.UploadRequest(m); err != nil {
			return nil, invalid(err)
		}
		return m, nil
	}
	m, err := next()
	if err != nil {
		return err
	}
	begin := m.GetBegin()
	if begin == nil {
		return invalid(errors.New("step: the first step must be begin"))
	}
	up, err := s.cfg.Uploads.Begin(ctx, who.endpointID, begin.GetAcquisitionId())
	if err != nil {
		return s.ended(ctx, stream, begin.GetAcquisitionId(), err)
	}
	defer up.Close()
	for {
		m, err := next()
		if err != nil {
			return err
		}
		receipt, err := step(ctx, up, m)
		if err != nil {
			return s.ended(ctx, stream, begin.GetAcquisitionId(), err)
		}
		if receipt != nil {
			return stream.SendAndClose(&agentv1.UploadResponse{Result: &agentv1.UploadResponse_Receipt{Receipt: s.toReceipt(ctx, who.endpointID, *receipt)}})
		}
	}
}

// step carries one step out; a receipt ends the upload.
func step(ctx context.Context, up Upload, m *agentv1.UploadRequest) (*evidence.Receipt, error) {
	switch st := m.GetStep().(type) {
	case *agentv1.UploadRequest_PartBegin:
		return nil, up.Part(st.PartBegin.GetName(), int64(st.PartBegin.GetOffset()), st.PartBegin.GetEnvelope())
	case *agentv1.UploadRequest_Chunk:
		return nil, up.Write(st.Chunk)
	case *agentv1.UploadRequest_PartEnd:
		return nil, up.EndPart(int64(st.PartEnd.GetSize()), st.PartEnd.GetSha256())
	case *agentv1.UploadRequest_Seal:
		r, err := up.Seal(ctx, st.Seal.GetManifest(), st.Seal.GetSignature(), st.Seal.GetCertificate())
		if err != nil {
			return nil, err
		}
		return &r, nil
	}
	return nil, invalid(errors.New("begin: only the first step may be begin"))
}

// ended answers an upload that did not come to its receipt.
func (s *Server) ended(ctx context.Context, stream uploadStream, acquisitionID string, err error) error {
	var refusal *evidence.Refusal
	if errors.As(err, &refusal) {
		s.cfg.Log.WarnContext(ctx, "evidence refused", slog.String("endpoint", callerOf(ctx).endpointID),
			slog.String("acquisition", acquisitionID), slog.String("code", string(refusal.Code)))
		return stream.SendAndClose(&agentv1.UploadResponse{Result: &agentv1.UploadResponse_Refusal{Refusal: toRefusal(refusal)}})
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return s.fault(ctx, "take in evidence", err)
}

func toRefusal(r *evidence.Refusal) *agentv1.Refusal {
	return &agentv1.Refusal{Code: toCode(r.Code), Part: wire.Line(r.Part, wire.MaxPartName), Detail: wire.Text(r.Detail, wire.MaxReason)}
}

func toCode(c evidence.Code) agentv1.RefusalCode {
	switch c {
	case evidence.DigestMismatch:
		return agentv1.RefusalCode_REFUSAL_CODE_DIGEST_MISMATCH
	case evidence.BadSignature:
		return agentv1.RefusalCode_REFUSAL_CODE_BAD_SIGNATURE
	case evidence.ArtifactMissing:
		return agentv1.RefusalCode_REFUSAL_CODE_ARTIFACT_MISSING
	case evidence.ArtifactUnknown:
		return agentv1.RefusalCode_REFUSAL_CODE_ARTIFACT_UNKNOWN
	case evidence.ForeignEndpoint:
		return agentv1.RefusalCode_REFUSAL_CODE_FOREIGN_ENDPOINT
	case evidence.Conflict:
		return agentv1.RefusalCode_REFUSAL_CODE_CONFLICT
	case evidence.Malformed:
		return agentv1.RefusalCode_REFUSAL_CODE_MALFORMED
	case evidence.TooLarge:
		return agentv1.RefusalCode_REFUSAL_CODE_TOO_LARGE
	case evidence.OtherKey:
		return agentv1.RefusalCode_REFUSAL_CODE_OTHER_KEY
	}
	return agentv1.RefusalCode_REFUSAL_CODE_UNSPECIFIED
}

// Intake makes the evidence intake into Uploads.
func Intake(i *evidence.Intake) Uploads { return intake{i} }

type intake struct{ *evidence.Intake }

// Begin hides which kind of upload the intake makes.
func (i intake) Begin(ctx context.Context, endpointID, acquisitionID string) (Upload, error) {
	return i.Intake.Begin(ctx, endpointID, acquisitionID)
}
