package wincopy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winsys"
)

// PC is this PC.
type PC struct{}

// Places implements [Files].
func (PC) Places(place string) ([]string, error) {
	dir, err := windows.GetWindowsDirectory()
	if err != nil {
		return nil, fmt.Errorf("GetWindowsDirectory: %w", err)
	}
	switch place {
	case "W":
		dir, err = winsys.Real(dir)
		return []string{dir}, err
	case "C":
		return []string{filepath.VolumeName(dir)}, nil
	case "D":
		d, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
		if err == nil {
			d, err = winsys.Real(d)
		}
		return []string{d}, err
	case "~":
		top, err := windows.KnownFolderPath(windows.FOLDERID_UserProfiles, 0)
		if err == nil { // an administrator may have moved it; below it no link is followed
			top, err = winsys.Real(top)
		}
		if err == nil {
			dir, err = winsys.Real(dir)
		}
		if err != nil {
			return nil, fmt.Errorf("find people's folders: %w", err)
		}
		list := []string{dir + `\System32\config\systemprofile`, dir + `\ServiceProfiles\LocalService`, dir + `\ServiceProfiles\NetworkService`}
		all, err := winsys.List(top)
		for _, l := range all {
			if l.Directory() && !l.Link() {
				list = append(list, top+`\`+l.Name)
			}
		}
		return list, err
	}
	return nil, fmt.Errorf("place %q is not known", place)
}

// List implements [Files].
func (PC) List(dir string) (map[string]Status, error) {
	list, err := winsys.List(dir)
	m := make(map[string]Status, len(list))
	for _, l := range list {
		m[l.Name] = Status{Size: l.Size, Modified: l.Modified, Accessed: l.Accessed, Born: l.Created, Directory: l.Directory(), Link: l.Link(), Elsewhere: l.Elsewhere()}
	}
	return m, err
}

// Open implements [Files]. What a link leads to is refused.
func (PC) Open(path string) (File, error) {
	f, err := winsys.OpenHere(path)
	if errors.Is(err, winsys.ErrBusy) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// file is an open file of this PC.
type file struct{ *winsys.File }

// Status implements [File].
func (f file) Status() (Status, error) {
	st, err := f.File.Status()
	return Status{
		Size: st.Size, Index: st.Index, Modified: st.Modified, Changed: st.Changed, Accessed: st.Accessed, Born: st.Created,
		Directory: st.Attributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0,
	}, err
}

// Hives implements [Files].
func (PC) Hives(name string) ([]string, error) {
	if name != "people" {
		return []string{`HKLM\` + name}, nil
	}
	all, err := winsys.Registry{}.People()
	var list []string
	for _, p := range all {
		if strings.HasPrefix(p, "S-1-5-21-") || strings.HasPrefix(p, "S-1-12-1-") { // people, and accounts of Entra
			list = append(list, `HKU\`+p)
		}
	}
	return list, err
}

// Hive implements [Files]. The file lies in a new folder of the agent's own temporary one.
func (PC) Hive(name string) (File, error) {
	dir, err := os.MkdirTemp("", "hozen-hive-")
	if err != nil {
		return nil, fmt.Errorf("make room for hive: %w", err)
	}
	path := filepath.Join(dir, "hive")
	err = winsys.SaveHive(name, path)
	if err == nil {
		var f *winsys.File
		if f, err = winsys.Open(path, true); err == nil {
			return saved{file{f}, dir}, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// saved is a hive that was written to be copied.
type saved struct {
	file
	dir string
}

// Close removes it.
func (s saved) Close() error { return errors.Join(s.file.Close(), os.RemoveAll(s.dir)) }
