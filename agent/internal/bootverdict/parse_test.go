package bootverdict

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
)

// Lines as Linux 6.1 to 6.16 write them.
const (
	ext4Recovered = "6,512,1203944,-;EXT4-fs (vda1): INFO: recovery required on readonly filesystem\n SUBSYSTEM=block\n DEVICE=b254:1\n"
	ext4Complete  = "6,513,1303944,-;EXT4-fs (vda1): recovery complete\n"
	xfsRecovered  = "5,600,1400000,-;XFS (dm-0): Starting recovery (logdev: internal)\n"
	btrfsReplay   = "6,601,1400000,-;BTRFS info (device sda2): start tree-log replay\n"
	amdButton     = "6,88,200000,-;x86/amd: Previous system reset reason [0x08000002]: power button was pressed for 4 seconds\n"
	amdSoftware   = "6,88,200000,-;x86/amd: Previous system reset reason [0x00080800]: software wrote 0x6 to reset control register 0xCF9\n"
	bertErrors    = "4,91,300000,-;BERT: Error records from previous boot:\n"
	firstLine618  = "5,0,0,-;Linux version 6.18.2-amd64 (debian-kernel@lists.debian.org)\n"
	firstLine     = "5,0,0,-;Linux version 6.1.0-56-cloud-amd64\n"
)

func kmsgOf(t *testing.T, records ...string) (lines []kmsgLine) {
	t.Helper()
	for _, r := range records {
		l, ok := parseKmsg([]byte(r))
		if !ok {
			t.Fatalf("%q", r)
		}
		lines = append(lines, l)
	}
	return lines
}

// said is a record as a program writes it: its facility is never the kernel's.
func said(record string) string {
	_, rest, _ := strings.Cut(record, ",")
	return "14," + rest
}

func TestKernelLog(t *testing.T) {
	for _, c := range []struct {
		root, says, leans string
		reset, resetLeans string
		lines             []string
	}{
		{"vda1", "root_recovered", leansAbrupt, "", "", []string{firstLine, ext4Recovered, ext4Complete}},
		{"vda1", "root_recovered", leansAbrupt, "", "", []string{ext4Complete}},
		{"vda2", "nothing_recovered", "", "", "", []string{firstLine, ext4Recovered, ext4Complete}}, // another disk
		{"", "nothing_recovered", "", "", "", []string{firstLine, ext4Complete}},
		{"dm-0", "root_recovered", leansAbrupt, "", "", []string{firstLine, xfsRecovered}},
		{"sda2", "root_recovered", leansAbrupt, "", "", []string{firstLine, btrfsReplay}},
		{"vda1", "beginning_lost", "", "", "", []string{xfsRecovered}},
		{"vda1", "nothing_recovered", "", "power_button_held", leansPower, []string{firstLine618, amdButton}},
		{"vda1", "nothing_recovered", "", "power_button_held", "", []string{firstLine, amdButton}}, // perhaps of a boot long ago
		{"vda1", "nothing_recovered", "", "other_reset", "", []string{firstLine, amdSoftware}},
		{"vda1", "nothing_recovered", "", "hardware_error", leansCrash, []string{firstLine, bertErrors, amdSoftware}},
		{"vda1", "beginning_lost", "", "", "", nil},
		// Programs write to this log too, and put in what they were given.
		{"vda1", "nothing_recovered", "", "", "", []string{firstLine618, said(amdButton), said(bertErrors), said(ext4Complete)}},
		{"vda1", "nothing_recovered", "", "", "", []string{firstLine618, strings.Replace(amdButton, ";", ";usb 1-1: Product: ", 1)}},
		{"vda1", "nothing_recovered", "", "power_button_held", "", []string{said(firstLine618), amdButton}},
	} {
		f := kernelFindings(kmsgOf(t, c.lines...), c.root, at(0))
		if f[0].Says != c.says || f[0].Leans != c.leans || f[1].Says != c.reset || f[1].Leans != c.resetLeans {
			t.Errorf("%s %q: %+v", c.root, c.lines, f)
		}
	}
	if f := kernelFindings(kmsgOf(t, ext4Complete), "vda1", at(0)); !f[0].At.Equal(at(0).Add(1303944 * time.Microsecond)) {
		t.Errorf("at %v", f[0].At)
	}
}

func TestFsck(t *testing.T) {
	log := "Log of fsck -C -a -T -t ext4 /dev/vda1\nMon Nov 22\n\n/dev/vda1: recovering journal\n/dev/vda1: clean, 9/128 files\n"
	for root, leans := range map[string]string{"vda1": leansAbrupt, "vda2": "", "": ""} {
		if f := fsckFinding([]byte(log), root); f.Leans != leans {
			t.Errorf("%s: %+v", root, f)
		}
	}
	if f := fsckFinding([]byte("/dev/vda1: clean\n"), "vda1"); f.Leans != "" || f.Says != "nothing_recovered" {
		t.Errorf("%+v", f)
	}
}

func TestWatchdogAndDumps(t *testing.T) {
	for status, want := range map[int64]string{0: "nothing ", watchdogReset: "reset_by_watchdog ", watchdogPowerUnder | watchdogReset: "power_under power_loss", watchdogOverheat: "too_hot abrupt"} {
		if f := watchdogFinding([]int64{0, status}); f.Says+" "+f.Leans != want {
			t.Errorf("%#x: %s %s", status, f.Says, f.Leans)
		}
	}
	for _, c := range []struct{ name, head, says, leans string }{
		{"dmesg-efi-171", "Panic#1 Part1\n<6>", "kernel_panic", leansCrash},
		{"dmesg-ramoops-0", "Oops#1 Part1\n", "kernel_oops", ""},
		{"dmesg-efi-172", "Emergency#2 Part1\n", "emergency_restart", leansForced},
		{"dmesg-erst-1", "Shutdown#2 Part1\n", "kernel_log", ""},
		{"dmesg-erst-1", "", "dump_unread", ""},
		{"console-ramoops-0", "Panic#1", "", ""},
		{"pmsg-ramoops-0", "x", "", ""},
	} {
		if says, leans := dumpKind(c.name, []byte(c.head)); says != c.says || leans != c.leans {
			t.Errorf("%s %q: %s %s", c.name, c.head, says, leans)
		}
	}
}

func TestSmallFiles(t *testing.T) {
	stat := "1 (a) b (x) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 170000 900 18446744073709551615\n"
	if d, err := startOf([]byte(stat)); err != nil || d != 12340*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"", "1 (x) S", strings.Replace(stat, "1234", "-4", 1), strings.Replace(stat, "1234", "99999999999999999", 1)} {
		if _, err := startOf([]byte(bad)); err == nil {
			t.Errorf("%q is a start", bad)
		}
	}
	mounts := "22 1 0:2 / / rw - rootfs rootfs rw\n28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n30 28 0:5 / /proc rw - proc proc rw\n"
	if n, s := rootMount([]byte(mounts)); n != "254:1" || s != "/dev/vda1" {
		t.Errorf("%s %s", n, s)
	}
	if n, _ := rootMount([]byte("28 1 ../../x / / rw - ext4 /dev/vda1 rw\n")); n != "" {
		t.Errorf("a path for a number: %s", n)
	}
}

func TestMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "power")
	if m, err := Load(dir); err != nil || m != (Memory{}) {
		t.Fatalf("%+v, %v", m, err)
	}
	want := Memory{BootID: oldBoot, SeenAt: instant(5)}
	if err := Remember(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || got.BootID != want.BootID || !got.SeenAt.Wall.Equal(want.SeenAt.Wall) || got.SeenAt.BootNS != want.SeenAt.BootNS {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := Remember(dir, Memory{BootID: "../x"}); err == nil {
		t.Error("remembered what is no boot")
	}
	for _, bad := range []string{"", "{}", `{"format":"hozen-boot-memory/2","boot_id":"` + oldBoot + `"}`, strings.Repeat("x", maxMemory+1)} {
		if err := os.WriteFile(filepath.Join(dir, memoryFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := Load(dir); err == nil || m != (Memory{}) {
			t.Errorf("%.40q: %+v, %v", bad, m, err)
		}
	}
}

func TestRotatedWtmp(t *testing.T) {
	boot := wtmpMark{kind: markBoot, at: at(0)}
	own := wtmpMark{kind: markBoot, at: at(500)}
	down := wtmpMark{kind: markDown, at: at(400)}
	login := wtmpMark{at: at(300)}
	for _, c := range []struct {
		marks        []wtmpMark
		own, began   time.Time
		says         string
		last, before time.Time
	}{
		{[]wtmpMark{boot, login, down, own}, own.at, at(499), "shutdown_record", down.at, boot.at},
		{[]wtmpMark{boot, login, own, login}, own.at, at(499), "no_shutdown_record", login.at, boot.at},
		{[]wtmpMark{boot, down, own, login}, time.Time{}, at(499), "shutdown_record", down.at, boot.at},
		{[]wtmpMark{boot, down}, own.at, at(499), "shutdown_record", down.at, boot.at}, // ours is not written yet
		{[]wtmpMark{boot, login}, time.Time{}, at(499), "no_shutdown_record", login.at, boot.at},
		{[]wtmpMark{down, own}, own.at, at(499), "shutdown_record", down.at, time.Time{}}, // rotated within the boot
		{[]wtmpMark{login, own}, own.at, at(499), "no_earlier_boot", login.at, time.Time{}},
		{[]wtmpMark{login, {at: at(600)}}, time.Time{}, at(499), "no_earlier_boot", time.Time{}, time.Time{}}, // logins alone: whose?
		{nil, own.at, at(499), "no_earlier_boot", time.Time{}, time.Time{}},
		{[]wtmpMark{boot, login, own}, time.Time{}, time.Time{}, "own_boot_unknown", time.Time{}, time.Time{}},
	} {
		f := wtmpFinding(c.marks, c.own, c.began)
		if f.Says != c.says || !f.LastSeen.Equal(c.last) || !f.Began.Equal(c.before) {
			t.Errorf("%+v: %+v", c.marks, f)
		}
	}
}

func unpack(t testing.TB, b []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var out bytes.Buffer
	if _, err := d.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// openTest opens journal bytes; ok is false when they are none.
func openTest(b []byte) (*journalFile, bool) {
	f, err := openJournal(bytes.NewReader(b), int64(len(b)))
	return f, err == nil
}

// A journal cut anywhere, or with any byte wrong, is refused or read in part, never
// believed beyond its end.
func TestDamagedJournal(t *testing.T) {
	raw, err := os.ReadFile("testdata/killed/system.journal.zst")
	if err != nil {
		t.Fatal(err)
	}
	whole := unpack(t, raw)
	for _, n := range []int{0, 8, 200, 240, 264, 4096, len(whole) / 2, len(whole) - 8, len(whole) - 1} {
		if f, ok := openTest(whole[:n]); ok {
			if _, _, err := previous(t.Context(), []*journalFile{f}, newBoot); err != nil && !errors.Is(err, errJournal) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

func FuzzJournal(f *testing.F) {
	for _, compact := range []bool{false, true} {
		f.Add(buildJournal(compact, journalOnline, killedBoot()), newBoot)
		f.Add(buildJournal(compact, 0, append(orderlyBoot(), entryOf(newBoot, 900, nil))), newBoot)
	}
	f.Fuzz(func(t *testing.T, b []byte, boot string) {
		file, ok := openTest(b)
		if !ok {
			return
		}
		tail, current, err := previous(t.Context(), []*journalFile{file}, boot)
		if err != nil {
			return
		}
		in := Input{BootID: newBoot, Memory: Memory{BootID: oldBoot}, Findings: []Finding{journalFinding(tail, current)}}
		if o := Decide(in); !json.Valid(o.AppendJSON(nil)) {
			t.Fatalf("%+v", o)
		}
	})
}

func FuzzSmall(f *testing.F) {
	f.Add([]byte(ext4Recovered), "vda1")
	f.Add([]byte("22 1 254:1 / / rw - ext4 /dev/vda1 rw\n"), "vda1")
	f.Add([]byte("1 (x) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 1\n"), "")
	f.Add([]byte(`{"format":"hozen-boot-memory/1","boot_id":"`+oldBoot+`"}`), "")
	if b, err := os.ReadFile("testdata/force/wtmp"); err == nil {
		f.Add(b, "x")
	}
	f.Fuzz(func(t *testing.T, b []byte, dev string) {
		in := Input{BootID: newBoot, Memory: Memory{BootID: oldBoot, SeenAt: artifact.Instant{Wall: at(0)}}}
		if l, ok := parseKmsg(b); ok {
			in.Findings = append(in.Findings, kernelFindings([]kmsgLine{l}, dev, at(0))...)
		}
		for _, size := range []int{utmpSize32, utmpSize64} {
			marks := parseWtmp(b, size)
			if len(marks) > len(b)/size {
				t.Fatal("more records than bytes")
			}
			in.Findings = append(in.Findings, wtmpFinding(marks, bootTime(marks), at(0)))
		}
		in.Findings = append(in.Findings, fsckFinding(b, dev))
		if n, _ := rootMount(b); strings.Contains(n, "/") {
			t.Fatalf("number %q", n)
		}
		if d, err := startOf(b); err == nil && d < 0 {
			t.Fatalf("start %v", d)
		}
		if m, err := parseMemory(b); err == nil && !validBootID(m.BootID) {
			t.Fatalf("memory %+v", m)
		}
		if o := Decide(in); !json.Valid(o.AppendJSON(nil)) {
			t.Fatalf("%+v", o)
		}
	})
}

func TestFailedSources(t *testing.T) {
	for err, want := range map[error]string{fs.ErrNotExist: readAbsent, errors.ErrUnsupported: readAbsent, fs.ErrPermission: readDenied, fs.ErrInvalid: readUnread} {
		if f := failed("x", "y", err); f.Read != want {
			t.Errorf("%v: %s", err, f.Read)
		}
	}
}
