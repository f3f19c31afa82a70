package act

import (
	"context"
	"net/netip"

	"hozen/collector/internal/endpoint"
)

// LookAtGroups is what RunGroups does each time.
func (s *Acts) LookAtGroups(ctx context.Context) error {
	_, err := s.lookAtGroups(ctx)
	return err
}

// ReadHints is readHints.
var ReadHints = readHints

// ReadLinkHints is readLinkHints.
var ReadLinkHints = readLinkHints

// CodesReady is how many release codes nobody has yet.
func (s *Acts) CodesReady() int {
	s.codes.mu.Lock()
	defer s.codes.mu.Unlock()
	return len(s.codes.ready)
}

// TryInbound lets the collector try by itself to reach what it isolated.
func (s *Acts) TryInbound(answers func(context.Context, netip.AddrPort) (bool, error)) {
	s.inbound.answers = answers
}

// InboundTried waits for what is being tried, and says what came of it at an endpoint.
func (s *Acts) InboundTried(endpointID string) endpoint.Trial {
	s.inbound.work.Wait()
	s.inbound.mu.Lock()
	defer s.inbound.mu.Unlock()
	if in := s.inbound.m[endpointID]; in != nil {
		return in.trial
	}
	return endpoint.Trial{}
}

// NamesAddress is namesAddress.
var NamesAddress = namesAddress
