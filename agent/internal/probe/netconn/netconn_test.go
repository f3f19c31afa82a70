package netconn_test

import (
	"errors"
	"net"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
)

func fresh() probe.Probe { return netconn.New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	for range 2 { // a machine may have no sockets of its own
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("ns_net", "proto", "family", "inode", "local_port")})
}
