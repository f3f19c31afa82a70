package procfs

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	// A name with brackets, a newline and numbers must not move the fields.
	line := "4711 (a) R 1 (x\n) 9) S 1 4711 4700 34818 4720 4194304 101 0 0 0 12 3 0 0 20 0 7 0 136909 3133440 394 18446744073709551615 1 1\n"
	s, err := ParseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := Stat{
		Comm: []byte("a) R 1 (x\n) 9"), State: 'S', PPID: 1, PGID: 4711, SID: 4700, TTY: 34818,
		CPUTicks: 15, Threads: 7, StartTicks: 136909, RSSPages: 394,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if TTY(s.TTY) != "pts/2" {
		t.Errorf("tty %q", TTY(s.TTY))
	}
	for _, bad := range []string{"", "1 (", "1 (x)", "1 (x) R", "1 (x) R 1 2", "1 (x) R a b c d e f", "1 )x( R 1"} {
		if _, err := ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestTTY(t *testing.T) {
	for dev, want := range map[int]string{
		0: "", 0x0401: "tty1", 0x0440: "ttyS0", 0x0501: "console", 0x8800: "pts/0", 0x1088f0: "pts/496", 0xfe07: "254:7",
	} {
		if got := TTY(dev); got != want {
			t.Errorf("TTY(%#x) = %q, want %q", dev, got, want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	in := "Name:\tx\\nUid:\t9\nTgid:\t7\nTracerPid:\t42\nUid:\t1000\t0\t1000\t0\nGid:\t100\t101\t1\t1\nNSpid:\t4711\t12\t1\nCapEff:\t00000000a80425fb\nUid:\t5\t5\t5\t5\n"
	got := ParseStatus([]byte(in))
	want := Status{UID: 1000, EUID: 0, GID: 100, EGID: 101, TracerPID: 42, CapEff: []byte("00000000a80425fb"), InnerPIDs: []int{12, 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if got := ParseStatus(nil); got.UID != -1 || got.EGID != -1 {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestCmdline(t *testing.T) {
	for _, c := range []struct {
		in    string
		args  []string
		exact bool
	}{
		{"", nil, false},
		{"a\x00b c\x00", []string{"a", "b c"}, false},
		{"a\x00\x00b\x00", []string{"a", "", "b"}, false},
		{"\x00", []string{""}, false},
		{"nginx: master", []string{"nginx: master"}, true},
		{"x\x00\x00\x00\x00", []string{"x"}, true},
		{"\x00\x00\x00", nil, true},
		{"a\xff\x00\x1b[31m\x00", []string{"a\ufffd", "\x1b[31m"}, true},
	} {
		args, exact := Cmdline([]byte(c.in))
		if !slices.Equal(args, c.args) || (exact != nil) != c.exact || c.exact && string(exact) != c.in {
			t.Errorf("%q: %q, exact %q", c.in, args, exact)
		}
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add([]byte("a\x00b\x00"))
	f.Add([]byte("a\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		args, exact := Cmdline(b)
		if exact != nil {
			if !bytes.Equal(exact, b) {
				t.Fatalf("exact %q of %q", exact, b)
			}
			return
		}
		back := ""
		if args != nil {
			back = strings.Join(args, "\x00") + "\x00"
		}
		if back != string(b) {
			t.Fatalf("arguments %q do not give back %q", args, b)
		}
	})
}

func TestCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct{ in, path, id, runtime string }{
		{"", "", "", ""},
		{"0::/\n", "/", "", ""},
		{"0::/user.slice/user-1000.slice/session-2.scope\n", "/user.slice/user-1000.slice/session-2.scope", "", ""},
		{"12:pids:/system.slice\n1:name=systemd:/a:b\n0::/\n", "/a:b", "", ""},
		{"4:memory:/docker/" + id + "\n0::/\n", "/docker/" + id, id, "docker"},
		{"0::/system.slice/docker-" + id + ".scope\n", "/system.slice/docker-" + id + ".scope", id, "docker"},
		{"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope\n", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope", id, "containerd"},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", "/machine.slice/libpod-" + id + ".scope/container", id, "podman"},
		{"0::/kubepods/besteffort/pod1/" + id + "\n", "/kubepods/besteffort/pod1/" + id, id, "kubernetes"},
		{"0::/machine.slice/machine-web1.scope/payload\n", "/machine.slice/machine-web1.scope/payload", "web1", "nspawn"},
		{"0::/lxc.payload.c1/init.scope\n", "/lxc.payload.c1/init.scope", "c1", "lxc"},
		{"5:cpu:/lxc/c2/x\n", "/lxc/c2/x", "c2", "lxc"},
	} {
		path := string(Cgroup([]byte(c.in)))
		gotID, runtime := Container(path)
		if path != c.path || gotID != c.id || runtime != c.runtime {
			t.Errorf("%q: %q %q %q", c.in, path, gotID, runtime)
		}
	}
}

func TestLinks(t *testing.T) {
	if got := NSInode([]byte("net:[4026531833]")); got != 4026531833 {
		t.Error(got)
	}
	if got := SocketInode([]byte("socket:[49685]")); got != 49685 {
		t.Error(got)
	}
	for _, no := range []string{"", "socket:", "socket:[]", "socket:[x]", "/tmp/socket:[12]", "pipe:[12]", "socket:[-1]", "socket:[99999999999999999999]"} {
		if got := SocketInode([]byte(no)); got != 0 {
			t.Errorf("%q is socket %d", no, got)
		}
	}
	if name, marked := CutDeleted([]byte("/memfd:x (deleted)")); string(name) != "/memfd:x" || !marked || !IsMemFD(name) {
		t.Errorf("%q %t", name, marked)
	}
}

func TestParseNames(t *testing.T) {
	got := ParseNames([]byte("root:x:0:0::/root:/bin/sh\ntoor:x:0:0::\n#no:x:1:1\nbad\nj\xe9:x:7:7::\nx:x:99999999999:1\ngroup:x:12\n"))
	want := map[int64]string{0: "root", 7: "j\ufffd", 12: "group"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Recorded on Linux 6.18 with an ICMP, an ICMPv6 and a sniffing socket open.
const (
	rawText = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		" 225: 0100007F:0001 00000000:0000 07 00000000:00000010 00:00000000 00000000  1000        0 49685 2 000000004dad8f41 0\n" +
		"1225: broken\n"
	raw6Text = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"   21: 00000000000000000000000001000000:003A B80D0120000000000000000001000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 49686 2 0000000078caf596 0\n"
	packetText = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n" +
		"0000000041280b0e 3      3    0003   1     1 0      0      49687 \n"
)

func TestParseNet(t *testing.T) {
	socks, bad := ParseRaw([]byte(rawText))
	if len(socks) != 1 || bad != 1 {
		t.Fatalf("%d rows, %d bad", len(socks), bad)
	}
	if s := socks[0]; s.LocalAddr != "127.0.0.1" || s.ProtocolNum != 1 || s.RemoteAddr != "" || s.State != "CLOSE" || s.UID != 1000 || s.Inode != 49685 || s.RecvQ != 16 || s.Family != "inet" {
		t.Errorf("%+v", s)
	}
	socks, bad = ParseRaw([]byte(raw6Text))
	if len(socks) != 1 || bad != 0 {
		t.Fatalf("%d rows, %d bad", len(socks), bad)
	}
	if s := socks[0]; s.LocalAddr != "::1" || s.ProtocolNum != 58 || s.RemoteAddr != "2001:db8::1" || s.Family != "inet6" {
		t.Errorf("%+v", s)
	}
	socks, bad = ParsePacket([]byte(packetText))
	if len(socks) != 1 || bad != 0 {
		t.Fatalf("%d rows, %d bad", len(socks), bad)
	}
	if s := socks[0]; s.Type != "raw" || s.ProtocolNum != 3 || s.IfIndex != 1 || s.Inode != 49687 {
		t.Errorf("%+v", s)
	}
}

func FuzzTexts(f *testing.F) {
	for _, s := range []string{rawText, raw6Text, packetText, "1 (x) R 1 2 3 4 5 6", "Uid:\t1\t2\nNSpid:\t1\t2\n", "0::/docker/x", "root:x:0:0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if s, err := ParseStat(b); err == nil && s.State == 0 && b[0] != 0 && !bytes.Contains(b, []byte{0}) {
			t.Fatal("a state out of nothing")
		}
		ParseStatus(b)
		Container(string(Cgroup(b)))
		ParseNames(b)
		raws, _ := ParseRaw(b)
		packets, _ := ParsePacket(b)
		if n := bytes.Count(b, []byte("\n")) + 1; len(raws) > n || len(packets) > n {
			t.Fatal("more rows than lines")
		}
		NSInode(b)
		SocketInode(b)
		PID(b)
		if !bytes.Equal(before, b) {
			t.Fatal("a parser wrote into its input")
		}
	})
}
