package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// Why something is not read, beside what the system says.
var (
	// ErrLink is a link that nobody follows here: it may lead anywhere.
	ErrLink = errors.New("a link, which is not followed")
	// ErrForeign is a file system that may not answer, such as one of the network, or one
	// that shows the kernel's state instead of files.
	ErrForeign = errors.New("on a file system that is not asked")
	// ErrNotRegular is a pipe, a device, a socket or a folder in the place of a file.
	ErrNotRegular = errors.New("not a plain file")
	// ErrReplaced is a name that leads to another file than a moment before.
	ErrReplaced = errors.New("replaced while it was opened")
)

// Why names a reason in one word for records: link, other_file_system, not_regular,
// replaced, denied, gone or failed.
func Why(err error) string {
	switch {
	case errors.Is(err, ErrLink):
		return "link"
	case errors.Is(err, ErrForeign):
		return "other_file_system"
	case errors.Is(err, ErrNotRegular):
		return "not_regular"
	case errors.Is(err, ErrReplaced):
		return "replaced"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, fs.ErrNotExist):
		return "gone"
	}
	return "failed"
}

// maxLinks is how many links of the system a path may lead over.
const maxLinks = 40

// Tree is the files of a system. It is safe for concurrent use: every folder that is
// opened is its own, so that one that never answers holds up whoever asked for it alone.
type Tree struct {
	root   string
	mounts map[string]string
}

// local reports whether a kind of file system answers by itself and holds files. What is
// not known here may hang, so it is not.
func local(kind string) bool {
	switch kind {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "nilfs2", "minix", "ufs",
		"overlay", "aufs", "unionfs", "tmpfs", "ramfs", "devtmpfs", "rootfs", "squashfs", "erofs", "cramfs", "romfs",
		"vfat", "msdos", "exfat", "ntfs", "ntfs3", "hfs", "hfsplus", "iso9660", "udf", "ecryptfs", "ubifs", "jffs2":
		return true
	}
	return false
}

// Mounts are the kinds of file systems by mount point, relative to the root, from the text of
// /proc/PID/mountinfo (proc_pid_mountinfo(5)). The upper one of two on one point counts.
func Mounts(text []byte) map[string]string {
	kinds := make(map[string]string)
	for line := range procfs.Lines(text) {
		if m, ok := procfs.ParseMount(line); ok {
			kinds[string(bytes.TrimPrefix(m.Point, []byte("/")))] = string(m.FSType)
		}
	}
	return kinds
}

// enter says whether what is mounted at a path may be looked into.
func (t *Tree) enter(path string) error {
	if kind, ok := t.mounts[path]; ok && !local(kind) {
		return fmt.Errorf("/%s lies on %s: %w", path, kind, ErrForeign)
	}
	return nil
}

// Local lists the mount points of file systems that are walked, relative to the root.
func (t *Tree) Local() (points []string) {
	for p, kind := range t.mounts {
		if local(kind) {
			points = append(points, p)
		}
	}
	return points
}

// Info is what statx(2) says of a file.
type Info struct {
	Mode            uint32 // kind and permissions, as in st_mode
	UID, GID        uint32
	Size            int64
	Blocks          uint64 // of 512 bytes
	Inode           uint64
	Links           uint32
	Major, Minor    uint32    // of the device of its file system
	A, M, C, B      time.Time // B is zero where it is not kept
	mounted, mounts bool      // is the root of a mount; the kernel says so at all
}

// The kinds of files in Mode (inode(7)).
const (
	kindMask   = 0o170000
	kindSocket = 0o140000
	kindLink   = 0o120000
	kindFile   = 0o100000
	kindBlock  = 0o060000
	kindDir    = 0o040000
	kindChar   = 0o020000
	kindPipe   = 0o010000
)

// IsDir, IsFile and IsLink say what it is.
func (i Info) IsDir() bool  { return i.Mode&kindMask == kindDir }
func (i Info) IsFile() bool { return i.Mode&kindMask == kindFile }
func (i Info) IsLink() bool { return i.Mode&kindMask == kindLink }

// Same reports whether both are one file.
func (i Info) Same(o Info) bool {
	return i.Inode == o.Inode && i.Major == o.Major && i.Minor == o.Minor
}

// Record describes the file at a path, relative to the root; target is of a link.
func (i Info) Record(path, target string) record.FileTimes {
	f := record.FileTimes{
		FileInfo: record.FileInfo{
			FileKind: i.kind(), Mode: fmt.Sprintf("%04o", i.Mode&0o7777), UID: int64(i.UID), GID: int64(i.GID), Size: i.Size,
			Inode: i.Inode, Links: uint64(i.Links), Modified: i.M, Changed: i.C,
		},
		ModeText: i.text(), Dev: fmt.Sprintf("%d:%d", i.Major, i.Minor), Accessed: i.A, Born: i.B,
	}
	f.Path, f.PathRaw = record.TextOf("/" + path)
	f.Target, f.TargetRaw = record.TextOf(target)
	return f
}

func (i Info) kind() string {
	switch i.Mode & kindMask {
	case kindFile:
		return "file"
	case kindDir:
		return "dir"
	case kindLink:
		return "link"
	case kindPipe:
		return "pipe"
	case kindSocket:
		return "socket"
	}
	return "device"
}

// text writes kind and permissions as ls(1) does.
func (i Info) text() string {
	b := []byte("?rwxrwxrwx")
	switch i.Mode & kindMask {
	case kindFile:
		b[0] = '-'
	case kindDir:
		b[0] = 'd'
	case kindLink:
		b[0] = 'l'
	case kindPipe:
		b[0] = 'p'
	case kindSocket:
		b[0] = 's'
	case kindBlock:
		b[0] = 'b'
	case kindChar:
		b[0] = 'c'
	}
	for n := range 9 {
		if i.Mode&(1<<(8-n)) == 0 {
			b[n+1] = '-'
		}
	}
	for _, s := range []struct {
		bit  uint32
		at   int
		with byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		if i.Mode&s.bit == 0 {
			continue
		}
		if b[s.at] == 'x' {
			b[s.at] = s.with
		} else {
			b[s.at] = s.with - 'a' + 'A'
		}
	}
	return string(b)
}

// Join joins a folder relative to the root and a name in it.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// Split is the opposite of [Join].
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
