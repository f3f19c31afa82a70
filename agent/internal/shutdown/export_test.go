package shutdown

// ParseLast and WriteLast let tests at the form of the state.
func ParseLast(b []byte) (Last, error) { return parseLast(b) }

// WriteLast writes the state.
func WriteLast(dir string, l Last) error { return writeLast(dir, l) }
