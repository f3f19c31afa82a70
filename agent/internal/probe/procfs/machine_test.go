package procfs

import (
	"bytes"
	"testing"
)

func TestParseMount(t *testing.T) {
	m, ok := ParseMount([]byte(`36 35 98:7 /mnt1 /mnt\0402\134 rw,noatime shared:1 master:2 - ext3 /dev/ro\011ot rw,errors=continue` + "\n"))
	if !ok || m.ID != 36 || m.Parent != 35 || m.Major != 98 || m.Minor != 7 || string(m.Root) != "/mnt1" || string(m.Point) != `/mnt 2\` ||
		string(m.Options) != "rw,noatime" || string(m.Tags) != "shared:1 master:2" || string(m.FSType) != "ext3" || string(m.Source) != "/dev/ro\tot" ||
		string(m.SuperOptions) != "rw,errors=continue" {
		t.Errorf("%t %+v", ok, m)
	}
	m, ok = ParseMount([]byte("1 0 0:1 / / rw - tmpfs  rw,size=4k"))
	if !ok || len(m.Source) != 0 || string(m.SuperOptions) != "rw,size=4k" || len(m.Tags) != 0 {
		t.Errorf("no source: %t %+v", ok, m)
	}
	for _, bad := range []string{"", "\n", "1 0 0:1 / / rw shared:1", "x 0 0:1 / / rw - ext4 a b", "1 0 01 / / rw - ext4 a b", "1 0 0:1 - ext4 a b"} {
		if m, ok := ParseMount([]byte(bad)); ok {
			t.Errorf("%q: %+v", bad, m)
		}
	}
	if got := Unescape([]byte(`\04\777\04a\012`)); string(got) != "\\04\\777\\04a\n" {
		t.Errorf("%q", got)
	}
}

func TestParseMachine(t *testing.T) {
	m := ParseMemory([]byte("MemTotal:        4 kB\nMemFree: 1 kB\nMemAvailable: 3 kB\nSwapTotal: 2 kB\nSwapFree: x\nodd\n"))
	if m != (Memory{Total: 4096, Available: 3072, SwapTotal: 2048}) {
		t.Errorf("%+v", m)
	}
	c := ParseCPU([]byte("processor\t: 0\nmodel name\t: A B\nflags\t\t: fpu hypervisor x\n\nprocessor\t: 1\nmodel name\t: C\n"))
	if string(c.Model) != "A B" || c.Processors != 2 || !c.Guest {
		t.Errorf("%+v", c)
	}
	c = ParseCPU([]byte("processor\t: 0\nFeatures : x\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"))
	if string(c.Model) != "implementer 0x41 part 0xd0c" || c.Processors != 1 || c.Guest {
		t.Errorf("%+v", c)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte(`36 35 98:7 /mnt1 /mnt\0402 rw shared:1 - ext3 /dev/root rw`))
	f.Add([]byte("MemTotal: 99999999999999999999 kB\nprocessor:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseMemory(b)
		if c := ParseCPU(b); c.Processors > bytes.Count(b, []byte("processor")) {
			t.Fatal("more processors than lines")
		}
		if m, ok := ParseMount(b); ok && len(m.Point)+len(m.Source)+len(m.Root) > len(b) {
			t.Fatal("more than there was")
		}
	})
}
