package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ErrForeign means that something belongs to an account that is not trusted, or is a link.
var ErrForeign = errors.New("it is a link, or belongs to another account")

// Take makes the folder dir one that is used as access says, and all that is in a closed
// one. What others than the system, the administrators and the caller own there, and every
// link, is moved beside it, and its new path is returned: who owns a file can always change
// who may. The folder above must be one in which others cannot rename. A folder that is
// closed already is left as it is.
func Take(dir, access string) (aside []string, err error) {
	t := taker{top: filepath.Clean(dir)}
	if err = t.take(access); err != nil {
		err = fmt.Errorf("close folder %s: %w", dir, err)
	}
	return t.aside, err
}

// Own fails with [ErrForeign] where the file or folder of this path is a link or belongs to
// others than the system, the administrators and the caller. Nothing is changed.
func Own(path string) error {
	h, _, err := open(path, windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES)
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	return windows.CloseHandle(h)
}

// TakeFile moves the file of this path away as [Take] does when it is not [Own]; that there
// is none is no error.
func TakeFile(path string) (aside []string, err error) {
	t := taker{top: filepath.Clean(path)}
	err = Own(path)
	if errors.Is(err, ErrForeign) || errors.Is(err, fs.ErrPermission) {
		err = t.move(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return t.aside, err
}

// Close closes a folder with all that is in it, whoever owned it, and follows no link: what
// is kept there is in use already. The folder itself must be [Own].
func Close(dir string) error {
	t := taker{top: filepath.Clean(dir), keep: true}
	if err := t.take(Closed); err != nil {
		return fmt.Errorf("close folder %s: %w", dir, err)
	}
	return nil
}

// CloseFile makes a file the system's and the administrators' alone. It must be [Own].
func CloseFile(path string) error {
	h, _, err := open(path, toTake)
	if err == nil {
		err = errors.Join(set(h, "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)"), windows.CloseHandle(h))
	}
	if err != nil {
		return fmt.Errorf("close file %s: %w", path, err)
	}
	return nil
}

// Administrator reports whether this program has administrator rights: a program of an
// administrator that is not elevated has the group to be denied by only, which does not count
// (CheckTokenMembership).
func Administrator() bool {
	sid, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return false
	}
	yes, err := windows.Token(0).IsMember(sid)
	return err == nil && yes
}

// toTake is what is needed to look at something and to say who may use it.
const toTake = windows.READ_CONTROL | windows.WRITE_DAC | windows.WRITE_OWNER | windows.FILE_READ_ATTRIBUTES

type taker struct {
	top   string
	keep  bool // leave in its place what belongs to others
	aside []string
}

// tries bounds how often somebody may put another thing into the place meanwhile.
const tries = 8

func (t *taker) take(access string) error {
	for range tries {
		h, dir, err := open(t.top, toTake)
		switch {
		case err == nil && dir:
			return errors.Join(t.within(h, access), windows.CloseHandle(h))
		case err == nil:
			err = errors.Join(ErrForeign, windows.CloseHandle(h))
		case errors.Is(err, fs.ErrNotExist):
			if err := create(t.top, access); !errors.Is(err, fs.ErrExist) {
				return err
			}
			continue
		case !errors.Is(err, ErrForeign) && !errors.Is(err, fs.ErrPermission):
			return err
		}
		if t.keep {
			return err
		}
		if err := t.move(t.top); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.New("somebody puts other things into its place")
}

// within sets the rights of a folder of ours that is open.
func (t *taker) within(h windows.Handle, access string) error {
	sd, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	if same(sd.String(), access) {
		return nil
	}
	if access != Closed {
		return set(h, access)
	}
	if err := set(h, meanwhile); err != nil {
		return err
	}
	if err := t.children(t.top); err != nil {
		return err
	}
	return set(h, access)
}

// children looks at what is in a folder that is closed by now.
func (t *taker) children(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		if err := t.child(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (t *taker) child(path string) error {
	h, dir, err := open(path, toTake)
	if errors.Is(err, ErrForeign) || errors.Is(err, fs.ErrPermission) {
		if !t.keep {
			return t.move(path)
		}
		if h, dir, err = openAny(path, toTake); errors.Is(err, errLink) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	sddl := childFile
	if dir {
		sddl = childFolder
	}
	err = errors.Join(set(h, sddl), windows.CloseHandle(h))
	if err == nil && dir {
		return t.children(path)
	}
	return err
}

// move gives what has this path another beside the folder.
func (t *taker) move(path string) error {
	h, err := openItself(path, windows.DELETE)
	if err != nil {
		return fmt.Errorf("move it away: %w", err)
	}
	defer windows.CloseHandle(h)
	to := t.top + ".set-aside-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(len(t.aside))
	if err := rename(h, to); err != nil {
		return fmt.Errorf("move it away: %w", err)
	}
	t.aside = append(t.aside, to)
	return nil
}

// create makes a folder that has its rights from its first moment on.
func create(dir, access string) error {
	sd, err := windows.SecurityDescriptorFromString(access)
	if err != nil {
		return err
	}
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	sa := windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(sa))
	return windows.CreateDirectory(p, &sa)
}

var errLink = fmt.Errorf("link: %w", ErrForeign)

// open opens what has this path, no matter where a link leads, and fails with ErrForeign
// unless it is ours.
func open(path string, rights uint32) (h windows.Handle, dir bool, err error) {
	h, dir, err = openAny(path, rights)
	if err != nil {
		return 0, false, err
	}
	sd, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err == nil {
		var owner *windows.SID
		if owner, _, err = sd.Owner(); err == nil && !trusted(owner) {
			err = fmt.Errorf("owner %s: %w", owner, ErrForeign)
		}
		runtime.KeepAlive(sd)
	}
	if err != nil {
		return 0, false, errors.Join(err, windows.CloseHandle(h))
	}
	return h, dir, nil
}

// openAny is open for whatever is no link.
func openAny(path string, rights uint32) (h windows.Handle, dir bool, err error) {
	if h, err = openItself(path, rights); err != nil {
		return 0, false, err
	}
	var info windows.ByHandleFileInformation
	if err = windows.GetFileInformationByHandle(h, &info); err == nil && info.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		err = errLink
	}
	if err != nil {
		return 0, false, errors.Join(err, windows.CloseHandle(h))
	}
	return h, info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0, nil
}

func openItself(path string, rights uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := windows.CreateFile(p, rights, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return 0, err
	}
	return h, nil
}

// trusted reports whether an owner is the system, the administrators or who runs this: an
// elevated administrator's own account is no stranger to what he does.
func trusted(owner *windows.SID) bool {
	if owner == nil {
		return false
	}
	if owner.IsWellKnown(windows.WinLocalSystemSid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) {
		return true
	}
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && owner.Equals(me.User.Sid)
}

// set says of what is open who owns it and who may use it.
func set(h windows.Handle, sddl string) error {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return err
	}
	return windows.SetKernelObjectSecurity(h, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION, sd)
}

// renameInfo is FILE_RENAME_INFO (winbase.h).
type renameInfo struct {
	replace uint32
	root    windows.Handle
	length  uint32 // of name in bytes
	name    [1]uint16
}

func rename(h windows.Handle, to string) error {
	name, err := windows.UTF16FromString(to)
	if err != nil {
		return err
	}
	const at = unsafe.Offsetof(renameInfo{}.name)
	buf := make([]uint64, (int(at)+2*len(name))/8+1) // aligned
	info := (*renameInfo)(unsafe.Pointer(&buf[0]))
	info.length = uint32(2 * (len(name) - 1))
	copy(unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(info), at)), len(name)), name)
	return windows.SetFileInformationByHandle(h, windows.FileRenameInfo, (*byte)(unsafe.Pointer(info)), uint32(8*len(buf)))
}
