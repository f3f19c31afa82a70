package sockdiag

import (
	"net"
	"path/filepath"
	"testing"

	"hozen/internal/artifact/record"
)

// The kernel's own answer holds the sockets that this test has just made.
func TestLive(t *testing.T) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()

	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	has := func(r Request, want func(s *record.Socket) bool) {
		t.Helper()
		socks, err := c.Append(t.Context(), nil, r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range socks {
			if want(&socks[i]) {
				return
			}
		}
		t.Errorf("%s: not among %d sockets", r, len(socks))
	}
	has(TCP, func(s *record.Socket) bool {
		return int(s.LocalPort) == tcp.Addr().(*net.TCPAddr).Port && s.State == "LISTEN" && s.Inode != 0
	})
	has(UDP6, func(s *record.Socket) bool { return int(s.LocalPort) == udp.LocalAddr().(*net.UDPAddr).Port })
	has(Unix, func(s *record.Socket) bool { return s.Path == path && s.State == "LISTEN" && s.UID >= 0 })

	names, err := c.Interfaces(t.Context())
	if err != nil || len(names) == 0 || names[1] != "lo" {
		t.Errorf("%v, %v", names, err)
	}
}
