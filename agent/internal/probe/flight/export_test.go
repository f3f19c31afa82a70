package flight

import "hozen/agent/internal/recorder/entry"

// NameOn names a source as it is on a system.
func NameOn(goos string, s entry.Source) string { return nameOn(goos, s) }
