//go:build !windows

package localapi

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// ownUID is who this process is, in the words of a Peer.
func ownUID(*testing.T) string { return strconv.Itoa(os.Getuid()) }

func TestEveryoneMayConnect(t *testing.T) {
	path := serve(t, &agent{})
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("socket %v %v: not everyone may report", fi.Mode(), err)
	}
}

func TestSocketOfADeadAgentIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := Listen(Config{Path: path, Agent: &agent{}})
	if err != nil {
		t.Fatal(err)
	}
	s.l.Close()
}
