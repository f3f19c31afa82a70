package crossview

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWithoutAndBoth(t *testing.T) {
	if got := without([]int{1, 2, 3, 4}, []int{2}, []int{4, 5}); !slices.Equal(got, []int{1, 3}) {
		t.Error(got)
	}
	if got := both([]int{1, 2, 3}, []int{2, 3, 4}); !slices.Equal(got, []int{2, 3}) {
		t.Error(got)
	}
}

const (
	tcpText = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0\n" +
		"   1: 0100007F:0036 00000000:0000 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0000000000000000\n" +
		"   2: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0\n"
	unixText = "Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01 15004 /run/x y\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03  9000\n"
)

func TestInodes(t *testing.T) {
	for _, c := range []struct {
		text   string
		column int
		want   []uint64
	}{
		{tcpText, 9, []uint64{12, 4711}}, {unixText, 6, []uint64{9000, 15004}},
		{unixText + "0: 0 0 0 1 1 77 @" + strings.Repeat("x", 100_000) + "\n", 6, []uint64{77, 9000, 15004}},
	} {
		if got, bad, err := inodes(strings.NewReader(c.text), c.column); err != nil || bad > 0 || !slices.Equal(got, c.want) {
			t.Errorf("%v, %d bad, %v; want %v", got, bad, err, c.want)
		}
	}
}

func FuzzInodes(f *testing.F) {
	f.Add(tcpText, 9)
	f.Add(unixText, 6)
	f.Fuzz(func(t *testing.T, text string, column int) {
		list, bad, err := inodes(strings.NewReader(text), column&15)
		if err != nil || len(list)+bad > strings.Count(text, "\n")+1 || !slices.IsSorted(list) || slices.Contains(list, 0) {
			t.Fatalf("%v, %d bad, %v", list, bad, err)
		}
	})
}

const mountText = `22 1 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:25 / /proc/4711 rw,relatime - tmpfs none rw
31 22 0:21 /1 /proc/4712 rw,relatime - proc proc rw
32 22 0:22 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
33 22 0:23 /null /proc/kcore rw - tmpfs tmpfs rw
34 22 0:23 /fake /proc/modules ro - tmpfs tmpfs rw
35 22 0:23 / /processes/1 ro - tmpfs tmpfs rw
36 22 0:23 /x /proc/4713/exe\040x ro - tmpfs tmpfs rw
`

func TestCoverings(t *testing.T) {
	var got []string
	for _, c := range coverings([]byte(mountText)) {
		got = append(got, fmt.Sprintf("%d %s %s %s %s", c.pid, c.point, c.root, c.fsType, c.source))
	}
	want := []string{"4711 /proc/4711 / tmpfs none", "4712 /proc/4712 /1 proc proc", "0 /proc/modules /fake tmpfs tmpfs", "4713 /proc/4713/exe x /x tmpfs tmpfs"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestLeavesOut(t *testing.T) {
	for options, want := range map[string]bool{"rw": false, "rw,hidepid=invisible": true, "rw,gid=5,hidepid=2": true, "rw,hidepid=1": false, "rw,hidepid=ptraceable": true} {
		if got := leavesOut([]byte("1 0 0:4 / / rw - ext4 x rw\n22 1 0:21 / /proc rw - proc proc " + options + "\n")); got != want {
			t.Errorf("%s: %t", options, got)
		}
	}
	if leavesOut([]byte("22 1 0:21 / /proc rw - proc proc rw,hidepid=2\n23 22 0:21 / /proc rw - proc proc rw\n")) {
		t.Error("the one on top counts")
	}
}

func FuzzCoverings(f *testing.F) {
	f.Add([]byte(mountText))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range coverings(b) {
			if !strings.HasPrefix(string(c.point), "/proc/") {
				t.Fatalf("%q", c.point)
			}
		}
	})
}

func TestModuleNames(t *testing.T) {
	got := moduleNames([]byte("xfs 2097152 1 - Live 0x0000000000000000\nevil 16384 0 - Live 0x0000000000000000 (OE)\n\n"))
	if !slices.Equal(got, []string{"evil", "xfs"}) {
		t.Error(got)
	}
}
