package act

import "context"

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
