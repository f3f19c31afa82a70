package bootverdict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is read at most. The whole takes a few milliseconds on an ordinary PC.
const (
	maxSmall = 64 << 10
	maxWtmp  = 4 << 20 // bytes from the end of the file
	maxUtmp  = 1 << 20
	maxKmsg  = 20000 // records
	maxNames = 500   // names of one folder
)

// read asks every source below c.Root; paths cannot lead out of it.
func read(ctx context.Context, c Config) (in Input, err error) {
	if err := ctx.Err(); err != nil {
		return in, err
	}
	r, err := os.OpenRoot(c.Root)
	if err != nil {
		return in, fmt.Errorf("open %s: %w", c.Root, err)
	}
	defer r.Close()
	s := &system{root: r}
	if b, err := s.small("proc/sys/kernel/random/boot_id"); err == nil && validBootID(strings.TrimSpace(string(b))) {
		in.BootID = strings.TrimSpace(string(b))
	} else {
		s.fail(fmt.Errorf("read boot id: %w", err))
	}
	began, since := s.began()
	in.Began = began
	contained := since > time.Minute // the kernel's boot is another, the host's
	dev := s.rootDevice()
	for _, source := range []func() []Finding{
		func() []Finding { return s.wtmp(in.Began) },
		func() []Finding { return s.journal(ctx, in.BootID) },
		func() []Finding { return s.kernel(ctx, dev, began, since, contained) },
		func() []Finding { return s.fsck(dev) },
		func() []Finding { return s.pstore(in.Began, contained) },
		func() []Finding { return s.kdump(in.Began) },
		func() []Finding { return s.watchdog(contained) },
	} {
		in.Findings = append(in.Findings, source()...)
		if err := ctx.Err(); err != nil {
			return in, err
		}
	}
	return in, s.err
}

// system reads files and gathers what went wrong. That a source is absent is no trouble.
type system struct {
	root  *os.Root
	owner uint32 // the user whose word counts: root, but in tests
	err   error
}

func (s *system) fail(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		s.err = errors.Join(s.err, err)
	}
}

func (s *system) missed(source, witness string, err error) []Finding {
	s.fail(fmt.Errorf("read %s: %w", source, err))
	return []Finding{failed(source, witness, err)}
}

// open opens a regular file without waiting for a pipe.
func (s *system) open(name string) (*os.File, fs.FileInfo, error) {
	f, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: %w", name, fs.ErrInvalid)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// small reads a file of at most maxSmall bytes.
func (s *system) small(name string) ([]byte, error) {
	f, _, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, maxSmall)
}

// names lists a folder, in the order of names.
func (s *system) names(dir string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(s.root.FS(), dir)
	return list[:min(len(list), maxNames)], err
}

// began is when process 1 started, by the wall clock as it is now. It is the kernel's
// boot but for a few seconds, since, and also right in a container, where the kernel has
// been running for long.
func (s *system) began() (at time.Time, since time.Duration) {
	stat, err := s.small("proc/1/stat")
	if err != nil {
		s.fail(fmt.Errorf("read start of process 1: %w", err))
		return at, 0
	}
	since, err = startOf(stat)
	var boot unix.Timespec
	if err = errors.Join(err, unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)); err != nil {
		s.fail(err)
		return at, 0
	}
	return time.Now().Add(since - time.Duration(boot.Nano())).Round(0).UTC(), since
}

// rootDevice is the kernel's name of the device of /, such as vda1 or dm-0.
func (s *system) rootDevice() string {
	mounts, err := s.small("proc/1/mountinfo")
	if err != nil {
		mounts, err = s.small("proc/self/mountinfo")
	}
	if err != nil {
		return ""
	}
	number, source := rootMount(mounts)
	if link, err := s.root.Readlink("sys/dev/block/" + number); err == nil {
		return path.Base(link)
	}
	if name, ok := strings.CutPrefix(source, "/dev/"); ok && !strings.Contains(name, "/") {
		return name // btrfs has numbers of its own
	}
	return ""
}

// wtmp reads the end of wtmp and, where that has no earlier boot, of the file rotated
// before. Systems that keep wtmp in a database have no such file.
func (s *system) wtmp(began time.Time) []Finding {
	size := utmpSize(runtime.GOARCH)
	var own time.Time
	if b, err := s.tail("run/utmp", maxUtmp, size); err == nil {
		own = bootTime(parseWtmp(b, size))
	}
	now, err := s.tail("var/log/wtmp", maxWtmp, size)
	if err != nil {
		return s.missed(sourceWtmp, witnessWtmp, err)
	}
	f := wtmpFinding(parseWtmp(now, size), own, began)
	if f.Says == "no_earlier_boot" {
		if old, err := s.tail("var/log/wtmp.1", maxWtmp, size); err == nil {
			f = wtmpFinding(parseWtmp(append(old, now...), size), own, began)
		}
	}
	return []Finding{f}
}

// tail reads the last whole records of a file.
func (s *system) tail(name string, limit int64, record int) ([]byte, error) {
	f, st, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := st.Size() - st.Size()%int64(record)
	n := min(size, limit-limit%int64(record))
	b := make([]byte, n)
	if _, err := f.ReadAt(b, size-n); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// kernel reads the kernel's log of this boot. A container sees its host's, which tells of
// another boot, or none.
func (s *system) kernel(ctx context.Context, dev string, began time.Time, since time.Duration, contained bool) []Finding {
	f, err := s.root.OpenFile("dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		defer f.Close()
		var st fs.FileInfo
		if st, err = f.Stat(); err == nil && (st.Mode()&fs.ModeCharDevice == 0 || contained) {
			err = fs.ErrNotExist
		}
	}
	var lines []kmsgLine
	if err == nil {
		lines, err = kmsg(ctx, f)
	}
	if err != nil {
		return append(s.missed(sourceKernel, witnessFS, err), failed(sourceReset, witnessPlatform, err))
	}
	if !began.IsZero() {
		began = began.Add(-since) // the kernel counts from its own beginning
	}
	return kernelFindings(lines, dev, began)
}

// kmsg reads records until there are no more for now. It reads the descriptor itself,
// because the runtime would wait for the next one.
func kmsg(ctx context.Context, f *os.File) (lines []kmsgLine, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 8<<10) // CONSOLE_EXT_LOG_MAX
	cerr := raw.Control(func(fd uintptr) {
		for range maxKmsg {
			if err = ctx.Err(); err != nil {
				return
			}
			n, rerr := unix.Read(int(fd), b)
			switch {
			case errors.Is(rerr, unix.EAGAIN), rerr == nil && n == 0:
				return
			case errors.Is(rerr, unix.EPIPE), errors.Is(rerr, unix.EINTR):
				continue // overwritten while being read: the numbers show it
			case rerr != nil:
				err = rerr
				return
			}
			if l, ok := parseKmsg(b[:n]); ok {
				lines = append(lines, l)
			}
		}
	})
	return lines, errors.Join(err, cerr)
}

func (s *system) fsck(dev string) []Finding {
	b, err := s.small("run/initramfs/fsck.log")
	if err != nil {
		return s.missed(sourceFsck, witnessFS, err)
	}
	return []Finding{fsckFinding(b, dev)}
}

func (s *system) watchdog(contained bool) []Finding {
	const dir = "sys/class/watchdog"
	list, err := s.names(dir)
	if err == nil && contained {
		err = fs.ErrNotExist
	}
	if err != nil {
		return s.missed(sourceWatchdog, witnessPlatform, err)
	}
	var status []int64
	for _, e := range list {
		b, err := s.small(dir + "/" + e.Name() + "/bootstatus")
		if err != nil {
			continue // most drivers have none
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 0, 64); err == nil {
			status = append(status, n)
		}
	}
	if len(status) == 0 {
		return []Finding{failed(sourceWatchdog, witnessPlatform, fs.ErrNotExist)}
	}
	return []Finding{watchdogFinding(status)}
}
