package procfs

import "testing"

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

func FuzzMount(f *testing.F) {
	f.Add([]byte(`36 35 98:7 /mnt1 /mnt\0402 rw shared:1 - ext3 /dev/root rw`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := ParseMount(b); ok && len(m.Point)+len(m.Source)+len(m.Root) > len(b) {
			t.Fatal("more than there was")
		}
	})
}
