package filelock

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/touch"
)

const (
	maxText = 4 << 20
	maxFDs  = 4096
)

func read() ([]byte, error) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	return b, nil
}

// open lists what a process has open. Sockets and pipes are among it; nobody locks them.
func open(ctx context.Context, pid int) ([]opened, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	d, err := touch.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFDs)
	if err != nil {
		return nil, err
	}
	var files []opened
	for _, name := range names {
		if ctx.Err() != nil {
			return files, ctx.Err()
		}
		link, err := os.Readlink(dir + "/" + name)
		if err != nil || len(link) == 0 || link[0] != '/' {
			continue
		}
		var st unix.Statx_t // what the kernel knows of it, without asking a server
		if unix.Statx(int(d.Fd()), name, unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &st) != nil {
			continue
		}
		files = append(files, opened{fmt.Sprintf("%02x:%02x", st.Dev_major, st.Dev_minor), st.Ino, []byte(link)})
	}
	return files, nil
}
