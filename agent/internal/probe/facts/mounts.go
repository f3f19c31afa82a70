package facts

import (
	"bytes"

	"hozen/agent/internal/probe/procfs"
)

const maxMounts = 16 << 20

// Mounts returns the kind of file system that is on top at each mount point, by its path
// relative to the root, from /proc/self/mountinfo (proc_pid_mountinfo(5)). The root itself
// is "".
func (r Root) Mounts() (map[string]string, error) {
	b, err := r.File("proc/self/mountinfo", maxMounts)
	kinds := make(map[string]string)
	for line := range procfs.Lines(b) {
		if m, ok := procfs.ParseMount(line); ok { // the kernel tells the upper ones later
			kinds[string(bytes.TrimPrefix(m.Point, []byte("/")))] = string(m.FSType)
		}
	}
	return kinds, err
}
