package winsys

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

var (
	// ErrBusy means that a program which has a file open kept it from being opened in time.
	ErrBusy = errors.New("a program that has it open does not let go of it")
	// ErrElsewhere means that a path leads somewhere else than it says, by a link.
	ErrElsewhere = errors.New("the path leads to another place")
)

// openPatience is how long opening a file may take. Whoever holds an oplock on it is asked to
// give it up, and may never answer ("Opportunistic Locks", Windows).
const openPatience = time.Second

// within lets a thread of its own open a file. One that takes too long is told to give up
// (CancelSynchronousIo), and left behind when it cannot.
func within(limit time.Duration, open func() (windows.Handle, error)) (windows.Handle, error) {
	type answer struct {
		h   windows.Handle
		err error
	}
	ready, done, rest := make(chan windows.Handle, 1), make(chan answer, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		self := windows.CurrentProcess()
		var thread windows.Handle
		_ = windows.DuplicateHandle(self, windows.CurrentThread(), self, &thread, 0, false, windows.DUPLICATE_SAME_ACCESS)
		ready <- thread
		h, err := open()
		done <- answer{h, err}
		<-rest // what is called off is this thread's, so it does nothing else until nobody does
		if thread != 0 {
			windows.CloseHandle(thread)
		}
	}()
	defer close(rest)
	thread := <-ready
	late := time.NewTimer(limit)
	defer late.Stop()
	for tries := 0; tries < 2; tries++ {
		select {
		case a := <-done:
			if errors.Is(a.err, windows.ERROR_OPERATION_ABORTED) {
				a.err = ErrBusy
			}
			return a.h, a.err
		case <-late.C:
			cancelIO(thread)
			late.Reset(limit / 3)
		}
	}
	go func() {
		if a := <-done; a.err == nil {
			windows.CloseHandle(a.h)
		}
	}()
	return 0, ErrBusy
}

// OpenHere opens a file to be read as Open does, but only if it lies where its path says: a
// link at its end or on the way is refused with ErrElsewhere.
func OpenHere(path string) (*File, error) {
	fail := func(err error) (*File, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: err} }
	// First only looked at, without following what stands at the end.
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return fail(err)
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return fail(err)
	}
	ok := isAt(h, path)
	windows.CloseHandle(h)
	if !ok {
		return fail(ErrElsewhere)
	}
	if link, err := isLink(path); err != nil || link {
		return fail(errors.Join(err, ErrElsewhere))
	}
	f, err := Open(path, true)
	if err != nil {
		return nil, err
	}
	if !isAt(f.h, path) {
		_ = f.Close()
		return fail(ErrElsewhere)
	}
	return f, nil
}

// Here reports whether the parts of rest lie below a folder without a link among them.
func Here(dir, rest string) (bool, error) {
	for part := range strings.SplitSeq(rest, `\`) {
		dir += `\` + part
		if link, err := isLink(dir); err != nil || link {
			return false, err
		}
	}
	return true, nil
}

// isLink reports whether a link stands at the end of a path.
func isLink(path string) (bool, error) {
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return false, err
	}
	var d windows.Win32finddata
	h, err := windows.FindFirstFile(name, &d)
	if err != nil {
		return false, &fs.PathError{Op: "look at", Path: path, Err: err}
	}
	_ = windows.FindClose(h)
	l := Listed{Attributes: d.FileAttributes}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		l.Tag = d.Reserved0
	}
	return l.Link(), nil
}

// Real is the path of a folder without links (GetFinalPathNameByHandle). One on another
// computer is refused.
func Real(dir string) (string, error) {
	f, err := Open(dir, false)
	if err != nil {
		return "", err
	}
	defer f.Close()
	path, err := finalPath(f.h)
	if err == nil && !strings.HasPrefix(path, `\\?\`) || strings.HasPrefix(path, `\\?\UNC\`) {
		err = ErrElsewhere
	}
	if err != nil {
		return "", fmt.Errorf("find out where %s is: %w", dir, err)
	}
	return strings.TrimPrefix(path, `\\?\`), nil
}

// isAt reports whether an open file lies at a path.
func isAt(h windows.Handle, path string) bool {
	got, err := finalPath(h)
	return err == nil && strings.EqualFold(strings.TrimPrefix(got, `\\?\`), strings.TrimPrefix(path, `\\?\`))
}

func finalPath(h windows.Handle) (string, error) {
	b := make([]uint16, windows.MAX_LONG_PATH)
	n, err := windows.GetFinalPathNameByHandle(h, &b[0], uint32(len(b)), 0) // FILE_NAME_NORMALIZED | VOLUME_NAME_DOS
	if err != nil {
		return "", err
	}
	return windows.UTF16ToString(b[:min(int(n), len(b))]), nil
}
