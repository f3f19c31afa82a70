package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	maxSessionFile = 64 << 10
	maxUtmp        = 16 << 20
)

// read asks both sources. Paths are opened below root and cannot lead out of it.
func read(ctx context.Context, root string) ([]source, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer r.Close()
	return []source{logind(ctx, r), utmp(r)}, nil
}

func logind(ctx context.Context, root *os.Root) (s source) {
	const dir = "run/systemd/sessions"
	list, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		s.err = err
		return s
	}
	for _, e := range list { // in the order of names
		if !e.Type().IsRegular() {
			continue // each session has a pipe beside its file
		}
		if s.err = ctx.Err(); s.err != nil {
			return s
		}
		b, err := readFile(root, dir+"/"+e.Name(), maxSessionFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue // ended since
		}
		if err != nil {
			s.unread++
			s.err = errors.Join(s.err, err)
			continue
		}
		s.sessions = append(s.sessions, parseLogind(e.Name(), b))
	}
	return s
}

func utmp(root *os.Root) (s source) {
	b, err := readFile(root, "run/utmp", maxUtmp)
	if errors.Is(err, fs.ErrNotExist) {
		// Usually /var/run is an absolute link to /run, which leads out of root; then the
		// first answer stands.
		if old, oerr := readFile(root, "var/run/utmp", maxUtmp); oerr == nil {
			b, err = old, nil
		}
	}
	if err != nil {
		s.err = err
		return s
	}
	s.sessions, s.err = parseUtmp(b, UtmpSize())
	if s.err != nil {
		s.unread = 1
	}
	return s
}

// readFile reads at most limit bytes of a regular file, without waiting for a pipe.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("read %s: not a regular file: %w", name, fs.ErrInvalid))
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return b[:limit], fmt.Errorf("read %s: longer than %d bytes", name, limit)
	}
	return b, err
}
