package machine

import "maps"

// Snapshot returns a scene that knows the connections of now for ever, to compare
// evidence with when the victims have long had others. It shares the server.
func (s *Scene) Snapshot() *Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Scene{listener: s.listener, flows: maps.Clone(s.flows)}
}
