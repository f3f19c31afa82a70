package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseMemory gives back what is not needed until something happens again: freed
// memory, and the parts of the program itself that are on disk anyway. Starting and
// capturing run through most of it; waiting needs little. What is needed again comes
// back from the page cache (madvise(2), MADV_DONTNEED on a mapped file).
func releaseMemory() {
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return // without it there is only more memory in use
	}
	defer f.Close()
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if from, to, ok := cleanMapping(lines.Text(), own); ok {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // advice
		}
	}
}

// cleanMapping reads a line of proc_pid_maps(5), and reports whether it is a part of the
// program that nobody can write to.
func cleanMapping(line, program string) (from, to uintptr, ok bool) {
	var perms string
	if n, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); n != 3 || err != nil || from >= to {
		return 0, 0, false
	}
	return from, to, strings.HasPrefix(perms, "r") && perms[1] == '-' && strings.HasSuffix(line, " "+program)
}
