package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mirror is where Debian comes from.
const mirror = "http://deb.debian.org/debian"

// unusedAfter is how long a root file system stays in the cache when nobody asks for it.
const unusedAfter = 30 * 24 * time.Hour

// Recipe says what a root file system of Debian is made of. Equal recipes share one
// copy in the cache.
type Recipe struct {
	// Suite is the release, such as "bookworm".
	Suite string
	// Packages are installed beside the smallest system that has apt.
	Packages []string
	// Setup is a script for sh that runs on this machine as root once the packages are
	// there; $1 is the root. Optional.
	Setup string
}

// The guests are as small as a PC with people on it can be: systemd, its D-Bus and
// logind, an account. What a real PC does in the background by the clock is off.
const setup = `set -e
chroot "$1" useradd --create-home --shell /bin/bash --uid 1000 alice
chroot "$1" passwd --quiet --delete root
chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-firstboot.service
echo uninitialized > "$1/etc/machine-id"
rm -f "$1/etc/hostname" "$1/etc/resolv.conf"
touch "$1/var/log/wtmp"
mkdir -p "$1/var/lib/systemd/linger" "$1/var/log/journal"
rm -rf "$1/var/cache/apt" "$1/var/lib/apt/lists"
mkdir -p "$1/var/cache/apt/archives/partial" "$1/var/lib/apt/lists/partial"`

func guest(suite string) Recipe {
	return Recipe{Suite: suite, Packages: []string{"systemd", "systemd-sysv", "dbus", "libpam-systemd", "passwd"}, Setup: setup}
}

// Bookworm is Debian 12, which has systemd 252: block inhibitors do not bind root and
// PrepareForShutdown comes without metadata.
func Bookworm() Recipe { return guest("bookworm") }

// Trixie is Debian 13, which has systemd 257: PrepareForShutdownWithMetadata, and
// block inhibitors bind root too.
func Trixie() Recipe { return guest("trixie") }

// key names the recipe's product.
func (r Recipe) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%s", r.Suite, strings.Join(r.Packages, " "), r.Setup, strings.Join(leaveOut, " "), mirror)
	return r.Suite + "-" + hex.EncodeToString(h.Sum(nil))[:16]
}

// leaveOut is what no guest needs.
var leaveOut = []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"}

// Rootfs returns the folder with a root file system made by the recipe, and makes it
// the first time, which takes about half a minute and 160 MB. It lies in the folder
// for caches of this account and must not be changed.
func Rootfs(ctx context.Context, r Recipe) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, r.key())
	unlock, err := lock(ctx, dir+".lock") // two test programs at once: one makes it, one waits
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		now := time.Now()
		_ = os.Chtimes(dir+".lock", now, now) // says when it was wanted last; no harm if not
		return dir, nil
	}
	if err := debootstrap(ctx, r, dir); err != nil {
		return "", err
	}
	return dir, sweepCache(cache, dir)
}

func debootstrap(ctx context.Context, r Recipe, dir string) error {
	program, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return fmt.Errorf("make a guest's root: mmdebstrap is not installed: apt-get install mmdebstrap")
	}
	fresh := dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove half a root: %w", err)
	}
	args := []string{"--quiet", "--mode=root", "--variant=minbase", "--include=" + strings.Join(r.Packages, ","), `--aptopt=Acquire::Languages "none"`}
	for _, path := range leaveOut {
		args = append(args, "--dpkgopt=path-exclude="+path)
	}
	if r.Setup != "" {
		args = append(args, "--customize-hook="+r.Setup)
	}
	cmd := exec.CommandContext(ctx, program, append(args, r.Suite, fresh, mirror)...)
	// Whatever language the person speaks: the guest has no translations.
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("make a guest's root of Debian %s from %s: %w\n%s", r.Suite, mirror, err, out.Bytes()), os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("keep a guest's root: %w", err)
	}
	return nil
}

// cacheDir is $XDG_CACHE_HOME/hozen/machine or what stands for it.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = "/var/cache" // a service of the machine has no home
	}
	dir := filepath.Join(base, "hozen", "machine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder for guests' roots: %w", err)
	}
	return dir, nil
}

// sweepCache removes roots that nobody has asked for in a long time.
func sweepCache(cache, but string) error {
	locks, err := filepath.Glob(filepath.Join(cache, "*.lock"))
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range locks {
		dir := strings.TrimSuffix(l, ".lock")
		fi, err := os.Stat(l)
		if err != nil || dir == but || time.Since(fi.ModTime()) < unusedAfter {
			continue
		}
		errs = append(errs, os.RemoveAll(dir), os.Remove(l))
	}
	return errors.Join(errs...)
}

// lock takes a lock that the kernel lets go of when this process ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for lock %s: %w", path, ctx.Err()), f.Close())
		}
	}
}

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
