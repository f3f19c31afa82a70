package bootverdict

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kmsgLine is one record of /dev/kmsg.
type kmsgLine struct {
	seq    uint64
	at     time.Duration // since the kernel began to count
	kernel bool          // the kernel's own: it lets no program write under its facility
	text   string
}

// parseKmsg reads one record: "prio,seq,µs,flags;text\n" and lines of keys, which are
// left out (Documentation/ABI/testing/dev-kmsg).
func parseKmsg(b []byte) (l kmsgLine, ok bool) {
	head, rest, ok := bytes.Cut(b, []byte(";"))
	if !ok {
		return l, false
	}
	fields := strings.SplitN(string(head), ",", 4)
	if len(fields) < 3 {
		return l, false
	}
	prio, err := strconv.ParseUint(fields[0], 10, 32)
	seq, err1 := strconv.ParseUint(fields[1], 10, 64)
	us, err2 := strconv.ParseUint(fields[2], 10, 53)
	if err != nil || err1 != nil || err2 != nil {
		return l, false
	}
	text, _, _ := bytes.Cut(rest, []byte("\n"))
	return kmsgLine{seq, time.Duration(us) * time.Microsecond, prio>>3 == 0, string(text)}, true
}

// kernelFindings reads what this boot's kernel said of how it found the machine: a root
// that had to be recovered, the hardware's reason for the reset, errors left in the
// firmware. root is the name of the root's device, such as vda1; "" when not
// known. began is when the kernel did.
func kernelFindings(lines []kmsgLine, root string, began time.Time) []Finding {
	log, reset := found(sourceKernel, witnessFS), failed(sourceReset, witnessPlatform, errAbsent)
	log.Says = "nothing_recovered" // may be the file system check's doing, so it leans nowhere
	if len(lines) == 0 || lines[0].seq != 0 {
		log.Says = "beginning_lost"
	}
	for _, l := range lines {
		var at time.Time
		if !began.IsZero() {
			at = began.Add(l.at)
		}
		switch {
		case !l.kernel:
		case root != "" && recovered(l.text, root):
			log.Says, log.Leans, log.At, log.Detail = "root_recovered", leansAbrupt, at, shorten(l.text)
		case strings.HasPrefix(l.text, "BERT: Error records from previous boot"):
			reset = found(sourceReset, witnessPlatform)
			reset.Says, reset.Leans, reset.At, reset.Detail = "hardware_error", leansCrash, at, shorten(l.text)
		case strings.HasPrefix(l.text, "x86/amd: Previous system reset reason ["):
			if reset.Leans != "" {
				continue // the error record says more
			}
			reset = found(sourceReset, witnessPlatform)
			reset.Says, reset.Leans = resetReason(l.text)
			if !lines[0].kernel || !clears(lines[0].text) {
				reset.Leans = "" // it may be of any boot before
			}
			reset.At, reset.Detail = at, shorten(l.text)
		}
	}
	return []Finding{log, reset}
}

// clears reports whether the kernel of this log, by its first line, clears the register
// of reset reasons once it has read it. Those before 6.18 left old reasons standing.
func clears(first string) bool {
	var major, minor int
	if n, err := fmt.Sscanf(first, "Linux version %d.%d", &major, &minor); err != nil || n != 2 {
		return false
	}
	return major > 6 || major == 6 && minor >= 18
}

// recovered reports whether a line says that the file system on dev was not unmounted
// in order: ext4 (fs/ext4/super.c), XFS (fs/xfs/xfs_log.c), btrfs (fs/btrfs/disk-io.c).
func recovered(text, dev string) bool {
	for _, s := range []string{
		"EXT4-fs (" + dev + "): INFO: recovery required on readonly filesystem",
		"EXT4-fs (" + dev + "): recovery complete",
		"XFS (" + dev + "): Starting recovery",
		"BTRFS info (device " + dev + "): start tree-log replay",
	} {
		if strings.HasPrefix(text, s) {
			return true
		}
	}
	// btrfs says more about its state than the name in newer kernels.
	return strings.HasPrefix(text, "BTRFS info (device "+dev+" ") && strings.Contains(text, "): start tree-log replay")
}

// resetReason knows the texts of arch/x86/kernel/cpu/amd.c. A reset that the software
// itself wrote is how every reboot ends and says nothing.
func resetReason(text string) (says, leans string) {
	for _, r := range []struct{ part, says, leans string }{
		{"power button was pressed for 4 seconds", "power_button_held", leansPower},
		{"thermal pin", "too_hot", leansAbrupt},
		{"internal CPU thermal limit", "too_hot", leansAbrupt},
		{"system reset pin", "reset_button", leansAbrupt},
		{"internal CPU shutdown event", "cpu_shutdown", leansCrash},
		{"hardware watchdog timer expired", "watchdog_expired", leansCrash},
		{"uncorrected error", "hardware_error", leansCrash},
		{"parity error", "hardware_error", leansCrash},
		{"software sync flood", "hardware_error", leansCrash},
	} {
		if strings.Contains(text, r.part) {
			return r.says, r.leans
		}
	}
	return "other_reset", ""
}

// fsckFinding reads the log that Debian's initramfs keeps of checking the root: the check
// replays the journal itself, and the kernel then sees nothing to recover.
func fsckFinding(log []byte, root string) Finding {
	f := found(sourceFsck, witnessFS)
	f.Says = "nothing_recovered"
	for line := range bytes.Lines(log) {
		name, _, _ := strings.Cut(string(line), ":")
		if root == "" || !bytes.Contains(line, []byte("recovering journal")) || !strings.Contains(name, root) {
			continue
		}
		f.Says, f.Leans, f.Detail = "root_recovered", leansAbrupt, shorten(strings.TrimSpace(string(line)))
	}
	return f
}

// The bits of linux/watchdog.h that tell of the last boot.
const (
	watchdogOverheat   = 0x01
	watchdogPowerUnder = 0x10
	watchdogReset      = 0x20
)

// watchdogFinding reads the boot status of watchdogs. "Reset by the card" leans nowhere,
// because boards that reboot by way of their watchdog always show it.
func watchdogFinding(status []int64) Finding {
	f := found(sourceWatchdog, witnessPlatform)
	all := int64(0)
	for _, s := range status {
		all |= s
	}
	switch {
	case all&watchdogPowerUnder != 0:
		f.Says, f.Leans = "power_under", leansPower
	case all&watchdogOverheat != 0:
		f.Says, f.Leans = "too_hot", leansAbrupt
	case all&watchdogReset != 0:
		f.Says = "reset_by_watchdog"
	default:
		f.Says = "nothing"
	}
	return f
}

// dumpKind reads the first bytes of a record in pstore: "Panic#1 Part1\n". Consoles and
// messages of user space, which every shutdown leaves, are no dumps.
func dumpKind(name string, head []byte) (says, leans string) {
	if !strings.HasPrefix(name, "dmesg") {
		return "", ""
	}
	why, _, _ := bytes.Cut(head, []byte("#"))
	switch string(why) {
	case "Panic":
		return "kernel_panic", leansCrash
	case "Emergency":
		return "emergency_restart", leansForced // asked for, such as by SysRq
	case "Oops":
		return "kernel_oops", "" // many kernels go on after one
	case "Restart", "Reboot", "Halt", "Poweroff", "Shutdown":
		return "kernel_log", ""
	}
	return "dump_unread", ""
}

// worst orders what dumps say, so that one finding can tell of all of them.
func worst(a, b string) string {
	order := []string{"", "nothing", "kernel_log", "dump_unread", "kernel_oops", "emergency_restart", "kernel_panic"}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
