package shutdown

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/agent/internal/sorted"
	"hozen/internal/durable"
)

// maxKept is of how many earlier boots the notes are kept, the newest.
const maxKept = 32

const (
	keptPrefix = "shutdown."
	keptSuffix = ".json"
)

// keptFile is the name of an earlier boot's note, or empty for a boot whose name is
// none for a file.
func keptFile(bootID string) string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	if bootID == "" || len(bootID) > maxBootID || strings.Trim(bootID, letters) != "" {
		return ""
	}
	return keptPrefix + bootID + keptSuffix
}

// putAside keeps the note of an earlier boot, of which nobody may have made evidence yet.
func putAside(dir, bootID string) error {
	name := keptFile(bootID)
	if name == "" {
		return fmt.Errorf("put aside what was noted: boot %.40q", bootID)
	}
	if err := durable.Rename(filepath.Join(dir, stateFile), filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("put aside what was noted: %w", err)
	}
	names, err := keptFiles(dir)
	if err != nil {
		return nil // what is too much is found the next time
	}
	type aged struct {
		name string
		at   time.Time
	}
	var all []aged
	for _, n := range names {
		if st, err := os.Lstat(filepath.Join(dir, n)); err == nil && n != name {
			all = append(all, aged{n, st.ModTime()})
		}
	}
	sorted.Func(all, func(a, b aged) int { return b.at.Compare(a.at) })
	for _, old := range all[min(len(all), maxKept-1):] {
		err = errors.Join(err, os.Remove(filepath.Join(dir, old.name)))
	}
	return err
}

// keptFiles lists the notes of earlier boots.
func keptFiles(dir string) (names []string, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		id, ok := strings.CutPrefix(e.Name(), keptPrefix)
		if id, ok2 := strings.CutSuffix(id, keptSuffix); ok && ok2 && keptFile(id) == e.Name() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Kept is what is noted of all boots of which nobody said [Forget], this one's included,
// in the order of their first notices. The error says what cannot be read, beside the rest.
func Kept(dir string) (all []Last, err error) {
	names, err := keptFiles(dir)
	for _, name := range append(names, stateFile) {
		l, rerr := readState(filepath.Join(dir, name))
		switch {
		case rerr == nil:
			all = append(all, l)
		case !errors.Is(rerr, fs.ErrNotExist):
			err = errors.Join(err, rerr)
		}
	}
	sorted.StableFunc(all, func(a, b Last) int { return cmp.Or(a.First().Compare(b.First()), cmp.Compare(a.BootID, b.BootID)) })
	return all, err
}

// First is when the oldest notice came that is kept; zero when there is none.
func (l Last) First() time.Time {
	if len(l.Notices) == 0 {
		return time.Time{}
	}
	return l.Notices[0].At
}

// Forget takes away what is kept of an earlier boot, because evidence was made of it.
func Forget(dir, bootID string) error {
	name := keptFile(bootID)
	if name == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what was noted of a boot: %w", err)
	}
	return nil
}
