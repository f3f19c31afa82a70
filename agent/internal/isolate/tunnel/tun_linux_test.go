package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	nl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

const tunnelPort = 51820

const helperEnv = "HOZEN_TEST_TUNNEL_TO"

// TestMain is also the program that carries a TUN device over UDP.
func TestMain(m *testing.M) {
	if to := os.Getenv(helperEnv); to != "" {
		if err := carry(to, os.Getenv(helperEnv+"_LOOSE") != ""); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func carry(to string, loose bool) error {
	tun, err := openTUN("tun0")
	if err != nil {
		return err
	}
	at, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return err
	}
	var c *net.UDPConn
	send := func(b []byte) { _, _ = c.Write(b) }
	if loose {
		c, err = net.ListenUDP("udp", nil)
		send = func(b []byte) { _, _ = c.WriteTo(b, at) }
	} else {
		c, err = net.DialUDP("udp", nil, at)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	pump(tun, c, send, func(net.Addr) {})
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return nil
}

// pump carries packets both ways until one end is closed. heard is told from where they
// come.
func pump(tun *os.File, c net.PacketConn, send func([]byte), heard func(net.Addr)) {
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := tun.Read(b)
			if err != nil {
				return
			}
			send(b[:n])
		}
	}()
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if n > 0 {
				heard(from)
				_, _ = tun.Write(b[:n])
			}
		}
	}()
}

// openTUN makes a TUN device (Documentation/networking/tuntap.rst) in the namespace of
// the calling thread.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carried lays a tunnel whose end at the PC is a process, and whose other is this one.
func (l *lab) carried(t *testing.T, family int, loose bool) {
	t.Helper()
	var far *os.File
	err := l.Peer.Do(func() (err error) { far, err = openTUN("tun9"); return err })
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("needs /dev/net/tun")
	}
	check(t, err)
	c, err := l.Peer.ListenPacket(t.Context(), "udp", l.B.At(family, tunnelPort))
	check(t, err)
	t.Cleanup(func() { _, _ = c.Close(), far.Close() })
	var client atomic.Pointer[net.Addr]
	pump(far, c, func(b []byte) {
		if to := client.Load(); to != nil {
			_, _ = c.WriteTo(b, *to)
		}
	}, func(from net.Addr) { client.Store(&from) })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+l.B.At(family, tunnelPort))
	if loose {
		cmd.Env = append(cmd.Env, helperEnv+"_LOOSE=yes")
	}
	out, err := cmd.StdoutPipe()
	check(t, err)
	in, err := cmd.StdinPipe()
	check(t, err)
	check(t, l.PC.Start(cmd))
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the program says %q, %v", line, err)
	}
	tuntap := func(name string) nl.Link { return &nl.Tuntap{LinkAttrs: nl.LinkAttrs{Name: name}} }
	device(t, l.PC, tuntap("tun0"), innerPC)
	device(t, l.Peer, tuntap("tun9"), inner)
}

// A program that carries a TUN device over a connected socket is found, and so is its
// other end.
func TestCollectorBehindAProgram(t *testing.T) {
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprint("over IPv", family), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.carried(t, family, false)
			l.open(t, "the way home before", inner.At(4, collectorPort))
			st := l.isolate(t)
			if len(st.Policy.Tunnels) != 1 || st.WayHome == nil || !st.WayHome.OK || len(st.Observation.Limits) > 1 {
				t.Fatalf("tunnels %+v, way home %+v, limits %q", st.Policy.Tunnels, st.WayHome, st.Observation.Limits)
			}
			if w := st.Policy.Tunnels[0]; w.Address != l.B.AddrPort(family, 0).Addr() || w.Port != tunnelPort || w.Protocol != isolate.ProtocolUDP || !w.Proved {
				t.Errorf("%+v", w)
			}
			l.onlyHome(t)
			f := New(Config{NetNS: l.PC.FD()})
			for _, what := range []string{"first", "next"} {
				begin := time.Now()
				if found, _ := f.Tunnels(t.Context(), l.policy()); len(found) != 1 {
					t.Errorf("%s look: %+v", what, found)
				}
				t.Logf("%s look %v", what, time.Since(begin).Round(10*time.Microsecond))
			}
		})
	}
}

// Of a program that is connected with nobody it is said that it cannot be followed.
func TestProgramWithoutConnection(t *testing.T) {
	l := newLab(t)
	l.carried(t, 4, true)
	found, limits := New(Config{NetNS: l.PC.FD()}).Tunnels(t.Context(), l.policy())
	if len(found) != 0 || len(limits) == 0 || !strings.Contains(strings.Join(limits, "\n"), "connected with nobody") {
		t.Errorf("found %+v, limits %q", found, limits)
	}
}
