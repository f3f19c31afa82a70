package journal

import (
	"os"
	"syscall"
)

// Faults makes the next writes and syncs fail as told: a write leaves half of its
// bytes behind.
type Faults struct {
	Write, Sync error
	Full        string // while this file is there, the disk is full
}

type faulty struct {
	file
	f *Faults
}

func (f faulty) Write(b []byte) (int, error) {
	err := f.f.Write
	if _, serr := os.Stat(f.f.Full); serr == nil {
		err = syscall.ENOSPC
	}
	if err != nil {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f faulty) Sync() error {
	if f.f.Sync != nil {
		return f.f.Sync
	}
	return f.file.Sync()
}

// Break puts faults under the open file and every later one.
func (j *Journal) Break(f *Faults) {
	j.file = faulty{j.file, f}
	j.open = func(path string) (file, error) {
		real, err := openFile(path)
		return faulty{real, f}, err
	}
}

// OpenWithoutRoom opens the journal as Open does when nothing can be written anew.
func OpenWithoutRoom(path string) (*Journal, error) {
	b, err := read(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{cfg: Config{Path: path}, s: newState(), open: openFile}
	j.s.replay(b)
	return j, j.goOn(b)
}

// CountRewrites counts how many times the file is replaced from now on.
func (j *Journal) CountRewrites() *int {
	n := new(int)
	j.open = func(path string) (file, error) {
		*n++
		return openFile(path)
	}
	return n
}
