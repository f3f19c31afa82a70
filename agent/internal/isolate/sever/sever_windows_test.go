package sever

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"hozen/internal/winapi/tcptable"
)

// A connection of this process stands in the table with both ends and its process.
func TestTableHasOurConnection(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := tcptable.Read(false)
	if err != nil {
		t.Fatal(err)
	}
	es, err := parseTable(b, false)
	if err != nil {
		t.Fatal(err)
	}
	local, remote := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(c.RemoteAddr().String())
	for _, e := range es {
		if e.Local == local && e.Remote == remote {
			if e.PID != uint32(os.Getpid()) || e.State != "ESTABLISHED" {
				t.Errorf("%+v", e.Connection)
			}
			return
		}
	}
	t.Errorf("%s to %s is not among %d connections", local, remote, len(es))
}
