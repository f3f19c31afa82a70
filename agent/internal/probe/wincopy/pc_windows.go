package wincopy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winsys"
	"hozen/internal/winapi/evt"
)

// PC is this PC.
type PC struct {
	// Room is a folder that is made if need be, for what the system saves to be copied. Default:
	// that for temporary files.
	Room string

	lone lone
}

// Places implements [Files].
func (*PC) Places(place string) ([]string, error) {
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
func (*PC) List(dir string) (map[string]Status, error) {
	list, err := winsys.List(dir)
	m := make(map[string]Status, len(list))
	for _, l := range list {
		m[l.Name] = Status{Size: l.Size, Modified: l.Modified, Accessed: l.Accessed, Born: l.Created, Directory: l.Directory(), Link: l.Link(), Elsewhere: l.Elsewhere()}
	}
	return m, err
}

// Open implements [Files]. What a link leads to is refused.
func (*PC) Open(path string) (File, error) {
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

// Saves implements [Files].
func (*PC) Saves(place, name string) ([]string, error) {
	switch {
	case place == "U": // whatever letter the table has, it means the drive of Windows
		dir, err := windows.GetWindowsDirectory()
		if err != nil {
			return nil, fmt.Errorf("GetWindowsDirectory: %w", err)
		}
		return []string{`USN\` + filepath.VolumeName(dir)}, nil
	case name != "people":
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

// reserve stays free on the volume for whoever works there; the spool's is as large.
const reserve = 256 * mib

// usnMost is how much of the end of a journal is read; Windows keeps 32 MiB by itself.
const usnMost = 32 * mib

// Save implements [Files].
func (p *PC) Save(ctx context.Context, name string, most int64) (File, error) {
	if volume, ok := strings.CutPrefix(name, `USN\`); ok {
		j, err := winsys.OpenJournal(volume)
		if err != nil {
			return nil, err
		}
		u, err := openUSN(j, usnMost)
		if errors.Is(err, errors.ErrUnsupported) {
			err = fmt.Errorf("%w: %w", fs.ErrNotExist, err) // there is none
		}
		if err != nil {
			return nil, errors.Join(err, j.Close())
		}
		return u, nil
	}
	channel, ok := strings.CutPrefix(name, `EVT\`)
	if !ok {
		if free, err := p.free(); err != nil || free <= 0 {
			return nil, errors.Join(err, errNoRoom)
		}
		return p.saved(func(path string) error { return winsys.SaveHive(name, path) })
	}
	return p.lone.do(ctx, func() (File, error) {
		free, err := p.free()
		if err != nil {
			return nil, err
		}
		l, err := evt.Measure(channel)
		if err != nil {
			return nil, err
		}
		return fitting(l, min(most, free), func(query string) (File, error) {
			return p.saved(func(path string) error { return evt.Export(channel, query, path) })
		})
	})
}

// free is how much what is saved may take of the disk.
func (p *PC) free() (int64, error) {
	dir := p.Room
	if dir == "" {
		dir = os.TempDir()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("make room for a copy: %w", err)
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("look for room on the disk: %w", err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("GetDiskFreeSpaceEx: %w", err)
	}
	return int64(min(free, math.MaxInt64)) - reserve, nil
}

// saved opens what save writes into a new file. The file goes when it is closed, and when
// this program is killed meanwhile.
func (p *PC) saved(save func(path string) error) (File, error) {
	if p.Room != "" {
		if err := os.MkdirAll(p.Room, 0o700); err != nil {
			return nil, fmt.Errorf("make room for a copy: %w", err)
		}
	}
	dir, err := os.MkdirTemp(p.Room, "hozen-copy-")
	if err != nil {
		return nil, fmt.Errorf("make room for a copy: %w", err)
	}
	path := filepath.Join(dir, "copy")
	if err = save(path); err == nil {
		var f *winsys.File
		if f, err = winsys.OpenToDelete(path); err == nil {
			return saved{file{f}, dir}, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// saved was written to be copied.
type saved struct {
	file
	dir string
}

// Close removes it.
func (s saved) Close() error { return errors.Join(s.file.Close(), os.RemoveAll(s.dir)) }
