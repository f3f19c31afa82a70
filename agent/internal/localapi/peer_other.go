//go:build !linux

package localapi

import "net"

// reporterOf does not know who is at the other end on this system; what a client says
// of itself is not worth recording.
func reporterOf(net.Conn) string { return unknownReporter }
