package storage

import (
	"strconv"
	"strings"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// parseSwaps reads /proc/swaps: a head, then name, kind, size, used (KiB) and priority.
func parseSwaps(b []byte) (list []record.Storage, odd int) {
	head := true
	for line := range procfs.Lines(b) {
		if head {
			head = false
			continue
		}
		name, rest := procfs.Word(line)
		kind, rest := procfs.Word(rest)
		size, rest := procfs.Word(rest)
		used, rest := procfs.Word(rest)
		priority, _ := procfs.Word(rest)
		total, ok := procfs.Number(size)
		taken, ok2 := procfs.Number(used)
		first, err := strconv.Atoi(string(priority))
		if !ok || !ok2 || err != nil || len(name) == 0 || total > 1<<50 || taken > 1<<50 {
			odd++
			continue
		}
		s := record.Storage{Type: record.StorageSwap, Size: total << 10, Used: taken << 10, Priority: first}
		s.Name, s.NameRaw = record.Text(procfs.Unescape(name))
		s.Kind, _ = record.Text(kind)
		list = append(list, s)
	}
	return list, odd
}

// cryptKind finds dm-crypt in a device's dm/uuid, such as "CRYPT-LUKS2-0a…-name". Some
// layers of other kinds stand before it ("SUBDEV-CRYPT-…" is not one that encrypts).
func cryptKind(uuid string) (string, bool) {
	rest, ok := strings.CutPrefix(uuid, "CRYPT-")
	if !ok {
		return "", false
	}
	kind, _, _ := strings.Cut(rest, "-")
	switch kind {
	case "", "TEMP": // "CRYPT-TEMP-…" while a header is changed
		return "dm-crypt", true
	case "VERITY", "INTEGRITY": // check, and hide nothing
		return "", false
	}
	return kind, true
}

// parentOf finds the disk of a partition where /sys/class/block/sda1 leads.
func parentOf(target string) string {
	parts := strings.Split(target, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}

func cutDev(path string) (string, bool) { return strings.CutPrefix(path, "/dev/") }

func ramDisk(name string) bool {
	return strings.HasPrefix(name, "zram") || strings.HasPrefix(name, "ram")
}

// networked reports whether a disk is elsewhere.
func networked(name string) bool {
	return strings.HasPrefix(name, "nbd") || strings.HasPrefix(name, "rbd") || strings.HasPrefix(name, "drbd")
}

func options(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	s, _ := record.Text(b)
	return strings.Split(s, ",")
}
