//go:build !linux && !windows

package localapi

import "net"

// peerOf knows nobody here, so that nobody can break the glass.
func peerOf(net.Conn) peer { return peer{} }
