// Package winboot tells one start of Windows from another, and reads what Windows keeps
// of starting and shutting down. It knows nothing of what follows from that.
package winboot

import (
	"encoding/binary"
	"time"
)

// Start is how Windows starts and ends.
type Start struct {
	// FastStartup says whether "Shut down" hibernates the kernel instead of ending it, so
	// that no service is stopped; known is false where Windows does not say
	// (HiberbootEnabled).
	FastStartup, FastStartupKnown bool
	// LastShutdown is when Windows last noted an orderly end; zero where it never did
	// (Control\Windows\ShutdownTime).
	LastShutdown time.Time
	// Began is when the kernel started; a start after a fast startup is none.
	Began time.Time
}

// filetime reads a FILETIME (minwinbase.h): 100 ns since 1601. What no clock can have
// said is zero.
func filetime(b []byte) time.Time {
	const (
		epoch = 116444736000000000 // 1970 in it
		last  = epoch + 253402300799*10000000
	)
	if len(b) != 8 {
		return time.Time{}
	}
	n := binary.LittleEndian.Uint64(b)
	if n < epoch || n > last {
		return time.Time{}
	}
	n -= epoch
	return time.Unix(int64(n/10000000), int64(n%10000000)*100).UTC()
}
