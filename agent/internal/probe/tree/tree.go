package tree

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/touch"
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

// foreign is ErrForeign with the kind of the file system.
type foreign string

func (k foreign) Error() string { return "lies on " + string(k) + ", which is not asked" }
func (k foreign) Unwrap() error { return ErrForeign }

// At is an error with the path, relative to the root, that it is about.
func At(path string, err error) error { return &fs.PathError{Op: "read", Path: "/" + path, Err: err} }

// ErrMany is more of something than what is told.
var ErrMany = errors.New("more than what is told")

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
	opened *touch.Counter
}

// In is [Open] for an acquisition, which counts the files that it opens.
func In(ctx context.Context, root string) (*Tree, error) {
	t, err := Open(root)
	if err == nil {
		t.opened = touch.Of(ctx)
	}
	return t, err
}

// local reports whether a kind of file system answers by itself and holds files. What is
// not known here may hang, so it is not.
func local(kind string) bool {
	return OneOf(kind, "ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs jfs reiserfs nilfs2 minix ufs overlay aufs unionfs tmpfs ramfs devtmpfs rootfs "+
		"squashfs erofs cramfs romfs vfat msdos exfat ntfs ntfs3 hfs hfsplus iso9660 udf ecryptfs ubifs jffs2")
}

// OneOf reports whether a word is in a list with blanks between its words. It takes far
// less of the program than a switch.
func OneOf(word, list string) bool {
	return word != "" && !strings.Contains(word, " ") && strings.Contains(" "+list+" ", " "+word+" ")
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
		return At(path, foreign(kind))
	}
	return nil
}

// Local lists the mount points of file systems that are walked and that can be reached,
// relative to the root, in their order. The root is always among them.
func (t *Tree) Local() []string {
	points := []string{""}
	for p := range t.mounts {
		if p != "" && t.reach(p) {
			points = append(points, p)
		}
	}
	slices.Sort(points)
	return points
}

// reach reports whether nothing on the way to a path keeps it from being looked into.
func (t *Tree) reach(path string) bool {
	for path != "" {
		if t.enter(path) != nil {
			return false
		}
		path, _ = Split(path)
	}
	return true
}

// Stamp is a time of a file, as exact as the file system keeps it.
type Stamp struct {
	Sec  int64 // since 1970
	Nsec uint32
	Kept bool // by the file system
}

// Time returns the time in UTC, the zero time where none is kept.
func (s Stamp) Time() time.Time {
	if !s.Kept {
		return time.Time{}
	}
	return time.Unix(s.Sec, int64(s.Nsec)).UTC()
}

// Info is what statx(2) says of a file.
type Info struct {
	Mode         uint32 // kind and permissions, as in st_mode
	UID, GID     uint32
	Links        uint32
	Size         int64
	Blocks       uint64 // of 512 bytes
	Inode        uint64
	Major, Minor uint32 // of the device of its file system
	A, M, C, B   Stamp  // access, content, entry, birth
	strange      bool   // the root of a mount, so that its path must be among the mounts
}

// The kinds of files in Mode (inode(7)).
const (
	kindMask = 0o170000
	kindLink = 0o120000
	kindFile = 0o100000
	kindDir  = 0o040000
)

// IsDir, IsFile and IsLink say what it is.
func (i *Info) IsDir() bool  { return i.Mode&kindMask == kindDir }
func (i *Info) IsFile() bool { return i.Mode&kindMask == kindFile }
func (i *Info) IsLink() bool { return i.Mode&kindMask == kindLink }

// Same reports whether both are one file.
func (i *Info) Same(o *Info) bool {
	return i.Inode == o.Inode && i.Major == o.Major && i.Minor == o.Minor
}

// Record fills f with the file at a path, relative to the root; target is of a link.
func (i *Info) Record(f *record.FileTimes, path, target string) {
	f.Path, f.PathRaw = record.TextOf("/" + path)
	f.Target, f.TargetRaw = record.TextOf(target)
	f.FileKind = i.kind()
	f.Mode = strconv.FormatUint(uint64(i.Mode&0o7777)|0o10000, 8)[1:]
	f.UID, f.GID, f.Size, f.Inode, f.Links = int64(i.UID), int64(i.GID), i.Size, i.Inode, uint64(i.Links)
	f.ModeText = i.text()
	f.Dev = strconv.Itoa(int(i.Major)) + ":" + strconv.Itoa(int(i.Minor))
	f.Accessed, f.Modified, f.Changed, f.Born = i.A.Time(), i.M.Time(), i.C.Time(), i.B.Time()
}

// kindWords are the kinds of Mode, seven bytes each.
const kindWords = "device pipe   device device dir    device device device file   device link   device socket device device device "

func (i *Info) kind() string {
	at := int(i.Mode&kindMask>>12) * 7
	return strings.TrimSpace(kindWords[at : at+7])
}

// text writes kind and permissions as ls(1) does.
func (i *Info) text() string {
	b := []byte("?rwxrwxrwx")
	b[0] = "?pc?d?b?-?l?s???"[i.Mode&kindMask>>12]
	for n := range 9 {
		if i.Mode&(1<<(8-n)) == 0 {
			b[n+1] = '-'
		}
	}
	for n := range 3 { // setuid, setgid, sticky
		if i.Mode&(0o4000>>n) == 0 {
			continue
		}
		if at := 3 * (n + 1); b[at] == 'x' {
			b[at] = "sst"[n]
		} else {
			b[at] = "SST"[n]
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

// Match reports whether a name fits a pattern in which "*" stands for any number of bytes
// and "?" for one, slashes among them, as fnmatch(3) has it without flags.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
