package scan

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
)

// childEnv makes this test binary play a part of a scene instead of running tests.
const childEnv = "HOZEN_SCAN_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		if err := child(part); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child plays its part, says so in one line and stays until its input ends.
func child(part string) error {
	name, arg, _ := strings.Cut(part, " ")
	said := "ready"
	switch name {
	case "sleep":
	case "tcp": // so many sockets: listeners and both ends of connections
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		if err := loopback(); err != nil {
			return err
		}
		if err := tcp(n); err != nil {
			return err
		}
	case "raw": // sniffing, raw and abstract
		if _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300); err != nil {
			return err
		}
		if _, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP); err != nil {
			return err
		}
		if _, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6); err != nil {
			return err
		}
		if _, err := net.Listen("unix", "@hozen-scan-test"); err != nil {
			return err
		}
	case "scan": // a pass without privileges
		s, err := unprivileged()
		if err != nil {
			return err
		}
		said = s
	}
	fmt.Println(said)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// tcp makes n sockets: for every five, one listens and two connections hold both ends.
func tcp(n int) error {
	for n > 0 {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if err := unix.Listen(l, 8); err != nil {
			return err
		}
		n--
		addr, err := unix.Getsockname(l)
		if err != nil {
			return err
		}
		for i := 0; i < 2 && n >= 2; i++ {
			c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			if err := unix.Connect(c, addr); err != nil {
				return err
			}
			if _, _, err := unix.Accept(l); err != nil {
				return err
			}
			n -= 2
		}
	}
	return nil
}

// view is what a pass without privileges says.
type view struct {
	Processes, Full   int
	ProcErr, SockErr  string
	ProcMiss, SockNot int64
	Sockets           int
}

func unprivileged() (string, error) {
	var v view
	p := New(Options{})
	ctx, cancel := testTimeout()
	defer cancel()
	procs, err := p.Processes(ctx)
	if m := probe.AsMissing(err); m != nil {
		v.ProcErr, v.ProcMiss = err.Error(), m.Skipped
	}
	for _, r := range procs {
		if v.Processes++; len(r.Unread) == 0 {
			v.Full++
		}
	}
	socks, err := p.Sockets(ctx)
	if m := probe.AsMissing(err); m != nil {
		v.SockErr, v.SockNot = err.Error(), m.Skipped
	}
	v.Sockets = len(socks)
	b, err := json.Marshal(v)
	return string(b), err
}

// start runs the test binary as a part of a scene and returns when it is in place,
// with what it said. It ends with the test.
func start(t *testing.T, part string, change func(*exec.Cmd)) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	if change != nil {
		change(cmd)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait() // killed by nobody: it ends with its input
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "child:") {
		t.Fatalf("child %q says %q, %v", part, line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
}

const limit = 30 * time.Second
