package bootverdict

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDumpsThatAnybodyCouldWrite: a crash is believed only where nobody but root can have
// put the dump there.
func TestDumpsThatAnybodyCouldWrite(t *testing.T) {
	began := time.Now()
	me, somebody := uint32(os.Getuid()), uint32(os.Getuid())+1
	cases := map[string]struct {
		owner     uint32      // whose files count
		top       fs.FileMode // of /var/crash
		dir       fs.FileMode
		folder    string
		file      string
		asLink    bool // the folder is a link
		fileLink  bool // the file is a link
		asFolder  bool // the file is a folder
		believed  bool
		leftovers int // folders of others that come first
	}{
		"kdump-tools":                 {owner: me, top: 0o755, dir: 0o755, folder: "202611230101", file: "dump.202611230101", believed: true},
		"kexec-tools":                 {owner: me, top: 0o755, dir: 0o755, folder: "127.0.0.1-2026-11-23", file: "vmcore", believed: true},
		"open but sticky":             {owner: me, top: 0o777 | fs.ModeSticky, dir: 0o755, folder: "d", file: "vmcore", believed: true},
		"behind many that others put": {owner: me, top: 0o777 | fs.ModeSticky, dir: 0o755, folder: "zz", file: "vmcore", leftovers: maxNames + 50, believed: true},
		"somebody's":                  {owner: somebody, top: 0o755, dir: 0o755, folder: "d", file: "vmcore"},
		"open":                        {owner: me, top: 0o777, dir: 0o755, folder: "d", file: "vmcore"},
		"open to a group":             {owner: me, top: 0o775, dir: 0o755, folder: "d", file: "vmcore"},
		"folder open":                 {owner: me, top: 0o755, dir: 0o777, folder: "d", file: "vmcore"},
		"folder open and sticky":      {owner: me, top: 0o755, dir: 0o777 | fs.ModeSticky, folder: "d", file: "vmcore"},
		"folder that is a link":       {owner: me, top: 0o777 | fs.ModeSticky, dir: 0o755, folder: "d", file: "vmcore", asLink: true},
		"dump that is a link":         {owner: me, top: 0o755, dir: 0o755, folder: "d", file: "vmcore", fileLink: true},
		"dump that is a folder":       {owner: me, top: 0o755, dir: 0o755, folder: "d", file: "vmcore", asFolder: true},
		"crash of a program":          {owner: me, top: 0o755, dir: 0o755, folder: ".", file: "vmcore"},
		"something else":              {owner: me, top: 0o755, dir: 0o755, folder: "d", file: "kexec-dmesg.log"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			top := filepath.Join(dir, "var", "crash")
			folder := filepath.Join(top, c.folder)
			must(os.MkdirAll(folder, 0o755))
			if c.asLink {
				must(os.Remove(folder))
				must(os.Mkdir(filepath.Join(dir, "elsewhere"), 0o755))
				must(os.Symlink("../../elsewhere", folder))
			}
			file := filepath.Join(folder, c.file)
			switch {
			case c.asFolder:
				must(os.Mkdir(file, 0o755))
			case c.fileLink:
				must(os.WriteFile(filepath.Join(dir, "dump"), []byte("x"), 0o600))
				must(os.Symlink("../../../dump", file))
			default:
				must(os.WriteFile(file, []byte("x"), 0o600))
			}
			for i := range c.leftovers {
				must(os.Mkdir(filepath.Join(top, fmt.Sprintf("a%d", i)), 0o755))
				must(os.Chmod(filepath.Join(top, fmt.Sprintf("a%d", i)), 0o777))
			}
			must(os.Chmod(folder, c.dir))
			must(os.Chmod(top, c.top)) // after the folder, which may be the same
			r, err := os.OpenRoot(dir)
			must(err)
			defer r.Close()
			s := &system{root: r, owner: c.owner}
			found := s.kdump(began.Add(time.Minute))
			if len(found) != 1 || s.err != nil {
				t.Fatalf("%+v, %v", found, s.err)
			}
			if f := found[0]; (f.Says == "memory_dump") != c.believed || (f.Leans == leansCrash) != c.believed || (len(f.Dumps) == 1) != c.believed {
				t.Errorf("%+v", f)
			}
		})
	}
}
