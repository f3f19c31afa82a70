package isolate

// Heard says that the collector was heard through the isolation just now. It may be
// called as often as that happens.
func (m *Manager) Heard() {}
