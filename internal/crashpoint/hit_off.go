//go:build !crashpoint

package crashpoint

// Enabled reports whether this build has crash points.
const Enabled = false

// Hit does nothing in this build.
func Hit(string) {}
