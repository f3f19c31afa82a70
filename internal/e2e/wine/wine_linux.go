package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// setup makes Wine's drive C, which takes longer than to start it; $1 is the tree, and the
// environment of Wine's programs goes in between. No display is wanted: windows and their
// messages work without one.
const (
	setupBegin = `exec unshare --mount --propagation private --pid --fork --kill-child -- sh -ec '
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" /usr/bin/env -i "$@"' setup "$1" `
	setupEnd = ` /bin/sh -ec '
wine wineboot --init
wine reg add "HKCU\\Software\\Wine\\Drivers" /v Graphics /d null /f
wineserver --kill
wineserver --wait' </dev/null >/dev/null`
)

// recipe is Debian 13 with its Wine 10: Wine 8 of Debian 12 runs no program of Go 1.26.
func recipe() machine.Recipe {
	return machine.Recipe{Suite: "trixie", Packages: []string{"wine", "wine64"}, Setup: setupBegin + strings.Join(plain(), " ") + setupEnd}
}

// available returns the reason why there can be no Wine here, in one line.
func available() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("%w: this machine is %s, Windows programs are built for amd64", ErrUnavailable, runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: a Debian tree with Wine takes root", ErrUnavailable)
	}
	for _, p := range []struct{ program, pkg string }{{"mmdebstrap", "mmdebstrap"}, {"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"mount", "mount"}} {
		if _, err := exec.LookPath(p.program); err != nil {
			return fmt.Errorf("%w: %s is not installed: apt-get install %s", ErrUnavailable, p.program, p.pkg)
		}
	}
	return nil
}

// Session is a running Wine: a wineserver and Windows's own services, in a mount and PID
// namespace of their own, with a disk whose changes go with it. The network is this
// machine's.
type Session struct {
	dir  string
	n    *rig.Nursery
	proc *rig.Proc
	init int
}

// temp is Windows's folder for temporary files. In memory what tests write need not be waited for.
const temp = prefix + "/drive_c/users/root/AppData/Local/Temp"

// launch makes the tree and starts what keeps the session; $1 where the tree is mounted,
// $2 its options, the rest folders to be seen inside.
const launch = `set -e
unset TMPDIR
root=$1; mount -t overlay hozen-wine -o "$2" "$root"; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 hozen-wine "$root` + temp + `"
for dir in "$@"; do mkdir -p "$root$dir"; mount --bind "$dir" "$root$dir"; done
exec chroot "$root" /bin/sh -c '` + keep + `'`

// keep is PID 1 of the session: orphans become its children, and when it ends the kernel
// ends all the rest. Wine's server and services have no output that somebody would wait
// for the end of.
const keep = `
wineserver --persistent </dev/null >/dev/null 2>&1
wine wineboot </dev/null >/dev/null 2>&1
: > /up
while :; do sleep 3600 & wait $!; done`

// Start starts Wine on a fresh disk, which takes a few seconds; the first time on a
// machine it makes the tree, which takes a minute or two and 2 GB in the folder for
// caches. An error that wraps [ErrUnavailable] says that there can be no Wine here.
func Start(ctx context.Context, cfg Config) (_ *Session, err error) {
	if err := available(); err != nil {
		return nil, err
	}
	tree, err := machine.Rootfs(ctx, recipe())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove what a killed session left: %w", err)
	}
	s := &Session{n: rig.NewNursery()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start Wine: %w", err), s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", folder, os.Getpid())); err != nil {
		return s, err
	}
	for _, sub := range []string{"upper", "work", "root", "shared"} {
		if err := os.Mkdir(filepath.Join(s.dir, sub), 0o755); err != nil {
			return s, err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", tree, s.dir, s.dir)
	args := append([]string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--",
		"/bin/sh", "-c", launch, "launch", filepath.Join(s.dir, "root"), options, s.Dir()}, cfg.Folders...)
	if s.proc, err = s.n.Start(rig.Spec{Path: "/usr/bin/unshare", Args: args, Env: Environ(), Log: cfg.Log}); err != nil {
		return s, err
	}
	err = rig.Until(ctx, "Wine", func() (bool, error) {
		_, err := os.Stat(filepath.Join(s.dir, "upper", "up"))
		return err == nil, err
	}, s.proc)
	if err != nil {
		return s, err
	}
	if s.init, err = child(s.proc.PID()); err != nil {
		return s, err
	}
	return s, s.standIn(cfg.Libraries)
}

// standIn puts libraries in the place of Wine's.
func (s *Session) standIn(libraries []string) error {
	for _, from := range libraries {
		b, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("read library: %w", err)
		}
		to := s.Path(DriveC("windows/system32/" + filepath.Base(from)))
		if err := os.Remove(to); err != nil { // it may be a link into the tree
			return fmt.Errorf("replace library: %w", err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			return fmt.Errorf("replace library: %w", err)
		}
	}
	return nil
}

// child returns the only child of a process.
func child(parent int) (int, error) {
	p := strconv.Itoa(parent)
	b, err := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
	if err != nil {
		return 0, fmt.Errorf("find PID 1 of the session: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("find PID 1 of the session: %w", err)
	}
	return pid, nil
}

// Init is the session's PID 1 as this machine counts.
func (s *Session) Init() int { return s.init }

// Dir is a folder for the session's lifetime, seen at the same path inside.
func (s *Session) Dir() string { return filepath.Join(s.dir, "shared") }

// Spec is how a Windows program of a folder that is seen inside is started, with its
// arguments. Killing what is started by it may leave the Windows program to the end of the
// session.
func (s *Session) Spec(dir string, args ...string) rig.Spec {
	entry := Entry(s.init, dir, append([]string{"wine"}, args...)...)
	return rig.Spec{Path: entry[0], Args: entry[1:], Env: Environ()}
}

// Path returns where a path of the session's tree lies on this machine; see [DriveC].
func (s *Session) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(s.init), "root", path)
}

// Close ends everything that runs in the session and removes its disk.
func (s *Session) Close() error {
	if s.proc != nil {
		s.proc.Kill() // it takes PID 1 with it, and that everything else; it heeds no other signal
	}
	err := s.n.Close()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// folder begins the name of a session's folder; the process that made it follows.
const folder = "hozen-wine-"

// sweep removes the folders of sessions whose process was killed: their mounts went with
// their processes.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), folder+"*-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folder), "-")
		if _, err := strconv.Atoi(pid); err != nil {
			continue // not ours
		}
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
