package agentapi

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
)

// invalid is the answer to a message that breaks a rule; err names the field.
func invalid(err error) error { return status.Error(codes.InvalidArgument, err.Error()) }

// fault translates an error of an act. What the caller can do something about is
// told; anything else is logged here and told as a fault that may pass.
func (s *Server) fault(ctx context.Context, what string, err error) error {
	switch {
	case errors.Is(err, act.ErrForbidden):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, act.ErrInvalid):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, act.ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, act.ErrConflict):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, evidence.ErrOffset):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, evidence.ErrSuperseded):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, evidence.ErrQuota), errors.Is(err, evidence.ErrAllowance) && !errors.Is(err, evidence.ErrNoSpace):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	s.cfg.Log.ErrorContext(ctx, "act failed", slog.String("act", what), slog.String("endpoint", callerOf(ctx).endpointID), slog.Any("error", err))
	if errors.Is(err, act.ErrNoSpace) || errors.Is(err, evidence.ErrNoSpace) {
		return status.Error(codes.ResourceExhausted, what+": the collector's disk is full")
	}
	return status.Error(codes.Unavailable, what+": fault in the collector; its log says more")
}
