package machine

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// VirtualAvailable returns nil where virtual machines can be booted, else the reason
// in one line.
func VirtualAvailable() error {
	if err := Available(); err != nil { // what a hall takes
		return err
	}
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the programs under test are for %s, the virtual machine is not", runtime.GOARCH)
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("a virtual machine's network: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, p := range []struct{ program, pkg string }{
		{"qemu-system-x86_64", "qemu-system-x86"}, {"qemu-img", "qemu-utils"},
		{"mke2fs", "e2fsprogs"}, {"dpkg-deb", "dpkg"}, {"apt-get", "apt"},
	} {
		if _, err := exec.LookPath(p.program); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install %s", p.program, p.pkg)
		}
	}
	return nil
}

// kernelSetup gets the kernel of the release and what makes a root that boots alone.
//
//go:embed qemu_setup.sh
var kernelSetup string

func virtual(r Recipe) Recipe {
	r.Packages = append(slices.Clone(r.Packages), "udev", "kmod", "iproute2", "busybox-static", "xz-utils")
	r.Setup = kernelSetup + "\n" + r.Setup
	return r
}

// VirtualBookworm is Debian 12 with its kernel for virtual machines (6.1).
func VirtualBookworm() Recipe { return virtual(Bookworm()) }

// VirtualTrixie is Debian 13 with its kernel for virtual machines (6.12).
func VirtualTrixie() Recipe { return virtual(Trixie()) }

// image is what a virtual machine is booted from. The disk is read only: each guest
// has an overlay of its own.
type image struct {
	kernel, initrd, disk string
}

// imageForm changes when the same root is to become another image.
const imageForm = "1"

// imageOf returns the image for a root of the cache, and makes it the first time, which
// takes a few seconds and 300 MB.
func imageOf(ctx context.Context, root string) (image, error) {
	cache, err := cacheDir()
	if err != nil {
		return image{}, err
	}
	sum := sha256.Sum256([]byte(initScript + imageForm))
	dir := filepath.Join(cache, filepath.Base(root)+"-image-"+hex.EncodeToString(sum[:4]))
	img := image{filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd"), filepath.Join(dir, "disk")}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return img, err
	}
	defer unlock()
	if exists(dir) {
		now := time.Now()
		_ = os.Chtimes(dir+".lock", now, now) // says when it was wanted last; no harm if not
		return img, nil
	}
	if err := makeImage(ctx, root, dir); err != nil {
		return img, fmt.Errorf("make a virtual machine's disk: %w", err)
	}
	return img, nil
}

func makeImage(ctx context.Context, root, dir string) error {
	fresh := dir + ".new"
	if err := errors.Join(os.RemoveAll(fresh), os.Mkdir(fresh, 0o755)); err != nil {
		return err
	}
	kernels, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("%d kernels in /boot, want one", len(kernels))
	}
	b, err := os.ReadFile(kernels[0])
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, "vmlinuz"), b, 0o644); err != nil {
		return err
	}
	archive, err := initrd(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, "initrd"), archive, 0o644); err != nil {
		return err
	}
	// A journal, as every PC has: it decides what is left after a power cut.
	disk := filepath.Join(fresh, "disk")
	out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-J", "size=16", "-E", "lazy_itable_init=1",
		"-d", root, disk, "2G").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w\n%s", err, out)
	}
	return os.Rename(fresh, dir)
}
