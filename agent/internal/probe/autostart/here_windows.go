package autostart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

const system = "windows"

// here asks the service control manager and the registry, and lists tasks and the folders
// whose programs start when somebody signs in.
func here(ctx context.Context, _ string, o *facts.Out) error {
	list, err := winsys.System{}.Services()
	o.Miss(err)
	for _, s := range list {
		if s.ConfigErr != nil {
			o.Miss(fmt.Errorf("service %s: %w", windows.UTF16ToString(s.Name), s.ConfigErr))
		}
		x := service{s.Name, s.Display, s.Kind, s.State, s.PID, s.Start, s.Command, s.Account, s.Library, s.ConfigErr != nil}
		if err := o.Write(x.record()); err != nil {
			return err
		}
	}
	if err := registry(ctx, pc{}, o); err != nil {
		return err
	}
	dir, err := windows.GetSystemDirectory()
	o.Miss(err)
	if err := folder(ctx, "task", dir+`\Tasks`, o); err != nil {
		return err
	}
	data, err := windows.KnownFolderPath(windows.FOLDERID_CommonStartup, 0)
	if err == nil {
		err = folder(ctx, "startup", data, o)
	}
	if err != nil {
		o.Miss(err)
	}
	profiles, err := windows.KnownFolderPath(windows.FOLDERID_UserProfiles, 0)
	if err != nil {
		o.Miss(err)
		return nil
	}
	people, err := os.ReadDir(profiles)
	o.Miss(err)
	if profiles, err = winsys.Real(profiles); err != nil { // an administrator may have moved it
		o.Miss(err)
		return nil
	}
	for _, p := range people[:min(len(people), maxHomes)] {
		const rest = `AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup`
		home := filepath.Join(profiles, p.Name())
		if !p.IsDir() {
			continue
		}
		if here, err := winsys.Here(home, rest); err != nil || !here {
			if err == nil {
				err = fmt.Errorf(`%s\%s: %w`, home, rest, winsys.ErrElsewhere)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				o.Miss(err)
			}
			continue
		}
		if err := folder(ctx, "startup", filepath.Join(home, rest), o); err != nil {
			return err
		}
	}
	return nil
}

// folder tells of the files in a folder and below it. Links are not followed.
func folder(ctx context.Context, category, dir string, o *facts.Out) error {
	left := maxFiles
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				o.Miss(err)
			}
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		if left--; left < 0 {
			o.Miss(fmt.Errorf("%s has more than %d files", dir, maxFiles))
			return fs.SkipAll
		}
		return o.Write(startFile(category, path, d, o))
	})
	return err
}

func startFile(category, path string, d fs.DirEntry, o *facts.Out) *record.StartFile {
	f := &record.StartFile{Type: record.AutostartFile, Category: category}
	f.Path, f.UID, f.GID, f.FileKind = path, record.Unknown, record.Unknown, "file"
	if !d.Type().IsRegular() {
		f.FileKind = "link"
		return f
	}
	fail := func(err error) *record.StartFile {
		o.Miss(err)
		f.Unread = why(err)
		return f
	}
	g, err := winsys.OpenHere(path)
	if err != nil {
		return fail(err)
	}
	defer g.Close()
	st, err := g.Status()
	if err != nil {
		return fail(err)
	}
	f.Size, f.Inode, f.Modified, f.Changed = st.Size, st.Index, st.Modified, st.Changed
	hash := sha256.New()
	if n, err := io.Copy(hash, io.LimitReader(g, maxFile+1)); err != nil {
		return fail(err)
	} else if n > maxFile {
		f.Unread = "failed"
		return f
	}
	f.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return f
}

// pc is the registry of this PC.
type pc struct{}

func (pc) People() ([]string, error) { return winsys.Registry{}.People() }

func (pc) Subkeys(hive, key string) ([]string, error) { return winsys.Registry{}.Subkeys(hive, key) }

func (pc) Values(hive, key string) (list []hiveValue, changed time.Time, err error) {
	values, changed, err := winsys.Registry{}.Values(hive, key)
	for _, v := range values {
		list = append(list, hiveValue{v.Name, v.Kind, v.Data})
	}
	return list, changed, err
}
