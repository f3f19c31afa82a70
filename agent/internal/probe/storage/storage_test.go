package storage

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("type", "name", "dev", "id"), MayBeEmpty: true})
}

// scene makes a file for each name below a new root.
func scene(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestEncryptedDisk: a laptop with LUKS below LVM, plain /boot, plain swap on a file, a
// stick, and a RAID of which one half is encrypted.
func TestEncryptedDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	files := map[string]string{
		"proc/1/mountinfo": `20 1 254:1 / / rw - ext4 /dev/mapper/vg-root rw
21 20 8:1 / /boot rw - ext4 /dev/sda1 rw
22 20 0:50 /home /home rw - btrfs /dev/mapper/vg-root rw
23 20 0:4 / /proc rw - proc proc rw
24 20 8:17 / /media/st\040ick rw - vfat /dev/sdb1 rw
25 20 9:0 / /srv rw - xfs /dev/md0 rw
26 20 0:51 / /home/a rw - ecryptfs /home/.a rw
odd line
`,
		"proc/swaps": "Filename Type Size Used Priority\n/dev/dm-2 partition 2048 4 -2\n/swap\\040file file 10 0 -3\n/dev/zram0 partition 9 0 100\n",
	}
	dev := func(name, dev string, more ...string) {
		files["sys/class/block/"+name+"/dev"] = dev + "\n"
		for i := 0; i < len(more); i += 2 {
			files["sys/class/block/"+name+"/"+more[i]] = more[i+1]
		}
	}
	dev("sda", "8:0", "size", "100\n", "device/model", "DISK  \n")
	dev("sda1", "8:1", "slaves/sda", "") // a partition, its disk told another way as links are not made here
	dev("sda2", "8:2", "slaves/sda", "")
	dev("sdb", "8:16", "removable", "1")
	dev("sdb1", "8:17", "slaves/sdb", "")
	dev("dm-0", "254:0", "dm/name", "luks-1", "dm/uuid", "CRYPT-LUKS2-ab12-luks-1", "slaves/sda2", "")
	dev("dm-1", "254:1", "dm/name", "vg-root", "dm/uuid", "LVM-x", "slaves/dm-0", "")
	dev("dm-2", "254:2", "dm/name", "vg-swap", "dm/uuid", "LVM-y", "slaves/dm-0", "")
	dev("md0", "9:0", "md/level", "raid1", "slaves/dm-0", "", "slaves/sdb1", "")
	dev("loop0", "7:0", "loop/backing_file", "/x.img")
	dev("zram0", "253:0")
	var l probetest.Lines
	err := New(scene(t, files)).Acquire(t.Context(), &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 1 || !strings.Contains(err.Error(), "odd line") {
		t.Errorf("the odd line: %v", err)
	}
	got := map[string]string{}
	for _, line := range l.All {
		var s record.Storage
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		got[s.Type+" "+s.Name] = strings.TrimSpace(s.Encrypted + " " + strings.Join(s.Layers, "+"))
	}
	for name, want := range map[string]string{
		"mount /": "yes LUKS2", "mount /boot": "no", "mount /home": "yes LUKS2", "mount /proc": "", "mount /media/st ick": "no",
		"mount /srv": "partly LUKS2", "mount /home/a": "yes ecryptfs", "swap /dev/dm-2": "yes LUKS2", "swap /swap file": "unknown", "swap /dev/zram0": "",
		"device sda": "no", "device sda2": "no", "device dm-0": "yes LUKS2", "device dm-1": "yes LUKS2", "device loop0": "unknown", "device md0": "partly LUKS2",
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
}

func TestParse(t *testing.T) {
	for uuid, want := range map[string]string{
		"CRYPT-LUKS1-a-b": "LUKS1", "CRYPT-PLAIN-x": "PLAIN", "CRYPT-BITLK-x": "BITLK", "CRYPT-TCRYPT-x": "TCRYPT", "CRYPT-TEMP-x": "dm-crypt",
		"CRYPT-VERITY-x": "", "LVM-CRYPT-LUKS2": "", "": "",
	} {
		if got, _ := cryptKind(uuid); got != want {
			t.Errorf("%s is %q, want %q", uuid, got, want)
		}
	}
	if got := parentOf("../../devices/pci/host0/block/sda/sda1"); got != "sda" {
		t.Error(got)
	}
	circle := newTree()
	circle.add(&record.Storage{Name: "a", Below: []string{"b"}})
	circle.add(&record.Storage{Name: "b", Below: []string{"a"}})
	if s, _ := circle.encryption("a"); s != record.EncryptedUnknown {
		t.Error(s)
	}
	if s := options([]byte("rw,size=1")); !slices.Equal(s, []string{"rw", "size=1"}) || options(nil) != nil {
		t.Error(s)
	}
}

func FuzzSwaps(f *testing.F) {
	f.Add([]byte("Filename\n/dev/sda2 partition 5 1 -2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, odd := parseSwaps(b)
		if n := strings.Count(string(b), "\n") + 1; len(list)+odd > n {
			t.Fatalf("%d and %d of %d lines", len(list), odd, n)
		}
		for i := range list {
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
