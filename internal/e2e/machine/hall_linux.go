package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
)

// prefix begins the name of everything that a hall leaves on this machine while it
// stands.
const prefix = "hozen-machine-"

// Hall is where guests stand: it holds their disks and ends their programs. What a
// hall leaves whose process was killed (folders, control groups, mounts), the next
// hall removes; guests die with the process.
type Hall struct {
	dir    string
	n      *rig.Nursery
	unlock func()
	disks  int
}

// Available returns nil where containers can be booted, else the reason in one line.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("booting a container needs root")
	}
	for _, p := range []struct{ program, pkg string }{
		{"systemd-nspawn", "systemd-container"}, {"mmdebstrap", "mmdebstrap"}, {"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"mount", "mount"},
	} {
		if _, err := exec.LookPath(p.program); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install %s", p.program, p.pkg)
		}
	}
	return nil
}

// NewHall makes a hall; Close removes everything.
func NewHall(ctx context.Context) (*Hall, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what a killed test left: %w", err)
	}
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("make folder of guests: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the guest's people look at their root through it
		return nil, err
	}
	return &Hall{dir: dir, n: rig.NewNursery(), unlock: unlock}, nil
}

// Dir is a folder that goes with the hall.
func (h *Hall) Dir() string { return h.dir }

// Disk makes a disk with the root file system of a recipe on it.
func (h *Hall) Disk(ctx context.Context, r Recipe) (*Disk, error) {
	root, err := Rootfs(ctx, r)
	if err != nil {
		return nil, err
	}
	h.disks++
	return newDisk(filepath.Join(h.dir, fmt.Sprintf("disk-%d", h.disks)), []string{root})
}

// Clone makes a disk that begins as another one is now; that one must not be booted
// or written any more.
func (h *Hall) Clone(d *Disk) (*Disk, error) {
	h.disks++
	return newDisk(filepath.Join(h.dir, fmt.Sprintf("disk-%d", h.disks)), append([]string{d.upper()}, d.lowers...))
}

// Discard removes a disk whose guest is down.
func (h *Hall) Discard(d *Disk) error { return os.RemoveAll(d.dir) }

// Close ends what still runs and removes everything.
func (h *Hall) Close() error {
	err := errors.Join(h.n.Close(), tearDown(h.dir))
	h.unlock()
	return err
}

// sweep removes the halls of processes that are gone.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue // being made, or not ours
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			errs = append(errs, tearDown(dir))
		}
		_ = f.Close() // lets go of the lock
	}
	return errors.Join(errs...)
}

// tearDown removes what the guests of a hall left: mounts of this namespace,
// control groups, folders.
func tearDown(dir string) error {
	var errs []error
	b, err := os.ReadFile("/proc/self/mounts")
	errs = append(errs, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			errs = append(errs, unix.Unmount(f[1], unix.MNT_DETACH|unix.MNT_FORCE))
		}
	}
	for _, g := range cgroups(filepath.Base(dir)) {
		errs = append(errs, removeGroup(g))
	}
	// nspawn leaves a folder for each name in which nothing is mounted any more.
	left, _ := filepath.Glob("/run/systemd/nspawn/*/" + guestName(dir, "*")) // the pattern is well formed
	for _, l := range left {
		errs = append(errs, os.RemoveAll(l))
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// guestName is the host name of the guest on a disk: nspawn allows 64 bytes of a-z,
// 0-9 and "-".
func guestName(hall, disk string) string {
	return "hz" + strings.TrimPrefix(filepath.Base(hall), prefix) + "-" + disk
}

// cgroups returns the folders of a control group of that name below this process's
// own, in the hierarchies that systemd uses (cgroups(7)): a guest's tree must not
// lie where another guest's does.
func cgroups(name string) (dirs []string) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, root := range map[string][]string{"name=systemd": {"/sys/fs/cgroup/systemd"}, "": {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}}[f[1]] {
			if dir := filepath.Join(root, f[2]); exists(filepath.Join(dir, "cgroup.procs")) {
				dirs = append(dirs, filepath.Join(dir, name))
				break
			}
		}
	}
	return dirs
}

// dying is how long the processes of a guest may take to be gone after its PID 1 is.
const dying = 10 * time.Second

// removeGroup removes a control group and those below it, once the last process in
// them is gone.
func removeGroup(dir string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(dying); ; <-tick.C {
		err := removeEmpty(dir)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeEmpty(filepath.Join(dir, e.Name())))
		}
	}
	if e := syscall.Rmdir(dir); e != nil {
		err = errors.Join(err, fmt.Errorf("remove control group %s: %w", dir, e))
	}
	return err
}
