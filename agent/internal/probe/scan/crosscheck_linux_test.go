package scan

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gnet "github.com/shirou/gopsutil/v3/net"
	gprocess "github.com/shirou/gopsutil/v3/process"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact/record"
)

func itoa(n int) string               { return strconv.Itoa(n) }
func unmarshal(s string, v any) error { return json.Unmarshal([]byte(s), v) }

// Another program that reads the same machine must come to the same processes.
func TestProcessesAgainstGopsutil(t *testing.T) {
	start(t, "sleep", func(c *exec.Cmd) { c.Args = []string{"one", "two words", "three"} })
	procs, err := New(Options{}).Processes(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	checked := 0
	differ := map[int][]string{}
	for _, p := range procs {
		say := func(format string, args ...any) { differ[p.PID] = append(differ[p.PID], fmt.Sprintf(format, args...)) }
		g, err := gprocess.NewProcess(int32(p.PID))
		if err != nil {
			continue // ended since
		}
		created, err := g.CreateTime()
		if err != nil {
			continue
		}
		if d := p.StartedAt.Sub(time.UnixMilli(created)).Abs(); d > 2*time.Second {
			say("started at %v, by gopsutil %v away", p.StartedAt, d)
			continue
		}
		if ppid, err := g.Ppid(); err == nil && int(ppid) != p.PPID {
			say("parent %d, by gopsutil %d", p.PPID, ppid)
		}
		if uids, err := g.Uids(); err == nil && (int64(uids[0]) != p.UID || int64(uids[1]) != p.EUID) {
			say("users %d %d, by gopsutil %d", p.UID, p.EUID, uids)
		}
		if exe, err := g.Exe(); err == nil && exe != "" && exe != p.Exe && exe != p.Exe+" (deleted)" && p.ExeRaw == nil {
			say("executable %q, by gopsutil %q", p.Exe, exe)
		}
		if args, err := g.CmdlineSlice(); err == nil && p.CmdlineRaw == nil && len(p.Args) > 0 && !slices.Equal(args, p.Args) {
			say("arguments %q, by gopsutil %q", p.Args, args)
		}
		checked++
	}
	// A process may have started a program, or have ended, between the two readings: what
	// is the same when it is read once more did not.
	again, err := New(Options{}).Processes(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	for _, was := range procs {
		same := slices.ContainsFunc(again, func(p *record.Process) bool {
			return p.PID == was.PID && p.StartTicks == was.StartTicks && p.PPID == was.PPID && p.UID == was.UID && p.EUID == was.EUID && p.Exe == was.Exe && slices.Equal(p.Args, was.Args)
		})
		if d := differ[was.PID]; same && len(d) > 0 {
			t.Errorf("process %d: %s", was.PID, strings.Join(d, "; "))
		}
	}
	if pids, err := gprocess.Pids(); err != nil || checked < len(pids)/2 {
		t.Errorf("only %d of %d processes could be compared, %v", checked, len(pids), err)
	}
}

func TestSocketsAgainstGopsutil(t *testing.T) {
	var made []net.Addr
	for _, n := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}} {
		l, err := net.Listen(n[0], n[1])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial(n[0], l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		made = append(made, l.Addr(), c.LocalAddr())
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	made = append(made, u.LocalAddr())

	type row struct{ local, remote, state string }
	ours := make(map[row]int)
	socks, err := New(Options{}).Sockets(t.Context())
	if err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	own := ownNamespace()
	for _, s := range socks {
		if s.NetNS == own && (s.Proto == record.ProtoTCP || s.Proto == record.ProtoUDP) {
			r := row{local: net.JoinHostPort(s.LocalAddr, itoa(int(s.LocalPort))), state: s.State}
			if s.RemoteAddr != "" {
				r.remote = net.JoinHostPort(s.RemoteAddr, itoa(int(s.RemotePort)))
			}
			ours[r]++
		}
	}
	theirs, err := gnet.Connections("inet")
	if err != nil {
		t.Fatal(err)
	}
	// Other programs open and close meanwhile: only what this test holds must agree.
	mine := func(addr string) bool {
		return slices.ContainsFunc(made, func(a net.Addr) bool { return a.String() == addr })
	}
	checked := 0
	for _, c := range theirs {
		r := row{local: net.JoinHostPort(c.Laddr.IP, itoa(int(c.Laddr.Port))), state: c.Status}
		if c.Raddr.Port != 0 {
			r.remote = net.JoinHostPort(c.Raddr.IP, itoa(int(c.Raddr.Port)))
		}
		if r.state == "NONE" { // its word for a udp socket without a peer
			r.state = "CLOSE"
		}
		if !mine(r.local) {
			continue
		}
		if checked++; ours[r] != 1 {
			t.Errorf("%+v: %d times", r, ours[r])
		}
	}
	if checked < len(made) {
		t.Errorf("gopsutil shows %d of %d sockets", checked, len(made))
	}
}
