package hostinfo

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// parseOSRelease reads os-release(5): NAME=value with the quoting of a shell, of which
// only whole quotes and the backslash are in use.
func parseOSRelease(b []byte) map[string]string {
	vars := make(map[string]string)
	for line := range bytes.Lines(b) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			quote := value[0]
			value = value[1 : n-1]
			if quote == '"' {
				value = unescape(value)
			}
		}
		vars[name], _ = record.TextOf(value)
	}
	return vars
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"$`\\", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parseBootTime finds the line "btime" of /proc/stat: seconds since 1970.
func parseBootTime(b []byte) time.Time {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64); err == nil {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

// pseudo reports whether a file system only shows the kernel's own state. What can
// hold a file of somebody's making is kept, memory file systems above all.
func pseudo(fsType string) bool {
	switch fsType {
	case "proc", "sysfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs", "securityfs", "pstore", "bpf", "mqueue",
		"configfs", "fusectl", "selinuxfs", "efivarfs", "nsfs", "rpc_pipefs", "binfmt_misc", "autofs", "hugetlbfs":
		return true
	}
	return false
}

// local reports whether a file system answers for its free space without anybody
// else's help.
func local(fsType string) bool {
	switch fsType {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "msdos", "exfat", "ntfs3", "f2fs", "zfs", "erofs", "squashfs",
		"iso9660", "udf", "tmpfs", "devtmpfs", "ramfs", "overlay", "jfs", "reiserfs", "bcachefs":
		return true
	}
	return false
}
