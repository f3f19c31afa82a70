package logind

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// watchSchedule tells when a shutdown is scheduled or no longer is (inotify(7)). The
// folder is made with the first one, so the folder above is watched too.
func (c *Client) watchSchedule(ctx context.Context) error {
	dir := filepath.Dir(c.cfg.Scheduled)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %q: %w", dir, err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	above, err := unix.InotifyAddWatch(fd, filepath.Dir(dir), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
	if err != nil {
		return fmt.Errorf("watch %q: %w", filepath.Dir(dir), err)
	}
	in := -1
	watch := func() {
		// Watching what is watched already changes nothing; a folder made anew has a new watch.
		if wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_ONLYDIR); err == nil {
			in = wd
		}
	}
	watch()
	var last []byte
	buf := make([]byte, 4096) // at least one event with the longest name
	for {
		last = c.readSchedule(ctx, last)
		for relevant := false; !relevant; {
			n, err := f.Read(buf)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("watch %q: %w", dir, err)
			}
			for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
				wd, mask := int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:])
				size := min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])), len(b))
				name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
				b = b[size:]
				switch {
				case mask&unix.IN_Q_OVERFLOW != 0, wd == above && string(name) == filepath.Base(dir):
					watch()
					relevant = true
				case wd == in && (string(name) == filepath.Base(c.cfg.Scheduled)):
					relevant = true
				}
			}
		}
	}
}

// readSchedule tells what changed since the file held last.
func (c *Client) readSchedule(ctx context.Context, last []byte) []byte {
	b, err := readSmall(c.cfg.Scheduled)
	switch {
	case err != nil && last != nil:
		c.emit(ctx, Event{Kind: Unscheduled, Received: time.Now(), UID: -1})
		return nil
	case err != nil, bytes.Equal(b, last):
		return last
	}
	s, err := parseSchedule(b)
	if err != nil {
		c.cfg.Log.WarnContext(ctx, "schedule of a shutdown not understood", slog.Any("error", err))
		return last
	}
	if !s.dry {
		c.emit(ctx, Event{Kind: Scheduled, Received: time.Now(), Type: s.mode, For: s.at, UID: s.uid, TTY: s.tty})
	}
	return b
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxScheduled+1))
	if err == nil && len(b) == 0 {
		err = errors.New("empty")
	}
	return b, err
}
