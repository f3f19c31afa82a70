//go:build !linux

package localapi

import "net"

// uidOf does not know who is at the other end on this system; what a client says of
// itself is not worth recording.
func uidOf(net.Conn) string { return unknownUser }

func reporterOf(string) string { return unknownReporter }
