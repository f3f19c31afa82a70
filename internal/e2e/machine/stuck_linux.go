package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// StuckFS is a file system with one program on it that can stop answering, as a
// network share does whose server is gone: from then on whoever opens, looks up or
// stats something there waits until it is killed.
type StuckFS struct {
	dir     string
	program []byte
	dev     *os.File
	done    chan struct{}
}

// StuckProgram is the name of the one file.
const StuckProgram = "program"

// NewStuckFS mounts the file system in the hall; give [StuckFS.Dir] to a guest as a
// bind. It answers until [StuckFS.Freeze].
func (h *Hall) NewStuckFS(program string) (*StuckFS, error) {
	b, err := os.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	s := &StuckFS{dir: filepath.Join(h.dir, "stuck"), program: b, done: make(chan struct{})}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("hozen-stuck", s.dir, "fuse.hozen", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(fmt.Errorf("mount: %w", err), unix.Close(fd))
	}
	s.dev = os.NewFile(uintptr(fd), "/dev/fuse") // not before: until it is mounted nothing can be waited for
	go s.serve()
	return s, nil
}

// Dir is where it is mounted on this machine. This process must open nothing there:
// the Go runtime would wait for an answer while it holds the processor that gives it.
func (s *StuckFS) Dir() string { return s.dir }

// Freeze makes it stop answering. What it has been asked is still answered: a request
// that nobody has taken ends when the asker is killed, one that was taken does not,
// and a guest that cannot kill its processes could never be gone.
func (s *StuckFS) Freeze() error {
	err := s.dev.SetReadDeadline(time.Now())
	<-s.done
	return err
}

// Close ends it; whoever waits for an answer gets an error.
func (s *StuckFS) Close() error {
	err := s.Freeze()
	return errors.Join(err, unix.Unmount(s.dir, unix.MNT_DETACH|unix.MNT_FORCE), s.dev.Close())
}

// The requests that are answered, of fuse(4) and linux/fuse.h.
const (
	opLookup      = 1
	opForget      = 2
	opGetAttr     = 3
	opOpen        = 14
	opRead        = 15
	opStatFS      = 17
	opRelease     = 18
	opFlush       = 25
	opInit        = 26
	opOpenDir     = 27
	opReadDir     = 28
	opReleaseDir  = 29
	opAccess      = 34
	opInterrupt   = 36
	opBatchForget = 42
)

const (
	rootNode = 1
	fileNode = 2
	fuseHead = 40 // bytes of a request before its arguments
)

func (s *StuckFS) serve() {
	defer close(s.done)
	buf := make([]byte, 1<<18)
	for {
		n, err := s.dev.Read(buf)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue // the asker has gone away meanwhile
		}
		if err != nil || n < fuseHead {
			return // frozen, or unmounted
		}
		op := binary.NativeEndian.Uint32(buf[4:])
		node := binary.NativeEndian.Uint64(buf[16:])
		if op == opForget || op == opBatchForget || op == opInterrupt {
			continue
		}
		body, errno := s.answer(op, node, buf[fuseHead:n])
		out := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
		out = binary.NativeEndian.AppendUint32(out, uint32(-int32(errno)))
		out = append(out, buf[8:16]...) // the request's number
		if _, err := s.dev.Write(append(out, body...)); err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
	}
}

func (s *StuckFS) answer(op uint32, node uint64, in []byte) ([]byte, unix.Errno) {
	switch op {
	case opInit:
		return words32(7, 31, 1<<16, 0, 0, 1<<17, 1, 32, 0, 0, 0, 0, 0, 0, 0, 0), 0
	case opLookup:
		if node != rootNode || string(in) != StuckProgram+"\x00" {
			return nil, unix.ENOENT
		}
		// Nothing may be remembered: every look shall ask.
		return append(words64(fileNode, 0, 0, 0, 0), s.attributes(fileNode)...), 0
	case opGetAttr:
		return append(words64(0, 0), s.attributes(node)...), 0
	case opOpen, opOpenDir:
		return words64(0, 0), 0
	case opRead:
		off, size := binary.NativeEndian.Uint64(in[8:]), binary.NativeEndian.Uint32(in[16:])
		r := io.NewSectionReader(sliceReader(s.program), int64(off), int64(size))
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, unix.EIO
		}
		return b, 0
	case opStatFS:
		return make([]byte, 80), 0
	case opReadDir, opRelease, opReleaseDir, opFlush, opAccess:
		return nil, 0
	}
	return nil, unix.ENOSYS
}

// attributes are struct fuse_attr.
func (s *StuckFS) attributes(node uint64) []byte {
	mode, size := uint32(unix.S_IFDIR|0o755), uint64(0)
	if node == fileNode {
		mode, size = unix.S_IFREG|0o755, uint64(len(s.program))
	}
	b := words64(node, size, (size+511)/512, 0, 0, 0)
	return append(b, words32(0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)...)
}

type sliceReader []byte

func (r sliceReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(r)) {
		return 0, io.EOF
	}
	n := copy(p, r[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func words64(list ...uint64) (b []byte) {
	for _, w := range list {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

func words32(list ...uint32) (b []byte) {
	for _, w := range list {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}
