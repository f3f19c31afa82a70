package memory

import "golang.org/x/sys/unix"

// installed returns how many bytes of memory the PC has, 0 when the kernel does not say.
func installed() uint64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return uint64(si.Totalram) * uint64(si.Unit)
}
