package winsys

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// saving guards the privilege of backups, of which this process has one.
var saving sync.Mutex

// SaveHive has the system write a loaded hive, HKLM\NAME or HKU\SID, into a new file
// (RegSaveKeyEx). That needs the privilege of backups.
func SaveHive(hive, file string) error {
	// One at a time: whoever is done first would switch the privilege off under the others.
	saving.Lock()
	defer saving.Unlock()
	done, err := privileged("SeBackupPrivilege")
	if err != nil {
		return err
	}
	defer done()
	root, name := registry.LOCAL_MACHINE, strings.TrimPrefix(hive, `HKLM\`)
	if sid, ok := strings.CutPrefix(hive, `HKU\`); ok {
		root, name = registry.USERS, sid
	}
	key, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	path, err := windows.UTF16PtrFromString(file)
	if err != nil {
		return err
	}
	save, err := find(advapi32, "RegSaveKeyExW")
	if err != nil {
		return err
	}
	const backup = 4 // REG_OPTION_BACKUP_RESTORE
	var h windows.Handle
	if e := windows.RegOpenKeyEx(windows.Handle(root), key, backup, windows.KEY_READ, &h); e != nil {
		return fmt.Errorf("open hive %s: %w", hive, told(e))
	}
	defer windows.RegCloseKey(h)
	const latest = 2 // REG_LATEST_FORMAT
	if r, _, _ := save.Call(uintptr(h), uintptr(unsafe.Pointer(path)), 0, latest); r != 0 {
		return fmt.Errorf("save hive %s: %w", hive, told(windows.Errno(r)))
	}
	return nil
}

// privileged switches a privilege of this program on, until done is called.
func privileged(name string) (done func(), err error) {
	var t windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &t); err != nil {
		return nil, fmt.Errorf("open own token: %w", told(err))
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Close()
		return nil, err
	}
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	if err := windows.LookupPrivilegeValue(nil, text, &p.Privileges[0].Luid); err != nil {
		t.Close()
		return nil, fmt.Errorf("look up %s: %w", name, told(err))
	}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	var before windows.Tokenprivileges
	var n uint32
	adjust, err := find(advapi32, "AdjustTokenPrivileges")
	if err == nil {
		// The call succeeds where nothing was switched on, and says so in its last error only.
		r, _, e := adjust.Call(uintptr(t), 0, uintptr(unsafe.Pointer(&p)), unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before)), uintptr(unsafe.Pointer(&n)))
		switch {
		case r == 0:
			err = told(e)
		case errors.Is(e, windows.ERROR_NOT_ALL_ASSIGNED):
			err = fmt.Errorf("%w: %w", fs.ErrPermission, e)
		}
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("switch on %s: %w", name, err)
	}
	return func() {
		_ = windows.AdjustTokenPrivileges(t, false, &before, 0, nil, nil)
		t.Close()
	}, nil
}
