package facts

import (
	"io/fs"
	"syscall"
	"time"

	"hozen/internal/artifact/record"
)

const noatime = syscall.O_NOATIME

// own adds what stat(2) says beyond the portable.
func own(f *record.FileInfo, st fs.FileInfo) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	f.UID, f.GID, f.Inode, f.Links = int64(s.Uid), int64(s.Gid), s.Ino, uint64(s.Nlink)
	f.Changed = time.Unix(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)).UTC()
}
