package ancestry

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Names are the file names of the program that started this one, of the one that started that
// and so on, at most n; fewer where one has ended (CreateToolhelp32Snapshot). The number of one
// that has ended may be another's by now.
func Names(n int) (names []string, err error) {
	h, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer windows.CloseHandle(h)
	type process struct {
		parent uint32
		name   string
	}
	all := map[uint32]process{}
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(h, &e); err == nil; err = windows.Process32Next(h, &e) {
		all[e.ProcessID] = process{e.ParentProcessID, windows.UTF16ToString(e.ExeFile[:])}
	}
	for pid := all[uint32(os.Getpid())].parent; len(names) < n; pid = all[pid].parent {
		p, ok := all[pid]
		if !ok || pid == 0 {
			break
		}
		names = append(names, p.name)
	}
	return names, nil
}
